//! Problems of kind `cone`: cone programs in Clarabel's form.

use feasible_solver::{
    Cone, ConeCotangent, ConeProblem, ConeWanted, Error, NotSemidefinite, Sparse, Values,
    check_symmetric, cone_adjoint, cone_conflict, conflict_in_words, solve_cones,
};
use serde_json::{Map, Value, json};

use crate::answer;
use crate::fields::{Fault, Fields, Matrix, Symmetric, kind};
use crate::{Infeasible, Options};

/// One problem as written.
#[derive(Clone, Debug)]
pub(crate) struct ConeProgram {
    n: usize,
    p: Option<Symmetric>,
    q: Vec<f64>,
    a: Matrix,
    b: Vec<f64>,
    cones: Vec<Cone>,
    cotangent: Option<Vec<f64>>,
}

impl ConeProgram {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        for name in ["q", "A", "b"] {
            fields.required(name)?;
        }
        let q = fields.vector("q")?.unwrap_or_default();
        let n = q.len();
        let p = fields.symmetric("P", n)?;
        if let Some(Symmetric::Dense(data)) = &p {
            let asymmetric = check_symmetric(data, n, f64::EPSILON).err();
            if let Some(NotSemidefinite::Asymmetric { row, column, .. }) = asymmetric {
                return Err(format!(
                    "`P` must be symmetric but P[{row}][{column}] = {} and P[{column}][{row}] = {}",
                    data[row * n + column],
                    data[column * n + row]
                ));
            }
        }
        let a = fields.matrix("A", n)?.unwrap_or(Matrix {
            rows: 0,
            columns: n,
            data: Vec::new(),
        });
        let b = fields
            .vector_of("b", a.rows, "one a row of `A`")?
            .unwrap_or_default();
        let cones = cones(fields.required("cones")?)?;
        let rows = cones
            .iter()
            .fold(0usize, |sum, cone| sum.saturating_add(cone.rows()));
        if rows != a.rows {
            return Err(format!(
                "`cones` have {rows} rows together but must have {}, those of `A`",
                a.rows
            ));
        }
        Ok(Self {
            n,
            p,
            q,
            a,
            b,
            cones,
            cotangent: fields.vector_of("cotangent", n, "one a variable")?,
        })
    }

    pub(crate) fn variables(&self) -> usize {
        self.n
    }

    pub(crate) fn rows(&self) -> usize {
        self.a.rows
    }

    /// Refuses what only quadratic programs have.
    pub(crate) fn suits(&self, options: &Options) -> Result<(), Fault> {
        match options.quadratic.infeasible {
            Infeasible::Report => Ok(()),
            other => Err(format!(
                "`infeasible` is {other:?} but must be Report for a cone program, whose rows cannot \
                 give way"
            )),
        }
    }

    /// Whether two problems can be one batch.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let form = |p: &Option<Symmetric>| p.as_ref().map(std::mem::discriminant);
        self.n == other.n && self.cones == other.cones && form(&self.p) == form(&other.p)
    }
}

fn cones(value: &Value) -> Result<Vec<Cone>, Fault> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("`cones` is {} but must be a list", kind(value)))?;
    list.iter()
        .enumerate()
        .map(|(i, value)| {
            let expected = "{\"zero\": rows}, {\"nonnegative\": rows}, {\"second_order\": rows}, \
                            {\"exponential\": count}, {\"power\": exponent} or {\"psd\": size}";
            let object = value.as_object().filter(|object| object.len() == 1);
            let Some((name, size)) = object.and_then(|object| object.iter().next()) else {
                return Err(format!("`cones[{i}]` is {value} but must be {expected}"));
            };
            let rows = || {
                let rows = size.as_u64().and_then(|rows| usize::try_from(rows).ok());
                rows.ok_or_else(|| {
                    format!("`cones[{i}].{name}` is {size} but must be a whole number")
                })
            };
            match name.as_str() {
                "zero" => Ok(Cone::Zero(rows()?)),
                "nonnegative" => Ok(Cone::Nonnegative(rows()?)),
                "second_order" => Ok(Cone::SecondOrder(rows()?)),
                "exponential" => Ok(Cone::Exponential(rows()?)),
                "power" => size.as_f64().map(Cone::Power).ok_or_else(|| {
                    format!("`cones[{i}].power` is {size} but must be the exponent, in (0, 1)")
                }),
                "psd" => Ok(Cone::Semidefinite(rows()?)),
                _ => Err(format!("`cones[{i}]` is {value} but must be {expected}")),
            }
        })
        .collect()
}

/// The pattern of a matrix with every entry, by columns.
struct Full {
    starts: Vec<usize>,
    indices: Vec<usize>,
}

impl Full {
    fn new(columns: usize, rows: impl Fn(usize) -> std::ops::Range<usize>) -> Self {
        let (mut starts, mut indices) = (vec![0], Vec::new());
        for column in 0..columns {
            indices.extend(rows(column));
            starts.push(indices.len());
        }
        Self { starts, indices }
    }

    fn sparse<'a>(&'a self, rows: usize, values: &'a [f64]) -> Sparse<'a> {
        Sparse {
            rows,
            columns: self.starts.len() - 1,
            starts: &self.starts,
            indices: &self.indices,
            values: Values::PerSample(values),
        }
    }
}

