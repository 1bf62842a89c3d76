//! One step of one sample.

use std::sync::Arc;

use super::factor::{Factor, Fixed, Form, load_moving};
use super::held::Contact;
use super::sample::{Context, Run, Workspace};
use super::{DampedStatus, Record, RowPolicy};
use crate::dense::{axpy, dot, max_abs};

/// What the reverse pass needs of one step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) y: Vec<f64>,
    pub(super) delta: Vec<f64>,
    /// Side of the box of every fixed, then every moving row.
    pub(super) sides: Vec<i8>,
    pub(super) factored: Arc<Factored>,
    /// Over the rows μ = (JJᵀ + λI)⁻¹r; over the variables what the step leaves, r − JΔ. Of weighted
    /// rows.
    pub(super) multipliers: Vec<f64>,
}

/// The rows beside the fixed ones that are in J, and the factor of its matrix.
#[derive(Debug, Default)]
pub(super) struct Factored {
    pub(super) moving: Vec<u32>,
    pub(super) factor: Factor,
}

/// All steps of one sample.
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// Of its rows, `[m]`; none where they are all one.
    pub(super) weights: Vec<f64>,
    pub(super) steps: Vec<Step>,
}

impl Context<'_> {
    /// One step from r; returns max|Δ|. `None` ends the sample: the step could not be computed.
    pub(super) fn step(&self, run: &mut Run, workspace: &mut Workspace) -> Option<f64> {
        let n = self.problem.n;
        if run.iterations == 0 {
            run.tape.weights =
                self.settings
                    .weights
                    .at(self.problem, run.sample, &run.y, &mut workspace.n);
        }
        self.load_rows(run, workspace);
        let q = workspace.moving.len();
        if !max_abs(&workspace.scratch.moving[..q * n]).is_finite() {
            self.take_back(run, workspace);
            return None;
        }
        if !self.factor(run, workspace) {
            run.status = DampedStatus::Singular;
            return None;
        }
        let fixed_rows = self.fixed.map_or(&[][..], |fixed| &fixed.rows);
        let Workspace {
            scratch,
            moving,
            right,
            delta,
            ..
        } = workspace;
        right.clear();
        right.extend(fixed_rows.iter().map(|&row| run.r[row]));
        right.extend(moving.iter().map(|&row| run.r[row as usize]));
        let recorded = self.record == Record::Steps;
        let sides = recorded.then(|| right.iter().map(|r| side(*r)).collect());
        if self.record == Record::Limit {
            remember(&run.r, &mut run.contacts);
        }
        if !run.tape.weights.is_empty() {
            let rows = fixed_rows
                .iter()
                .copied()
                .chain(moving.iter().map(|row| *row as usize));
            for (right, row) in right.iter_mut().zip(rows) {
                *right *= run.tape.weights[row];
            }
        }
        let coefficients = Coefficients {
            fixed: self.fixed,
            moving: &scratch.moving[..q * n],
            n,
        };
        delta.fill(0.0);
        let factor = &run.factored.factor;
        match factor.form {
            Form::Rows => {
                factor.solve_rows(self.fixed, right);
                coefficients.add_transposed(right, delta);
            }
            Form::Variables => {
                coefficients.add_transposed(right, delta);
                factor.solve_variables(delta);
                coefficients.subtract_product(delta, right);
            }
        }
        let length = max_abs(delta);
        if !length.is_finite() {
            run.status = DampedStatus::Singular;
            return None;
        }
        if let Some(sides) = sides {
            run.tape.steps.push(Step {
                y: run.y.clone(),
                delta: delta.clone(),
                sides,
                factored: run.factored.clone(),
                multipliers: right.clone(),
            });
        }
        run.before.copy_from_slice(&run.y);
        for (y, delta) in run.y.iter_mut().zip(delta.iter()) {
            *y -= delta;
        }
        run.iterations += 1;
        Some(length)
    }

    /// Chooses the moving rows and loads their coefficients.
    fn load_rows(&self, run: &Run, workspace: &mut Workspace) {
        let n = self.problem.n;
        let Workspace {
            scratch, moving, ..
        } = workspace;
        let in_jacobian = |row: &u32| {
            let row = *row as usize;
            self.settings.rows == RowPolicy::All || self.problem.equality[row] || run.r[row] != 0.0
        };
        moving.clear();
        moving.extend(self.others.iter().copied().filter(in_jacobian));
        load_moving(
            self.problem,
            run.sample,
            moving,
            &run.tape.weights,
            &run.y,
            &mut scratch.moving,
        );
        if self.settings.damping > 0.0 {
            return;
        }
        // Rows of zeros that nothing is asked of would make the undamped matrix singular.
        let (mut slot, mut kept) = (0, 0);
        moving.retain(|&row| {
            let at = slot * n..(slot + 1) * n;
            slot += 1;
            if run.r[row as usize] == 0.0 && max_abs(&scratch.moving[at.clone()]) == 0.0 {
                return false;
            }
            scratch.moving.copy_within(at, kept * n);
            kept += 1;
            true
        });
    }

    /// Factors the matrix of the rows loaded, unless it is the one factored last.
    fn factor(&self, run: &mut Run, workspace: &mut Workspace) -> bool {
        let moving = &workspace.moving;
        let is_same = run.is_factored
            && run.factored.moving == *moving
            && moving.iter().all(|&row| !self.curved[row as usize]);
        if is_same {
            return true;
        }
        if Arc::get_mut(&mut run.factored).is_none() {
            // The tape has it.
            run.factored = Arc::default();
        }
        let factored = Arc::get_mut(&mut run.factored).expect("shared with no one");
        factored.moving.clone_from(moving);
        run.is_factored = factored.factor.refactor(
            self.fixed,
            moving.len(),
            self.problem.n,
            self.settings.damping,
            &mut workspace.scratch,
        );
        run.is_factored
    }
}

/// Which side of its box a row is on.
pub(super) fn side(residual: f64) -> i8 {
    i8::from(residual > 0.0) - i8::from(residual < 0.0)
}

/// Takes note of a step from residuals r. One from inside of the box, as of a sample that waits for others
/// to stop, moves nothing.
pub(super) fn remember(r: &[f64], contacts: &mut [Contact]) {
    if r.iter().all(|r| *r == 0.0) {
        return;
    }
    for (contact, r) in contacts.iter_mut().zip(r) {
        contact.step(*r);
    }
}

/// J as the fixed rows, then the moving ones.
pub(super) struct Coefficients<'a> {
    pub(super) fixed: Option<&'a Fixed>,
    pub(super) moving: &'a [f64],
    pub(super) n: usize,
}

impl Coefficients<'_> {
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        let fixed = self.fixed.map_or(&[][..], |fixed| &fixed.jacobian);
        fixed
            .chunks_exact(self.n)
            .chain(self.moving.chunks_exact(self.n))
    }

    /// out += Jᵀx.
    #[inline(always)]
    pub(super) fn add_transposed(&self, x: &[f64], out: &mut [f64]) {
        for (row, &x) in self.rows().zip(x) {
            axpy(x, row, out);
        }
    }

    /// out −= Jx.
    #[inline(always)]
    pub(super) fn subtract_product(&self, x: &[f64], out: &mut [f64]) {
        for (row, out) in self.rows().zip(out) {
            *out -= dot(row, x);
        }
    }
}
