//! What is refused, each with the place in the input.
#![allow(missing_docs)]

mod support;

use serde_json::{Value, json};

fn error(problem: &Value) -> Option<String> {
    support::answer(problem)["error"]
        .as_str()
        .map(str::to_owned)
}

fn cone(p: Value) -> Value {
    json!({
        "problem": "cone", "P": p, "q": [1.0, 1.0], "A": [[-1.0, 0.0], [0.0, -1.0]], "b": [0.0, 0.0],
        "cones": [{"nonnegative": 2}],
    })
}

/// Both kinds of problem take the same matrices for symmetric.
#[test]
fn symmetry_is_up_to_rounding() {
    let rounded = json!([[1.0, 0.1], [0.100_000_000_000_000_02, 1.0]]);
    assert_eq!(error(&cone(rounded.clone())), None);
    assert_eq!(
        error(&json!({"problem": "qp", "P": rounded, "q": [1.0, 1.0]})),
        None
    );
    assert_eq!(
        error(&cone(json!([[1.0, 0.1], [0.2, 1.0]]))).unwrap(),
        "`P` must be symmetric but P[1][0] = 0.2 and P[0][1] = 0.1"
    );
}

/// Room is made for the numbers that are there, not for those that ought to be.
#[test]
fn rows_without_numbers_are_refused_at_once() {
    let (q, a) = (vec![1.0; 3_000_000], vec![json!([]); 3_000_000]);
    let problem = json!({"problem": "qp", "P": [1.0], "q": q, "A": a, "b": [0.0]});
    let error = error(&problem).unwrap();
    assert!(error.contains("must have 3000000"), "{error}");
}

#[test]
fn quadratic_rows_are_not_padded_without_limit() {
    let n = 300;
    let full = vec![vec![0.0; n]; n];
    let problem = |others: usize| {
        let mut rows = vec![json!({"g": vec![1.0; n], "u": 1.0}); others];
        rows.push(json!({"H": full, "u": 1.0}));
        json!({"problem": "qp", "P": vec![1.0; n], "q": vec![1.0; n], "quadratic": rows})
    };
    assert_eq!(
        error(&problem(373)).unwrap(),
        "`quadratic` has full matrices `H` beside rows without one, which would take 33570000 zeros of those but may \
         take 33554432"
    );
}

#[test]
fn rows_that_bound_nothing_are_refused() {
    let problem = |row: Value| json!({"problem": "qp", "P": [1.0], "q": [1.0], "quadratic": [row]});
    assert_eq!(
        error(&problem(json!({"u": 1.0}))).unwrap(),
        "`quadratic[0].H` and `quadratic[0].g` are both missing, and a row without them would bound nothing"
    );
    assert_eq!(error(&problem(json!({"g": [0.0], "u": 1.0}))), None);
    assert_eq!(
        error(&problem(json!({"g": [0.0], "u": "-Infinity"}))).unwrap(),
        "`quadratic[0].u` is \"-Infinity\" but must be a number or \"Infinity\""
    );
}

/// A word is offered where it would be taken.
#[test]
fn infinities_are_for_bounds() {
    let problem = |q: Value, l: Value, u: Value| json!({"problem": "qp", "P": [1.0], "q": [q], "G": [[1.0]], "l": [l], "u": [u]});
    for (problem, expected) in [
        (
            problem(json!("NaN"), json!(0.0), json!(1.0)),
            "`q[0]` is \"NaN\" but must be a number",
        ),
        (
            problem(json!(1.0), Value::Null, json!(1.0)),
            "`l[0]` is null but must be a number or \"-Infinity\"",
        ),
        (
            problem(json!(1.0), json!(0.0), Value::Null),
            "`u[0]` is null but must be a number or \"Infinity\"",
        ),
    ] {
        assert_eq!(error(&problem).unwrap(), expected);
    }
}

