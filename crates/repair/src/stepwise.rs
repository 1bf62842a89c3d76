//! SnareNet's iteration step by step on the device, for the options that its other two paths do not
//! have: steps that are clamped, or found by conjugate gradients.

use burn::tensor::{Bool, Tensor};
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::Status;
use feasible_solver::damped::{RowPolicy, VANISHING_ROW};

use crate::limit::{self, Contacts};
use crate::linear::{Side, solve};
use crate::start::{constant, largest, measure, residual};
use crate::{Error, Gradient, Repaired, RowWeights, SnareNetSettings, Stopping};

/// Relative residual at which conjugate gradients stop, as published.
const CG_TOLERANCE: f64 = 1e-3;

/// Repairs `y0` into `bounds`; the input has been checked.
pub(crate) fn repair(
    settings: &SnareNetSettings,
    y0: Tensor<2>,
    constraints: &dyn Constraints,
    bounds: &Bounds,
) -> Result<Repaired, Error> {
    let ([batch, n], m) = (y0.dims(), constraints.rows());
    if batch == 0 || m == 0 {
        return Ok(Repaired::untouched(y0));
    }
    let is_implicit = settings.gradient == Gradient::Implicit;
    let mut contacts = Contacts::new(batch, m);
    let mut y = match is_implicit {
        true => constant(&y0),
        false => y0.clone(),
    };
    let mut status: Vec<Option<Status>> = vec![None; batch];
    let mut iterations = vec![0; batch];
    let mut weights: Option<Tensor<2>> = None;
    for _ in 0..settings.max_iterations {
        let (values, jacobian) = constraints.linearise(y.clone());
        let (got, shape) = (values.dims(), jacobian.dims());
        let fits = |leading: usize| leading == 1 || leading == batch;
        if got[1] != m || shape[1..] != [m, n] || !fits(got[0]) || !fits(shape[0]) {
            let expected = format!("[{batch}, {m}], one column a bound");
            return Err(feasible_core::Error::shape("g(y)", &got, expected).into());
        }
        let r = residual(bounds, host::expand(values, [batch, m]));
        let jacobian = host::expand(jacobian, [batch, m, n]);
        let (r, jacobian) = match is_implicit {
            true => (constant(&r), constant(&jacobian)),
            false => (r, jacobian),
        };
        if is_implicit {
            contacts.look(host::read("y", &y)?, host::read("residual", &r)?);
        }
        let worst = largest(&r)?;
        let slopes = largest(&constant(&jacobian).reshape([batch, m * n]))?;
        for (sample, status) in status.iter_mut().enumerate() {
            if status.is_none() && (worst[sample].is_nan() || slopes[sample].is_nan()) {
                *status = Some(Status::NonFinite);
            }
        }
        stop(&mut status, &worst, settings, Status::ConvergedByResidual);
        if status.iter().all(Option::is_some) {
            break;
        }
        // Of all rows: one that is left out now may take part later.
        let w = weights
            .get_or_insert_with(|| row_weights(settings.weights, &jacobian))
            .clone();
        let (r, jacobian) = (r * w.clone(), jacobian * w.unsqueeze_dim::<3>(2));
        let running = mask(&status, &y);
        // Numbers of samples that have stopped may not be finite: zeros have no gradient either.
        let stopped = running.clone().equal_elem(0.0);
        let r = r.mask_fill(stopped.clone().expand([batch, m]), 0.0);
        let absent = absent(settings.rows, bounds, &r);
        let jacobian = match &absent {
            None => jacobian,
            Some(absent) => {
                let rows = absent.clone().unsqueeze_dim::<3>(2);
                jacobian.mask_fill(rows.expand([batch, m, n]), 0.0)
            }
        };
        let ended = stopped.unsqueeze_dim::<3>(2).expand([batch, m, n]);
        let jacobian = jacobian.mask_fill(ended, 0.0);
        let (step, solved) = match settings.conjugate_gradient {
            None => direct(settings.damping, &jacobian, r, absent)?,
            Some(most) => conjugate_gradient(settings.damping, most, &jacobian, r)?,
        };
        for (sample, status) in status.iter_mut().enumerate() {
            if status.is_none() && !solved[sample] {
                *status = Some(Status::Singular);
            }
        }
        let step = match settings.trust_region {
            None => step,
            Some(most) => step.clamp(-most, most),
        };
        let step = step * mask(&status, &y);
        for (count, status) in iterations.iter_mut().zip(&status) {
            *count += usize::from(status.is_none());
        }
        y = y - step.clone();
        stop(
            &mut status,
            &largest(&step)?,
            settings,
            Status::ConvergedByStep,
        );
    }
    let residual = measure(constraints, bounds, &y)?;
    let ended = |sample: usize| match status[sample] {
        _ if residual[sample].is_nan() => Status::NonFinite,
        Some(status) => status,
        None if residual[sample] < settings.tolerance => Status::ConvergedByResidual,
        None => Status::MaxIterations,
    };
    let repaired = Repaired {
        status: (0..batch).map(ended).collect(),
        iterations,
        residual,
        y,
        gradient: None,
    };
    if !is_implicit {
        return Ok(repaired);
    }
    let contacts = contacts.at_rest(&host::read("y", &repaired.y)?);
    limit::differentiate(settings, y0, constraints, bounds, repaired, &contacts)
}

