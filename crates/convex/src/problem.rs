use crate::Error;
use crate::parameter::{Parameter, batch_size};

/// The matrices P of the objective, one for the batch or one per sample.
#[derive(Debug, Clone)]
pub enum Hessian {
    /// Symmetric positive semidefinite matrices, `[1 or batch, n, n]`.
    Dense(Parameter<3>),
    /// Diagonals with no negative entry, `[1 or batch, n]`.
    Diagonal(Parameter<2>),
}

impl Hessian {
    /// Symmetric positive semidefinite matrices: `[n, n]`, or `[1 or batch, n, n]`.
    pub fn dense(p: impl Into<Parameter<3>>) -> Self {
        Self::Dense(p.into())
    }

    /// Diagonals with no negative entry: `[n]`, or `[1 or batch, n]`.
    pub fn diagonal(p: impl Into<Parameter<2>>) -> Self {
        Self::Diagonal(p.into())
    }
}

/// The matrices H_i of quadratic rows, one set for the batch or one per sample.
#[derive(Debug, Clone)]
pub enum RowHessians {
    /// Symmetric positive semidefinite matrices, `[1 or batch, k, n, n]`.
    Dense(Parameter<4>),
    /// Diagonals with no negative entry, `[1 or batch, k, n]`.
    Diagonal(Parameter<3>),
}

impl RowHessians {
    /// Symmetric positive semidefinite matrices: `[k, n, n]`, or `[1 or batch, k, n, n]`.
    pub fn dense(h: impl Into<Parameter<4>>) -> Self {
        Self::Dense(h.into())
    }

    /// Diagonals with no negative entry: `[k, n]`, or `[1 or batch, k, n]`.
    pub fn diagonal(h: impl Into<Parameter<3>>) -> Self {
        Self::Diagonal(h.into())
    }

    fn rows(&self) -> usize {
        match self {
            Self::Dense(h) => h.length(1),
            Self::Diagonal(h) => h.length(1),
        }
    }
}

/// A batch of quadratic programs: min ½xᵀPx + qᵀx subject to Ax = b and l ≤ Gx ≤ u.
///
/// Every parameter is shared by the batch or given per sample, each on its own: its leading axis
/// is 1 or `batch`, and a tensor without that axis is shared. `batch` is the largest leading axis.
/// Shapes are checked when a layer is called.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_convex::{Hessian, QpLayer, QpTensors};
///
/// # fn main() -> Result<(), feasible_convex::Error> {
/// let device = Device::flex();
/// // The points of the simplex closest to two given ones: P = I, q = −ŷ.
/// let y_hat = Tensor::<2>::from_data([[0.5, 0.9, 0.1], [2.0, 0.0, 0.0]], &device);
/// let problem = QpTensors::new(Hessian::diagonal(Tensor::<1>::ones([3], &device)), -y_hat)
///     .equalities(Tensor::<2>::ones([1, 3], &device), Tensor::<1>::ones([1], &device))
///     .inequalities(
///         Tensor::<2>::eye(3, &device),
///         Tensor::<1>::zeros([3], &device),
///         Tensor::<1>::full([3], f32::INFINITY, &device),
///     );
/// let solution = QpLayer::default().forward(&problem)?;
/// let x = solution.x.into_data().try_into_vec::<f32>().unwrap();
/// for (x, expected) in x.iter().zip([0.3, 0.7, 0.0, 1.0, 0.0, 0.0]) {
///     assert!((x - expected).abs() < 1e-6);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct QpTensors {
    pub(crate) p: Hessian,
    pub(crate) q: Parameter<2>,
    pub(crate) equalities: Option<EqualityTensors>,
    pub(crate) inequalities: Option<InequalityTensors>,
}

/// Ax = b.
#[derive(Debug, Clone)]
pub(crate) struct EqualityTensors {
    pub(crate) a: Parameter<3>,
    pub(crate) b: Parameter<2>,
}

/// l ≤ Gx ≤ u.
#[derive(Debug, Clone)]
pub(crate) struct InequalityTensors {
    pub(crate) g: Parameter<3>,
    pub(crate) l: Parameter<2>,
    pub(crate) u: Parameter<2>,
}

/// xᵀH_i x + g_iᵀx ≤ c_i.
#[derive(Debug, Clone)]
pub(crate) struct QuadraticTensors {
    pub(crate) h: RowHessians,
    pub(crate) g: Parameter<3>,
    pub(crate) c: Parameter<2>,
}

/// A batch of quadratic programs with convex quadratic rows xᵀH_i x + g_iᵀx ≤ c_i (no ½) besides
/// the linear ones; made by [`QpTensors::quadratics`].
#[derive(Debug, Clone)]
pub struct QcqpTensors {
    pub(crate) qp: QpTensors,
    pub(crate) quadratics: QuadraticTensors,
}

