//! Quadratic programs that have no solution, and what they get instead.
#![allow(missing_docs)]

mod support;

use feasible_json::{Infeasible, Options};
use serde_json::json;
use support::{answer, close, near, with};

/// min −x₀ along x₀ = x₁ with x ≥ 0: the only ray is (1, 1).
#[test]
fn an_unbounded_program_has_a_ray() {
    let found = answer(&json!({
        "problem": "qp",
        "P": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        "q": [-1.0, 0.0, 3.0],
        "A": [[1.0, -1.0, 0.0]],
        "b": [0.5],
        "G": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "l": [0.0, 0.0],
        "cotangent": [1.0, 0.0, 0.0],
    }));
    assert_eq!(found["status"], "dual_infeasible");
    close(&found["ray"], &json!([1.0, 1.0, 0.0]));
    assert!(found.get("conflict").is_none());
    assert_eq!(found["gradient"]["status"], "unavailable");
}

/// x² ≤ c and x ≥ l apart, without an objective: both give way where (x² − c)² + (l − x)² is smallest.
#[test]
fn quadratic_rows_give_way() {
    let mut options = Options::default();
    options.quadratic.infeasible = Infeasible::Elastic { weight: 10.0 };
    let (c, l) = (1.0, 3.0);
    let problem = json!({
        "problem": "qp",
        "q": [0.0],
        "G": [[1.0]],
        "l": [l],
        "quadratic": [{ "H": [1.0], "u": c }],
        "cotangent": [1.0],
    });
    let (mut x, slope) = (1.3f64, |x: f64| 12.0 * x * x - 4.0 * c + 2.0);
    for _ in 0..20 {
        x -= (4.0 * x * (x * x - c) - 2.0 * (l - x)) / slope(x);
    }
    let found = with(&problem, &options);
    assert_eq!(found["status"], "relaxed", "{found}");
    close(&found["x"], &json!([x]));
    close(&found["shift"]["quadratic"], &json!([x * x - c]));
    close(&found["shift"]["G"], &json!([x - l]));
    assert!(found["shift"].get("b").is_none());
    let gradient = &found["gradient"];
    assert_eq!(gradient["status"], "exact");
    close(&gradient["l"], &json!([2.0 / slope(x)]));
    close(&gradient["quadratic"][0]["u"], &json!(4.0 * x / slope(x)));
    // (Hx² − c)² has the derivative 4x(2Hx² − c) along H at its slope in x.
    let of_h = -4.0 * x * (2.0 * x * x - c) / slope(x);
    close(&gradient["quadratic"][0]["H"], &json!([of_h]));
    // Otherwise it says what cannot hold together.
    let plain = answer(&problem);
    assert_eq!(plain["status"], "primal_infeasible");
    let rows = plain["conflict"]["rows"].as_array().unwrap();
    let mut parts: Vec<&str> = rows.iter().map(|r| r["part"].as_str().unwrap()).collect();
    parts.sort_unstable();
    assert_eq!(parts, ["G", "quadratic"]);
    assert!(plain.get("shift").is_none());
}

/// A batch in which one of two is infeasible: the other is as it would be alone.
#[test]
fn elastic_spares_feasible_problems() {
    let mut options = Options::default();
    options.quadratic.infeasible = Infeasible::ELASTIC;
    let problem = |l: f64| {
        json!({
            "problem": "qp", "P": [1.0, 1.0], "q": [-1.0, -0.5], "G": [[1.0, 0.0]], "l": [l],
            "quadratic": [{ "H": [1.0, 1.0], "u": 1.0 }], "cotangent": [0.0, 1.0],
        })
    };
    let list = with(&json!([problem(0.5), problem(2.0)]), &options);
    assert_eq!(list[0]["status"], "solved");
    assert!(list[0].get("shift").is_none());
    assert_eq!(list[1]["status"], "relaxed");
    near(&list[0], &answer(&problem(0.5)), 1e-12);
}
