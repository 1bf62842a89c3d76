//! The problem's numbers on the host, and which of its tensors want a gradient.

use feasible_core::host;
use feasible_solver::{
    Equalities, Gradients, Inequalities, Problem, Quadratics, Symmetric, Wanted,
};

use crate::Error;
use crate::parameter::Parameter;
use crate::problem::{Hessian, QpTensors, QuadraticTensors, RowHessians, Sizes};
use crate::tracked::{Numbers, Tracked};

/// A parameter's place in the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    P,
    Q,
    A,
    B,
    G,
    L,
    U,
    RowH,
    RowG,
    RowC,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::P => "p",
            Self::Q => "q",
            Self::A => "a",
            Self::B => "b",
            Self::G => "g",
            Self::L => "l",
            Self::U => "u",
            Self::RowH => "quadratics.h",
            Self::RowG => "quadratics.g",
            Self::RowC => "quadratics.c",
        }
    }

    /// Takes this parameter's gradient out of the solver's answer.
    pub(crate) fn take(self, gradients: &mut Gradients) -> Option<Vec<f64>> {
        match self {
            Self::P => &mut gradients.p,
            Self::Q => &mut gradients.q,
            Self::A => &mut gradients.a,
            Self::B => &mut gradients.b,
            Self::G => &mut gradients.g,
            Self::L => &mut gradients.l,
            Self::U => &mut gradients.u,
            Self::RowH => &mut gradients.quadratic_h,
            Self::RowG => &mut gradients.quadratic_g,
            Self::RowC => &mut gradients.quadratic_c,
        }
        .take()
    }

    /// The gradients to ask the solver for.
    pub(crate) fn wanted(roles: &[Role]) -> Wanted {
        let has = |role| roles.contains(&role);
        Wanted {
            p: has(Self::P),
            q: has(Self::Q),
            a: has(Self::A),
            b: has(Self::B),
            g: has(Self::G),
            l: has(Self::L),
            u: has(Self::U),
            quadratic_h: has(Self::RowH),
            quadratic_g: has(Self::RowG),
            quadratic_c: has(Self::RowC),
        }
    }
}

/// Symmetric matrices, full or as diagonals.
#[derive(Debug)]
struct SymmetricNumbers {
    numbers: Numbers,
    diagonal: bool,
}

impl SymmetricNumbers {
    fn symmetric(&self) -> Symmetric<'_> {
        let values = self.numbers.values();
        if self.diagonal {
            Symmetric::Diagonal(values)
        } else {
            Symmetric::Dense(values)
        }
    }
}

/// A batch of problems on the host. Parts without rows are absent.
#[derive(Debug)]
pub(crate) struct HostProblem {
    pub(crate) sizes: Sizes,
    p: SymmetricNumbers,
    q: Numbers,
    equalities: Option<[Numbers; 2]>,
    inequalities: Option<[Numbers; 3]>,
    quadratics: Option<(SymmetricNumbers, [Numbers; 2])>,
}

impl HostProblem {
    /// The problem as the solver takes it.
    pub(crate) fn as_problem(&self) -> Problem<'_> {
        let Sizes { batch, n, .. } = self.sizes;
        Problem {
            batch,
            n,
            p: self.p.symmetric(),
            q: self.q.values(),
            equalities: self.equalities.as_ref().map(|[a, b]| Equalities {
                rows: self.sizes.equalities,
                a: a.values(),
                b: b.values(),
            }),
            inequalities: self.inequalities.as_ref().map(|[g, l, u]| Inequalities {
                rows: self.sizes.inequalities,
                g: g.values(),
                l: l.values(),
                u: u.values(),
            }),
            quadratics: self.quadratics.as_ref().map(|(h, [g, c])| Quadratics {
                rows: self.sizes.quadratics,
                h: h.symmetric(),
                g: g.values(),
                c: c.values(),
            }),
        }
    }
}

impl Tracked<Role> {
    fn read_role<const D: usize>(
        &mut self,
        role: Role,
        parameter: &Parameter<D>,
    ) -> Result<Numbers, Error> {
        self.read_unchecked(role, role.name(), parameter)
    }

    /// Square matrices of size `n`, symmetric to the last bit where they are up to the rounding of
    /// their own precision; the solver, which computes in f64, would see the difference.
    fn read_dense<const D: usize>(
        &mut self,
        role: Role,
        parameter: &Parameter<D>,
        n: usize,
    ) -> Result<SymmetricNumbers, Error> {
        let mut numbers = self.read_role(role, parameter)?;
        let rounding = host::rounding(parameter.tensor().dtype());
        let size = (n * n).max(1);
        if !numbers
            .data
            .chunks_exact(size)
            .all(|one| is_symmetric(one, n))
        {
            for matrix in numbers.data.to_mut().chunks_exact_mut(size) {
                mend_symmetry(matrix, n, n as f64 * rounding);
            }
        }
        Ok(SymmetricNumbers {
            numbers,
            diagonal: false,
        })
    }

