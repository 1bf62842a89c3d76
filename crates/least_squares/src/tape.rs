//! Reverse mode over forward mode: gradients, and their derivatives along `N` directions, in one
//! sweep.

use std::cell::RefCell;

use crate::jet::Jet;
use crate::reverse::Reverse;

/// No parent: a constant, or the second side of a function of one number.
pub(crate) const NONE: u32 = u32::MAX;
/// In the second side: the first is the index of a [`Sum`].
const SUM: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Node<const N: usize> {
    parents: [u32; 2],
    partials: [Jet<N>; 2],
}

/// A linear combination of many numbers, one node for all.
#[derive(Clone, Copy)]
struct Sum {
    /// The first of the numbers, where they follow one another on the tape.
    first: u32,
    /// Where its coefficients, and else its numbers, begin in their lists.
    coefficients: u32,
    numbers: u32,
    len: u32,
}

#[derive(Default)]
struct Record<const N: usize> {
    nodes: Vec<Node<N>>,
    sums: Vec<Sum>,
    coefficients: Vec<f64>,
    numbers: Vec<u32>,
}

/// The operations of one evaluation, in order.
#[derive(Default)]
pub(crate) struct Tape<const N: usize> {
    leaves: u32,
    record: RefCell<Record<N>>,
    adjoints: Vec<Jet<N>>,
    pairs: Vec<[f64; 4]>,
    marks: Vec<u32>,
    epoch: u32,
}

impl<const N: usize> Tape<N> {
    /// Forgets the last evaluation and makes room for `leaves` inputs.
    pub(crate) fn restart(&mut self, leaves: usize) {
        self.leaves = leaves as u32;
        let record = self.record.get_mut();
        record.nodes.clear();
        record.sums.clear();
        record.coefficients.clear();
        record.numbers.clear();
    }

