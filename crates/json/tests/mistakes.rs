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
