//! Random numbers of a run, all derived from its seed and the epoch, so that a resumed run draws
//! what the uninterrupted one would.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Initial parameters.
    Parameters,
    /// The order of the samples in an epoch.
    Order(usize),
    /// Dropout in an epoch.
    Dropout(usize),
    /// Dropout in the pass before an epoch that measures violations for adaptive relaxation.
    Relaxation(usize),
}

/// A seed for this purpose; different purposes and seeds give unrelated ones.
pub(crate) fn derive(seed: u64, purpose: Purpose) -> u64 {
    let (kind, epoch) = match purpose {
        Purpose::Parameters => (0, 0),
        Purpose::Order(epoch) => (1, epoch),
        Purpose::Dropout(epoch) => (2, epoch),
        Purpose::Relaxation(epoch) => (3, epoch),
    };
    [kind, epoch as u64]
        .into_iter()
        .fold(mix(seed), |state, part| mix(state ^ part))
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014): a bijection whose every output
/// bit depends on every input bit.
fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The order of `samples` samples in `epoch`.
pub(crate) fn permutation(seed: u64, epoch: usize, samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive(
        seed,
        Purpose::Order(epoch),
    )));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_purpose_epoch_and_seed_has_its_own_stream() {
        let mut streams = BTreeSet::new();
        for seed in 0..20 {
            streams.insert(derive(seed, Purpose::Parameters));
            for epoch in 0..50 {
                streams.extend(
                    [
                        Purpose::Order(epoch),
                        Purpose::Dropout(epoch),
                        Purpose::Relaxation(epoch),
                    ]
                    .map(|p| derive(seed, p)),
                );
            }
        }
        assert_eq!(streams.len(), 20 * 151);
    }

    #[test]
    fn an_order_is_a_permutation_that_depends_on_seed_and_epoch_alone() {
        let order = permutation(3, 7, 100);
        assert_eq!(order, permutation(3, 7, 100));
        assert_ne!(order, permutation(3, 8, 100));
        assert_ne!(order, permutation(4, 7, 100));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
