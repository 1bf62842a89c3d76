//! Rows of `G` that the equalities fix, rows of zeros and rows of tiny numbers: what rounding explains is no
//! contradiction, what nothing explains is one that is proven.
#![allow(missing_docs)]

use feasible_solver::{
    Equalities, Inequalities, Method, Problem, Settings, Solution, Status, Symmetric, Values, solve,
};

const INF: f64 = f64::INFINITY;
const METHODS: [Method; 2] = [Method::Auto, Method::InteriorPoint];

struct Case<'a> {
    p: &'a [f64],
    q: &'a [f64],
    a: &'a [f64],
    b: &'a [f64],
    g: &'a [f64],
    l: &'a [f64],
    u: &'a [f64],
}

impl Case<'_> {
    /// As the only sample, with matrices that are shared or its own.
    fn solve(&self, shared: bool, settings: Settings) -> Solution {
        let values = |data| match shared {
            true => Values::Shared(data),
            false => Values::PerSample(data),
        };
        let problem = Problem {
            batch: 1,
            n: self.q.len(),
            p: Symmetric::Diagonal(values(self.p)),
            q: Values::PerSample(self.q),
            equalities: (!self.b.is_empty()).then(|| Equalities {
                rows: self.b.len(),
                a: values(self.a),
                b: Values::PerSample(self.b),
            }),
            inequalities: Some(Inequalities {
                rows: self.l.len(),
                g: values(self.g),
                l: Values::PerSample(self.l),
                u: Values::PerSample(self.u),
            }),
            quadratics: None,
        };
        solve(&problem, &settings).unwrap()
    }

    /// By every method, with shared matrices and with its own.
    fn solutions(&self, rounding: f64) -> Vec<Solution> {
        let all = METHODS.iter().flat_map(|&method| {
            [false, true].map(|shared| {
                let settings = Settings {
                    method,
                    rounding,
                    ..Settings::default()
                };
                self.solve(shared, settings)
            })
        });
        all.collect()
    }
}

/// `x = (1e8, 1e8)`: the row's two terms are known to 1e-8, their difference to no better.
#[test]
fn terms_that_cancel_leave_their_rounding() {
    let case = |bound: &'static [f64]| Case {
        p: &[1.0, 1.0],
        q: &[0.0, 0.0],
        a: &[1.0, 2.0, 3.0, 5.0],
        b: &[3e8, 8e8],
        g: &[1.0, -1.0],
        l: bound,
        u: bound,
    };
    for solution in case(&[0.0]).solutions(f64::EPSILON) {
        assert_eq!(solution.status, [Status::Solved]);
        for x in &solution.x {
            assert!((x / 1e8 - 1.0).abs() < 1e-13, "{x}");
        }
    }
    // Ten thousand times what the terms leave open at the tolerance for certificates, 1e-8.
    for solution in case(&[1e4]).solutions(f64::EPSILON) {
        assert_eq!(solution.status, [Status::PrimalInfeasible]);
        assert_eq!(solution.conflict(0).unwrap().rows.len(), 3);
    }
}

/// The same of numbers that were computed in single precision.
#[test]
fn terms_of_single_precision_leave_its_rounding() {
    let single = |value: f32| f64::from(value);
    let difference = [single(0.1)];
    let case = |bound| Case {
        p: &[1.0; 3],
        q: &[0.0; 3],
        a: &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        b: &[1_000.099_975_585_937_5, 1000.0],
        g: &[1.0, -1.0, 0.0],
        l: bound,
        u: bound,
    };
    assert_eq!(single(1000.1), 1_000.099_975_585_937_5);
    for solution in case(&difference).solutions(f64::from(f32::EPSILON)) {
        assert_eq!(solution.status, [Status::Solved]);
    }
    for solution in case(&[0.2]).solutions(f64::from(f32::EPSILON)) {
        assert_eq!(solution.status, [Status::PrimalInfeasible]);
    }
}

/// The unconstrained minimum overflows, and a row of zeros times it is no number: which says nothing about the row.
#[test]
fn what_is_not_a_number_contradicts_nothing() {
    let case = Case {
        p: &[1e-3],
        q: &[-1e306],
        a: &[],
        b: &[],
        g: &[0.0],
        l: &[-INF],
        u: &[INF],
    };
    for solution in case.solutions(f64::EPSILON) {
        assert_ne!(solution.status, [Status::PrimalInfeasible]);
    }
}

/// A row of zeros asks for its bounds alone.
#[test]
fn rows_of_zeros_are_judged_by_their_bounds() {
    let case = |l: &'static [f64]| Case {
        p: &[1.0],
        q: &[1.0],
        a: &[],
        b: &[],
        g: &[0.0],
        l,
        u: &[INF],
    };
    for solution in case(&[0.0]).solutions(f64::EPSILON) {
        assert_eq!(solution.status, [Status::Solved]);
    }
    for solution in case(&[1e-6]).solutions(f64::EPSILON) {
        assert_eq!(solution.status, [Status::PrimalInfeasible]);
        assert!(solution.farkas(0).is_some());
    }
}

/// The square of the row's norm underflows, the row asks for `x ≥ 1e163` all the same.
#[test]
fn a_row_whose_square_underflows_is_a_row() {
    let case = Case {
        p: &[0.0],
        q: &[1.0],
        a: &[],
        b: &[],
        g: &[1e-170],
        l: &[1e-7],
        u: &[INF],
    };
    for solution in case.solutions(f64::EPSILON) {
        assert_ne!(solution.status, [Status::PrimalInfeasible]);
        if solution.status == [Status::Solved] {
            assert!((solution.x[0] / 1e163 - 1.0).abs() < 1e-9);
        }
    }
}
