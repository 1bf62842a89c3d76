//! Small problems with awkward numbers, under any settings: each is answered, alone as in a list, and what is
//! called solved has finite numbers.
#![no_main]

mod options;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use options::Choice;
use serde_json::{Value, json};

const PALETTE: [f64; 20] = [
    0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 0.1, -0.3, 1e-8, 1e-16, 1e8, -1e8, 1e16, 1e300,
    -1e300, 1e-300, 7.25,
];

fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    Ok(*u.choose(&PALETTE)?)
}

fn vector(u: &mut Unstructured<'_>, len: usize) -> Result<Value> {
    (0..len).map(|_| number(u).map(Value::from)).collect()
}

fn matrix(u: &mut Unstructured<'_>, rows: usize, columns: usize) -> Result<Value> {
    (0..rows).map(|_| vector(u, columns)).collect()
}

/// Bounds may be infinite, and cross.
fn bounds(u: &mut Unstructured<'_>, len: usize, word: &str) -> Result<Value> {
    (0..len)
        .map(|_| {
            Ok(if u.ratio(1, 3)? {
                json!(word)
            } else {
                json!(number(u)?)
            })
        })
        .collect()
}

/// A Gram matrix most of the time, so that it is convex, or a diagonal.
fn symmetric(u: &mut Unstructured<'_>, n: usize) -> Result<Value> {
    match u.int_in_range(0..=3)? {
        0 => vector(u, n),
        1 => matrix(u, n, n),
        _ => {
            let root: Vec<f64> = (0..n * n).map(|_| number(u)).collect::<Result<_>>()?;
            let entry = |i: usize, j: usize| -> f64 {
                (0..n).map(|k| root[i * n + k] * root[j * n + k]).sum()
            };
            Ok((0..n)
                .map(|i| (0..n).map(|j| json!(entry(i, j))).collect::<Value>())
                .collect())
        }
    }
}

#[derive(Debug)]
struct Problem(Value);

impl<'a> Arbitrary<'a> for Problem {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let n = u.int_in_range(1..=3)?;
        let mut problem = json!({ "q": vector(u, n)? });
        let mut put = |name: &str, value: Value| problem[name] = value;
        if u.ratio(2, 3)? {
            put("P", symmetric(u, n)?);
        }
        if u.arbitrary()? {
            put("cotangent", vector(u, n)?);
        }
        if u.arbitrary()? {
            put("problem", json!("qp"));
            let rows = u.int_in_range(0..=2)?;
            if rows > 0 {
                put("A", matrix(u, rows, n)?);
                put("b", vector(u, rows)?);
            }
            let rows = u.int_in_range(0..=4)?;
            if rows > 0 {
                put("G", matrix(u, rows, n)?);
                put("l", bounds(u, rows, "-Infinity")?);
                put("u", bounds(u, rows, "Infinity")?);
            }
            let rows = u.int_in_range(0..=2)?;
            if rows > 0 {
                let mut list = vec![];
                for _ in 0..rows {
                    let mut row = json!({ "u": number(u)? });
                    if u.ratio(3, 4)? {
                        row["H"] = symmetric(u, n)?;
                    }
                    if u.ratio(3, 4)? {
                        row["g"] = vector(u, n)?;
                    }
                    list.push(row);
                }
                put("quadratic", json!(list));
            }
        } else {
            put("problem", json!("cone"));
            let mut rows = 0;
            let mut cones = vec![];
            for _ in 0..u.int_in_range(0..=3)? {
                let (cone, own) = match u.int_in_range(0..=5)? {
                    0 => (json!({"zero": 1}), 1),
                    1 => (json!({"nonnegative": 2}), 2),
                    2 => (json!({"second_order": 3}), 3),
                    3 => (json!({"exponential": 1}), 3),
                    4 => (json!({"power": 0.3}), 3),
                    _ => (json!({"psd": 2}), 3),
                };
                rows += own;
                cones.push(cone);
            }
            put("A", matrix(u, rows, n)?);
            put("b", vector(u, rows)?);
            put("cones", json!(cones));
        }
        Ok(Problem(problem))
    }
}

fn all_numbers(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().all(all_numbers),
        Value::Number(number) => number.as_f64().is_some_and(f64::is_finite),
        _ => false,
    }
}

/// Whether rounding is small beside an optimum.
fn is_moderate(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().all(is_moderate),
        Value::Object(fields) => fields.values().all(is_moderate),
        Value::Number(number) => number
            .as_f64()
            .is_some_and(|v| v == 0.0 || (1e-6..=1e6).contains(&v.abs())),
        _ => true,
    }
}

fn check(problem: &Value, answer: &Value) {
    if answer["error"].is_string() {
        return;
    }
    let status = answer["status"]
        .as_str()
        .unwrap_or_else(|| panic!("{problem} {answer}"));
    if status == "solved" || status == "relaxed" {
        assert!(all_numbers(&answer["x"]), "{problem} {answer}");
        assert!(answer["objective"].is_number(), "{problem} {answer}");
    }
    if let Some(gradient) = answer["gradient"].as_object() {
        let verdict = gradient["status"].as_str().unwrap_or_default();
        assert!(
            ["exact", "degenerate", "smoothed", "unavailable"].contains(&verdict),
            "{problem} {answer}"
        );
        if let Some(q) = gradient.get("q") {
            assert!(all_numbers(q), "{problem} {answer}");
        }
        assert!(
            verdict == "unavailable" || ["solved", "relaxed"].contains(&status),
            "{problem} {answer}"
        );
    }
}

fuzz_target!(|input: (Choice, Vec<Problem>)| {
    let (Choice(options), problems) = input;
    let is_strict = options.quadratic.tolerance <= 1e-9;
    let answer = |text: &str| feasible_json::answer_with(text, &options).expect("it is JSON");
    let problems: Vec<Value> = problems.into_iter().take(3).map(|p| p.0).collect();
    let text = Value::Array(problems.clone()).to_string();
    let answers = answer(&text);
    let together = answers.json.as_array().expect("a list in, a list out");
    assert_eq!(together.len(), problems.len());
    for (problem, found) in problems.iter().zip(together) {
        check(problem, found);
        let alone = answer(&problem.to_string());
        assert_eq!(
            alone.json["error"].is_string(),
            found["error"].is_string(),
            "{problem}: {} alone, {found} in a list",
            alone.json
        );
        // Clarabel is set up for the first of a list; the dense solver computes every sample by itself, though
        // with other sums where matrices are shared.
        // Of numbers that rounding decides over, either verdict may be right.
        // So may any within a loose tolerance.
        let is_qp = problem["problem"] == "qp" && !found["error"].is_string();
        if is_qp && is_strict && is_moderate(problem) {
            let verdicts = [&alone.json["status"], &found["status"]];
            let is_solved = verdicts.map(|verdict| verdict == "solved");
            let has_none = verdicts.map(|v| v == "primal_infeasible" || v == "dual_infeasible");
            let contradict = |i: usize| is_solved[i] && has_none[1 - i];
            assert!(
                !contradict(0) && !contradict(1),
                "{problem} of {text}: {verdicts:?}"
            );
            let objectives = [&alone.json, found].map(|a| a["objective"].as_f64());
            if let (true, [Some(a), Some(b)]) = (is_solved == [true; 2], objectives) {
                assert!(
                    (a - b).abs() <= 1e-6 * (1.0 + a.abs()),
                    "{problem} of {text}: {a} and {b}"
                );
            }
        }
    }
});
