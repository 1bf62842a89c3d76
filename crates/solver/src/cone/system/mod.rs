//! The linear system of Newton's method and of the derivatives:
//!
//! ```text
//! [ P    Bᵀ ] (dx)   (r₁)
//! [ B   −Γ  ] (u ) = (Tᵀr₂),     B = TᵀA,   dz = T u,
//! ```
//!
//! `T` the directions of [`Local`], `Γ` their curvatures. It is the linearisation of
//! `Px + q + AᵀΠ(w) = 0`, `Ax + Π(w) − w = b` after eliminating `w`: with `DΠ = T(I + Γ)⁻¹Tᵀ` and
//! `u = (I + Γ)⁻¹Tᵀdw` the rows along `T` of the second equation are `B dx − Γu = Tᵀr₂`, and the
//! others only say what `ds` is. The matrix is symmetric, so one factorisation serves both ways.
//!
//! Large sparse systems get a sparse factor. It cannot tell a singular system from a badly scaled
//! one, so whatever it does not solve well goes to the dense one, which can.

mod dense;
mod sparse;

use crate::cone::geometry::Local;
use crate::cone::layout::Layout;
use crate::cone::problem::ConeSample;
use dense::Dense;
use sparse::Sparse;

/// Dense systems larger than this are not tried after a sparse one: they would take seconds.
const LARGEST_DENSE: usize = 3000;

/// Relative residual above which a sparse solution is not accepted.
const ACCEPT: f64 = 1e-9;

/// Condition above which the sparse factor, which is of a slightly changed matrix, may hide a
/// singular system.
const CONDITION: f64 = 1e7;

/// The factored system of one sample.
pub(crate) struct System {
    form: Form,
    rank_tolerance: f64,
}

enum Form {
    Dense(Box<Dense>),
    Sparse(Box<Sparse>),
}

/// What a factorisation says about the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    /// Eigenvalues were taken for zero.
    pub(crate) deficient: bool,
    /// Estimated condition number.
    pub(crate) condition: f64,
}

impl System {
    /// Assembles and factors; `None` only for numbers that are not finite.
    pub(crate) fn new(
        sample: &ConeSample<'_>,
        local: &Local,
        layout: &Layout,
        rank_tolerance: f64,
    ) -> Option<System> {
        let form = if layout.is_sparse() {
            match Sparse::new(sample, local, layout) {
                Some(sparse) => Form::Sparse(Box::new(sparse)),
                None => Form::Dense(Box::new(Dense::new(sample, local, rank_tolerance)?)),
            }
        } else {
            Form::Dense(Box::new(Dense::new(sample, local, rank_tolerance)?))
        };
        Some(System {
            form,
            rank_tolerance,
        })
    }

    /// Takes the matrix of nearby directions of the same kind and keeps the old factor for a
    /// preconditioner. False where that cannot be done.
    pub(crate) fn refresh(
        &mut self,
        sample: &ConeSample<'_>,
        local: &Local,
        layout: &Layout,
    ) -> bool {
        match &mut self.form {
            Form::Dense(_) => false,
            Form::Sparse(sparse) => sparse.refresh(sample, local, layout),
        }
    }

    /// Rank and condition. Costs a few solves where the factor is sparse.
    pub(crate) fn rank(&mut self, sample: &ConeSample<'_>, local: &Local) -> Rank {
        if let Form::Sparse(sparse) = &mut self.form {
            let condition = sparse.condition();
            if condition <= CONDITION || !self.densify(sample, local) {
                return Rank {
                    deficient: !(condition <= CONDITION),
                    condition,
                };
            }
        }
        match &self.form {
            Form::Dense(dense) => dense.rank,
            Form::Sparse(_) => unreachable!("it has become dense"),
        }
    }

