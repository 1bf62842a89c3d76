//! Optimisation problems as JSON in, solutions and gradients as JSON out, without Burn.
//!
//! A problem is an object with `"problem": "qp"` or `"problem": "cone"`; the book's page on solving
//! from the command line has every field. A list of problems is solved as one batch where shapes
//! agree. Whatever is wrong with a problem becomes `{"error": …}` in its place and leaves the others
//! alone.
//!
//! ```
//! let text = r#"{"problem": "qp", "P": [1, 1], "q": [-2, 0], "G": [[1, 0]], "l": [0], "u": [1],
//!                "cotangent": [0, 1]}"#;
//! let answers = feasible_json::answer(text)?;
//! assert_eq!(answers.json["status"], "solved");
//! assert_eq!(answers.json["x"][0], 1.0);
//! assert_eq!(answers.json["gradient"]["q"][1], -1.0);
//! # Ok::<(), feasible_json::NotJson>(())
//! ```

mod answer;
mod blame;
mod cone;
mod fields;
mod qp;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use feasible_solver::{AdjointSettings, ConeSettings, Degenerate, Infeasible, Settings};

use blame::in_own_words;
use cone::ConeProgram;
use fields::{Fault, Fields};
use qp::{MOST_PADDING, Qp};

/// The text is not JSON at all.
#[derive(Debug, thiserror::Error)]
#[error("the input is not JSON: {0}")]
pub struct NotJson(#[from] serde_json::Error);

/// A problem of either kind.
enum Problem {
    Qp(Qp),
    Cone(ConeProgram),
}

/// How to solve and to differentiate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Of quadratic programs, with or without quadratic rows.
    pub quadratic: Settings,
    /// Of cone programs.
    pub cones: ConeSettings,
    /// Of the gradients of both.
    pub adjoint: AdjointSettings,
}

/// Solves the problem, or every problem of a list, with default [`Options`].
///
/// # Errors
/// If the text is not JSON. A problem that makes no sense is no error of the call: its answer says
/// what is wrong.
pub fn answer(text: &str) -> Result<Answers, NotJson> {
    answer_with(text, &Options::default())
}

/// Solves the problem, or every problem of a list.
///
/// # Errors
/// As [`answer`]. Options out of range, or that a problem's kind does not have, are an error of each
/// problem that they concern.
pub fn answer_with(text: &str, options: &Options) -> Result<Answers, NotJson> {
    Ok(answer_all(&serde_json::from_str(text)?, options))
}

/// What was answered, and how many problems were none.
#[derive(Clone, Debug)]
pub struct Answers {
    /// In the form of the input: an object, or a list of objects.
    pub json: Value,
    /// Answers that are errors.
    pub refused: usize,
}

/// Solves the problem, or every problem of a list.
fn answer_all(input: &Value, options: &Options) -> Answers {
    let (problems, single) = match input {
        Value::Array(list) => (list.iter().collect::<Vec<_>>(), false),
        one => (vec![one], true),
    };
    let read: Vec<Result<Problem, Fault>> =
        problems.iter().map(|value| read(value, options)).collect();
    let mut answers = vec![Value::Null; read.len()];
    for group in groups(&read) {
        let problems: Vec<&Problem> = group
            .iter()
            .filter_map(|&i| read[i].as_ref().ok())
            .collect();
        let found = match together(&problems, options) {
            Ok(found) => found,
            // One of them is to blame: each alone, so that it does not take the others along.
            Err(_) => problems
                .iter()
                .map(|problem| match together(&[problem], options) {
                    Ok(mut found) => found.remove(0),
                    Err(error) => refusal(&in_own_words(problem, &error)),
                })
                .collect(),
        };
        for (&i, found) in group.iter().zip(found) {
            answers[i] = found;
        }
    }
    for (answer, read) in answers.iter_mut().zip(&read) {
        if let Err(fault) = read {
            *answer = refusal(fault);
        }
    }
    let refused = answers.iter().filter(|a| a.get("error").is_some()).count();
    let json = if single {
        answers.remove(0)
    } else {
        Value::Array(answers)
    };
    Answers { json, refused }
}

fn refusal(reason: &str) -> Value {
    json!({ "error": reason })
}

fn read(value: &Value, options: &Options) -> Result<Problem, Fault> {
    let fields = Fields::of(value, "")?;
    let problem = match fields.required("problem")? {
        Value::String(kind) if kind == "qp" => Problem::Qp(Qp::read(&fields)?),
        Value::String(kind) if kind == "cone" => Problem::Cone(ConeProgram::read(&fields)?),
        other => {
            return Err(format!(
                "`problem` is {other} but must be \"qp\" or \"cone\""
            ));
        }
    };
    fields.finish()?;
    if let Problem::Cone(program) = &problem {
        program.suits(options)?;
    }
    Ok(problem)
}

/// Indices of the problems that can be solved together.
fn groups(read: &[Result<Problem, Fault>]) -> Vec<Vec<usize>> {
    let mut quadratic: BTreeMap<qp::Shape, Vec<usize>> = BTreeMap::new();
    let mut conic: Vec<Vec<usize>> = Vec::new();
    for (i, problem) in read.iter().enumerate() {
        match problem {
            Ok(Problem::Qp(qp)) => quadratic.entry(qp.shape()).or_default().push(i),
            Ok(Problem::Cone(program)) => {
                let fits = conic.iter_mut().find(|group| {
                    matches!(&read[group[0]], Ok(Problem::Cone(first)) if first.agrees(program))
                });
                match fits {
                    Some(group) => group.push(i),
                    None => conic.push(vec![i]),
                }
            }
            Err(_) => {}
        }
    }
    let quadratic = quadratic.into_values().flat_map(|group| {
        let mut padding = 0usize;
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for i in group {
            let more = match &read[i] {
                Ok(Problem::Qp(qp)) => qp.padding(),
                _ => 0,
            };
            padding = padding.saturating_add(more);
            match parts.last_mut() {
                Some(part) if padding <= MOST_PADDING => part.push(i),
                _ => {
                    padding = more;
                    parts.push(vec![i]);
                }
            }
        }
        parts
    });
    quadratic.chain(conic).collect()
}

/// Answers of problems that can be solved together.
fn together(
    problems: &[&Problem],
    options: &Options,
) -> Result<Vec<Value>, feasible_solver::Error> {
    let quadratic: Vec<&Qp> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Qp(qp) => Some(qp),
            Problem::Cone(_) => None,
        })
        .collect();
    if !quadratic.is_empty() {
        return qp::answers(&quadratic, options);
    }
    let conic: Vec<&ConeProgram> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Cone(program) => Some(program),
            Problem::Qp(_) => None,
        })
        .collect();
    cone::answers(&conic, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_not_padded_without_limit() {
        let n = 100;
        let problem = |others: usize| {
            let mut rows = vec![json!({"H": vec![1.0; n], "u": 1.0}); others];
            rows.push(json!({"H": vec![vec![0.0; n]; n], "u": 1.0}));
            let value = json!({"problem": "qp", "q": vec![1.0; n], "quadratic": rows});
            read(&value, &Options::default())
        };
        let most = MOST_PADDING / (n * n);
        assert!(problem(most).is_ok() && problem(most + 1).is_err());
        let third: Vec<_> = (0..4).map(|_| problem(most / 3)).collect();
        assert_eq!(groups(&third), [vec![0, 1, 2], vec![3]]);
    }
}
