//! Reverse mode over forward mode: gradients, and their derivatives along `N` directions, in one
//! sweep.

use std::cell::RefCell;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::jet::Jet;
use crate::scalar::Real;

/// No parent: a constant, or the second side of a function of one number.
const NONE: u32 = u32::MAX;
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

    pub(crate) fn leaf(&self, index: usize, value: Jet<N>) -> Reverse<'_, N> {
        Reverse {
            value,
            at: index as u32,
            tape: Some(self),
        }
    }

    /// How many operations are recorded, and how many numbers their sums have.
    pub(crate) fn size(&self) -> (usize, usize) {
        let record = self.record.borrow();
        (record.nodes.len(), record.coefficients.len())
    }

    #[inline(always)]
    fn push(&self, value: Jet<N>, parents: [u32; 2], partials: [Jet<N>; 2]) -> Reverse<'_, N> {
        let nodes = &mut self.record.borrow_mut().nodes;
        let at = self.leaves + nodes.len() as u32;
        nodes.push(Node { parents, partials });
        Reverse {
            value,
            at,
            tape: Some(self),
        }
    }

    fn push_sum(
        &self,
        value: Jet<N>,
        coefficients: &[f64],
        numbers: &[Reverse<'_, N>],
    ) -> Reverse<'_, N> {
        let mut record = self.record.borrow_mut();
        let record = &mut *record;
        let first = numbers[0].at;
        let in_order = first != NONE
            && numbers
                .iter()
                .enumerate()
                .all(|(i, n)| n.at == first.wrapping_add(i as u32));
        let sum = Sum {
            first: if in_order { first } else { NONE },
            coefficients: record.coefficients.len() as u32,
            numbers: record.numbers.len() as u32,
            len: numbers.len() as u32,
        };
        record.coefficients.extend_from_slice(coefficients);
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
        Reverse {
            value,
            at,
            tape: Some(self),
        }
    }

    /// Where an output is on the tape; `None` for one that depends on no input.
    pub(crate) fn place(output: &Reverse<'_, N>) -> Option<u32> {
        (output.at != NONE).then_some(output.at)
    }

    /// The adjoints of the leaves for those of the outputs. With output adjoints (u, u̇) a leaf gets
    /// (Σ u p, Σ u̇ p + u ṗ), where p is the derivative of the output by the leaf and the dot that
    /// along the directions of the leaves.
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
                record.parents(node, |parent, c| adjoints[parent] += adjoint * c);
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

    /// The derivative of one output by the leaves, added to `out`. Visits what the output depends on and
    /// what lies between on the tape, nothing else.
    #[inline(always)]
    pub(crate) fn sweep_one(&mut self, output: u32, out: &mut [f64]) {
        let record = self.record.get_mut();
        let leaves = self.leaves as usize;
        if (output as usize) < leaves {
            if let Some(out) = out.get_mut(output as usize) {
                *out += 1.0;
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
        adjoints[output as usize].value = 1.0;
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
}

impl Tape<2> {
    /// As [`sweep`](Self::sweep) with one set of output adjoints for each of the two directions: seeds are
    /// (u₀, u̇₀, u₁, u̇₁), and a leaf gets u̇₀p + u₀ṗ₀ + u̇₁p + u₁ṗ₁ summed over the outputs.
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
                record.parents(node, |parent, c| {
                    for i in 0..4 {
                        adjoints[parent][i] += u[i] * c;
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

/// A number whose operations are recorded, for derivatives in reverse; its value carries derivatives
/// along `N` directions, so that the reverse sweep differentiates those too.
#[derive(Clone, Copy)]
pub struct Reverse<'t, const N: usize> {
    value: Jet<N>,
    at: u32,
    tape: Option<&'t Tape<N>>,
}

impl<const N: usize> std::fmt::Debug for Reverse<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<'t, const N: usize> Reverse<'t, N> {
    /// f(self), from f, f' and f'' at the value.
    #[inline(always)]
    fn chain(self, value: f64, first: f64, second: f64) -> Self {
        let new = self.value.chain(value, first);
        match self.tape {
            None => Self { value: new, ..self },
            Some(tape) => {
                let partial = self.value.chain(first, second);
                tape.push(new, [self.at, NONE], [partial, Jet::zero()])
            }
        }
    }

    #[inline(always)]
    fn binary(self, other: Self, value: Jet<N>, by_self: Jet<N>, by_other: Jet<N>) -> Self {
        match self.tape.or(other.tape) {
            None => Self {
                value,
                at: NONE,
                tape: None,
            },
            Some(tape) => tape.push(value, [self.at, other.at], [by_self, by_other]),
        }
    }
}

impl<const N: usize> Add for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let one = Jet::constant(1.0);
        self.binary(other, self.value + other.value, one, one)
    }
}

impl<const N: usize> Sub for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.binary(
            other,
            self.value - other.value,
            Jet::constant(1.0),
            Jet::constant(-1.0),
        )
    }
}

impl<const N: usize> Mul for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.binary(other, self.value * other.value, other.value, self.value)
    }
}