impl QpTensors {
    /// The objective ½xᵀPx + qᵀx without constraints; `q` is `[n]` or `[1 or batch, n]`.
    pub fn new(p: Hessian, q: impl Into<Parameter<2>>) -> Self {
        Self {
            p,
            q: q.into(),
            equalities: None,
            inequalities: None,
        }
    }

    /// With Ax = b, in place of any given before: `a` is `[p, n]` or `[1 or batch, p, n]`, `b` is
    /// `[p]` or `[1 or batch, p]`.
    pub fn equalities(mut self, a: impl Into<Parameter<3>>, b: impl Into<Parameter<2>>) -> Self {
        self.equalities = Some(EqualityTensors {
            a: a.into(),
            b: b.into(),
        });
        self
    }

    /// With l ≤ Gx ≤ u, in place of any given before: `g` is `[m, n]` or `[1 or batch, m, n]`,
    /// `l` and `u` are `[m]` or `[1 or batch, m]`. Bounds may be infinite, and equal.
    pub fn inequalities(
        mut self,
        g: impl Into<Parameter<3>>,
        l: impl Into<Parameter<2>>,
        u: impl Into<Parameter<2>>,
    ) -> Self {
        self.inequalities = Some(InequalityTensors {
            g: g.into(),
            l: l.into(),
            u: u.into(),
        });
        self
    }

    /// With quadratic rows xᵀH_i x + g_iᵀx ≤ c_i (no ½): `g` is `[k, n]` or `[1 or batch, k, n]`,
    /// `c` is `[k]` or `[1 or batch, k]`. A `c_i` of +∞ switches its row off.
    pub fn quadratics(
        self,
        h: RowHessians,
        g: impl Into<Parameter<3>>,
        c: impl Into<Parameter<2>>,
    ) -> QcqpTensors {
        let quadratics = QuadraticTensors {
            h,
            g: g.into(),
            c: c.into(),
        };
        QcqpTensors {
            qp: self,
            quadratics,
        }
    }

    fn leading(&self) -> Vec<usize> {
        let mut leading = vec![
            self.q.length(0),
            match &self.p {
                Hessian::Dense(p) => p.length(0),
                Hessian::Diagonal(p) => p.length(0),
            },
        ];
        if let Some(part) = &self.equalities {
            leading.extend([part.a.length(0), part.b.length(0)]);
        }
        if let Some(part) = &self.inequalities {
            leading.extend([part.g.length(0), part.l.length(0), part.u.length(0)]);
        }
        leading
    }
}

impl QuadraticTensors {
    fn leading(&self) -> [usize; 3] {
        let h = match &self.h {
            RowHessians::Dense(h) => h.length(0),
            RowHessians::Diagonal(h) => h.length(0),
        };
        [h, self.g.length(0), self.c.length(0)]
    }
}

/// The sizes of a problem whose shapes agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) n: usize,
    pub(crate) equalities: usize,
    pub(crate) inequalities: usize,
    pub(crate) quadratics: usize,
}

