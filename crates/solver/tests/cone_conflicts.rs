//! What a cone program's certificate names, and what of it no proof can do without.
#![allow(missing_docs)]

use feasible_solver::{
    Cone, ConeProblem, ConeSettings, Sparse, Status, Values, cone_conflict, solve_cones,
};

/// Dense rows, `[m, n]`, by columns.
fn columns(rows: &[[f64; 2]]) -> (Vec<usize>, Vec<usize>, Vec<f64>) {
    let (mut starts, mut indices, mut values) = (vec![0], vec![], vec![]);
    for column in 0..2 {
        for (row, entries) in rows.iter().enumerate() {
            indices.push(row);
            values.push(entries[column]);
        }
        starts.push(indices.len());
    }
    (starts, indices, values)
}

/// The certificate's rows and the conflict's, in order, of the only infeasible sample of a batch.
fn named(rows: &[[f64; 2]], b: &[f64], cones: &[Cone]) -> (Vec<usize>, Vec<usize>) {
    let (starts, indices, values) = columns(rows);
    let m = rows.len();
    let batch = b.len() / m;
    let problem = ConeProblem {
        batch,
        n: 2,
        p: None,
        q: Values::Shared(&[0.0, 0.0]),
        a: Sparse {
            rows: m,
            columns: 2,
            starts: &starts,
            indices: &indices,
            values: Values::Shared(&values),
        },
        b: Values::PerSample(b),
        cones,
    };
    let settings = ConeSettings::default();
    let solution = solve_cones(&problem, &settings).unwrap();
    let infeasible = |i: &usize| solution.status[*i] == Status::PrimalInfeasible;
    let at: Vec<usize> = (0..batch).filter(infeasible).collect();
    assert_eq!(at.len(), 1, "{:?}", solution.status);
    for i in (0..batch + 1).filter(|i| *i != at[0]) {
        assert!(cone_conflict(&problem, &solution, i, &settings).is_none());
        assert!(solution.certificate(i).is_none());
    }
    let in_order = |mut rows: Vec<usize>| {
        rows.sort_unstable();
        rows
    };
    let rows = |named: Vec<(usize, f64)>| in_order(named.into_iter().map(|(row, _)| row).collect());
    (
        rows(solution.certificate(at[0]).unwrap()),
        rows(cone_conflict(&problem, &solution, at[0], &settings).unwrap()),
    )
}

/// x ≤ 1, x ≤ 1.5, x ≤ 1.2, y ≤ 5 and x ≥ 2: one of the first three and the last.
#[test]
fn rows_that_a_proof_can_do_without_are_left_out() {
    let rows = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
    let (feasible, infeasible) = ([1.0, 1.5, 1.2, 5.0, 0.0], [1.0, 1.5, 1.2, 5.0, -2.0]);
    let b = [feasible, infeasible].concat();
    let (certificate, conflict) = named(&rows, &b, &[Cone::Nonnegative(5)]);
    // Else there is nothing to leave out.
    assert!(certificate.len() > 2, "{certificate:?}");
    assert_eq!(conflict.len(), 2, "{conflict:?}");
    assert!(conflict[0] < 3 && conflict[1] == 4, "{conflict:?}");
}

/// ‖(x, y)‖ ≤ 1 and x ≥ 3 conflict, whatever x + y ≤ 10 and y ≤ ½ say; a cone stays whole.
#[test]
fn a_cone_is_named_by_its_rows() {
    let rows = [
        [1.0, 1.0],
        [0.0, 1.0],
        [-1.0, 0.0],
        [0.0, 0.0],
        [-1.0, 0.0],
        [0.0, -1.0],
    ];
    let b = [10.0, 0.5, -3.0, 1.0, 0.0, 0.0];
    let (_, conflict) = named(&rows, &b, &[Cone::Nonnegative(3), Cone::SecondOrder(3)]);
    assert!(
        conflict.contains(&2) && conflict.contains(&3),
        "{conflict:?}"
    );
    assert!(conflict.iter().all(|row| *row >= 2), "{conflict:?}");
}

/// 0·x = 1 alone.
#[test]
fn one_row_may_be_all() {
    let rows = [[1.0, 0.0], [0.0, 0.0]];
    let (_, conflict) = named(&rows, &[2.0, 1.0], &[Cone::Nonnegative(1), Cone::Zero(1)]);
    assert_eq!(conflict, [1]);
}
