//! Programs of linear rows alone: where Newton's method on all rows does not settle, because more of
//! them touch than there are variables, the dense solver of quadratic programs often does better.

use crate::cone::geometry::localise;
use crate::cone::newton::{ConePoint, Polished, measure, price};
use crate::cone::problem::{Cone, ConeSample};
use crate::cone::solve::ConeSettings;
use crate::interior_point::{Prepared, solve_sample};
use crate::problem::{Matrix, Sample};
use crate::settings::Settings;

/// Variables above which dense matrices are not made for it.
const LARGEST: usize = 400;

/// A better point than one with this relative error; `None` for other cones and where there is none.
pub(crate) fn as_quadratic(
    sample: &ConeSample<'_>,
    error: f64,
    settings: &ConeSettings,
) -> Option<Polished> {
    let linear = |cone: &Cone| matches!(cone, Cone::Zero(_) | Cone::Nonnegative(_));
    if sample.n > LARGEST || !sample.cones.iter().all(linear) {
        return None;
    }
    let n = sample.n;
    let fixed: Vec<bool> = sample
        .cones
        .iter()
        .flat_map(|cone| std::iter::repeat_n(matches!(cone, Cone::Zero(_)), cone.rows()))
        .collect();
    // Place among the equalities or among the inequalities.
    let mut counts = [0, 0];
    let place: Vec<usize> = fixed
        .iter()
        .map(|fixed| {
            let count = &mut counts[usize::from(!fixed)];
            *count += 1;
            *count - 1
        })
        .collect();
    let [equalities, rows] = counts;
    let (mut a, mut g) = (vec![0.0; equalities * n], vec![0.0; rows * n]);
    for (row, column, v) in sample.a.iter() {
        let target = if fixed[row] { &mut a } else { &mut g };
        target[place[row] * n + column] = v;
    }
    let split = |values: &[f64]| -> [Vec<f64>; 2] {
        let of = |which: bool| {
            let both = values.iter().zip(&fixed);
            both.filter(|(_, f)| **f == which)
                .map(|(v, _)| *v)
                .collect()
        };
        [of(true), of(false)]
    };
    let [b, u] = split(sample.b);
    let mut p = vec![0.0; n * n];
    for (row, column, v) in sample.p.iter().flat_map(|p| p.iter()) {
        (p[row * n + column], p[column * n + row]) = (v, v);
    }
    let l = vec![f64::NEG_INFINITY; rows];
    let dense = Sample {
        n,
        p: Matrix::Dense(&p),
        q: sample.q,
        a: &a,
        b: &b,
        g: &g,
        l: &l,
        u: &u,
        h: Matrix::Diagonal(&[]),
        hg: &[],
        c: &[],
    };
    let settings = Settings {
        rounding: settings.rounding,
        max_iterations: settings.max_iterations as usize,
        ..Settings::default()
    };
    let answer = solve_sample(&dense, &Prepared::new(&dense), &settings);
    if !answer.status.is_solved() {
        return None;
    }
    let mut point = ConePoint {
        x: answer.x,
        s: sample.b.to_vec(),
        z: vec![0.0; sample.m],
    };
    let mut ax = vec![0.0; sample.m];
    sample.a.add_product(&point.x, &mut ax);
    for row in 0..sample.m {
        let from = if fixed[row] {
            &answer.nu
        } else {
            &answer.lambda
        };
        let z = from[place[row]];
        // A point that is not confirmed has a little of both.
        let slack = (sample.b[row] - ax[row]).max(0.0);
        (point.z[row], point.s[row]) = match fixed[row] {
            true => (z, 0.0),
            false => (
                z.max(0.0),
                if answer.active.identified && z > 0.0 {
                    0.0
                } else {
                    slack
                },
            ),
        };
    }
    let w: Vec<f64> = point.z.iter().zip(&point.s).map(|(z, s)| z - s).collect();
    let (mut s, mut z) = (point.s.clone(), point.z.clone());
    let local = localise(sample.cones, &w, &mut s, &mut z);
    let measured = measure(sample, &point).2;
    (measured.relative() < error).then_some(Polished {
        price: price(sample, &point),
        point,
        local,
        measured,
        steps: answer.iterations,
        confirmed: answer.active.identified,
    })
}
