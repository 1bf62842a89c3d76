//! DC3's quadratic programs, for the benchmarks that solve them.

use faer::MatRef;
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::{Hessian, QpTensors};
use feasible::host;
use feasible::solver::{Equalities, Inequalities, Problem, Symmetric, Values, Wanted};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

/// Random numbers.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform numbers between two.
    pub fn uniform(&mut self, low: f64, high: f64, count: usize) -> Vec<f64> {
        let range = Uniform::new(low, high).expect("a range");
        (0..count).map(|_| range.sample(&mut self.0)).collect()
    }

    /// Normal numbers of this standard deviation.
    pub fn normal(&mut self, scale: f64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| {
                let v: f64 = StandardNormal.sample(&mut self.0);
                scale * v
            })
            .collect()
    }
}

/// What a QP's matrices look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Matrices {
    /// The batch shares them, P is a diagonal.
    Shared,
    /// The batch shares them, P is dense.
    SharedDense,
    /// P, a diagonal, A and G are a sample's own.
    PerSample,
}

/// DC3's QPs (Donti, Rolnick & Kolter 2021): one-sided rows whose bounds the least-norm point of
/// every b meets, so that many of them bind; q and b are a sample's own.
pub struct Qp {
    /// Samples.
    pub batch: usize,
    /// Variables, equalities, rows of G.
    pub size: (usize, usize, usize),
    matrices: Matrices,
    p: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    g: Vec<f64>,
    l: Vec<f64>,
    u: Vec<f64>,
}

impl Qp {
    /// The same for every run.
    pub fn draw(batch: usize, size: (usize, usize, usize), matrices: Matrices) -> Self {
        let (n, equalities, rows) = size;
        let mut draws = Draws::new(0);
        let copies = if matrices == Matrices::PerSample {
            batch
        } else {
            1
        };
        let a = draws.normal(1.0, copies * equalities * n);
        let g = draws.normal(1.0, copies * rows * n);
        let p = match matrices {
            Matrices::SharedDense => {
                let root = draws.normal((n as f64).powf(-0.5), n * n);
                (0..n * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let dot: f64 = (0..n).map(|k| root[k * n + i] * root[k * n + j]).sum();
                        dot + if i == j { 0.1 } else { 0.0 }
                    })
                    .collect()
            }
            _ => draws.uniform(0.1, 1.1, copies * n),
        };
        let u = (a.chunks(equalities * n).zip(g.chunks(rows * n)))
            .flat_map(|(a, g)| {
                let view = MatRef::from_row_major_slice(a, equalities, n).to_owned();
                let inverse = view.svd().expect("finite numbers").pseudoinverse();
                let reach = MatRef::from_row_major_slice(g, rows, n) * inverse;
                let row = |i: usize| reach.row(i).iter().map(|v| v.abs()).sum::<f64>();
                (0..rows).map(row).collect::<Vec<_>>()
            })
            .collect();
        Self {
            batch,
            size,
            matrices,
            p,
            q: draws.uniform(0.0, 1.0, batch * n),
            a,
            b: draws.uniform(-1.0, 1.0, batch * equalities),
            l: vec![f64::NEG_INFINITY; copies * rows],
            g,
            u,
        }
    }

    /// As the solver takes it.
    pub fn problem(&self) -> Problem<'_> {
        let values: fn(&[f64]) -> Values<'_> = match self.matrices {
            Matrices::PerSample => |data| Values::PerSample(data),
            _ => |data| Values::Shared(data),
        };
        let (n, equalities, rows) = self.size;
        Problem {
            batch: self.batch,
            n,
            p: match self.matrices {
                Matrices::SharedDense => Symmetric::Dense(values(&self.p)),
                _ => Symmetric::Diagonal(values(&self.p)),
            },
            q: Values::PerSample(&self.q),
            equalities: Some(Equalities {
                rows: equalities,
                a: values(&self.a),
                b: Values::PerSample(&self.b),
            }),
            inequalities: Some(Inequalities {
                rows,
                g: values(&self.g),
                l: values(&self.l),
                u: values(&self.u),
            }),
            quadratics: None,
        }
    }

    /// As tensors, of which those that are wanted are tracked.
    pub fn tensors(&self, wanted: &Wanted) -> QpTensors {
        let device = Device::flex().autodiff();
        let (n, equalities, rows) = self.size;
        let vector = |values: &[f64], width: usize, wanted: bool| -> Tensor<2> {
            let shape = [values.len() / width, width];
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(wanted)
        };
        let matrix = |values: &[f64], rows: usize, wanted: bool| -> Tensor<3> {
            let shape = [values.len() / (rows * n), rows, n];
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(wanted)
        };
        let p = match self.matrices {
            Matrices::SharedDense => Hessian::dense(matrix(&self.p, n, wanted.p)),
            _ => Hessian::diagonal(vector(&self.p, n, wanted.p)),
        };
        QpTensors::new(p, vector(&self.q, n, wanted.q))
            .equalities(
                matrix(&self.a, equalities, wanted.a),
                vector(&self.b, equalities, wanted.b),
            )
            .inequalities(
                matrix(&self.g, rows, wanted.g),
                vector(&self.l, rows, wanted.l),
                vector(&self.u, rows, wanted.u),
            )
    }
}

impl Qp {
    /// Its size as benchmarks are named.
    pub fn name(&self) -> String {
        let (n, equalities, rows) = self.size;
        format!("n={n}/{equalities}/{rows}")
    }

    /// Its parameters: P, q, A, b, G, l, u.
    pub fn parameters(&self) -> [&[f64]; 7] {
        [
            &self.p, &self.q, &self.a, &self.b, &self.g, &self.l, &self.u,
        ]
    }
}