    /// Solves for `dx` and `dz`, both overwritten; returns the relative residual.
    pub(crate) fn solve(
        &mut self,
        sample: &ConeSample<'_>,
        local: &Local,
        right: (&[f64], &[f64]),
        dx: &mut [f64],
        dz: &mut [f64],
    ) -> f64 {
        if let Form::Sparse(sparse) = &mut self.form {
            let residual = sparse.solve(local, right, dx, dz);
            if residual <= ACCEPT || !self.densify(sample, local) {
                return residual;
            }
        }
        match &self.form {
            Form::Dense(dense) => dense.solve(right, dx, dz),
            Form::Sparse(_) => unreachable!("it has become dense"),
        }
    }

    fn densify(&mut self, sample: &ConeSample<'_>, local: &Local) -> bool {
        if sample.n + local.count() > LARGEST_DENSE {
            return false;
        }
        match Dense::new(sample, local, self.rank_tolerance) {
            Some(dense) => {
                self.form = Form::Dense(Box::new(dense));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Values;
    use crate::cone::geometry::{LONG, localise};
    use crate::cone::problem::{Cone, ConeProblem, Sparse as Pattern};
    use crate::dense::max_abs;

    /// Both factorisations of one system, and the sparse one refreshed for a system nearby.
    #[test]
    fn sparse_and_dense_agree() {
        let cones = [
            Cone::Zero(10),
            Cone::Nonnegative(20),
            Cone::SecondOrder(2 * LONG),
            Cone::SecondOrder(4),
        ];
        let (n, m) = (40, 34 + 2 * LONG);
        let wave = |at: usize| (1.0 + 0.7 * at as f64).sin();
        let (mut starts, mut indices) = (vec![0], Vec::new());
        for column in 0..n {
            indices.extend((0..m).filter(|row| row % n == column || (row * column) % 23 == 1));
            starts.push(indices.len());
        }
        let entries: Vec<f64> = (0..indices.len()).map(wave).collect();
        let diagonal: Vec<f64> = (0..n).map(|at| 1.5 + wave(at)).collect();
        let places: Vec<usize> = (0..=n).collect();
        let zeros = vec![0.0; n + m];
        let problem = ConeProblem {
            batch: 1,
            n,
            p: Some(Pattern {
                rows: n,
                columns: n,
                starts: &places,
                indices: &places[..n],
                values: Values::Shared(&diagonal),
            }),
            q: Values::Shared(&zeros[..n]),
            a: Pattern {
                rows: m,
                columns: n,
                starts: &starts,
                indices: &indices,
                values: Values::Shared(&entries),
            },
            b: Values::Shared(&zeros[..m]),
            cones: &cones,
        };
        let layout = Layout::new(&problem);
        assert!(layout.is_sparse());
        let sample = problem.sample(0);
        let near = |shift: f64| {
            let w: Vec<f64> = (0..m).map(|at| wave(3 * at) + shift * wave(at)).collect();
            localise(&cones, &w, &mut vec![0.0; m], &mut vec![0.0; m])
        };
        let local = near(0.0);
        assert!(!local.spheres.is_empty() && local.directions.len() >= 10);
        let right: Vec<f64> = (0..n + m).map(|at| wave(5 * at)).collect();
        let right = right.split_at(n);
        let mut sparse = Sparse::new(&sample, &local, &layout).unwrap();
        for (local, refresh) in [(&local, false), (&near(1e-5), true)] {
            assert!(!refresh || sparse.refresh(&sample, local, &layout));
            let (mut dx, mut dz) = (vec![0.0; n], vec![0.0; m]);
            assert!(sparse.solve(local, right, &mut dx, &mut dz) < 1e-13);
            let dense = Dense::new(&sample, local, 1e-10).unwrap();
            assert!(!dense.rank.deficient);
            let (mut other_x, mut other_z) = (vec![0.0; n], vec![0.0; m]);
            assert!(dense.solve(right, &mut other_x, &mut other_z) < 1e-13);
            for (got, expected) in [(&dx, &other_x), (&dz, &other_z)] {
                let size = max_abs(expected);
                for (got, expected) in got.iter().zip(expected) {
                    assert!((got - expected).abs() < 1e-10 * size, "{got} {expected}");
                }
            }
        }
        let condition = sparse.condition();
        assert!(condition > 1.0 && condition < CONDITION, "{condition}");
    }
}
