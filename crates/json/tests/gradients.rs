//! Gradients with respect to every number of a problem, against central differences of answers.
#![allow(missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{answer, close, exact};

/// Half-width of the differences, of fourth order: truncation is below 1e-11, rounding 1e-15 over it.
const STEP: f64 = 1e-4;

/// Rounding of the differences, 1e-11, at the problems' multipliers.
const TOLERANCE: f64 = 1e-9;

/// JSON pointers of all numbers in a value.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Number(_) => out.push(at.to_owned()),
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{i}"), out);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                places(value, &format!("{at}/{name}"), out);
            }
        }
        _ => {}
    }
}

/// The other entry of a symmetric matrix that moves with one.
fn mirrored(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    match parts[..] {
        ["", "P", i, j] => format!("/P/{j}/{i}"),
        ["", "quadratic", row, "H", i, j] => format!("/quadratic/{row}/H/{j}/{i}"),
        _ => place.to_owned(),
    }
}

fn loss(problem: &Value) -> f64 {
    let found = answer(problem);
    assert_eq!(found["status"], "solved");
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array().unwrap();
        list.iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let (x, c) = (numbers(&found["x"]), numbers(&problem["cotangent"]));
    x.iter().zip(&c).map(|(x, c)| x * c).sum()
}

/// Checks every entry of the answer's gradient, and that there is one for every number given; returns
/// the gradient.
fn check(problem: &Value) -> Value {
    let found = exact(problem);
    let mut gradient = found["gradient"].clone();
    let map = gradient.as_object_mut().unwrap();
    assert!(map["margin"].as_f64().unwrap() > 100.0 * STEP, "{map:?}");
    for verdict in ["status", "margin", "condition", "residual"] {
        map.remove(verdict);
    }
    let (mut given, mut got) = (vec![], vec![]);
    places(problem, "", &mut given);
    given.retain(|place| !place.starts_with("/cotangent") && !place.starts_with("/cones"));
    places(&gradient, "", &mut got);
    given.sort();
    got.sort();
    assert_eq!(given, got);
    for place in &got {
        let value = |t: f64| {
            let mut moved = problem.clone();
            let other = mirrored(place);
            let mut both = vec![place.as_str()];
            if &other != place {
                both.push(&other);
            }
            for place in both {
                let number = moved.pointer_mut(place).unwrap();
                *number = json!(number.as_f64().unwrap() + t * STEP);
            }
            loss(&moved)
        };
        let near = value(1.0) - value(-1.0);
        let measured = (8.0 * near - (value(2.0) - value(-2.0))) / (12.0 * STEP);
        let entry = |place: &str| gradient.pointer(place).unwrap().as_f64().unwrap();
        let mut predicted = entry(place);
        if &mirrored(place) != place {
            assert_eq!(predicted, entry(&mirrored(place)), "{place}");
            predicted *= 2.0;
        }
        assert!(
            (predicted - measured).abs() < TOLERANCE * measured.abs().max(1.0),
            "{place}: {predicted} {measured}"
        );
    }
    gradient
}

/// Whether no entry of a matrix is small.
fn is_full(matrix: &Value) -> bool {
    let mut all = vec![];
    places(matrix, "", &mut all);
    let entry = |place: &String| matrix.pointer(place).unwrap().as_f64().unwrap();
    !all.is_empty() && all.iter().all(|place| entry(place).abs() > 1e-3)
}

/// min ½xᵀPx + qᵀx with a sum fixed and two rows of bounds, of which one holds.
fn quadratic() -> Value {
    json!({
        "problem": "qp",
        "P": [[2.0, 0.5, -0.3], [0.5, 1.5, 0.2], [-0.3, 0.2, 1.0]],
        "q": [-1.0, 0.7, -0.4],
        "A": [[1.0, 1.0, 0.5]],
        "b": [1.0],
        "G": [[1.0, -0.2, 0.1], [0.3, 1.0, -0.5]],
        "l": [-2.0, -3.0],
        "u": [0.4, 2.0],
        "cotangent": [0.3, -1.1, 0.8],
    })
}

#[test]
fn a_dense_objective_of_a_quadratic_program() {
    let gradient = check(&quadratic());
    assert!(is_full(&gradient["P"]), "{gradient}");
    assert_eq!(gradient["l"], json!([0.0, 0.0]));
    assert!(gradient["u"][0].as_f64().unwrap().abs() > 1e-3);
}

