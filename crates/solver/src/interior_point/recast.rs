//! Other problems built from a sample: equal bounds as equalities, feasibility, recession.

use crate::interior_point::Answer;
use crate::polish::Guess;
use crate::problem::{Matrix, Sample};

/// Owned numbers that a [`Sample`] can borrow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owned {
    pub(crate) n: usize,
    pub(crate) p: Vec<f64>,
    pub(crate) p_dense: bool,
    pub(crate) q: Vec<f64>,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) g: Vec<f64>,
    pub(crate) l: Vec<f64>,
    pub(crate) u: Vec<f64>,
    pub(crate) h: Vec<f64>,
    pub(crate) h_dense: bool,
    pub(crate) hg: Vec<f64>,
    pub(crate) c: Vec<f64>,
}

impl Owned {
    pub(crate) fn sample(&self) -> Sample<'_> {
        let form = |data, dense| {
            if dense {
                Matrix::Dense(data)
            } else {
                Matrix::Diagonal(data)
            }
        };
        Sample {
            n: self.n,
            p: form(&self.p, self.p_dense),
            q: &self.q,
            a: &self.a,
            b: &self.b,
            g: &self.g,
            l: &self.l,
            u: &self.u,
            h: form(&self.h, self.h_dense),
            hg: &self.hg,
            c: &self.c,
        }
    }
}

/// A sample whose rows with `l = u` moved to the equalities: the interior point needs room
/// between bounds.
pub(crate) struct EqualRows<'a> {
    base: Sample<'a>,
    a: Vec<f64>,
    b: Vec<f64>,
    g: Vec<f64>,
    l: Vec<f64>,
    u: Vec<f64>,
    moved: Vec<usize>,
    stayed: Vec<usize>,
}

impl<'a> EqualRows<'a> {
    /// `None` when no row has equal bounds.
    pub(crate) fn of(sample: &Sample<'a>) -> Option<EqualRows<'a>> {
        let n = sample.n;
        let (moved, stayed): (Vec<usize>, Vec<usize>) =
            (0..sample.l.len()).partition(|&i| sample.l[i] == sample.u[i]);
        if moved.is_empty() {
            return None;
        }
        let rows = |list: &[usize]| -> Vec<f64> {
            list.iter()
                .flat_map(|&i| &sample.g[i * n..(i + 1) * n])
                .copied()
                .collect()
        };
        let pick =
            |list: &[usize], data: &[f64]| -> Vec<f64> { list.iter().map(|&i| data[i]).collect() };
        Some(EqualRows {
            base: *sample,
            a: [sample.a, &rows(&moved)].concat(),
            b: [sample.b, &pick(&moved, sample.l)].concat(),
            g: rows(&stayed),
            l: pick(&stayed, sample.l),
            u: pick(&stayed, sample.u),
            moved,
            stayed,
        })
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        Sample {
            a: &self.a,
            b: &self.b,
            g: &self.g,
            l: &self.l,
            u: &self.u,
            ..self.base
        }
    }

    /// A guess about the caller's rows as one about these.
    pub(crate) fn guess(&self, guess: &Guess) -> Guess {
        let pick = |list: &[usize], data: &[f64]| list.iter().map(|&i| data[i]).collect();
        let moved: Vec<f64> = pick(&self.moved, &guess.lambda);
        Guess {
            x: guess.x.clone(),
            nu: [&guess.nu[..], &moved].concat(),
            lambda: pick(&self.stayed, &guess.lambda),
            mu: guess.mu.clone(),
            linear: pick(&self.stayed, &guess.linear),
            quadratic: guess.quadratic.clone(),
        }
    }

    /// Puts multipliers and active rows back where the caller's rows are.
    pub(crate) fn restore(&self, sample: &Sample<'_>, answer: &mut Answer) {
        let mut lambda = vec![0.0; sample.l.len()];
        for (&row, v) in self.stayed.iter().zip(&answer.lambda) {
            lambda[row] = *v;
        }
        let p = sample.b.len();
        for (&row, v) in self.moved.iter().zip(&answer.nu[p..]) {
            lambda[row] = *v;
        }
        answer.nu.truncate(p);
        answer.lambda = lambda;
        let mut linear: Vec<u32> = answer
            .active
            .linear
            .iter()
            .map(|&row| self.stayed[row as usize] as u32)
            .collect();
        linear.extend(self.moved.iter().map(|&row| row as u32));
        linear.sort_unstable();
        answer.active.linear = linear.into();
    }
}

/// `min t` subject to every inequality relaxed by `t ≥ −1`: positive exactly when the sample is
/// infeasible. Variables `(x, t)`; rows of `G` are normalised so that `t` is a distance.
pub(crate) struct PhaseOne(Owned);

impl PhaseOne {
    pub(crate) fn of(sample: &Sample<'_>) -> PhaseOne {
        let n = sample.n;
        let widen = |data: &[f64], last: &dyn Fn(usize) -> f64| -> Vec<f64> {
            data.chunks_exact(n)
                .enumerate()
                .flat_map(|(i, row)| row.iter().copied().chain([last(i)]).collect::<Vec<f64>>())
                .collect()
        };
        let (mut g, mut l, mut u) = (Vec::new(), Vec::new(), Vec::new());
        for (i, row) in sample.g.chunks_exact(n).enumerate() {
            let norm = row_norm(row);
            for (bound, sign) in [(sample.u[i], 1.0), (sample.l[i], -1.0)] {
                if bound.is_finite() {
                    g.extend(row.iter().map(|v| sign * v / norm));
                    g.push(-1.0);
                    l.push(f64::NEG_INFINITY);
                    u.push(sign * bound / norm);
                }
            }
        }
        g.extend(std::iter::repeat_n(0.0, n));
        g.push(1.0);
        l.push(-1.0);
        u.push(f64::INFINITY);
        let (h, h_dense) = match sample.h {
            Matrix::Diagonal(data) => (widen(data, &|_| 0.0), false),
            Matrix::Dense(data) => {
                let mut h = Vec::new();
                for matrix in data.chunks_exact(n * n) {
                    h.extend(widen(matrix, &|_| 0.0));
                    h.extend(std::iter::repeat_n(0.0, n + 1));
                }
                (h, true)
            }
        };
        let mut q = vec![0.0; n];
        q.push(1.0);
        let mut p = vec![0.0; n];
        p.push(0.0);
        PhaseOne(Owned {
            n: n + 1,
            p,
            p_dense: false,
            q,
            a: widen(sample.a, &|_| 0.0),
            b: sample.b.to_vec(),
            g,
            l,
            u,
            h,
            h_dense,
            hg: widen(sample.hg, &|_| -1.0),
            c: sample.c.to_vec(),
        })
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        self.0.sample()
    }

