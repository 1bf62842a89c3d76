//! A second opinion: the sample as a cone program.
//!
//! Where the dense iterations end without a verdict, as on badly scaled problems with a semidefinite
//! objective, or on quadratic rows that bound squares of squares, Clarabel's equilibration and its
//! symmetric scaling often reach one. With `t = c − gᵀx` the row `xᵀHx ≤ t` is the second-order cone
//! `‖(σ − t, 2√σ Fx)‖ ≤ σ + t`, `H = FᵀF`, for any `σ > 0`, best of the size of `t` (Lobo, Vandenberghe, Boyd &
//! Lebret, *Applications of second-order cone programming*, 1998, §2.1); its multiplier is `z₀ − z₁`.

use faer::Side;

use super::{Answer, measured};
use crate::batch::Values;
use crate::cone::{Cone, ConeProblem, ConeSettings, Second, Sparse, solve_asking};
use crate::dense::{max_abs, view};
use crate::polish::{Guess, polish};
use crate::problem::{Matrix, Sample};
use crate::residual::Terms;
use crate::settings::Settings;
use crate::size::most;
use crate::status::Status;

/// The rows of a cone program, sparse by columns.
struct Columns {
    starts: Vec<usize>,
    indices: Vec<usize>,
    entries: Vec<f64>,
}

impl Columns {
    fn new(n: usize, rows: usize, entry: impl Fn(usize, usize) -> f64) -> Columns {
        let mut out = Columns {
            starts: vec![0],
            indices: Vec::new(),
            entries: Vec::new(),
        };
        for column in 0..n {
            for row in 0..rows {
                let value = entry(row, column);
                if value != 0.0 {
                    out.indices.push(row);
                    out.entries.push(value);
                }
            }
            out.starts.push(out.indices.len());
        }
        out
    }

    fn sparse(&self, rows: usize) -> Sparse<'_> {
        Sparse {
            rows,
            columns: self.starts.len() - 1,
            starts: &self.starts,
            indices: &self.indices,
            values: Values::Shared(&self.entries),
        }
    }
}

/// A sample's rows `Ax + s = b` in cones.
struct Rows {
    /// `[rows, n]`
    a: Vec<f64>,
    b: Vec<f64>,
    cones: Vec<Cone>,
    /// One row a finite bound: row of `G`, and the sign that makes it an upper bound.
    sides: Vec<(usize, f64)>,
    /// The cones of the rows with a finite limit.
    quadratics: Vec<Quadratic>,
}

/// A quadratic row's cone.
struct Quadratic {
    row: usize,
    /// Its first row, of one where H is zero and else of two or more.
    first: usize,
    linear: bool,
    /// What the row was divided by.
    size: f64,
}

impl Rows {
    /// `None` when a quadratic row has no factor, or the factors of diagonals are out of proportion to them.
    fn of(sample: &Sample<'_>) -> Option<Rows> {
        let n = sample.n;
        let factors = sample.hg.len().saturating_mul(n);
        if factors > most(sample.hg.len().saturating_add(sample.h.len())) {
            return None;
        }
        let sides: Vec<(usize, f64)> = (0..sample.l.len())
            .flat_map(|row| [(row, 1.0, sample.u[row]), (row, -1.0, sample.l[row])])
            .filter(|(_, _, bound)| bound.is_finite())
            .map(|(row, sign, _)| (row, sign))
            .collect();
        let mut out = Rows {
            a: sample.a.to_vec(),
            b: sample.b.to_vec(),
            cones: vec![Cone::Zero(sample.b.len()), Cone::Nonnegative(sides.len())],
            quadratics: Vec::new(),
            sides,
        };
        for &(row, sign) in &out.sides {
            let values = &sample.g[row * n..(row + 1) * n];
            out.a.extend(values.iter().map(|v| sign * v));
            out.b.push(match sign > 0.0 {
                true => sample.u[row],
                false => -sample.l[row],
            });
        }
        for row in (0..sample.c.len()).filter(|&row| sample.c[row].is_finite()) {
            out.push_quadratic(sample, row)?;
        }
        Some(out)
    }

    fn push_quadratic(&mut self, sample: &Sample<'_>, row: usize) -> Option<()> {
        let n = sample.n;
        let h = sample.h.row(row, n);
        let g = &sample.hg[row * n..(row + 1) * n];
        let size = h.max_abs().max(max_abs(g));
        let size = if size > 0.0 { size } else { 1.0 };
        let factor = factor(h, n)?;
        let rank = factor.len() / n;
        self.quadratics.push(Quadratic {
            row,
            first: self.b.len(),
            linear: rank == 0,
            size,
        });
        let limit = sample.c[row] / size;
        self.a.extend(g.iter().map(|v| v / size));
        if rank == 0 {
            self.b.push(limit);
            self.cones.push(Cone::Nonnegative(1));
            return Some(());
        }
        // Of t = c − gᵀx all that is known is c. A power of four, of which the root is exact.
        let least = if max_abs(g) == 0.0 && limit != 0.0 {
            0.0
        } else {
            1.0
        };
        let root = (0.5 * limit.abs().max(least).log2()).round().exp2();
        let sigma = root * root;
        self.b.push(sigma + limit);
        self.a.extend(g.iter().map(|v| -v / size));
        self.b.push(sigma - limit);
        let scale = -2.0 * root / size.sqrt();
        self.a.extend(factor.iter().map(|v| scale * v));
        self.b.resize(self.b.len() + rank, 0.0);
        self.cones.push(Cone::SecondOrder(2 + rank));
        Some(())
    }