impl Sizes {
    /// Checks every shape against the others: n comes from `q`, the row counts from `a`, `g` and
    /// the H_i.
    pub(crate) fn of(qp: &QpTensors, quadratics: Option<&QuadraticTensors>) -> Result<Self, Error> {
        let mut leading = qp.leading();
        leading.extend(
            quadratics
                .map(QuadraticTensors::leading)
                .into_iter()
                .flatten(),
        );
        let batch = batch_size(&leading);
        let n = qp.q.length(1);

        qp.q.check("q", batch, &[n], "n")?;
        match &qp.p {
            Hessian::Dense(p) => p.check("p", batch, &[n, n], "n, n")?,
            Hessian::Diagonal(p) => p.check("p", batch, &[n], "n: a diagonal")?,
        }
        let mut sizes = Self {
            batch,
            n,
            equalities: 0,
            inequalities: 0,
            quadratics: 0,
        };
        if let Some(part) = &qp.equalities {
            let rows = part.a.length(1);
            part.a.check("a", batch, &[rows, n], "p, n")?;
            part.b
                .check("b", batch, &[rows], "p: one entry a row of `a`")?;
            sizes.equalities = rows;
        }
        if let Some(part) = &qp.inequalities {
            let rows = part.g.length(1);
            part.g.check("g", batch, &[rows, n], "m, n")?;
            part.l
                .check("l", batch, &[rows], "m: one entry a row of `g`")?;
            part.u
                .check("u", batch, &[rows], "m: one entry a row of `g`")?;
            sizes.inequalities = rows;
        }
        if let Some(part) = quadratics {
            let rows = part.h.rows();
            match &part.h {
                RowHessians::Dense(h) => {
                    h.check("quadratics.h", batch, &[rows, n, n], "k, n, n")?
                }
                RowHessians::Diagonal(h) => {
                    h.check("quadratics.h", batch, &[rows, n], "k, n: diagonals")?;
                }
            }
            part.g.check("quadratics.g", batch, &[rows, n], "k, n")?;
            part.c
                .check("quadratics.c", batch, &[rows], "k: one entry a row")?;
            sizes.quadratics = rows;
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    fn zeros<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::zeros(shape, &Device::flex())
    }

    fn problem() -> QpTensors {
        QpTensors::new(Hessian::dense(zeros([3, 3])), zeros([4, 3]))
            .equalities(zeros([1, 2, 3]), zeros([4, 2]))
            .inequalities(zeros([5, 3]), zeros([5]), zeros([1, 5]))
    }

    #[test]
    fn shared_and_per_sample_parts_mix() {
        let sizes = Sizes::of(&problem(), None).unwrap();
        let expected = Sizes {
            batch: 4,
            n: 3,
            equalities: 2,
            inequalities: 5,
            quadratics: 0,
        };
        assert_eq!(sizes, expected);

        let quadratic = |h| problem().quadratics(h, zeros([6, 3]), zeros([4, 6]));
        for h in [
            RowHessians::dense(zeros([6, 3, 3])),
            RowHessians::dense(zeros([4, 6, 3, 3])),
            RowHessians::diagonal(zeros([6, 3])),
            RowHessians::diagonal(zeros([4, 6, 3])),
        ] {
            let problem = quadratic(h);
            let sizes = Sizes::of(&problem.qp, Some(&problem.quadratics)).unwrap();
            assert_eq!(
                sizes,
                Sizes {
                    quadratics: 6,
                    ..expected
                }
            );
        }
    }

    #[test]
    fn every_wrong_shape_is_named() {
        let (g, l, u) = (zeros([5, 3]), zeros([5]), zeros([5]));
        let diagonal = || Hessian::diagonal(zeros([3]));
        let cases: Vec<(&str, QpTensors)> = vec![
            (
                "p",
                QpTensors::new(Hessian::dense(zeros([3, 2])), zeros([3])),
            ),
            (
                "p",
                QpTensors::new(Hessian::diagonal(zeros([4])), zeros([3])),
            ),
            (
                "p",
                QpTensors::new(Hessian::diagonal(zeros([2, 3])), zeros([4, 3])),
            ),
            (
                "q",
                QpTensors::new(Hessian::diagonal(zeros([4, 3])), zeros([2, 3])),
            ),
            (
                "a",
                QpTensors::new(diagonal(), zeros([3])).equalities(zeros([2, 4]), zeros([2])),
            ),
            (
                "b",
                QpTensors::new(diagonal(), zeros([3])).equalities(zeros([2, 3]), zeros([3])),
            ),
            ("b", problem().equalities(zeros([2, 3]), zeros([3, 2]))),
            (
                "g",
                problem().inequalities(zeros([5, 2]), l.clone(), u.clone()),
            ),
            (
                "l",
                problem().inequalities(g.clone(), zeros([4]), u.clone()),
            ),
            ("u", problem().inequalities(g.clone(), l, zeros([3, 5]))),
            // The largest leading axis sets the batch, so the 4 of q is what does not fit.
            ("q", problem().inequalities(g, zeros([5]), zeros([9, 5]))),
        ];
        for (name, problem) in cases {
            let message = Sizes::of(&problem, None).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("`{name}` has shape")),
                "{name}: {message}"
            );
        }
    }

    #[test]
    fn every_wrong_shape_of_a_quadratic_row_is_named() {
        let cases = [
            (
                "h",
                RowHessians::dense(zeros([6, 3, 2])),
                zeros([6, 3]),
                zeros([6]),
            ),
            (
                "h",
                RowHessians::diagonal(zeros([6, 2])),
                zeros([6, 3]),
                zeros([6]),
            ),
            (
                "g",
                RowHessians::diagonal(zeros([6, 3])),
                zeros([5, 3]),
                zeros([6]),
            ),
            (
                "c",
                RowHessians::diagonal(zeros([6, 3])),
                zeros([6, 3]),
                zeros([5]),
            ),
        ];
        for (name, h, g, c) in cases {
            let QcqpTensors { qp, quadratics } = problem().quadratics(h, g, c);
            let message = Sizes::of(&qp, Some(&quadratics)).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("`quadratics.{name}` has shape")),
                "{message}"
            );
        }
    }
}