/// A diagonal stays one where there are no rows; other matrices of so many variables are larger than memory.
#[test]
fn many_variables_are_solved_or_refused() {
    let n = 100_000;
    let mut problem = json!({
        "problem": "qp", "P": vec![2.0; n], "q": vec![-4.0; n], "cotangent": vec![1.0; n],
    });
    let found = support::exact(&problem);
    assert_eq!(found["x"][n - 1], 2.0);
    assert_eq!(found["gradient"]["q"][n - 1], -0.5);
    problem["P"][0] = json!(0.0);
    assert_eq!(
        error(&problem).unwrap(),
        "`q` has 100000 numbers, for which the solver needs matrices of 100000 × 100000, but those of a problem with \
         so few numbers may hold 134217728"
    );
}

/// What only the solver sees is said in the names and places of the input.
#[test]
fn what_the_solver_refuses_is_named_as_written() {
    let qp = |more: Value| {
        let mut problem = json!({"problem": "qp", "P": [1.0, 2.0], "q": [1.0, 1.0]});
        let fields = problem.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        problem
    };
    let infinite = "Infinity";
    let rows = |rows: Value, l: Value| json!({"G": rows, "l": l, "u": [3.0, 3.0]});
    let cone_with = cone;
    let mut cone = cone(json!([1.0, 1.0]));
    cone["A"][1][0] = json!(infinite);
    let cases = [
        (
            qp(json!({"P": [1.0, -2.0]})),
            "`P` must be positive semidefinite but has the eigenvalue -2e0",
        ),
        (
            qp(json!({"P": [[1.0, 2.0], [0.5, 9.0]]})),
            "`P` must be symmetric but P[1][0] and P[0][1] differ by 1.5e0",
        ),
        (
            qp(json!({"q": [1.0, infinite]})),
            "`q[1]` is inf but must be finite",
        ),
        (
            json!({"problem": "qp", "P": [], "q": []}),
            "`q` is empty but must have a number for every variable, at least one",
        ),
        (
            qp(rows(
                json!([[1.0, 0.0], [0.0, infinite]]),
                json!([0.0, 0.0]),
            )),
            "`G[1][1]` is inf but must be finite",
        ),
        (
            qp(rows(
                json!([[1.0, 0.0], [0.0, 1.0]]),
                json!([0.0, infinite]),
            )),
            "`l[1]` is inf but must be finite or \"-Infinity\"",
        ),
        (
            qp(rows(json!([[1.0, 0.0], [0.0, 1.0]]), json!([0.0, 4.0]))),
            "`l[1]` is 4, which is above `u[1]`, 3",
        ),
        (
            qp(json!({"A": [[1.0, infinite]], "b": [0.0]})),
            "`A[0][1]` is inf but must be finite",
        ),
        (
            qp(json!({"quadratic": [{"H": [1.0, 1.0], "u": 1.0}, {"H": [1.0, -1.0], "u": 1.0}]})),
            "`quadratic[1].H` must be positive semidefinite but has the eigenvalue -1e0",
        ),
        (
            qp(json!({"quadratic": [
                {"H": [1.0, 1.0], "u": 1.0}, {"H": [1.0, 1.0], "g": [infinite, 0.0], "u": 1.0},
            ]})),
            "`quadratic[1].g[0]` is inf but must be finite",
        ),
        (cone, "`A[1][0]` is inf but must be finite"),
        (
            cone_with(json!([[1.0, 0.0], [infinite, 1.0]])),
            "`P` must be symmetric but P[1][0] = inf and P[0][1] = 0",
        ),
        (
            qp(json!({"P": [1.0, infinite]})),
            "`P[1]` is inf but must be finite",
        ),
        (
            qp(json!({"P": [[1.0, 0.0], [0.0, infinite]]})),
            "`P[1][1]` is inf but must be finite",
        ),
        (
            qp(
                json!({"quadratic": [{"H": [1.0, 1.0], "u": 1.0}, {"H": [infinite, 1.0], "u": 1.0}]}),
            ),
            "`quadratic[1].H[0]` is inf but must be finite",
        ),
        (
            qp(json!({"cotangent": [0.0, infinite]})),
            "`cotangent[1]` is inf but must be finite",
        ),
    ];
    for (problem, expected) in cases {
        assert_eq!(error(&problem).as_deref(), Some(expected), "{problem}");
    }
}