/// The same as a cone program, whose solver keeps the upper triangle alone.
#[test]
fn a_dense_objective_of_a_cone_program() {
    let qp = quadratic();
    let minus = |row: &Value| -> Value {
        let row = row.as_array().unwrap();
        row.iter().map(|v| json!(-v.as_f64().unwrap())).collect()
    };
    let g = &qp["G"];
    let program = json!({
        "problem": "cone",
        "P": qp["P"],
        "q": qp["q"],
        "A": [qp["A"][0], g[0], g[1], minus(&g[0]), minus(&g[1])],
        "b": [1.0, 0.4, 2.0, 2.0, 3.0],
        "cones": [{ "zero": 1 }, { "nonnegative": 4 }],
        "cotangent": qp["cotangent"],
    });
    let gradient = check(&program);
    assert!(is_full(&gradient["P"]), "{gradient}");
    let other = check(&qp);
    close(&gradient["P"], &other["P"]);
    close(&gradient["q"], &other["q"]);
    close(&gradient["A"][0], &other["A"][0]);
    close(&gradient["A"][1], &other["G"][0]);
}

/// Where the boundary is curved as well.
#[test]
fn a_dense_objective_over_curved_cones() {
    let program = json!({
        "problem": "cone",
        "P": [[1.0, 0.3, -0.2], [0.3, 2.0, 0.4], [-0.2, 0.4, 1.5]],
        "q": [-3.0, 1.0, -2.5],
        "A": [
            [0.0, 0.0, 0.0], [-1.0, 0.0, 0.2], [0.1, -1.0, 0.0], [0.0, 0.3, -1.0],
            [-1.0, 0.0, 0.0], [0.0, 0.0, 0.1], [0.2, 0.0, -0.5],
        ],
        "b": [1.0, 0.0, 0.0, 0.0, 0.2, 1.0, 1.0],
        "cones": [{ "second_order": 4 }, { "exponential": 1 }],
        "cotangent": [0.9, 0.4, -0.6],
    });
    assert!(is_full(&check(&program)["P"]));
}

/// Two quadratic rows hold; the third is loose. Every one in the form that it was given in.
fn rows(forms: [Value; 3]) -> Value {
    let [first, second, third] = forms;
    json!({
        "problem": "qp",
        "P": [[1.0, 0.2, 0.0], [0.2, 1.4, -0.1], [0.0, -0.1, 0.9]],
        "q": [-4.0, -3.0, -2.5],
        "quadratic": [
            { "H": first, "g": [0.1, -0.3, 0.2], "u": 1.0 },
            { "H": second, "u": 0.5 },
            { "H": third, "g": [0.0, 0.1, 0.0], "u": 30.0 },
        ],
        "cotangent": [0.5, -0.9, 1.2],
    })
}

fn dense() -> [Value; 3] {
    [
        json!([[1.0, 0.3, 0.1], [0.3, 0.8, -0.2], [0.1, -0.2, 1.2]]),
        json!([[0.4, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 0.6]]),
        json!([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]]),
    ]
}

#[test]
fn dense_quadratic_rows() {
    let gradient = check(&rows(dense()));
    let row = |i: usize| &gradient["quadratic"][i];
    assert!(is_full(&row(0)["H"]) && is_full(&row(1)["H"]), "{gradient}");
    // A row without a linear part gets no gradient of one.
    assert!(row(1).get("g").is_none());
    assert_eq!(row(2)["H"], json!(vec![[0.0; 3]; 3]));
}

/// A diagonal among full matrices is the diagonal of the same matrix in full.
#[test]
fn quadratic_rows_of_both_forms() {
    let [first, second, third] = dense();
    let diagonal = json!([0.4, 0.9, 0.6]);
    let mixed = rows([first, diagonal, third]);
    let gradient = check(&mixed);
    let full = check(&rows([dense()[0].clone(), second, dense()[2].clone()]));
    let (mixed, full) = (&gradient["quadratic"], &full["quadratic"]);
    close(&mixed[0], &full[0]);
    for i in 0..3 {
        close(&mixed[1]["H"][i], &full[1]["H"][i][i]);
    }
    assert!(is_full(&mixed[1]["H"]), "{gradient}");
    close(&mixed[1]["u"], &full[1]["u"]);
}

#[test]
fn diagonal_quadratic_rows() {
    let gradient = check(&rows([
        json!([1.0, 0.8, 1.2]),
        json!([0.4, 0.9, 0.6]),
        json!([1.0, 1.0, 1.0]),
    ]));
    assert!(is_full(&gradient["quadratic"][0]["H"]));
}