    #[inline(always)]
    pub(crate) fn leaf(&self, index: usize, value: Jet<N>) -> Reverse<'_, N> {
        self.number(value, index as u32)
    }

    /// The number that is recorded at a place.
    #[inline(always)]
    fn number(&self, value: Jet<N>, at: u32) -> Reverse<'_, N> {
        Reverse {
            value,
            factor: 1.0,
            at,
            tape: Some(self),
        }
    }

    /// How many operations are recorded, and how many numbers their sums have.
    pub(crate) fn size(&self) -> (usize, usize) {
        let record = self.record.borrow();
        (record.nodes.len(), record.coefficients.len())
    }

    #[inline(always)]
    pub(crate) fn push(
        &self,
        value: Jet<N>,
        parents: [u32; 2],
        partials: [Jet<N>; 2],
    ) -> Reverse<'_, N> {
        let nodes = &mut self.record.borrow_mut().nodes;
        let at = self.leaves + nodes.len() as u32;
        nodes.push(Node { parents, partials });
        self.number(value, at)
    }

    #[inline(always)]
    pub(crate) fn push_sum(
        &self,
        value: Jet<N>,
        coefficients: &[f64],
        numbers: &[Reverse<'_, N>],
    ) -> Reverse<'_, N> {
        let mut record = self.record.borrow_mut();
        let record = &mut *record;
        let first = numbers[0].at;
        // Not `all`, which would look at one after the other.
        let in_order = first != NONE
            && numbers.iter().enumerate().fold(true, |so_far, (i, n)| {
                so_far & (n.at == first.wrapping_add(i as u32))
            });
        let sum = Sum {
            first: if in_order { first } else { NONE },
            coefficients: record.coefficients.len() as u32,
            numbers: record.numbers.len() as u32,
            len: numbers.len() as u32,
        };
        let factors = coefficients.iter().zip(numbers);
        record
            .coefficients
            .extend(factors.map(|(c, n)| c * n.factor));
        if !in_order {
            record.numbers.extend(numbers.iter().map(|n| n.at));
        }
        let index = record.sums.len() as u32;
        record.sums.push(sum);
        let at = self.leaves + record.nodes.len() as u32;
        record.nodes.push(Node {
            parents: [index, SUM],
            partials: [Jet::zero(); 2],
        });
        self.number(value, at)
    }

    /// Where an output is on the tape, and its factor; `None` for one that depends on no input.
    pub(crate) fn place(output: &Reverse<'_, N>) -> Option<(u32, f64)> {
        (output.at != NONE).then_some((output.at, output.factor))
    }

    /// The adjoints of the leaves for those of the outputs. With output adjoints (u, u̇) a leaf gets
    /// (Σ u p, Σ u̇ p + u ṗ), where p is the derivative of the output by the leaf and the dot that
    /// along the directions of the leaves.
    #[inline(always)]
    pub(crate) fn sweep(&mut self, outputs: impl Iterator<Item = (u32, Jet<N>)>) -> &[Jet<N>] {
        let record = self.record.get_mut();
        let leaves = self.leaves as usize;
        let adjoints = &mut self.adjoints;
        adjoints.clear();
        adjoints.resize(leaves + record.nodes.len(), Jet::zero());
        for (at, seed) in outputs {
            adjoints[at as usize] += seed;
        }
        for (index, node) in record.nodes.iter().enumerate().rev() {
            let adjoint = adjoints[leaves + index];
            if node.parents[1] == SUM {
                record.give(node, adjoints, |parent, c| *parent += adjoint * c);
                continue;
            }
            for side in 0..2 {
                if node.parents[side] != NONE {
                    adjoints[node.parents[side] as usize] += adjoint * node.partials[side];
                }
            }
        }
        &adjoints[..leaves]
    }

    /// `factor` times the derivative of one output by the leaves, added to `out`. Visits what the output
    /// depends on and what lies between on the tape, nothing else.
    #[inline(always)]
    pub(crate) fn sweep_one(&mut self, (output, factor): (u32, f64), out: &mut [f64]) {
        let record = self.record.get_mut();
        let leaves = self.leaves as usize;
        if (output as usize) < leaves {
            if let Some(out) = out.get_mut(output as usize) {
                *out += factor;
            }
            return;
        }
        let total = leaves + record.nodes.len();
        if self.adjoints.len() < total {
            self.adjoints.resize(total, Jet::zero());
        }
        if self.marks.len() < total || self.epoch == u32::MAX {
            self.marks.clear();
            self.marks.resize(total, 0);
            self.epoch = 0;
        }
        self.epoch += 1;
        let (adjoints, marks, epoch) = (&mut self.adjoints, &mut self.marks, self.epoch);
        let mut waiting = 1;
        let width = out.len();
        adjoints[output as usize].value = factor;
        marks[output as usize] = epoch;
        let mut index = output as usize;
        loop {
            if marks[index] == epoch {
                waiting -= 1;
                let adjoint = adjoints[index].value;
                let node = &record.nodes[index - leaves];
                if node.parents[1] == SUM {
                    let sum = record.sums[node.parents[0] as usize];
                    let (first, end) = (sum.first as usize, sum.first as usize + sum.len as usize);
                    if sum.first != NONE && end <= width.min(leaves) {
                        let coefficients = &record.coefficients[sum.coefficients as usize..];
                        let coefficients = &coefficients[..sum.len as usize];
                        crate::dense::axpy(adjoint, coefficients, &mut out[first..end]);
                        if waiting == 0 {
                            break;
                        }
                        index -= 1;
                        continue;
                    }
                    // Numbers in order that have nothing yet, as in a row that begins with a sum.
                    if sum.first != NONE
                        && first >= leaves
                        && marks[first..end]
                            .iter()
                            .fold(true, |so_far, mark| so_far & (*mark != epoch))
                    {
                        let coefficients = &record.coefficients[sum.coefficients as usize..];
                        for (parent, c) in adjoints[first..end].iter_mut().zip(coefficients) {
                            parent.value = adjoint * c;
                        }
                        marks[first..end].fill(epoch);
                        waiting += sum.len as usize;
                        index -= 1;
                        continue;
                    }
                }
                let mut give = |parent: usize, value: f64| {
                    if parent < leaves {
                        if parent < width {
                            out[parent] += value;
                        }
                    } else if marks[parent] == epoch {
                        adjoints[parent].value += value;
                    } else {
                        marks[parent] = epoch;
                        adjoints[parent].value = value;
                        waiting += 1;
                    }
                };
                if node.parents[1] == SUM {
                    record.parents(node, |parent, c| give(parent, adjoint * c));
                } else {
                    for side in 0..2 {
                        if node.parents[side] != NONE {
                            give(
                                node.parents[side] as usize,
                                adjoint * node.partials[side].value,
                            );
                        }
                    }
                }
                if waiting == 0 {
                    break;
                }
            }
            index -= 1;
        }
    }
}

