//! Costs with Jacobians written by hand.

use std::fmt;

use super::{Cost, Gradient, Point, Probe, Shapes};
use crate::manifold::Manifold;

type Values = Box<dyn Fn(&Point<'_>, &mut [f64]) + Send + Sync>;
type Derivatives = Box<dyn Fn(&Point<'_>, &Probe<'_>, &mut Gradient<'_>) + Send + Sync>;

/// A cost given by two closures: its rows, `[rows]`, and its Jacobian with respect to the variables'
/// steps, `[rows, width]` row-major.
///
/// The Jacobian is taken as it is. Its derivatives, and those with respect to auxiliaries, are central
/// differences with steps of ∛ε times the size of the number, whose error is of the order of 1e-10
/// relative to the third derivatives; gradients that rest on them are
/// [`crate::GradientQuality::Inexact`]. A third closure, [`with_probe`](Self::with_probe), replaces them.
pub struct AnalyticCost {
    rows: usize,
    residual: Values,
    jacobian: Values,
    probe: Option<Derivatives>,
}

impl AnalyticCost {
    /// A cost of `rows` rows.
    pub fn new(
        rows: usize,
        residual: impl Fn(&Point<'_>, &mut [f64]) + Send + Sync + 'static,
        jacobian: impl Fn(&Point<'_>, &mut [f64]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            rows,
            residual: Box::new(residual),
            jacobian: Box::new(jacobian),
            probe: None,
        }
    }

    /// The same with [`Cost::probe`] by hand: `probe` adds the derivatives of ψ = sᵀJd + tᵀc by the
    /// variables' steps and by the auxiliaries, and is taken as exact. On a
    /// curved space the derivative by steps is the symmetric one, that of c(x ⊞ δ) by δ twice.
    ///
    /// ```
    /// use feasible_least_squares::AnalyticCost;
    ///
    /// // One row θ x²: J = 2θx, ψ = 2sθxd + tθx².
    /// let cost = AnalyticCost::new(
    ///     1,
    ///     |at, out| out[0] = at.auxiliaries[0][0] * at.variables[0][0].powi(2),
    ///     |at, out| out[0] = 2.0 * at.auxiliaries[0][0] * at.variables[0][0],
    /// )
    /// .with_probe(|at, probe, gradient| {
    ///     let (x, theta) = (at.variables[0][0], at.auxiliaries[0][0]);
    ///     let (s, d, t) = (probe.s[0], probe.d[0], probe.t[0]);
    ///     gradient.variables[0] += 2.0 * theta * (s * d + t * x);
    ///     gradient.auxiliaries[0] += x * (2.0 * s * d + t * x);
    /// });
    /// # let _ = cost;
    /// ```
    #[must_use]
    pub fn with_probe(
        mut self,
        probe: impl Fn(&Point<'_>, &Probe<'_>, &mut Gradient<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.probe = Some(Box::new(probe));
        self
    }

    /// ψ at the point moved by `step` along the `column`-th number of the variables.
    fn moved(&self, at: &Point<'_>, probe: &Probe<'_>, column: usize, step: f64) -> f64 {
        let mut moved: Vec<Vec<f64>> = at.variables.iter().map(|x| x.to_vec()).collect();
        let mut first = 0;
        for (index, manifold) in at.manifolds.iter().enumerate() {
            let tangent = manifold.tangent();
            if (first..first + tangent).contains(&column) {
                let mut delta = vec![0.0; tangent];
                delta[column - first] = step;
                manifold.retract(at.variables[index], &delta, &mut moved[index]);
            }
            first += tangent;
        }
        let variables: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
        self.psi(
            &Point {
                variables: &variables,
                ..*at
            },
            probe,
        )
    }

    fn psi(&self, at: &Point<'_>, probe: &Probe<'_>) -> f64 {
        let width = at.width();
        let mut c = vec![0.0; self.rows];
        let mut j = vec![0.0; self.rows * width];
        (self.residual)(at, &mut c);
        (self.jacobian)(at, &mut j);
        let row = |i: usize| crate::dense::dot(&j[i * width..(i + 1) * width], probe.d);
        (0..self.rows)
            .map(|i| probe.s[i] * row(i) + probe.t[i] * c[i])
            .sum()
    }
}

impl fmt::Debug for AnalyticCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnalyticCost")
            .field("rows", &self.rows)
            .field("has_probe", &self.probe.is_some())
            .finish_non_exhaustive()
    }
}

fn step_for(value: f64) -> f64 {
    f64::EPSILON.cbrt() * value.abs().max(1.0)
}

impl Cost for AnalyticCost {
    fn rows(&self) -> usize {
        self.rows
    }

    fn check(&self, _shapes: &Shapes<'_>) -> Result<(), String> {
        Ok(())
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        (self.residual)(at, out);
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        (self.residual)(at, residual);
        (self.jacobian)(at, jacobian);
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        if let Some(by_hand) = &self.probe {
            return by_hand(at, probe, gradient);
        }
        let mut column = 0;
        for (manifold, x) in at.manifolds.iter().zip(at.variables) {
            for i in 0..manifold.tangent() {
                let h = if manifold.is_flat() {
                    step_for(x[i])
                } else {
                    step_for(1.0)
                };
                let difference =
                    self.moved(at, probe, column, h) - self.moved(at, probe, column, -h);
                gradient.variables[column] += difference / (2.0 * h);
                column += 1;
            }
        }
        // Away from zero the Jacobian at a moved point is not that of c(x ⊞ δ) by δ: the difference is
        // half the bracket of the two steps, taken off here for the symmetric derivative.
        if !at.manifolds.iter().all(Manifold::is_flat) {
            let mut j = vec![0.0; self.rows * column];
            (self.jacobian)(at, &mut j);
            let mut a = vec![0.0; column];
            crate::dense::add_transposed(&j, probe.s, &mut a);
            let mut excess = vec![0.0; column];
            let mut first = 0;
            for manifold in at.manifolds {
                let range = first..first + manifold.tangent();
                first = range.end;
                manifold.add_bracket(
                    &a[range.clone()],
                    &probe.d[range.clone()],
                    &mut excess[range],
                );
            }
            for (out, excess) in gradient.variables.iter_mut().zip(&excess) {
                *out -= excess;
            }
        }
        let mut place = 0;
        let mut moved: Vec<Vec<f64>> = at.auxiliaries.iter().map(|a| a.to_vec()).collect();
        for (index, auxiliary) in at.auxiliaries.iter().enumerate() {
            for (i, value) in auxiliary.iter().enumerate() {
                let h = step_for(*value);
                let mut value_at = |value: f64| {
                    moved[index][i] = value;
                    let auxiliaries: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
                    self.psi(
                        &Point {
                            auxiliaries: &auxiliaries,
                            ..*at
                        },
                        probe,
                    )
                };
                let difference = value_at(value + h) - value_at(value - h);
                moved[index][i] = *value;
                gradient.auxiliaries[place] += difference / (2.0 * h);
                place += 1;
            }
        }
    }

    fn is_exact(&self) -> bool {
        self.probe.is_some()
    }
}
