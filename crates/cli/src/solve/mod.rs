//! `feasible solve`: problems as JSON in, solutions and gradients as JSON out.

mod answer;
mod cone;
mod fields;
mod qp;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::SolveArguments;
use crate::{BAD_INPUT, print};

use cone::ConeProgram;
use fields::{Fault, Fields};
use qp::Qp;

/// A problem of either kind.
enum Problem {
    Qp(Qp),
    Cone(ConeProgram),
}

/// Input that cannot be read as a whole.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

pub(crate) fn run(arguments: &SolveArguments) -> anyhow::Result<ExitCode> {
    let text = read_text(&arguments.file)?;
    let input = serde_json::from_str(&text)
        .map_err(|error| Unreadable(format!("the input is not JSON: {error}")))?;
    let answers = answer_all(&input);
    print(&format!("{}\n", answers.json))?;
    Ok(if answers.refused > 0 {
        ExitCode::from(BAD_INPUT)
    } else {
        ExitCode::SUCCESS
    })
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    outcome.map_err(|error| Unreadable(format!("could not read {}: {error}", path.display())))
}

/// What was answered, and how many problems were none.
struct Answers {
    /// In the form of the input: an object, or a list of objects.
    json: Value,
    refused: usize,
}

/// Solves the problem, or every problem of a list.
fn answer_all(input: &Value) -> Answers {
    let (problems, single) = match input {
        Value::Array(list) => (list.iter().collect::<Vec<_>>(), false),
        one => (vec![one], true),
    };
    let read: Vec<Result<Problem, Fault>> = problems.iter().map(|value| read(value)).collect();
    let mut answers = vec![Value::Null; read.len()];
    for group in groups(&read) {
        let problems: Vec<&Problem> = group
            .iter()
            .filter_map(|&i| read[i].as_ref().ok())
            .collect();
        let found = match answer(&problems) {
            Ok(found) => found,
            // One of them is to blame: each alone, so that it does not take the others along.
            Err(_) => problems
                .iter()
                .map(|problem| match answer(&[problem]) {
                    Ok(mut found) => found.remove(0),
                    Err(error) => refusal(&error.to_string()),
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

fn read(value: &Value) -> Result<Problem, Fault> {
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
    quadratic.into_values().chain(conic).collect()
}

/// Answers of problems that can be solved together.
fn answer(problems: &[&Problem]) -> Result<Vec<Value>, feasible_solver::Error> {
    let quadratic: Vec<&Qp> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Qp(qp) => Some(qp),
            Problem::Cone(_) => None,
        })
        .collect();
    if !quadratic.is_empty() {
        return qp::answers(&quadratic);
    }
    let conic: Vec<&ConeProgram> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Cone(program) => Some(program),
            Problem::Qp(_) => None,
        })
        .collect();
    cone::answers(&conic)
}
