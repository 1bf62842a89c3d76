//! Eigenvalues and singular values, by faer.
//!
//! Matrices whose entries are so large or so small that their squares would overflow or vanish are
//! scaled by a power of two first.

use std::panic::{AssertUnwindSafe, catch_unwind};

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::svd::{self, ComputeSvdVectors};
use faer::{Mat, MatRef, Par};

use crate::real::Real;

/// Eigenvalues ascending, with the eigenvectors as columns if they were wanted.
pub(crate) struct Eigen<T> {
    pub(crate) values: Vec<T>,
    pub(crate) vectors: Mat<T>,
}

/// Singular values descending, with the vectors wanted as columns.
pub(crate) struct Singular<T> {
    pub(crate) values: Vec<T>,
    pub(crate) left: Mat<T>,
    pub(crate) right: Mat<T>,
}

/// The factor that brings a size into the safe range; `None` for one that is not finite.
fn scale_of<T: Real>(largest: T) -> Option<T> {
    if !largest.finite() {
        None
    } else if largest == T::ZERO || largest < T::SAFE && largest * T::SAFE > T::ONE {
        Some(T::ONE)
    } else {
        Some(largest.normaliser())
    }
}

/// The size of the largest entry that `keep` leaves; a NaN is larger than anything.
fn largest<T: Real>(a: MatRef<'_, T>, keep: impl Fn(usize, usize) -> bool) -> T {
    let mut largest = T::ZERO;
    for j in 0..a.ncols() {
        for i in 0..a.nrows() {
            // Also true of a NaN on the left, which stays.
            if keep(i, j) && !(a[(i, j)].size() <= largest) {
                largest = a[(i, j)].size();
                if !largest.finite() {
                    return largest;
                }
            }
        }
    }
    largest
}

/// Decomposes a symmetric matrix of which the lower triangle is given. `None` for numbers that are
/// not finite, and where the iteration does not end.
pub(crate) fn eigen<T: Real>(lower: MatRef<'_, T>, vectors: bool) -> Option<Eigen<T>> {
    let n = lower.nrows();
    let scale = scale_of(largest(lower, |i, j| i >= j))?;
    let a = Mat::from_fn(n, n, |i, j| {
        if i >= j {
            scale * lower[(i, j)]
        } else {
            T::ZERO
        }
    });
    let mut values = vec![T::ZERO; n];
    let mut out = Mat::zeros(n, if vectors { n } else { 0 });
    let compute = if vectors {
        ComputeEigenvectors::Yes
    } else {
        ComputeEigenvectors::No
    };
    contained(|| {
        let request = evd::self_adjoint_evd_scratch::<T>(n, compute, Par::Seq, Default::default());
        let mut memory = MemBuffer::try_new(request).ok()?;
        evd::self_adjoint_evd(
            a.as_ref(),
            DiagMut::from_slice_mut(&mut values),
            vectors.then(|| out.as_mut()),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        )
        .ok()
    })?;
    finish(&mut values, scale)?;
    Some(Eigen {
        values,
        vectors: out,
    })
}

/// Decomposes a matrix with so many left and right singular vectors: none, as many as there are
/// singular values, or a full basis. `None` as for [`eigen`].
pub(crate) fn singular<T: Real>(
    a: MatRef<'_, T>,
    left: usize,
    right: usize,
) -> Option<Singular<T>> {
    let (m, n) = (a.nrows(), a.ncols());
    let scale = scale_of(largest(a, |_, _| true))?;
    let a = Mat::from_fn(m, n, |i, j| scale * a[(i, j)]);
    let mut values = vec![T::ZERO; m.min(n)];
    let mut out = Singular {
        values: Vec::new(),
        left: Mat::zeros(m, left),
        right: Mat::zeros(n, right),
    };
    let compute = |count: usize| match count {
        0 => ComputeSvdVectors::No,
        count if count == m.min(n) => ComputeSvdVectors::Thin,
        _ => ComputeSvdVectors::Full,
    };
    contained(|| {
        let request = svd::svd_scratch::<T>(
            m,
            n,
            compute(left),
            compute(right),
            Par::Seq,
            Default::default(),
        );
        let mut memory = MemBuffer::try_new(request).ok()?;
        svd::svd(
            a.as_ref(),
            DiagMut::from_slice_mut(&mut values),
            (left > 0).then(|| out.left.as_mut()),
            (right > 0).then(|| out.right.as_mut()),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        )
        .ok()
    })?;
    finish(&mut values, scale)?;
    out.values = values;
    Some(out)
}

/// Takes the scale out again; `None` if what comes out is not finite.
fn finish<T: Real>(values: &mut [T], scale: T) -> Option<()> {
    for value in values.iter_mut() {
        *value /= scale;
    }
    values.iter().all(|value| value.finite()).then_some(())
}

/// A panic below would be a bug there, and must not end a program that called through C: it becomes
/// a failed decomposition.
fn contained(work: impl FnOnce() -> Option<()>) -> Option<()> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}
