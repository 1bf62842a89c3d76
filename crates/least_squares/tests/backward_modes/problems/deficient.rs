//! Problems whose minimisers are not isolated.

use super::*;

/// Two affine rows in four unknowns, by b, or by A as well.
pub(super) fn few_rows(by_matrix: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(4));
    let matrix = numbers(8, 0.7);
    let (a, b) = (by_matrix.then(|| draft.auxiliary(8)), draft.auxiliary(2));
    let rows = if by_matrix {
        LinearCost::new(2, 4, Numbers::Auxiliary(8), Numbers::Auxiliary(2))
    } else {
        LinearCost::new(2, 4, matrix.clone(), Numbers::Auxiliary(2))
    };
    let auxiliaries: Vec<usize> = a.into_iter().chain([b]).collect();
    draft.plain(rows, &[x], &auxiliaries);
    let samples = (0..SAMPLES)
        .map(|s| {
            let mut theta = if by_matrix {
                near(&matrix, 0.1, s as f64)
            } else {
                Vec::new()
            };
            theta.extend(near(&[1.0, -0.5], 0.5, s as f64));
            Sample {
                start: numbers(4, 2.0 + s as f64),
                theta,
            }
        })
        .collect();
    let by = if by_matrix { "A and b" } else { "b" };
    draft.build(
        format!("few affine rows, by {by}"),
        Kind::RankDeficient,
        samples,
    )
}

/// Four rows of rank two in three unknowns, that can be met or not.
pub(super) fn dependent_rows(met: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (b, w) = (draft.auxiliary(4), draft.auxiliary(1));
    let a = [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 0.5, -1.0, 0.3, 1.5, 1.0, 2.3];
    let rows = LinearCost::new(4, 3, a, Numbers::Auxiliary(4));
    draft.cost(rows, &[x], &[b], By::Scale(w), Robust::None);
    let samples = (0..SAMPLES)
        .map(|s| {
            let at = numbers(3, 1.0 + s as f64);
            let exact = product(&a, &at, 3, 1);
            let mut theta = near(&exact, if met { 0.0 } else { 0.5 }, 4.0);
            theta.push(0.7);
            Sample {
                start: vec![0.1, 0.4, -0.2],
                theta,
            }
        })
        .collect();
    let name = if met {
        "dependent rows, met"
    } else {
        "dependent rows"
    };
    draft.build(name, Kind::RankDeficient, samples)
}

/// x₀² + x₁² − θ: one row in two unknowns.
struct Circle;

impl Residual for Circle {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        out[0] = x[0] * x[0] + x[1] * x[1] - auxiliaries[0][0];
    }
}

pub(super) fn circle() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let theta = draft.auxiliary(1);
    draft.plain(AutoCost::new(Circle), &[x], &[theta]);
    let samples = [[0.8, 0.5], [-1.0, 0.4], [0.3, -1.2]]
        .map(|start| Sample {
            start: start.to_vec(),
            theta: vec![1.7],
        })
        .to_vec();
    draft.build("circle", Kind::RankDeficient, samples)
}

/// Two curved surfaces in four dimensions.
struct Surfaces;

impl Residual for Surfaces {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        out[0] = x[0] * x[1] * theta[0] + (x[2] * theta[1]).sin() - theta[2];
        out[1] = x[0] * x[0] - x[3] * theta[0] + (x[1] * 0.5).exp() - theta[1];
    }
}

pub(super) fn surfaces() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(4));
    let (theta, w) = (draft.auxiliary(3), draft.auxiliary(4));
    draft.cost(
        AutoCost::new(Surfaces),
        &[x],
        &[theta],
        By::Root(w),
        Robust::Cauchy { scale: 2.0 },
    );
    let base = [1.1, 0.8, 0.4, 1.0, 0.2, -0.3, 0.9];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: near(&[0.5, 0.4, -0.3, 0.6], 0.2, s as f64),
            theta: near(&base, 0.1, 2.0 + s as f64),
        })
        .collect();
    draft.build("two surfaces", Kind::RankDeficient, samples)
}

/// Rows x₀ x₁ tᵢ − θᵢ: more than unknowns, of which they see the product alone.
struct Factors;

impl Residual for Factors {
    fn rows(&self) -> usize {
        5
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let slope = variables[0][0] * variables[0][1];
        for (i, out) in out.iter_mut().enumerate() {
            *out = slope * (0.4 + 0.2 * i as f64) - auxiliaries[0][i];
        }
    }
}

pub(super) fn factors(met: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let (theta, w) = (draft.auxiliary(5), draft.auxiliary(5));
    draft.cost(
        AutoCost::new(Factors),
        &[x],
        &[theta],
        By::Diagonal(w),
        Robust::None,
    );
    let samples = (0..SAMPLES)
        .map(|s| {
            let exact: Vec<f64> = (0..5).map(|i| 1.5 * (0.4 + 0.2 * i as f64)).collect();
            let mut theta = near(&exact, if met { 0.0 } else { 0.3 }, s as f64);
            theta.extend(near(&[1.0; 5], 0.2, 3.0));
            Sample {
                start: near(&[1.1, 0.8], 0.3, s as f64),
                theta,
            }
        })
        .collect();
    let name = if met {
        "product of factors, met"
    } else {
        "product of factors"
    };
    draft.build(name, Kind::RankDeficient, samples)
}
