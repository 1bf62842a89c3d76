//! What a cost function tells the engine about itself.

pub(crate) mod analytic;
pub(crate) mod auto;
pub(crate) mod ready;

use std::fmt::Debug;

use crate::manifold::Manifold;

/// Where a cost function is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The spaces of its variables.
    pub manifolds: &'a [Manifold],
    /// The stored numbers of its variables.
    pub variables: &'a [&'a [f64]],
    /// The numbers of its auxiliaries.
    pub auxiliaries: &'a [&'a [f64]],
}

impl Point<'_> {
    /// Dimensions of all variables' steps together, the columns of the Jacobian.
    pub fn width(&self) -> usize {
        self.manifolds.iter().map(Manifold::tangent).sum()
    }
}

/// The sizes of what a cost function is given, for it to check once.
#[derive(Clone, Copy, Debug)]
pub struct Shapes<'a> {
    /// The spaces of its variables.
    pub manifolds: &'a [Manifold],
    /// The lengths of its auxiliaries.
    pub auxiliaries: &'a [usize],
}

/// Where derivatives of ψ(x, θ) = sᵀ J(x, θ) d + tᵀ c(x, θ) are wanted; J is the Jacobian of c.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// Over the rows.
    pub s: &'a [f64],
    /// Over the variables' steps.
    pub d: &'a [f64],
    /// Over the rows.
    pub t: &'a [f64],
}

/// Where [`Cost::probe`] adds its derivatives.
#[derive(Debug)]
pub struct Gradient<'a> {
    /// ∂ψ/∂x, over the variables' steps, one variable after another.
    pub variables: &'a mut [f64],
    /// ∂ψ/∂θ, one auxiliary after another.
    pub auxiliaries: &'a mut [f64],
}

/// A vector-valued function c(x; θ) of some variables x and auxiliaries θ.
///
/// Matrices are row-major. Jacobians are with respect to the variables' steps, the variables side by
/// side: `[rows, width]`. Functions are called with slices of the sizes that `check` accepted.
pub trait Cost: Send + Sync + Debug {
    /// Number of rows of c.
    fn rows(&self) -> usize;

    /// Whether the cost can work with variables and auxiliaries of these sizes.
    ///
    /// # Errors
    /// What does not fit, as the end of a sentence that begins with the cost's name.
    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String>;

    /// `out` = c, `[rows]`.
    fn residual(&self, at: &Point<'_>, out: &mut [f64]);

    /// c, `[rows]`, and its Jacobian, `[rows, width]`.
    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]);

    /// Adds the derivatives of ψ = sᵀJd + tᵀc. On a curved space the second derivative is the symmetric
    /// one, that of c(x ⊞ δ) by δ twice.
    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>);

    /// Adds the derivatives of two ψ at once.
    fn probe_pair(&self, at: &Point<'_>, probes: [&Probe<'_>; 2], gradient: &mut Gradient<'_>) {
        for probe in probes {
            self.probe(at, probe, gradient);
        }
    }

    /// `out` += Σ_k s_k ∇²c_k, `[width, width]`.
    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let width = at.width();
        let auxiliaries = at.auxiliaries.iter().map(|a| a.len()).sum();
        let mut unused = vec![0.0; auxiliaries];
        let mut d = vec![0.0; width];
        let t = vec![0.0; s.len()];
        for (column, row) in out.chunks_exact_mut(width.max(1)).enumerate() {
            d[column] = 1.0;
            self.probe(
                at,
                &Probe { s, d: &d, t: &t },
                &mut Gradient {
                    variables: row,
                    auxiliaries: &mut unused,
                },
            );
            d[column] = 0.0;
        }
    }

    /// How many numbers [`add_hessian_keeping`](Self::add_hessian_keeping) keeps for
    /// [`probe_kept`](Self::probe_kept). Default 0, where neither is worth writing.
    fn kept(&self) -> usize {
        0
    }

    /// As [`add_hessian`](Self::add_hessian), and fills `kept`.
    fn add_hessian_keeping(&self, at: &Point<'_>, s: &[f64], kept: &mut [f64], out: &mut [f64]) {
        let _ = kept;
        self.add_hessian(at, s, out);
    }

    /// Adds the derivatives of ψ by the auxiliaries alone, at the point and with the s that `kept` was filled
    /// for.
    fn probe_kept(&self, at: &Point<'_>, probe: &Probe<'_>, kept: &[f64], auxiliaries: &mut [f64]) {
        let _ = kept;
        self.probe(
            at,
            probe,
            &mut Gradient {
                variables: &mut vec![0.0; at.width()],
                auxiliaries,
            },
        );
    }

    /// Whether second derivatives and those with respect to auxiliaries are exact to rounding, or
    /// differences.
    fn is_exact(&self) -> bool {
        true
    }

    /// Whether c is affine in its variables, so that its second derivatives in them are zero.
    fn is_affine(&self) -> bool {
        false
    }
}

/// Slices up to this many are gathered without memory of their own.
const FEW: usize = 8;

/// Calls `work` with the parts as one slice of slices.
#[inline(always)]
pub(crate) fn gathered<'a, T: 'a, R>(
    parts: impl Iterator<Item = &'a [T]>,
    count: usize,
    work: impl FnOnce(&[&'a [T]]) -> R,
) -> R {
    let mut few: [&[T]; FEW] = [&[]; FEW];
    let many: Vec<&[T]>;
    let slices = if count <= FEW {
        for (slot, part) in few.iter_mut().zip(parts) {
            *slot = part;
        }
        &few[..count]
    } else {
        many = parts.collect();
        &many[..]
    };
    work(slices)
}

/// Consecutive parts of `data`.
pub(crate) struct Parts<'a, T, L> {
    rest: &'a [T],
    lengths: L,
}

pub(crate) fn parts<T, L: Iterator<Item = usize>>(data: &[T], lengths: L) -> Parts<'_, T, L> {
    Parts {
        rest: data,
        lengths,
    }
}

impl<'a, T, L: Iterator<Item = usize>> Iterator for Parts<'a, T, L> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        let (part, rest) = self.rest.split_at(self.lengths.next()?);
        self.rest = rest;
        Some(part)
    }
}

/// Lengths of the slices, without memory of their own where there are few.
pub(crate) struct Lengths {
    few: [usize; FEW],
    many: Vec<usize>,
    pub(crate) count: usize,
}

impl Lengths {
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let few = if self.many.is_empty() { self.count } else { 0 };
        self.few[..few].iter().chain(&self.many).copied()
    }
}

impl FromIterator<usize> for Lengths {
    #[inline(always)]
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        let mut lengths = Self {
            few: [0; FEW],
            many: Vec::new(),
            count: 0,
        };
        for length in iter {
            if lengths.count < FEW {
                lengths.few[lengths.count] = length;
            } else {
                if lengths.many.is_empty() {
                    lengths.many.extend(lengths.few);
                }
                lengths.many.push(length);
            }
            lengths.count += 1;
        }
        lengths
    }
}