    fn read_diagonal<const D: usize>(
        &mut self,
        role: Role,
        parameter: &Parameter<D>,
    ) -> Result<SymmetricNumbers, Error> {
        Ok(SymmetricNumbers {
            numbers: self.read_role(role, parameter)?,
            diagonal: true,
        })
    }
}

fn is_symmetric(matrix: &[f64], n: usize) -> bool {
    (0..n).all(|row| (0..row).all(|column| matrix[row * n + column] == matrix[column * n + row]))
}

/// Replaces mirrored entries by their mean if all of them agree to `tolerance` times the largest
/// entry; otherwise leaves the matrix for the solver to refuse.
fn mend_symmetry(matrix: &mut [f64], n: usize, tolerance: f64) {
    let allowed = tolerance * matrix.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let mirrored = |row: usize, column: usize| (row * n + column, column * n + row);
    let pairs = || (0..n).flat_map(move |row| (0..row).map(move |column| mirrored(row, column)));
    if pairs().any(|(a, b)| (matrix[a] - matrix[b]).abs() > allowed) {
        return;
    }
    for (a, b) in pairs() {
        let mean = 0.5 * (matrix[a] + matrix[b]);
        (matrix[a], matrix[b]) = (mean, mean);
    }
}

/// Checks all shapes, then reads all tensors. What is not finite is for the solver to find, so that a
/// batch of many numbers is gone through once.
pub(crate) fn read(
    qp: &QpTensors,
    quadratics: Option<&QuadraticTensors>,
) -> Result<(HostProblem, Tracked<Role>), Error> {
    let sizes = Sizes::of(qp, quadratics)?;
    let mut tracked = Tracked::new(qp.q.tensor());
    let p = match &qp.p {
        Hessian::Dense(p) => tracked.read_dense(Role::P, p, sizes.n)?,
        Hessian::Diagonal(p) => tracked.read_diagonal(Role::P, p)?,
    };
    let q = tracked.read_role(Role::Q, &qp.q)?;
    let equalities = match &qp.equalities {
        Some(part) if sizes.equalities > 0 => Some([
            tracked.read_role(Role::A, &part.a)?,
            tracked.read_role(Role::B, &part.b)?,
        ]),
        _ => None,
    };
    let inequalities = match &qp.inequalities {
        Some(part) if sizes.inequalities > 0 => Some([
            tracked.read_role(Role::G, &part.g)?,
            tracked.read_role(Role::L, &part.l)?,
            tracked.read_role(Role::U, &part.u)?,
        ]),
        _ => None,
    };
    let quadratics = match quadratics {
        Some(part) if sizes.quadratics > 0 => {
            let h = match &part.h {
                RowHessians::Dense(h) => tracked.read_dense(Role::RowH, h, sizes.n)?,
                RowHessians::Diagonal(h) => tracked.read_diagonal(Role::RowH, h)?,
            };
            Some((
                h,
                [
                    tracked.read_role(Role::RowG, &part.g)?,
                    tracked.read_role(Role::RowC, &part.c)?,
                ],
            ))
        }
        _ => None,
    };
    Ok((
        HostProblem {
            sizes,
            p,
            q,
            equalities,
            inequalities,
            quadratics,
        },
        tracked,
    ))
}

/// Errors at the first number outside the bounds that is not finite, with its index in its tensor; the
/// solver, which found it, does not know the tensors.
pub(crate) fn refuse_non_finite(
    qp: &QpTensors,
    quadratics: Option<&QuadraticTensors>,
) -> Result<(), Error> {
    fn check<const D: usize>(role: Role, parameter: &Parameter<D>) -> Result<(), Error> {
        host::read_finite(role.name(), parameter.tensor())?;
        Ok(())
    }
    match &qp.p {
        Hessian::Dense(p) => check(Role::P, p)?,
        Hessian::Diagonal(p) => check(Role::P, p)?,
    }
    check(Role::Q, &qp.q)?;
    if let Some(part) = &qp.equalities {
        check(Role::A, &part.a)?;
        check(Role::B, &part.b)?;
    }
    if let Some(part) = &qp.inequalities {
        check(Role::G, &part.g)?;
    }
    if let Some(part) = quadratics {
        match &part.h {
            RowHessians::Dense(h) => check(Role::RowH, h)?,
            RowHessians::Diagonal(h) => check(Role::RowH, h)?,
        }
        check(Role::RowG, &part.g)?;
    }
    Ok(())
}