    /// The sample's point from the cone program's.
    fn point(&self, sample: &Sample<'_>, x: &[f64], s: &[f64], z: &[f64]) -> Guess {
        let equalities = sample.b.len();
        let mut guess = Guess {
            x: x.to_vec(),
            nu: z[..equalities].to_vec(),
            lambda: vec![0.0; sample.l.len()],
            mu: vec![0.0; sample.c.len()],
            linear: vec![0.0; sample.l.len()],
            quadratic: vec![false; sample.c.len()],
        };
        for (at, &(row, sign)) in self.sides.iter().enumerate() {
            let (z, s) = (z[equalities + at], s[equalities + at]);
            guess.lambda[row] += sign * z;
            if z > s {
                guess.linear[row] = sign;
            }
        }
        let mut terms = Terms::default();
        terms.evaluate(sample, guess.point());
        for at in &self.quadratics {
            let less = if at.linear { 0.0 } else { z[at.first + 1] };
            let multiplier = (z[at.first] - less).max(0.0);
            let slack = (sample.c[at.row] - terms.quadratic[at.row]) / at.size;
            guess.mu[at.row] = multiplier / at.size;
            guess.quadratic[at.row] = multiplier > slack;
        }
        guess
    }
}

/// `F` with `FᵀF = H`, without rows of zeros: `[rank, n]`.
fn factor(h: Matrix<'_>, n: usize) -> Option<Vec<f64>> {
    match h {
        Matrix::Diagonal(diagonal) => {
            let held = diagonal.iter().enumerate().filter(|(_, v)| **v > 0.0);
            Some(
                held.flat_map(|(at, v)| (0..n).map(move |i| if i == at { v.sqrt() } else { 0.0 }))
                    .collect(),
            )
        }
        Matrix::Dense(data) => {
            let eigen = view(data, n, n).self_adjoint_eigen(Side::Lower).ok()?;
            let values = eigen.S().column_vector();
            let largest = values.iter().fold(0.0, |most: f64, v| most.max(*v));
            let rounding = n as f64 * f64::EPSILON * largest;
            let mut out = Vec::new();
            for (value, column) in values.iter().zip(eigen.U().col_iter()) {
                if *value > rounding {
                    out.extend(column.iter().map(|v| v * value.sqrt()));
                }
            }
            Some(out)
        }
    }
}

/// What is known of a sample before it is asked about.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// There is a point that meets all rows.
    pub(super) feasible: bool,
    /// The objective does not fall forever.
    pub(super) bounded: bool,
}

