//! Cone programs with linear objectives or ones of low rank: the cones hold what the objective leaves
//! free.

use faer::{Mat, Side};
use rand::RngExt;

use super::cones::{Owned, Pattern, optimal_at, pair};
use super::differences::{Known, Root};
use super::{normal, rng};
use feasible_solver::Cone;

/// Directions in which a pair pins its slack, and those in which only its boundary's curvature does: with
/// independent rows a solution is the only one, and so are its multipliers, where there are as many
/// variables as the first, or more, but no more than both and the objective's rank.
fn pinned(cone: Cone, s: &[f64], z: &[f64]) -> (usize, usize) {
    let is_zero = |v: &[f64]| v.iter().all(|v| *v == 0.0);
    let of_smooth = |s: &[f64], z: &[f64]| match (is_zero(s), is_zero(z)) {
        (true, _) => (s.len(), 0),
        (false, true) => (0, 0),
        (false, false) => (1, s.len() - 2),
    };
    match cone {
        Cone::Zero(rows) => (rows, 0),
        Cone::Nonnegative(_) => (z.iter().filter(|z| **z > 0.0).count(), 0),
        Cone::SecondOrder(_) | Cone::Power(_) => of_smooth(s, z),
        Cone::Exponential(_) => {
            let each = s.chunks_exact(3).zip(z.chunks_exact(3));
            let counts = each.map(|(s, z)| of_smooth(s, z));
            counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        }
        Cone::Semidefinite(size) => {
            let entry = |i: usize, j: usize| {
                let (row, column) = (i.min(j), i.max(j));
                let scale = if row == column {
                    1.0
                } else {
                    std::f64::consts::FRAC_1_SQRT_2
                };
                scale * z[column * (column + 1) / 2 + row]
            };
            let matrix = Mat::from_fn(size, size, entry);
            let values = matrix.self_adjoint_eigenvalues(Side::Lower).unwrap();
            // Those that are not zero are at least 0.2.
            let rank = values.iter().filter(|value| **value > 0.1).count();
            (rank * (rank + 1) / 2, rank * (size - rank))
        }
    }
}

/// A problem with the only solution it has; every third is linear.
pub fn random_pinned(seed: u64, kinds: &[Cone]) -> Known {
    let mut rng = rng(seed ^ 0x919);
    let (batch, cones, pairs, least, most) = loop {
        let batch = rng.random_range(1..4);
        let count = rng.random_range(1..5);
        let cones: Vec<Cone> = (0..count)
            .map(|_| kinds[rng.random_range(0..kinds.len())])
            .collect();
        let (mut least, mut most) = (1, usize::MAX);
        let mut pairs = Vec::new();
        for _ in 0..batch {
            let (mut s, mut z) = (Vec::new(), Vec::new());
            let (mut held, mut curved) = (0, 0);
            for &cone in &cones {
                let (more_s, more_z) = pair(cone, &mut rng);
                let counts = pinned(cone, &more_s, &more_z);
                held += counts.0;
                curved += counts.1;
                s.extend(more_s);
                z.extend(more_z);
            }
            least = least.max(held);
            most = most.min(held + curved);
            pairs.push((s, z));
        }
        if least <= most {
            break (batch, cones, pairs, least, most);
        }
    };
    let rank = match seed % 3 {
        0 => 0,
        _ => rng.random_range(1..4),
    };
    let n = rng.random_range(least..=most + rank);
    let m: usize = cones.iter().map(|cone| cone.rows()).sum();
    let rank = rank.min(n);
    let root = Root {
        rank,
        v: normal(&mut rng, n * rank),
        e: normal(&mut rng, n * rank),
    };
    let (p, p_values) = match rank {
        0 => (Pattern::new(n, n, |_, _| false), Vec::new()),
        _ => (
            Pattern::new(n, n, |row, column| row <= column),
            root.at(0.0),
        ),
    };
    let a = Pattern::new(m, n, |_, _| true);
    let shared_a = rng.random_bool(0.5);
    let a_values = normal(&mut rng, if shared_a { 1 } else { batch } * m * n);
    let (mut x, mut s, mut z, mut q, mut b) = (vec![], vec![], vec![], vec![], vec![]);
    for (i, (s_i, z_i)) in pairs.into_iter().enumerate() {
        let x_i = normal(&mut rng, n);
        let values = &a_values[if shared_a { 0 } else { i * m * n }..][..m * n];
        let (q_i, b_i) = optimal_at((&p, &p_values), (&a, values), [&x_i, &s_i, &z_i]);
        q.extend(q_i);
        b.extend(b_i);
        x.extend(x_i);
        s.extend(s_i);
        z.extend(z_i);
    }
    let owned = Owned {
        batch,
        n,
        cones,
        p,
        a,
        parts: [
            (p_values, true),
            (q, false),
            (a_values, shared_a),
            (b, false),
        ],
    };
    let mut known = Known::new(seed, (owned, x, s, z));
    if rank > 0 {
        known.d[0] = root.slope();
        known.root = Some(root);
    }
    known
}