impl<const N: usize> Record<N> {
    /// Calls `work` with every number of a sum's node and its coefficient.
    #[inline(always)]
    fn parents(&self, node: &Node<N>, mut work: impl FnMut(usize, f64)) {
        let sum = self.sums[node.parents[0] as usize];
        let coefficients = &self.coefficients[sum.coefficients as usize..][..sum.len as usize];
        if sum.first == NONE {
            let numbers = &self.numbers[sum.numbers as usize..][..sum.len as usize];
            for (number, c) in numbers.iter().zip(coefficients) {
                if *number != NONE {
                    work(*number as usize, *c);
                }
            }
        } else {
            for (i, c) in coefficients.iter().enumerate() {
                work(sum.first as usize + i, *c);
            }
        }
    }

    /// Calls `work` with the adjoint of every number of a sum's node, and its coefficient.
    #[inline(always)]
    fn give<A>(&self, node: &Node<N>, adjoints: &mut [A], work: impl Fn(&mut A, f64)) {
        let sum = self.sums[node.parents[0] as usize];
        if sum.first == NONE {
            return self.parents(node, |parent, c| work(&mut adjoints[parent], c));
        }
        let coefficients = &self.coefficients[sum.coefficients as usize..][..sum.len as usize];
        let adjoints = &mut adjoints[sum.first as usize..][..sum.len as usize];
        for (adjoint, c) in adjoints.iter_mut().zip(coefficients) {
            work(adjoint, *c);
        }
    }
}

impl Tape<2> {
    /// As [`sweep`](Self::sweep) with one set of output adjoints for each of the two directions: seeds are
    /// (u₀, u̇₀, u₁, u̇₁), and a leaf gets u̇₀p + u₀ṗ₀ + u̇₁p + u₁ṗ₁ summed over the outputs.
    #[inline(always)]
    pub(crate) fn sweep_pair(
        &mut self,
        outputs: impl Iterator<Item = (u32, [f64; 4])>,
        mut leaf: impl FnMut(usize, f64),
    ) {
        let record = self.record.get_mut();
        let leaves = self.leaves as usize;
        let adjoints = &mut self.pairs;
        adjoints.clear();
        adjoints.resize(leaves + record.nodes.len(), [0.0; 4]);
        for (at, seed) in outputs {
            for i in 0..4 {
                adjoints[at as usize][i] += seed[i];
            }
        }
        for (index, node) in record.nodes.iter().enumerate().rev() {
            let u = adjoints[leaves + index];
            if node.parents[1] == SUM {
                record.give(node, adjoints, |parent, c| {
                    for i in 0..4 {
                        parent[i] += u[i] * c;
                    }
                });
                continue;
            }
            for side in 0..2 {
                if node.parents[side] != NONE {
                    let Jet { value, slope } = node.partials[side];
                    let parent = &mut adjoints[node.parents[side] as usize];
                    parent[0] += u[0] * value;
                    parent[1] += u[1] * value + u[0] * slope[0];
                    parent[2] += u[2] * value;
                    parent[3] += u[3] * value + u[2] * slope[1];
                }
            }
        }
        for (i, u) in adjoints[..leaves].iter().enumerate() {
            leaf(i, u[1] + u[3]);
        }
    }
}