/// `None` where Clarabel has no verdict either, where it is against what is known, and where its point is not the
/// sample's solution.
pub(super) fn opinion(sample: &Sample<'_>, known: Known, settings: &Settings) -> Option<Answer> {
    let n = sample.n;
    let rows = Rows::of(sample)?;
    let count = rows.b.len();
    let a = Columns::new(n, count, |row, column| rows.a[row * n + column]);
    let p = Columns::new(n, n, |row, column| match sample.p {
        Matrix::Dense(data) if row <= column => data[row * n + column],
        Matrix::Diagonal(data) if row == column => data[row],
        _ => 0.0,
    });
    let problem = ConeProblem {
        batch: 1,
        n,
        p: Some(p.sparse(n)),
        q: Values::Shared(sample.q),
        a: a.sparse(count),
        b: Values::Shared(&rows.b),
        cones: &rows.cones,
    };
    let tolerance = settings.reachable_tolerance();
    let cone_settings = ConeSettings {
        tolerance,
        rounding: settings.rounding,
        max_iterations: u32::try_from(settings.max_iterations).unwrap_or(u32::MAX),
        ..ConeSettings::default()
    };
    let found = solve_asking(&problem, &cone_settings, Second::Nobody).ok()?;
    let status = found.status[0];
    let credible = match status {
        Status::Solved => true,
        Status::PrimalInfeasible => !known.feasible,
        Status::DualInfeasible => !known.bounded,
        _ => false,
    };
    if !credible {
        return None;
    }
    let guess = rows.point(sample, &found.x, &found.s, &found.z);
    let mut iterations = found.iterations[0];
    if status.is_solved() {
        // Where a row's slack and multiplier are both nearly nothing, which is the smaller says
        // little: all of them held is the other thing to try.
        let mut held = guess.clone();
        for (held, mu) in held.quadratic.iter_mut().zip(&guess.mu) {
            *held |= *mu > 0.0;
        }
        let others = (held.quadratic != guess.quadratic).then_some(&held);
        for guess in [Some(&guess), others].into_iter().flatten() {
            let (polished, steps) = polish(sample, guess, tolerance);
            iterations += steps;
            if let Some(mut answer) = polished {
                answer.iterations = iterations;
                return Some(answer);
            }
        }
        // A cone's residuals are not its quadratic row's.
        let met = || measured(sample, guess.point()).relative() <= tolerance;
        if !(sample.c.is_empty() || met()) {
            return None;
        }
    }
    let mut answer = Answer::empty(sample, status);
    answer.active = guess.active();
    (answer.x, answer.nu) = (guess.x, guess.nu);
    (answer.lambda, answer.mu) = (guess.lambda, guess.mu);
    answer.iterations = iterations;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::dot;

    /// `FᵀF` for a full matrix of two rows, of three variables.
    const RANK_TWO: [f64; 9] = [5.0, 1.0, 3.0, 1.0, 2.0, -3.0, 3.0, -3.0, 9.0];

    fn sample<'a>(h: Matrix<'a>, hg: &'a [f64], c: &'a [f64]) -> Sample<'a> {
        Sample {
            n: 3,
            p: Matrix::Diagonal(&[1.0; 3]),
            q: &[0.0; 3],
            a: &[],
            b: &[],
            g: &[],
            l: &[],
            u: &[],
            h,
            hg,
            c,
        }
    }

    /// A cone's boundary is the row's, and the multiplier of a ray is the row's force.
    #[test]
    fn cones_are_their_quadratic_rows() {
        let g = [0.3, -2.0, 0.7];
        let scaled = |by: f64| RANK_TWO.map(|v| by * v);
        for size in [1e-9, 0.03, 1.0, 4e7] {
            let (dense, diagonal) = (scaled(size), [size, 0.0, 2.0 * size]);
            let hg = g.map(|v| v * size);
            for (h, hg) in [
                (Matrix::Dense(&dense), hg),
                (Matrix::Diagonal(&diagonal), hg),
                (Matrix::Dense(&dense), [0.0; 3]),
                (Matrix::Diagonal(&[0.0; 3]), hg),
            ] {
                let x = [0.4, 0.1, -0.8];
                let mut gradient = [0.0; 3];
                h.add_product(2.0, &x, &mut gradient);
                let square = 0.5 * dot(&gradient, &x);
                gradient.iter_mut().zip(hg).for_each(|(v, g)| *v += g);
                // x is on the boundary.
                let c = [square + dot(&hg, &x)];
                let sample = sample(h, &hg, &c);
                let rows = Rows::of(&sample).unwrap();
                let s: Vec<f64> = (rows.b.iter().zip(rows.a.chunks_exact(3)))
                    .map(|(b, a)| b - dot(a, &x))
                    .collect();
                let most = max_abs(&s);
                let radius = dot(&s[1..], &s[1..]).sqrt();
                assert!((s[0] - radius).abs() < 1e-14 * (most + rows.b[0].abs()));
                // The force of z = (s₀, −s̄), which is −(s₀, −s̄)ᵀ of the slack's derivative −A.
                let mut z: Vec<f64> = s.iter().map(|v| -v).collect();
                z[0] = if s.len() == 1 { 1.0 } else { s[0] };
                let mu = rows.point(&sample, &x, &s, &z).mu[0];
                for j in 0..3 {
                    let force: f64 = z
                        .iter()
                        .enumerate()
                        .map(|(i, z)| z * rows.a[3 * i + j])
                        .sum();
                    let wanted = mu * gradient[j];
                    let terms = mu * max_abs(&gradient);
                    assert!((force - wanted).abs() < 1e-13 * terms, "{force} {wanted}");
                }
            }
        }
    }

    /// x₀² ≤ −1 has no point, and q = −e₁ falls forever: believed, but not against better knowledge.
    #[test]
    fn what_is_known_is_not_contradicted() {
        let h = [1.0, 0.0, 0.0];
        let known = |feasible, bounded| Known { feasible, bounded };
        for (c, q, status, better) in [
            (
                [-1.0],
                [0.0; 3],
                Status::PrimalInfeasible,
                known(true, false),
            ),
            (
                [1.0],
                [0.0, -1.0, 0.0],
                Status::DualInfeasible,
                known(false, true),
            ),
        ] {
            let sample = Sample {
                p: Matrix::Diagonal(&[0.0; 3]),
                q: &q,
                ..sample(Matrix::Diagonal(&h), &[0.0; 3], &c)
            };
            let settings = Settings::default();
            let found = opinion(&sample, known(false, false), &settings).unwrap();
            assert_eq!(found.status, status);
            assert!(opinion(&sample, better, &settings).is_none());
        }
    }

    #[test]
    fn rows_without_a_limit_are_left_out() {
        let sample = sample(
            Matrix::Diagonal(&[1.0; 6]),
            &[0.0; 6],
            &[f64::INFINITY, 1e300],
        );
        let rows = Rows::of(&sample).unwrap();
        assert_eq!(rows.quadratics.len(), 1);
        assert_eq!(rows.quadratics[0].row, 1);
        assert!(max_abs(&rows.b).is_finite());
    }
}