impl<const N: usize> Div for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let inverse = Jet::constant(1.0) / other.value;
        let value = self.value / other.value;
        self.binary(other, value, inverse, -(value * inverse))
    }
}

impl<const N: usize> Neg for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.chain(-self.value.value, -1.0, 0.0)
    }
}

impl<const N: usize> AddAssign for Reverse<'_, N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const N: usize> SubAssign for Reverse<'_, N> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const N: usize> MulAssign for Reverse<'_, N> {
    #[inline(always)]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl<const N: usize> Add<f64> for Reverse<'_, N> {
    type Output = Self;
    // The derivative by `self` is 1, so the place on the tape stays.
    #[inline(always)]
    fn add(mut self, other: f64) -> Self {
        self.value = self.value + other;
        self
    }
}

impl<const N: usize> Sub<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: f64) -> Self {
        self.value = self.value - other;
        self
    }
}

impl<const N: usize> Mul<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: f64) -> Self {
        self.chain(self.value.value * other, other, 0.0)
    }
}

impl<const N: usize> Div<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self.chain(self.value.value / other, 1.0 / other, 0.0)
    }
}

impl<const N: usize> Real for Reverse<'_, N> {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self {
            value: Jet::constant(value),
            at: NONE,
            tape: None,
        }
    }
    #[inline(always)]
    fn value(self) -> f64 {
        self.value.value
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.value.sqrt();
        let first = 0.5 / root;
        self.chain(root, first, -0.5 * first / self.value.value)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        let (sin, cos) = self.value.value.sin_cos();
        self.chain(sin, cos, -sin)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        let (sin, cos) = self.value.value.sin_cos();
        self.chain(cos, -sin, -cos)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        let (y, abscissa) = (self.value, x.value);
        let square = y * y + abscissa * abscissa;
        self.binary(x, y.atan2(abscissa), abscissa / square, -(y / square))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let exp = self.value.value.exp();
        self.chain(exp, exp, exp)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        let inverse = 1.0 / self.value.value;
        self.chain(self.value.value.ln(), inverse, -inverse * inverse)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let tanh = self.value.value.tanh();
        let first = 1.0 - tanh * tanh;
        self.chain(tanh, first, -2.0 * tanh * first)
    }
    #[inline(always)]
    fn dot(coefficients: &[f64], values: &[Self]) -> Self {
        let len = coefficients.len().min(values.len());
        let (coefficients, values) = (&coefficients[..len], &values[..len]);
        let mut sum = Jet::zero();
        for (c, v) in coefficients.iter().zip(values) {
            sum += v.value * *c;
        }
        match values.iter().find_map(|v| v.tape) {
            None => Self {
                value: sum,
                at: NONE,
                tape: None,
            },
            Some(tape) => tape.push_sum(sum, coefficients, values),
        }
    }
    #[inline(always)]
    fn powf(self, power: f64) -> Self {
        let x = self.value.value;
        let first = power * x.powf(power - 1.0);
        let second = power * (power - 1.0) * x.powf(power - 2.0);
        self.chain(x.powf(power), first, second)
    }
}