/// Solves problems that agree as one batch; one answer each. Every entry of a matrix counts, zeros
/// too, so that every entry has a gradient.
pub(crate) fn answers(problems: &[&ConeProgram], options: &Options) -> Result<Vec<Value>, Error> {
    let first = problems[0];
    let (n, m, batch) = (first.n, first.a.rows, problems.len());
    let pattern_a = Full::new(n, |_| 0..m);
    let pattern_p = match &first.p {
        Some(Symmetric::Dense(_)) => Full::new(n, |column| 0..column + 1),
        _ => Full::new(n, |column| column..column + 1),
    };
    let (mut p, mut q, mut a, mut b) = (vec![], vec![], vec![], vec![]);
    for problem in problems {
        match &problem.p {
            Some(Symmetric::Dense(data)) => {
                p.extend((0..n).flat_map(|j| (0..=j).map(move |i| data[i * n + j])));
            }
            Some(Symmetric::Diagonal(data)) => p.extend(data),
            None => {}
        }
        q.extend(&problem.q);
        a.extend((0..n).flat_map(|j| (0..m).map(move |i| problem.a.data[i * n + j])));
        b.extend(&problem.b);
    }
    let program = ConeProblem {
        batch,
        n,
        p: first.p.is_some().then(|| pattern_p.sparse(n, &p)),
        q: Values::PerSample(&q),
        a: pattern_a.sparse(m, &a),
        b: Values::PerSample(&b),
        cones: &first.cones,
    };
    let solution = solve_cones(&program, &options.cones)?;
    let wanted = problems.iter().any(|problem| problem.cotangent.is_some());
    let gradients = wanted
        .then(|| {
            let x: Vec<f64> = problems
                .iter()
                .flat_map(|problem| problem.cotangent.clone().unwrap_or_else(|| vec![0.0; n]))
                .collect();
            cone_adjoint(
                &program,
                &solution,
                &ConeCotangent::of_x(&x),
                &ConeWanted::ALL,
                &options.adjoint,
            )
        })
        .transpose()?;
    let mut answers = Vec::with_capacity(batch);
    for (i, problem) in problems.iter().enumerate() {
        let part = |values: &[f64], len: usize| values[i * len..(i + 1) * len].to_vec();
        let mut map = Map::new();
        for (name, value) in [
            ("status", json!(answer::status(solution.status[i]))),
            ("x", answer::vector(&part(&solution.x, n))),
            ("objective", answer::number(solution.objective[i])),
            ("s", answer::vector(&part(&solution.s, m))),
            (
                "duals",
                json!({ "z": answer::vector(&part(&solution.z, m)) }),
            ),
            ("iterations", json!(solution.iterations[i])),
            ("residuals", answer::residuals(&solution.residuals[i])),
        ] {
            map.insert(name.to_owned(), value);
        }
        if let Some(rows) = cone_conflict(&program, &solution, i, &options.cones) {
            let names: Vec<String> = rows.iter().map(|(row, _)| format!("row {row}")).collect();
            let message = conflict_in_words(&names);
            let rows: Value = rows
                .iter()
                .map(|(row, weight)| json!({ "row": row, "weight": answer::number(*weight) }))
                .collect();
            let conflict = json!({ "rows": rows, "message": message });
            map.insert("conflict".to_owned(), conflict);
        }
        if let (Some(_), Some(gradients)) = (&problem.cotangent, &gradients) {
            let of = |values: &Option<Vec<f64>>, len: usize| -> Vec<f64> {
                values
                    .as_ref()
                    .map_or_else(|| vec![0.0; len], |values| part(values, len))
            };
            let mut gradient = answer::gradient(&gradients.reports[i]);
            if let Some(given) = &problem.p {
                let entries = pattern_p.indices.len();
                let upper = of(&gradients.p, entries);
                gradient.insert(
                    "P".to_owned(),
                    answer::like(given, &mirrored(given, &upper, n), n),
                );
            }
            // By columns there, by rows here.
            let columns = of(&gradients.a, m * n);
            let rows: Vec<f64> = (0..m * n).map(|at| columns[at % n * m + at / n]).collect();
            gradient.insert("q".to_owned(), answer::vector(&of(&gradients.q, n)));
            gradient.insert("A".to_owned(), answer::matrix(&rows, n));
            gradient.insert("b".to_owned(), answer::vector(&of(&gradients.b, m)));
            map.insert("gradient".to_owned(), Value::Object(gradient));
        }
        answers.push(Value::Object(map));
    }
    Ok(answers)
}

/// The gradient of the upper triangle, where an entry stands for two, spread over both.
fn mirrored(given: &Symmetric, upper: &[f64], n: usize) -> Vec<f64> {
    let Symmetric::Dense(_) = given else {
        return upper.to_vec();
    };
    let mut full = vec![0.0; n * n];
    let mut entries = upper.iter();
    for j in 0..n {
        for i in 0..=j {
            let share = if i == j { 1.0 } else { 0.5 };
            let value = share * entries.next().copied().unwrap_or(0.0);
            full[i * n + j] = value;
            full[j * n + i] = value;
        }
    }
    full
}