    /// The multipliers of a solution for the rows they came from: `(ν, λ, μ)` of the sample.
    pub(crate) fn multipliers(
        sample: &Sample<'_>,
        found: &Answer,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut lambda = vec![0.0; sample.l.len()];
        let mut next = found.lambda.iter();
        for (i, row) in sample.g.chunks_exact(sample.n).enumerate() {
            let norm = row_norm(row);
            for (bound, sign) in [(sample.u[i], 1.0), (sample.l[i], -1.0)] {
                if bound.is_finite() {
                    lambda[i] += sign * next.next().map_or(0.0, |v| v.max(0.0)) / norm;
                }
            }
        }
        let mu = found.mu.iter().map(|v| v.max(0.0)).collect();
        (found.nu.clone(), lambda, mu)
    }

    /// 1 + the size of the bounds that hold a solution, weighted by its multipliers, which sum to
    /// one over the inequalities.
    pub(crate) fn bound_size(&self, found: &Answer) -> f64 {
        let weighted = |duals: &[f64], bounds: &[f64]| -> f64 {
            duals
                .iter()
                .zip(bounds)
                .filter(|(dual, _)| **dual != 0.0)
                .map(|(dual, bound)| (dual * bound).abs())
                .sum()
        };
        // The last linear row only keeps t above −1; its upper bound is infinite.
        let rows = found.lambda.len() - 1;
        1.0 + weighted(&found.nu, &self.0.b)
            + weighted(&found.lambda[..rows], &self.0.u[..rows])
            + weighted(&found.mu, &self.0.c)
    }
}

fn row_norm(row: &[f64]) -> f64 {
    crate::dense::dot(row, row).sqrt().max(f64::MIN_POSITIVE)
}

/// `min qᵀv` over the recession cone cut off at `‖v‖∞ ≤ 1`: negative exactly when the objective of
/// a feasible sample is unbounded below.
pub(crate) struct Recession(Owned);

impl Recession {
    pub(crate) fn of(sample: &Sample<'_>) -> Recession {
        let n = sample.n;
        let mut a = sample.a.to_vec();
        // One row a variable, however many diagonals hold it.
        let mut held = vec![0.0; n];
        let mut add_null = |matrix: Matrix<'_>| match matrix {
            Matrix::Dense(data) => a.extend_from_slice(data),
            Matrix::Diagonal(data) => {
                for (held, v) in held.iter_mut().zip(data).filter(|(held, _)| **held == 0.0) {
                    *held = *v;
                }
            }
        };
        add_null(sample.p);
        for i in 0..sample.c.len() {
            if sample.c[i].is_finite() {
                add_null(sample.h.row(i, n));
            }
        }
        for (i, v) in held.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            let start = a.len();
            a.resize(start + n, 0.0);
            a[start + i] = *v;
        }
        let mut g = sample.g.to_vec();
        let recede = |v: &f64| if v.is_finite() { 0.0 } else { *v };
        let mut l: Vec<f64> = sample.l.iter().map(recede).collect();
        let mut u: Vec<f64> = sample.u.iter().map(recede).collect();
        g.extend_from_slice(sample.hg);
        l.extend(sample.c.iter().map(|_| f64::NEG_INFINITY));
        u.extend(sample.c.iter().map(recede));
        // Equal bounds leave no interior; as equalities they are exact.
        let rows = l.len();
        let mut kept = Vec::new();
        for i in 0..rows {
            if l[i] == u[i] {
                a.extend_from_slice(&g[i * n..(i + 1) * n]);
            } else {
                kept.push(i);
            }
        }
        g = kept
            .iter()
            .flat_map(|&i| &g[i * n..(i + 1) * n])
            .copied()
            .collect();
        l = kept.iter().map(|&i| l[i]).collect();
        u = kept.iter().map(|&i| u[i]).collect();
        for i in 0..n {
            g.extend((0..n).map(|j| if i == j { 1.0 } else { 0.0 }));
            l.push(-1.0);
            u.push(1.0);
        }
        let b = vec![0.0; a.len() / n];
        Recession(Owned {
            n,
            p: vec![0.0; n],
            p_dense: false,
            q: sample.q.to_vec(),
            a,
            b,
            g,
            l,
            u,
            h: Vec::new(),
            h_dense: false,
            hg: Vec::new(),
            c: Vec::new(),
        })
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        self.0.sample()
    }
}