/// Marks the samples whose `sizes` are below the tolerance, or all of them where all are.
fn stop(status: &mut [Option<Status>], sizes: &[f64], settings: &SnareNetSettings, with: Status) {
    let below = |size: f64| size < settings.tolerance;
    match settings.stopping {
        Stopping::PerSample => {
            for (status, &size) in status.iter_mut().zip(sizes) {
                if status.is_none() && below(size) {
                    *status = Some(with);
                }
            }
        }
        Stopping::WholeBatch => {
            let mut running = status.iter_mut().zip(sizes).filter(|(s, _)| s.is_none());
            if running.all(|(_, &size)| below(size)) {
                status
                    .iter_mut()
                    .filter(|status| status.is_none())
                    .for_each(|status| *status = Some(with));
            }
        }
    }
}

/// One for the samples that run, `[batch, 1]`.
fn mask(status: &[Option<Status>], like: &Tensor<2>) -> Tensor<2> {
    let running = status.iter().map(|s| f64::from(u8::from(s.is_none())));
    host::write(
        running.collect(),
        [status.len(), 1],
        &like.device(),
        like.dtype(),
    )
}

/// Rows that take no part, `[batch, m]`; `None` where all do.
fn absent(rows: RowPolicy, bounds: &Bounds, r: &Tensor<2>) -> Option<Tensor<2, Bool>> {
    if rows == RowPolicy::All {
        return None;
    }
    let [batch, m] = r.dims();
    let equal = bounds.equalities().iter().map(|&e| f64::from(u8::from(e)));
    let equal: Tensor<2> = host::write(equal.collect(), [1, m], &r.device(), r.dtype());
    let unequal = equal.equal_elem(0.0).expand([batch, m]);
    Some(r.clone().equal_elem(0.0).bool_and(unequal))
}

/// Row weights at the start, `[batch, m]`.
fn row_weights(weights: RowWeights, jacobian: &Tensor<3>) -> Tensor<2> {
    let norms = jacobian.clone().square().sum_dim(2).squeeze_dim::<2>(2);
    match weights {
        RowWeights::Uniform => constant(&norms).ones_like(),
        RowWeights::InverseNorms => {
            let vanishing = norms
                .clone()
                .lower_equal_elem(VANISHING_ROW * VANISHING_ROW);
            norms.mask_fill(vanishing, 1.0).sqrt().recip()
        }
    }
}

fn product(jacobian: &Tensor<3>, v: Tensor<2>) -> Tensor<2> {
    jacobian
        .clone()
        .matmul(v.unsqueeze_dim::<3>(2))
        .squeeze_dim::<2>(2)
}

fn transposed(jacobian: &Tensor<3>, v: Tensor<2>) -> Tensor<2> {
    jacobian
        .clone()
        .swap_dims(1, 2)
        .matmul(v.unsqueeze_dim::<3>(2))
        .squeeze_dim::<2>(2)
}

/// (JᵀJ + λI)⁻¹Jᵀr, or Jᵀ(JJᵀ + λI)⁻¹r where there are fewer rows.
fn direct(
    damping: f64,
    jacobian: &Tensor<3>,
    r: Tensor<2>,
    absent: Option<Tensor<2, Bool>>,
) -> Result<(Tensor<2>, Vec<bool>), Error> {
    let [batch, m, n] = jacobian.dims();
    if m <= n {
        return by_rows(damping, jacobian, r, absent);
    }
    let columns = by_columns(damping, jacobian, r.clone());
    let (true, Some(absent)) = (damping == 0.0, absent) else {
        return columns;
    };
    // Without damping each sample is solved for as many rows, or columns, as it has.
    let ((by_columns, full), (by_rows, independent)) = (
        columns?,
        by_rows(damping, jacobian, r.clone(), Some(absent.clone()))?,
    );
    let taken = absent.bool_not().float().cast(r.dtype()).sum_dim(1);
    let few = taken.lower_equal_elem(n as f64);
    let few_on_host = host::read("rows", &few.clone().float())?;
    let solved = (0..batch).map(|sample| match few_on_host[sample] > 0.0 {
        true => independent[sample],
        false => full[sample],
    });
    let step = by_columns.mask_where(few.expand([batch, n]), by_rows);
    Ok((step, solved.collect()))
}

