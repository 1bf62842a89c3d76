//! Problems in and answers out as JSON values.
#![allow(dead_code, unreachable_pub)]

use feasible_json::{Options, answer_with};
use serde_json::Value;

/// The answer of a problem, or the answers of a list.
pub fn answer(problem: &Value) -> Value {
    with(problem, &Options::default())
}

pub fn with(problem: &Value, options: &Options) -> Value {
    answer_with(&problem.to_string(), options).unwrap().json
}

/// The answer of a problem that has a solution with an exact derivative.
#[track_caller]
pub fn exact(problem: &Value) -> Value {
    let found = answer(problem);
    assert_eq!(found["status"], "solved", "{found}");
    assert_eq!(found["gradient"]["status"], "exact", "{found}");
    found
}

#[track_caller]
pub fn close(value: &Value, expected: &Value) {
    near(value, expected, 1e-9);
}

/// The same numbers in the same places, relative to what is larger of 1 and the number.
#[track_caller]
pub fn near(value: &Value, expected: &Value, tolerance: f64) {
    match (value, expected) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{value} {expected}");
            a.iter().zip(b).for_each(|(a, b)| near(a, b, tolerance));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{value} {expected}");
            a.values()
                .zip(b.values())
                .for_each(|(a, b)| near(a, b, tolerance));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let allowed = tolerance * b.abs().max(1.0);
            assert!((a - b).abs() < allowed, "{a} instead of {b}");
        }
        _ => assert_eq!(value, expected),
    }
}
