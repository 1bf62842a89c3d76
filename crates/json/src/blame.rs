//! What the solver refuses in one problem, in the names and places of its JSON.

use feasible_solver::Error;

use crate::Problem;

/// What is wrong with the problem, which was given to the solver alone.
pub(crate) fn in_own_words(problem: &Problem, error: &Error) -> String {
    let (n, cone_rows) = match problem {
        Problem::Qp(qp) => (qp.variables(), None),
        Problem::Cone(program) => (program.variables(), Some(program.rows())),
    };
    match error {
        Error::NotFinite {
            argument,
            entry,
            value,
            ..
        } => {
            let must = match *argument {
                "inequalities.l" => "be finite or \"-Infinity\"",
                "inequalities.u" => "be finite or \"Infinity\"",
                _ => "be finite",
            };
            let place = match cone_rows {
                None => of_quadratic(problem, argument, *entry, n),
                Some(m) => of_conic(argument, *entry, m),
            };
            format!("`{place}` is {value} but must {must}")
        }
        Error::CrossedBounds {
            row, lower, upper, ..
        } => format!("`l[{row}]` is {lower}, which is above `u[{row}]`, {upper}"),
        Error::Asymmetric {
            argument,
            index,
            row,
            column,
            difference,
            ..
        } => {
            let name = matrix(argument, *index);
            format!(
                "`{name}` must be symmetric but {name}[{row}][{column}] and {name}[{column}][{row}] differ by \
                 {difference:e}"
            )
        }
        Error::NotConvex {
            argument,
            index,
            eigenvalue,
            ..
        } => format!(
            "`{}` must be positive semidefinite but has the eigenvalue {eigenvalue:e}",
            matrix(argument, *index)
        ),
        Error::TooLarge { n, most } => format!(
            "`q` has {n} numbers, for which the solver needs matrices of {n} × {n}, but those of a problem with so few \
             numbers may hold {most}"
        ),
        Error::NoVariables => {
            "`q` is empty but must have a number for every variable, at least one".to_owned()
        }
        other => other.to_string(),
    }
}

fn matrix(argument: &str, index: usize) -> String {
    match argument {
        "quadratics.h" => format!("quadratic[{index}].H"),
        _ => "P".to_owned(),
    }
}

/// Of a number of a quadratic program; matrices are row-major.
fn of_quadratic(problem: &Problem, argument: &str, entry: usize, n: usize) -> String {
    let (i, j) = (entry / n.max(1), entry % n.max(1));
    let (dense_p, dense_h) = match problem {
        Problem::Qp(qp) => qp.dense(),
        Problem::Cone(_) => (true, true),
    };
    match argument {
        "p" if dense_p => format!("P[{i}][{j}]"),
        "p" => format!("P[{entry}]"),
        "q" => format!("q[{entry}]"),
        "equalities.a" => format!("A[{i}][{j}]"),
        "equalities.b" => format!("b[{entry}]"),
        "inequalities.g" => format!("G[{i}][{j}]"),
        "inequalities.l" => format!("l[{entry}]"),
        "inequalities.u" => format!("u[{entry}]"),
        "quadratics.h" if dense_h => format!("quadratic[{}].H[{}][{j}]", i / n, i % n),
        "quadratics.h" => format!("quadratic[{i}].H[{j}]"),
        "quadratics.g" => format!("quadratic[{i}].g[{j}]"),
        "quadratics.c" => format!("quadratic[{entry}].u"),
        "cotangent.x" => format!("cotangent[{entry}]"),
        other => other.to_owned(),
    }
}

/// Of a number of a cone program; A is by columns.
fn of_conic(argument: &str, entry: usize, m: usize) -> String {
    match argument {
        "p" => "P".to_owned(),
        "q" => format!("q[{entry}]"),
        "a" => format!("A[{}][{}]", entry % m.max(1), entry / m.max(1)),
        "b" => format!("b[{entry}]"),
        "cotangent.x" => format!("cotangent[{entry}]"),
        other => other.to_owned(),
    }
}