/// (JᵀJ + λI)⁻¹Jᵀr.
fn by_columns(
    damping: f64,
    jacobian: &Tensor<3>,
    r: Tensor<2>,
) -> Result<(Tensor<2>, Vec<bool>), Error> {
    let other = jacobian.clone().swap_dims(1, 2);
    let gram = plus_diagonal(other.matmul(jacobian.clone()), damping);
    Ok(solve(gram, transposed(jacobian, r), Side::Plain)?)
}

/// Jᵀ(JJᵀ + λI)⁻¹r.
fn by_rows(
    damping: f64,
    jacobian: &Tensor<3>,
    r: Tensor<2>,
    absent: Option<Tensor<2, Bool>>,
) -> Result<(Tensor<2>, Vec<bool>), Error> {
    let other = jacobian.clone().swap_dims(1, 2);
    let mut gram = plus_diagonal(jacobian.clone().matmul(other), damping);
    if let Some(absent) = absent {
        // Rows of zeros, which a one makes equations for nothing.
        let identity = plus_diagonal(gram.zeros_like(), 1.0);
        let absent = absent.float().cast(r.dtype());
        gram = gram + identity * absent.unsqueeze_dim::<3>(2);
    }
    let (t, solved) = solve(gram, r, Side::Plain)?;
    Ok((transposed(jacobian, t), solved))
}

fn plus_diagonal(matrix: Tensor<3>, value: f64) -> Tensor<3> {
    let [_, size, _] = matrix.dims();
    let mut diagonal = vec![0.0; size * size];
    (0..size).for_each(|i| diagonal[i * size + i] = value);
    let (device, dtype) = (matrix.device(), matrix.dtype());
    matrix + host::write(diagonal, [1, size, size], &device, dtype)
}

/// (JᵀJ + λI)⁻¹Jᵀr to a relative residual of 1e-3, preconditioned by the diagonal; each sample stops
/// by itself.
fn conjugate_gradient(
    damping: f64,
    most: usize,
    jacobian: &Tensor<3>,
    r: Tensor<2>,
) -> Result<(Tensor<2>, Vec<bool>), Error> {
    let batch = r.dims()[0];
    let right = transposed(jacobian, r);
    let diagonal = jacobian.clone().square().sum_dim(1).squeeze_dim::<2>(1) + damping;
    let zero = diagonal.clone().equal_elem(0.0);
    let inverse = diagonal.mask_fill(zero, 1.0).recip();
    let squares = |t: &Tensor<2>| -> Result<Vec<f64>, Error> {
        let n = t.dims()[1];
        let values = host::read("residual", t)?;
        Ok(values
            .chunks_exact(n)
            .map(|row| row.iter().map(|v| v * v).sum())
            .collect())
    };
    let limits: Vec<f64> = squares(&right)?
        .iter()
        .map(|square| square * CG_TOLERANCE * CG_TOLERANCE)
        .collect();
    let mut x = right.zeros_like();
    let mut left = right;
    let mut z = left.clone() * inverse.clone();
    let mut p = z.clone();
    let mut along = (left.clone() * z.clone()).sum_dim(1);
    let mut live = vec![true; batch];
    for _ in 0..most {
        for (sample, square) in squares(&left)?.into_iter().enumerate() {
            // A residual of zero stops too, and a NaN does.
            live[sample] &= square > limits[sample];
        }
        if !live.contains(&true) {
            break;
        }
        let running = live.iter().map(|&l| f64::from(u8::from(l))).collect();
        let running: Tensor<2> = host::write(running, [batch, 1], &x.device(), x.dtype());
        // Denominators of one for samples that have stopped, so that no gradient is NaN, and where a device
        // takes squares that are nearly zero for zero.
        let filled = |t: Tensor<2>| {
            let t = t * running.clone() + (-running.clone() + 1.0);
            let zero = t.clone().equal_elem(0.0);
            t.mask_fill(zero, 1.0)
        };
        let a = transposed(jacobian, product(jacobian, p.clone())) + p.clone() * damping;
        let length = along.clone() * running.clone() / filled((p.clone() * a.clone()).sum_dim(1));
        x = x + p.clone() * length.clone();
        left = left - a * length;
        z = left.clone() * inverse.clone();
        let next = (left.clone() * z.clone()).sum_dim(1);
        let turn = next.clone() * running.clone() / filled(along);
        p = z.clone() + p * turn;
        along = next;
    }
    let finite = largest(&x)?.iter().map(|v| !v.is_nan()).collect();
    Ok((x, finite))
}
