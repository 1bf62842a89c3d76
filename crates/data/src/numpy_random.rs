//! numpy's legacy generator, bit for bit.
//!
//! The published instances were drawn after `np.random.seed(seed)`, so having the same instances means
//! having the same generator: MT19937 (Matsumoto & Nishimura, ACM TOMACS 8(1), 1998) seeded by the 2002
//! initialisation from one word, 53-bit uniforms made of two words, and Gaussians from Marsaglia's polar
//! method, which makes two at a time and keeps the second for the next call.

/// Words in the state of MT19937.
const STATE_WORDS: usize = 624;
/// Distance of the word that the recurrence mixes in.
const SHIFT_WORDS: usize = 397;
/// Last row of the recurrence's matrix.
const TWIST: u32 = 0x9908_b0df;
/// The one bit of the older word that enters the recurrence.
const UPPER_BIT: u32 = 0x8000_0000;
/// The 31 bits of the next word that enter the recurrence.
const LOWER_BITS: u32 = 0x7fff_ffff;

/// numpy's `RandomState`: what `np.random.seed(seed)` followed by `np.random.*` draws.
///
/// Every integer and every uniform equals numpy's to the last bit. A Gaussian does too where the platform's
/// `ln` rounds as the C library's `log` that numpy was linked to (the same code on Linux); elsewhere its last
/// bit may differ. Compilers may fuse `low + width * u` on some machines; this follows the unfused x86-64
/// builds.
///
/// ```
/// use feasible_data::LegacyRandom;
///
/// let mut random = LegacyRandom::new(17);
/// assert_eq!(random.rand(), 0.2946650026871097); // np.random.seed(17); np.random.rand()
/// ```
#[derive(Clone)]
pub struct LegacyRandom {
    state: [u32; STATE_WORDS],
    position: usize,
    /// The second Gaussian of the last pair, until it is asked for.
    kept_gaussian: Option<f64>,
}

impl std::fmt::Debug for LegacyRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegacyRandom")
            .field("position", &self.position)
            .field("kept_gaussian", &self.kept_gaussian)
            .finish_non_exhaustive()
    }
}

impl LegacyRandom {
    /// The generator after `np.random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut state = [0; STATE_WORDS];
        let mut word = seed;
        for (k, slot) in state.iter_mut().enumerate() {
            *slot = word;
            word = 1_812_433_253_u32
                .wrapping_mul(word ^ (word >> 30))
                .wrapping_add(k as u32 + 1);
        }
        Self {
            state,
            position: STATE_WORDS,
            kept_gaussian: None,
        }
    }

    /// The next 32-bit word.
    pub fn word(&mut self) -> u32 {
        if self.position == STATE_WORDS {
            self.twist();
        }
        let mut y = self.state[self.position];
        self.position += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for k in 0..STATE_WORDS {
            let next = self.state[(k + 1) % STATE_WORDS];
            let mixed = (self.state[k] & UPPER_BIT) | (next & LOWER_BITS);
            let odd = if mixed & 1 == 1 { TWIST } else { 0 };
            self.state[k] = self.state[(k + SHIFT_WORDS) % STATE_WORDS] ^ (mixed >> 1) ^ odd;
        }
        self.position = 0;
    }

    /// One draw of `np.random.rand()`: uniform on [0, 1) with 53 bits.
    pub fn rand(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// One draw of `np.random.uniform(low, high)`, computed as `low + (high - low) * rand()`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.rand()
    }

    /// One draw of `np.random.randn()`: standard normal.
    ///
    /// Gaussians come in pairs; the second of a pair is returned by the next call whatever was drawn between.
    pub fn randn(&mut self) -> f64 {
        if let Some(kept) = self.kept_gaussian.take() {
            return kept;
        }
        loop {
            let x1 = 2.0 * self.rand() - 1.0;
            let x2 = 2.0 * self.rand() - 1.0;
            let r2 = x1 * x1 + x2 * x2;
            if r2 < 1.0 && r2 != 0.0 {
                let factor = (-2.0 * r2.ln() / r2).sqrt();
                self.kept_gaussian = Some(factor * x1);
                return factor * x2;
            }
        }
    }

    /// One draw of `np.random.normal(mean, deviation)`, computed as `mean + deviation * randn()`.
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * self.randn()
    }

    /// `np.random.rand(len)`.
    pub fn rand_vec(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.rand()).collect()
    }

    /// `np.random.randn(len)`; a matrix is filled row by row.
    pub fn randn_vec(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.randn()).collect()
    }

    /// `np.random.uniform(low, high, len)`; a matrix is filled row by row.
    pub fn uniform_vec(&mut self, low: f64, high: f64, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.uniform(low, high)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::LegacyRandom;

    /// The reference generator's published test value: the 10 000th word after seed 5489, which is what the
    /// C++ standard requires of `mt19937` ([rand.predef]).
    #[test]
    fn the_ten_thousandth_word_is_the_standard_one() {
        let mut random = LegacyRandom::new(5489);
        let last = (0..10_000).map(|_| random.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn the_second_gaussian_survives_uniform_draws() {
        let mut plain = LegacyRandom::new(3);
        let pair = plain.randn_vec(2);
        let mut interleaved = LegacyRandom::new(3);
        let first = interleaved.randn();
        interleaved.rand_vec(700);
        assert_eq!([first, interleaved.randn()], [pair[0], pair[1]]);
    }
}
