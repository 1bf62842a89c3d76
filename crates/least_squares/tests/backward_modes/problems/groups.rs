//! Problems over rotations and rigid motions.

use super::*;

pub(super) fn difference_of_rotations(at: &Point<'_>, rows: &mut [f64], jacobian: &mut [f64]) {
    let manifold = Manifold::So3;
    Difference::new(manifold, Numbers::Auxiliary(4)).linearise(at, rows, jacobian);
}

pub(super) fn analytic_on_a_group(by_hand: bool) -> Problem {
    let mut cost = AnalyticCost::new(
        3,
        |at, out| difference_of_rotations(at, out, &mut [0.0; 9]),
        |at, out| difference_of_rotations(at, &mut [0.0; 3], out),
    );
    if by_hand {
        cost = cost.with_probe(|at, probe, gradient| {
            let ready = Difference::new(Manifold::So3, Numbers::Auxiliary(4));
            ready.probe(at, probe, gradient);
        });
    }
    let mut draft = Draft::default();
    let manifold = Manifold::So3;
    let x = draft.variable(manifold.clone());
    let [z, other, w] = [4, 4, 3].map(|len| draft.auxiliary(len));
    draft.cost(cost, &[x], &[z], By::Diagonal(w), Robust::None);
    let measured = Difference::new(manifold.clone(), Numbers::Auxiliary(4));
    draft.plain(measured, &[x], &[other]);
    let samples = (0..SAMPLES)
        .map(|s| {
            let seed = s as f64;
            let mut theta = pose(&manifold, 0.5, 1.0 + seed);
            theta.extend(pose(&manifold, 0.9, 6.0 + seed));
            theta.extend(near(&[0.8, 1.2, 1.0], 0.2, seed));
            Sample {
                start: pose(&manifold, 0.4, 2.0),
                theta,
            }
        })
        .collect();
    let name = name_by_hand(" on SO(3)", by_hand);
    draft.build(name, Kind::Residual, samples)
}

/// A point of the space that a step of the given size leads to from the neutral one.
pub(super) fn pose(manifold: &Manifold, step: f64, seed: f64) -> Vec<f64> {
    let delta: Vec<f64> = numbers(manifold.tangent(), seed)
        .iter()
        .map(|v| step * v)
        .collect();
    exponential(manifold, &delta)
}

pub(super) fn exponential(manifold: &Manifold, delta: &[f64]) -> Vec<f64> {
    let mut neutral = vec![0.0; manifold.storage()];
    neutral[0] = 1.0;
    let mut out = neutral.clone();
    manifold.retract(&neutral, delta, &mut out);
    out
}

/// Three poses in a loop, every measurement an auxiliary, with a prior where it is tied, and weights that are
/// auxiliaries.
pub(super) fn graph(manifold: &Manifold, consistent: bool, tied: bool, robust: Robust) -> Problem {
    let (n, storage) = (manifold.tangent(), manifold.storage());
    let mut draft = Draft::default();
    let x: Vec<usize> = (0..3).map(|_| draft.variable(manifold.clone())).collect();
    let weights = [
        By::Scale(draft.auxiliary(1)),
        By::Diagonal(draft.auxiliary(n)),
        By::Root(draft.auxiliary(n * n)),
    ];
    let numbers_of = Numbers::Auxiliary(storage);
    let edges = [(0, 1), (1, 2), (2, 0)];
    for (weight, (i, j)) in weights.into_iter().zip(edges) {
        let measured = draft.auxiliary(storage);
        let between = Between::new(manifold.clone(), numbers_of.clone());
        draft.cost(between, &[x[i], x[j]], &[measured], weight, robust);
    }
    if tied {
        let target = draft.auxiliary(storage);
        let prior = Difference::new(manifold.clone(), numbers_of);
        draft.plain(prior, &[x[0]], &[target]);
    }
    let samples = (0..SAMPLES)
        .map(|s| {
            let seed = s as f64;
            let poses: Vec<Vec<f64>> = (0..3)
                .map(|i| pose(manifold, 0.7, 1.3 + i as f64 + 3.0 * seed))
                .collect();
            let mut theta = vec![1.1 + 0.1 * seed];
            theta.extend(near(&vec![1.0; n], 0.3, 4.0 + seed));
            let mut root: Vec<f64> = numbers(n * n, 3.3 + seed).iter().map(|v| 0.2 * v).collect();
            (0..n).for_each(|i| root[i * n + i] += 1.2);
            theta.extend(root);
            for (e, (i, j)) in edges.into_iter().enumerate() {
                let mut delta = vec![0.0; n];
                manifold.local(&poses[i], &poses[j], &mut delta);
                let exact = exponential(manifold, &delta);
                let mut measured = exact.clone();
                if !consistent {
                    let error: Vec<f64> = numbers(n, 20.0 + e as f64 + seed)
                        .iter()
                        .map(|v| 0.4 * v)
                        .collect();
                    manifold.retract(&exact, &error, &mut measured);
                }
                theta.extend(measured);
            }
            if tied {
                theta.extend_from_slice(&poses[0]);
            }
            let start = poses
                .iter()
                .enumerate()
                .flat_map(|(i, pose)| {
                    let off: Vec<f64> = numbers(n, 40.0 + i as f64)
                        .iter()
                        .map(|v| 0.2 * v)
                        .collect();
                    let mut out = pose.clone();
                    manifold.retract(pose, &off, &mut out);
                    out
                })
                .collect();
            Sample { start, theta }
        })
        .collect();
    let tie = if tied { "" } else { "free " };
    let (how, kind) = match (consistent, tied) {
        (true, true) => ("consistent", Kind::ZeroResidual),
        (false, true) => ("contradictory", Kind::Residual),
        (true, false) => ("consistent", Kind::RankDeficient),
        (false, false) => ("contradictory", Kind::RankDeficient),
    };
    let name = format!("{tie}graph on {manifold:?}, {how}, {robust:?}");
    draft.build(name, kind, samples)
}
