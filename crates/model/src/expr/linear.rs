//! Linear operations on the entries of one argument.

/// A sparse matrix by input entries: what each input adds to which outputs.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    outputs: usize,
    starts: Vec<u32>,
    entries: Vec<(u32, f64)>,
    nonnegative: bool,
}

impl Linear {
    /// From (input, output, coefficient), in any order.
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        triples: impl Iterator<Item = (usize, usize, f64)> + Clone,
    ) -> Linear {
        let mut starts = vec![0u32; inputs + 1];
        let mut nonnegative = true;
        for (input, _, v) in triples.clone() {
            starts[input + 1] += 1;
            nonnegative &= v >= 0.0;
        }
        for i in 0..inputs {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); starts[inputs] as usize];
        for (input, output, v) in triples {
            entries[next[input] as usize] = (output as u32, v);
            next[input] += 1;
        }
        Linear {
            outputs,
            starts,
            entries,
            nonnegative,
        }
    }

    /// Output `i` is input `source[i]`.
    pub(crate) fn gather(inputs: usize, source: &[usize]) -> Linear {
        Linear::new(
            inputs,
            source.len(),
            source.iter().enumerate().map(|(i, s)| (*s, i, 1.0)),
        )
    }

    /// Input `i` is added to output `target[i]`, or to none.
    pub(crate) fn collect(outputs: usize, target: &[Option<usize>]) -> Linear {
        Linear::new(
            target.len(),
            outputs,
            target
                .iter()
                .enumerate()
                .filter_map(|(i, t)| t.map(|t| (i, t, 1.0))),
        )
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether no coefficient is negative, so that curvature and sign survive.
    pub(crate) fn is_nonnegative(&self) -> bool {
        self.nonnegative
    }

    /// What one input adds to which outputs.
    pub(crate) fn of(&self, input: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[input] as usize..self.starts[input + 1] as usize]
    }

    pub(crate) fn apply(&self, input: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.outputs];
        for (i, v) in input.iter().enumerate() {
            for (output, c) in self.of(i) {
                out[*output as usize] += c * v;
            }
        }
        out
    }
}
