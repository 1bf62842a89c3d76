//! Cone programs with closed forms, alone and in lists.
#![allow(missing_docs)]

mod support;

use feasible_json::{Infeasible, Options, answer_with};
use serde_json::{Value, json};
use support::{answer, close, exact, near, with};

/// The rows of minus the identity: s = x + b.
fn minus_identity(n: usize) -> Value {
    (0..n)
        .map(|i| -> Vec<f64> { (0..n).map(|j| if i == j { -1.0 } else { 0.0 }).collect() })
        .collect()
}

/// min w·v − a·x with (x, 1, v) in the exponential cone, v ≥ eˣ: x = ln(a/w). With b the cone is
/// b₁·exp((x + b₀)/b₁) ≤ v + b₂ and x = b₁·ln(a/w) − b₀.
#[test]
fn an_exponential_cone() {
    let found = exact(&json!({
        "problem": "cone",
        "q": [-2.0, 1.0],
        "A": [[-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]],
        "b": [0.0, 1.0, 0.0],
        "cones": [{ "exponential": 1 }],
        "cotangent": [1.0, 0.0],
    }));
    let x = 2.0f64.ln();
    close(&found["x"], &json!([x, 2.0]));
    close(&found["s"], &json!([x, 1.0, 2.0]));
    close(&found["objective"], &json!(2.0 - 2.0 * x));
    // −κ∇f with f = y·exp(x/y) − v and κ = w.
    close(&found["duals"]["z"], &json!([-2.0, -2.0 * (1.0 - x), 1.0]));
    close(&found["gradient"]["q"], &json!([-0.5, -1.0]));
    close(&found["gradient"]["b"], &json!([-1.0, x, 0.0]));
    assert!(found["gradient"].get("P").is_none());
}

