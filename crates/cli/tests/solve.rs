//! `feasible solve` run as a program.
#![allow(missing_docs)]

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn solve(input: &str) -> Output {
    solve_with(&[], input)
}

fn solve_with(options: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_feasible"))
        .args(["solve", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Options that are refused are so before anything is read, which may be before this is written.
    match child.stdin.take().unwrap().write_all(input.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    child.wait_with_output().unwrap()
}

/// The answer of an input that can be answered.
fn answer(input: &Value) -> Value {
    read(solve(&input.to_string()))
}

fn read(output: Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn close(value: &Value, expected: &Value) {
    match (value, expected) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{value} {expected}");
            a.iter().zip(b).for_each(|(a, b)| close(a, b));
        }
        _ => {
            let (a, b) = (value.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((a - b).abs() < 1e-9, "{a} instead of {b}");
        }
    }
}

/// P = [2 1; 1 2], x₁ + x₂ = 1 and x₁ ≤ ¼ active: x = (¼, ¾).
#[test]
fn a_quadratic_program_with_every_gradient() {
    let found = answer(&json!({
        "problem": "qp",
        "P": [[2.0, 1.0], [1.0, 2.0]],
        "q": [-1.0, 0.0],
        "A": [[1.0, 1.0]],
        "b": [1.0],
        "G": [[1.0, 0.0]],
        "l": ["-Infinity"],
        "u": [0.25],
        "cotangent": [1.0, 0.0],
    }));
    assert_eq!(found["status"], "solved");
    close(&found["x"], &json!([0.25, 0.75]));
    // Stationarity: 2x₁ + x₂ − 1 + ν + λ = 0 and x₁ + 2x₂ + ν = 0.
    close(&found["duals"]["A"], &json!([-1.75]));
    close(&found["duals"]["G"], &json!([1.5]));
    let objective = 0.5 * (2.0 * 0.0625 + 2.0 * 0.1875 + 2.0 * 0.5625) - 0.25;
    close(&found["objective"], &json!(objective));
    let gradient = &found["gradient"];
    assert_eq!(gradient["status"], "exact");
    // x₁ = u whatever else there is: only u and G's own row move it.
    close(&gradient["u"], &json!([1.0]));
    close(&gradient["l"], &json!([0.0]));
    close(&gradient["b"], &json!([0.0]));
    close(&gradient["q"], &json!([0.0, 0.0]));
    close(&gradient["P"], &json!([[0.0, 0.0], [0.0, 0.0]]));
    close(&gradient["G"], &json!([[-0.25, -0.75]]));
    close(&gradient["A"], &json!([[0.0, 0.0]]));
    assert!(found["residuals"]["primal"].as_f64().unwrap() < 1e-12);
    assert!(found["iterations"].is_u64());
}

/// The nearest point of the unit disc, with a row in diagonal and one in full form.
#[test]
fn quadratic_rows_in_both_forms() {
    for h in [json!([1.0, 1.0]), json!([[1.0, 0.0], [0.0, 1.0]])] {
        let found = answer(&json!({
            "problem": "qp",
            "P": [1.0, 1.0],
            "q": [-3.0, -4.0],
            "quadratic": [
                { "H": h, "u": 1.0 },
                { "g": [1.0, 0.0], "u": "Infinity" },
            ],
            "cotangent": [1.0, 0.0],
        }));
        close(&found["x"], &json!([0.6, 0.8]));
        close(&found["duals"]["quadratic"], &json!([2.0, 0.0]));
        let gradient = &found["gradient"];
        close(&gradient["q"], &json!([-0.128, 0.096]));
        let row = &gradient["quadratic"][0];
        // ‖x‖ = √c: dx₁/dc = 0.6/2.
        close(&row["u"], &json!(0.3));
        assert_eq!(row["H"].as_array().unwrap().len(), 2);
        assert_eq!(row["H"][0].is_array(), h[0].is_array());
        assert!(row.get("g").is_none() && gradient["quadratic"][1]["g"].is_array());
    }
}

/// min t with ‖(x − 3, y − 4)‖ ≤ t and x = y.
#[test]
fn a_cone_program() {
    let found = answer(&json!({
        "problem": "cone",
        "q": [0.0, 0.0, 1.0],
        "A": [
            [1.0, -1.0, 0.0],
            [0.0, 0.0, -1.0],
            [-1.0, 0.0, 0.0],
            [0.0, -1.0, 0.0],
        ],
        "b": [0.0, 0.0, -3.0, -4.0],
        "cones": [{ "zero": 1 }, { "second_order": 3 }],
        "cotangent": [0.0, 0.0, 1.0],
    }));
    assert_eq!(found["status"], "solved");
    let half = 0.5f64.sqrt();
    close(&found["x"], &json!([3.5, 3.5, half]));
    close(&found["s"], &json!([0.0, half, 0.5, -0.5]));
    let gradient = &found["gradient"];
    assert_eq!(gradient["status"], "exact");
    // t = |b₂ − b₃ − b₀|/√2 + b₁… at (0, 0, −3, −4): by signs, ∂t/∂b = (−½√2, −1, ½√2, −½√2) up to
    // the multipliers, which are what the derivative of the optimal value is.
    let z = found["duals"]["z"].as_array().unwrap();
    let negated: Value = z.iter().map(|v| json!(-v.as_f64().unwrap())).collect();
    close(&gradient["b"], &negated);
    assert_eq!(gradient["A"].as_array().unwrap().len(), 4);
}

/// The nearest positive semidefinite matrix to [[0, 2], [2, 0]] keeps its positive eigenvalue: [[1, 1],
/// [1, 1]]; the derivative of its first entry is by Malick and Sendov's formula.
#[test]
fn a_semidefinite_program() {
    let root = 2.0f64.sqrt();
    let minus = |i: usize| {
        (0..3)
            .map(|j| if i == j { -1.0 } else { 0.0 })
            .collect::<Value>()
    };
    let found = answer(&json!({
        "problem": "cone",
        "P": [1.0, 1.0, 1.0],
        "q": [0.0, -2.0 * root, 0.0],
        "A": [minus(0), minus(1), minus(2)],
        "b": [0.0, 0.0, 0.0],
        "cones": [{ "psd": 2 }],
        "cotangent": [1.0, 0.0, 0.0],
    }));
    assert_eq!(found["status"], "solved");
    close(&found["x"], &json!([1.0, root, 1.0]));
    let gradient = &found["gradient"];
    assert_eq!(gradient["status"], "exact");
    // With λ = ±2 and eigenvectors (1, ±1)/√2: DΠ[E₁₁]₁₁ = ¼ + 2·¼·½ + 0, and so on; x = Π(−q).
    close(&gradient["q"], &json!([-0.5, -0.25 * root, 0.0]));
}

/// One batch for problems that agree, in the order they came, each with its own gradient; what is
/// no problem is said and spares the others.
#[test]
fn lists_are_answered_one_by_one() {
    let clip = |target: f64| {
        json!({
            "problem": "qp", "P": [1.0], "q": [-target], "G": [[1.0]], "l": [0.0], "u": [1.0],
            "cotangent": [1.0],
        })
    };
    let list = json!([
        clip(0.25),
        clip(7.0),
        { "problem": "qp", "P": [-1.0], "q": [1.0] },
        { "problem": "qp", "q": [1.0], "u": [1.0] },
        { "problem": "qp", "q": [1.0], "Q": [1.0] },
        { "problem": "lp", "q": [1.0] },
        { "problem": "qp", "P": [1.0], "q": [0.0], "G": [[1.0], [1.0]],
          "l": [1.0, "-Infinity"], "u": ["Infinity", 0.0] },
        clip(-3.0),
        3,
    ]);
    let output = solve(&list.to_string());
    assert_eq!(output.status.code(), Some(2));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let x = |i: usize| found[i]["x"][0].as_f64().unwrap();
    assert_eq!([x(0), x(1), x(7)], [0.25, 1.0, 0.0]);
    let q = |i: usize| found[i]["gradient"]["q"][0].as_f64().unwrap();
    assert_eq!([q(0), q(1), q(7)], [-1.0, 0.0, 0.0]);
    assert_eq!(found[1]["gradient"]["u"][0], 1.0);
    let error = |i: usize| found[i]["error"].as_str().unwrap().to_owned();
    assert!(error(2).contains("positive semidefinite"), "{}", error(2));
    assert!(error(3).contains("`G` is missing"), "{}", error(3));
    assert!(error(4).contains("`Q` is not known"), "{}", error(4));
    assert!(error(5).contains("`problem` is \"lp\""), "{}", error(5));
    assert_eq!(found[6]["status"], "primal_infeasible");
    let message = found[6]["conflict"]["message"].as_str().unwrap();
    assert!(
        message.contains("row 0 (lower)") && message.contains("row 1 (upper)"),
        "{message}"
    );
    assert!(error(8).contains("the problem is a number"), "{}", error(8));
}

#[test]
fn mistakes_are_named() {
    for (input, expected) in [
        (json!({ "problem": "qp", "P": [1.0] }), "`q` is missing"),
        (
            json!({ "problem": "qp", "q": [1.0, "x"] }),
            "`q[1]` is \"x\" but must be a number",
        ),
        (
            json!({ "problem": "qp", "q": [1.0, 2.0], "A": [[1.0]], "b": [1.0] }),
            "`A[0]` has 1 numbers but must have 2",
        ),
        (
            json!({ "problem": "qp", "q": [1.0], "G": [[1.0]], "l": [2.0], "u": [1.0] }),
            "`l[0]` is 2, which is above `u[0]`, 1",
        ),
        (
            json!({ "problem": "qp", "q": [1.0], "quadratic": [{ "H": [1.0] }] }),
            "`quadratic[0].u` is missing",
        ),
        (
            json!({ "problem": "cone", "q": [1.0], "A": [[1.0]], "b": [1.0], "cones": [{ "zero": 2 }] }),
            "`cones` have 2 rows",
        ),
        (
            json!({ "problem": "cone", "q": [1.0], "A": [[1.0]], "b": [1.0], "cones": [{ "cube": 1 }] }),
            "`cones[0]` is",
        ),
    ] {
        let output = solve(&input.to_string());
        assert_eq!(output.status.code(), Some(2), "{input}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let error = found["error"].as_str().unwrap();
        assert!(error.contains(expected), "{input}: {error}");
    }
    let output = solve("{ \"problem\": ");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not JSON"));
}

#[test]
fn options_choose_what_infeasible_problems_and_kinks_get() {
    // x ≤ −1 and x ≥ 1 cannot both hold; in the middle both give way by 1.
    let torn = r#"{"problem": "qp", "P": [1], "q": [0], "G": [[1], [1]],
                   "l": ["-Infinity", 1], "u": [-1, "Infinity"]}"#;
    let found = read(solve_with(&["--elastic"], torn));
    assert_eq!(found["status"], "relaxed");
    close(&found["x"], &json!([0.0]));
    let shift = found["shift"]["G"].as_array().unwrap();
    for (shift, expected) in shift.iter().zip([1.0, -1.0]) {
        assert!((shift.as_f64().unwrap() - expected).abs() < 1e-5);
    }
    assert_eq!(read(solve_with(&[], torn))["status"], "primal_infeasible");

    // max(x̂, 0) at x̂ = 0: slope 0 with the row held, 1 without it, and in between on the path.
    let kink = r#"{"problem": "qp", "P": [1], "q": [0], "G": [[1]], "l": [0], "cotangent": [1]}"#;
    let slope = |choice: &str| {
        let found = read(solve_with(&["--degenerate", choice], kink));
        assert_eq!(found["gradient"]["status"], "degenerate", "{choice}");
        found["gradient"]["q"][0].as_f64().unwrap()
    };
    assert_eq!(slope("held"), 0.0);
    assert!((slope("released") + 1.0).abs() < 1e-12);
    // x² = μ there, so x = (x̂ + √(x̂² + 4μ))/2 has slope ½.
    assert!((slope("smoothed=1e-4") + 0.5).abs() < 1e-9);
}

#[test]
fn options_that_make_no_sense_are_bad_arguments() {
    let problem = r#"{"problem": "qp", "P": [1], "q": [0]}"#;
    for (options, word) in [
        (&["--elastic=-1"][..], "weight"),
        (&["--degenerate", "smooth"], "smoothed=MU"),
        (&["--degenerate", "smoothed=0"], "mu"),
        (&["--tolerance", "2"], "tolerance"),
    ] {
        let output = solve_with(options, problem);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(word), "{options:?}: {said}");
    }
}