/// Two of them under one name: the entropies of a distribution, max cᵀy − Σ y·ln y with Σy = 1, is the
/// softmax of c.
#[test]
fn a_count_of_exponential_cones() {
    let c: [f64; 2] = [0.4, -0.9];
    let found = exact(&json!({
        "problem": "cone",
        // y₀, y₁, t₀, t₁ with yᵢ·exp(tᵢ/yᵢ) ≤ 1.
        "q": [-c[0], -c[1], -1.0, -1.0],
        "A": [
            [1.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, -1.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0],
        ],
        "b": [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        "cones": [{ "zero": 1 }, { "exponential": 2 }],
        "cotangent": [1.0, 0.0, 0.0, 0.0],
    }));
    let total = c[0].exp() + c[1].exp();
    let y = [c[0].exp() / total, c[1].exp() / total];
    close(&found["x"][0], &json!(y[0]));
    close(&found["x"][1], &json!(y[1]));
    close(&found["objective"], &json!(-total.ln()));
    let q = &found["gradient"]["q"];
    close(&q[0], &json!(-y[0] * y[1]));
    close(&q[1], &json!(y[0] * y[1]));
}

/// max v with v ≤ x^α·y^(1−α) and x + y = 1: x = α.
#[test]
fn a_power_cone() {
    let alpha: f64 = 0.3;
    let found = exact(&json!({
        "problem": "cone",
        "q": [0.0, 0.0, -1.0],
        "A": [[1.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]],
        "b": [1.0, 0.0, 0.0, 0.0],
        "cones": [{ "zero": 1 }, { "power": alpha }],
        "cotangent": [1.0, 0.0, 0.0],
    }));
    let g = alpha.powf(alpha) * (1.0 - alpha).powf(1.0 - alpha);
    close(&found["x"], &json!([alpha, 1.0 - alpha, g]));
    close(&found["objective"], &json!(-g));
    // The optimal value is linear in the sum, and the marginal values are what the parts share.
    close(&found["duals"]["z"], &json!([g, g, g, -1.0]));
    close(&found["gradient"]["b"][0], &json!(alpha));
    // Along (1, −1) the power's second derivative is −g/(α(1 − α)).
    let slope = alpha * (1.0 - alpha) / g;
    close(&found["gradient"]["q"], &json!([-slope, slope, 0.0]));
}

/// The nearest point with x ≥ 0.
#[test]
fn a_nonnegative_cone() {
    let found = exact(&json!({
        "problem": "cone",
        "P": [1.0, 2.0],
        "q": [-0.5, 3.0],
        "A": minus_identity(2),
        "b": [0.0, 0.0],
        "cones": [{ "nonnegative": 2 }],
        "cotangent": [1.0, 1.0],
    }));
    close(&found["x"], &json!([0.5, 0.0]));
    close(&found["s"], &json!([0.5, 0.0]));
    close(&found["duals"]["z"], &json!([0.0, 3.0]));
    let gradient = &found["gradient"];
    close(&gradient["q"], &json!([-1.0, 0.0]));
    close(&gradient["P"], &json!([-0.5, 0.0]));
    // The second row holds x₁ = −b₁. Its first entry moves x₁ by x₀ and x₀ by −z₁.
    close(&gradient["b"], &json!([0.0, -1.0]));
    close(&gradient["A"], &json!([[0.0, 0.0], [0.5 - 3.0, 0.0]]));
}

/// Programs of one shape are one batch, whatever stands between them: every answer is that of the
/// program alone.
#[test]
fn a_list_is_answered_as_one_by_one() {
    let program = |k: usize, power: f64| {
        let wave = |at: usize| (1.0 + 0.7 * (13 * k + at) as f64).sin();
        let (off, t) = (0.4 * wave(0), wave(1));
        let mut program = json!({
            "problem": "cone",
            "P": [[1.0 + t * t, off, 0.0], [off, 2.0, 0.1], [0.0, 0.1, 1.5]],
            "q": [wave(2), 3.0 * wave(3), wave(4)],
            "A": [
                [wave(5), wave(6), 1.0],
                [0.3, -1.0, wave(7)],
                [-1.0, 0.0, wave(8)],
                [0.0, -1.0, 0.2],
                [wave(9), 0.0, -1.0],
            ],
            "b": [wave(10), 1.0 + wave(11), 1.0, 0.8, 0.1 * wave(12)],
            "cones": [{ "zero": 1 }, { "nonnegative": 1 }, { "power": power }],
        });
        if k % 3 != 1 {
            program["cotangent"] = json!([wave(13), wave(14), wave(15)]);
        }
        program
    };
    // The third cannot be met: its equality has no entries.
    let mut torn = program(2, 0.3);
    torn["A"][0] = json!([0.0, 0.0, 0.0]);
    torn["b"][0] = json!(1.0);
    let list = [
        program(0, 0.3),
        program(1, 0.3),
        torn,
        program(3, 0.6),
        json!({ "problem": "qp", "P": [1.0], "q": [-1.0], "cotangent": [1.0] }),
        program(5, 0.3),
        program(6, 0.6),
    ];
    let together = answer(&json!(list));
    let statuses: Vec<&str> = (0..list.len())
        .map(|i| together[i]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses[2], "primal_infeasible");
    assert_eq!(statuses.iter().filter(|s| **s == "solved").count(), 6);
    for (program, found) in list.iter().zip(together.as_array().unwrap()) {
        assert_eq!(
            program.get("cotangent").is_some(),
            found.get("gradient").is_some()
        );
        near(found, &answer(program), 1e-12);
    }
    // They are different programs.
    assert_ne!(together[0]["x"], together[5]["x"]);
}

/// Of x₀ ≥ 2, x₁ ≥ −5 and ‖x‖ ≤ 1 the second is not needed.
#[test]
fn rows_that_cannot_hold_together() {
    let found = answer(&json!({
        "problem": "cone",
        "q": [0.0, 0.0],
        "A": [[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]],
        "b": [-2.0, 5.0, 1.0, 0.0, 0.0],
        "cones": [{ "nonnegative": 2 }, { "second_order": 3 }],
        "cotangent": [1.0, 0.0],
    }));
    assert_eq!(found["status"], "primal_infeasible");
    let rows = found["conflict"]["rows"].as_array().unwrap();
    let named: Vec<(u64, f64)> = rows
        .iter()
        .map(|row| {
            (
                row["row"].as_u64().unwrap(),
                row["weight"].as_f64().unwrap(),
            )
        })
        .collect();
    let weight = |row: u64| {
        named
            .iter()
            .find(|(at, _)| *at == row)
            .map_or(0.0, |at| at.1)
    };
    // z = (w, 0, 1, −w, 0) has Aᵀz = 0, and bᵀz < 0 from w = ½ on.
    let w = weight(0);
    assert!(w > 0.5 && w <= 1.0 + 1e-9, "{named:?}");
    for (row, expected) in [w, 0.0, 1.0, -w, 0.0].into_iter().enumerate() {
        let got = weight(row as u64);
        assert!((got - expected).abs() < 1e-6, "{row}: {got}");
    }
    assert!(!named.iter().any(|(row, _)| *row == 1));
    let message = found["conflict"]["message"].as_str().unwrap();
    let order: Vec<String> = named.iter().map(|(row, _)| format!("row {row}")).collect();
    let (last, rest) = order.split_last().unwrap();
    assert_eq!(message, format!("{} and {last} conflict", rest.join(", ")));
    assert_eq!(found["gradient"]["status"], "unavailable");
}

/// 0·x ≤ −1 needs no second row to be impossible.
#[test]
fn a_row_that_cannot_be_met() {
    let found = answer(&json!({
        "problem": "cone",
        "q": [0.0],
        "A": [[1.0], [0.0]],
        "b": [1.0, -1.0],
        "cones": [{ "nonnegative": 2 }],
    }));
    assert_eq!(found["status"], "primal_infeasible");
    let conflict = &found["conflict"];
    near(
        &conflict["rows"],
        &json!([{ "row": 1, "weight": 1.0 }]),
        1e-6,
    );
    assert_eq!(conflict["message"], "row 1 cannot be met");
}

/// min −x₀ over x₀ ≥ ‖x₁‖: x itself is a direction in which it falls forever.
#[test]
fn an_unbounded_program() {
    let found = answer(&json!({
        "problem": "cone",
        "q": [-1.0, 0.0],
        "A": minus_identity(2),
        "b": [0.0, 0.0],
        "cones": [{ "second_order": 2 }],
    }));
    assert_eq!(found["status"], "dual_infeasible");
    let x = |i: usize| found["x"][i].as_f64().unwrap();
    assert!(x(0) > 0.0 && x(0) > x(1).abs() * (1.0 - 1e-9));
    assert!(found.get("conflict").is_none() && found.get("ray").is_none());
}

/// Rows of cone programs cannot give way: asking for it is an error of theirs alone.
#[test]
fn elastic_is_for_quadratic_programs() {
    let mut options = Options::default();
    options.quadratic.infeasible = Infeasible::Elastic { weight: 100.0 };
    let list = json!([
        { "problem": "cone", "P": [1.0], "q": [-1.0], "A": [[1.0]], "b": [0.0],
          "cones": [{ "nonnegative": 1 }] },
        { "problem": "qp", "P": [0.0], "q": [0.0], "G": [[1.0], [1.0]],
          "l": ["-Infinity", 1.0], "u": [-1.0, "Infinity"] },
    ]);
    let found = answer_with(&list.to_string(), &options).unwrap();
    assert_eq!(found.refused, 1);
    assert_eq!(
        found.json[0]["error"],
        "`infeasible` is Elastic { weight: 100.0 } but must be Report for a cone program, whose rows \
         cannot give way"
    );
    assert_eq!(found.json[1]["status"], "relaxed");
    // Without it the same program is answered.
    assert_eq!(answer(&list)[0]["status"], "solved");
    assert_eq!(with(&list[0], &Options::default())["x"][0], 0.0);
}
