//! Problems of kind `qp`: quadratic programs, with quadratic rows if need be.

use feasible_solver::{
    Cotangent, Equalities, Error, Gradients, Inequalities, NamedRow, Problem, Quadratics, Solution,
    Symmetric as Matrices, Values, Wanted, adjoint, solve,
};
use serde_json::{Map, Value, json};

use crate::Options;
use crate::answer;
use crate::fields::{Fault, Fields, Matrix, Symmetric};

/// Zeros that are written for numbers which are not there, in problems that are solved together: a quarter of a
/// gigabyte.
pub(crate) const MOST_PADDING: usize = 1 << 25;

/// One problem as written.
#[derive(Clone, Debug)]
pub(crate) struct Qp {
    n: usize,
    p: Option<Symmetric>,
    q: Vec<f64>,
    equalities: Option<(Matrix, Vec<f64>)>,
    inequalities: Option<TwoSided>,
    quadratic: Vec<Row>,
    cotangent: Option<Vec<f64>>,
}

#[derive(Clone, Debug)]
struct TwoSided {
    g: Matrix,
    l: Option<Vec<f64>>,
    u: Option<Vec<f64>>,
}

#[derive(Clone, Debug)]
struct Row {
    h: Option<Symmetric>,
    g: Option<Vec<f64>>,
    u: f64,
}

/// What must agree for problems to be solved as one batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    n: usize,
    equalities: Option<usize>,
    inequalities: Option<usize>,
    quadratic: usize,
    dense_p: bool,
    dense_h: bool,
}

impl Qp {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        fields.required("q")?;
        let q = fields.vector("q")?.unwrap_or_default();
        let n = q.len();
        // Said before any length is compared with those of rows that are not there.
        for (part, rows) in [("b", "A"), ("l", "G"), ("u", "G")] {
            if fields.get(part).is_some() && fields.get(rows).is_none() {
                return Err(format!("`{rows}` is missing beside `{part}`"));
            }
        }
        let a = fields.matrix("A", n)?;
        let rows = |matrix: &Option<Matrix>| matrix.as_ref().map_or(0, |matrix| matrix.rows);
        let b = fields.vector_of("b", rows(&a), "one a row of `A`")?;
        let equalities = match (a, b) {
            (Some(a), Some(b)) => Some((a, b)),
            (Some(_), None) => return Err("`b` is missing beside `A`".to_owned()),
            (None, _) => None,
        };
        let g = fields.matrix("G", n)?;
        let count = rows(&g);
        let (l, u) = (
            fields.vector_of("l", count, "one a row of `G`")?,
            fields.vector_of("u", count, "one a row of `G`")?,
        );
        let inequalities = match g {
            Some(g) if l.is_none() && u.is_none() && count > 0 => {
                return Err(format!(
                    "`l` and `u` are both missing beside `G`, whose {} rows would bound nothing",
                    g.rows
                ));
            }
            Some(g) => Some(TwoSided { g, l, u }),
            None => None,
        };
        let quadratic = match fields.get("quadratic") {
            None => Vec::new(),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(i, row)| Row::read(row, &format!("quadratic[{i}]."), n))
                .collect::<Result<_, _>>()?,
            Some(other) => {
                return Err(format!(
                    "`quadratic` is {} but must be a list of rows",
                    super::fields::kind(other)
                ));
            }
        };
        let problem = Self {
            n,
            p: fields.symmetric("P", n)?,
            q,
            equalities,
            inequalities,
            quadratic,
            cotangent: fields.vector_of("cotangent", n, "one a variable")?,
        };
        if problem.padding() > MOST_PADDING {
            return Err(format!(
                "`quadratic` has full matrices `H` beside rows without one, which would take {} zeros of those but \
                 may take {MOST_PADDING}",
                problem.padding()
            ));
        }
        Ok(problem)
    }

    /// Zeros that the quadratic rows need to have all the same form.
    pub(crate) fn padding(&self) -> usize {
        let n = self.n;
        let is_dense = |row: &&Row| matches!(row.h, Some(Symmetric::Dense(_)));
        let full = self.quadratic.iter().filter(is_dense).count();
        if full == 0 {
            return 0;
        }
        n.saturating_mul(n)
            .saturating_mul(self.quadratic.len() - full)
    }

    pub(crate) fn variables(&self) -> usize {
        self.n
    }

    /// Whether P and the quadratic rows' matrices are full.
    pub(crate) fn dense(&self) -> (bool, bool) {
        let Shape {
            dense_p, dense_h, ..
        } = self.shape();
        (dense_p, dense_h)
    }

    pub(crate) fn shape(&self) -> Shape {
        let dense = |matrix: &Option<Symmetric>| matches!(matrix, Some(Symmetric::Dense(_)));
        Shape {
            n: self.n,
            equalities: self.equalities.as_ref().map(|(a, _)| a.rows),
            inequalities: self.inequalities.as_ref().map(|part| part.g.rows),
            quadratic: self.quadratic.len(),
            dense_p: dense(&self.p),
            dense_h: self.quadratic.iter().any(|row| dense(&row.h)),
        }
    }
}

impl Row {
    fn read(value: &Value, prefix: &str, n: usize) -> Result<Self, Fault> {
        let fields = Fields::of(value, prefix)?;
        let path = fields.path("u");
        let u = match fields.required("u")? {
            Value::Number(u) => u.as_f64().unwrap_or(f64::NAN),
            Value::String(word) if word == "Infinity" => f64::INFINITY,
            other => {
                return Err(format!(
                    "`{path}` is {other} but must be a number or \"Infinity\""
                ));
            }
        };
        let row = Self {
            h: fields.symmetric("H", n)?,
            g: fields.vector_of("g", n, "one a variable")?,
            u,
        };
        fields.finish()?;
        if row.h.is_none() && row.g.is_none() {
            return Err(format!(
                "`{}` and `{}` are both missing, and a row without them would bound nothing",
                fields.path("H"),
                fields.path("g")
            ));
        }
        Ok(row)
    }
}

/// The numbers of a batch, sample after sample.
struct Batch {
    shape: Shape,
    size: usize,
    /// P, q, A, b, G, l, u, H, g, c.
    parts: [Vec<f64>; 10],
}

impl Batch {
    fn new(problems: &[&Qp]) -> Self {
        let shape = problems[0].shape();
        let mut parts: [Vec<f64>; 10] = Default::default();
        for problem in problems {
            let n = problem.n;
            parts[0].extend(expanded(&problem.p, n, shape.dense_p));
            parts[1].extend(&problem.q);
            if let Some((a, b)) = &problem.equalities {
                parts[2].extend(&a.data);
                parts[3].extend(b);
            }
            if let Some(part) = &problem.inequalities {
                let rows = part.g.rows;
                let or = |bound: &Option<Vec<f64>>, none: f64| {
                    bound.clone().unwrap_or_else(|| vec![none; rows])
                };
                parts[4].extend(&part.g.data);
                parts[5].extend(or(&part.l, f64::NEG_INFINITY));
                parts[6].extend(or(&part.u, f64::INFINITY));
            }
            for row in &problem.quadratic {
                parts[7].extend(expanded(&row.h, n, shape.dense_h));
                parts[8].extend(row.g.clone().unwrap_or_else(|| vec![0.0; n]));
                parts[9].push(row.u);
            }
        }
        Self {
            shape,
            size: problems.len(),
            parts,
        }
    }

    /// The batch for the solver. With `merge`, a matrix that is the same in every sample is given
    /// once, which lets the samples share its factors.
    fn problem(&self, merge: bool) -> Problem<'_> {
        let values = |part: usize| {
            let data = &self.parts[part][..];
            let len = data.len() / self.size;
            let same = data.chunks_exact(len.max(1)).all(|one| one == &data[..len]);
            if merge && same {
                Values::Shared(&data[..len])
            } else {
                Values::PerSample(data)
            }
        };
        let symmetric = |part: usize, dense: bool| {
            if dense {
                Matrices::Dense(values(part))
            } else {
                Matrices::Diagonal(values(part))
            }
        };
        let shape = &self.shape;
        Problem {
            batch: self.size,
            n: shape.n,
            p: symmetric(0, shape.dense_p),
            q: values(1),
            equalities: shape.equalities.map(|rows| Equalities {
                rows,
                a: values(2),
                b: values(3),
            }),
            inequalities: shape.inequalities.map(|rows| Inequalities {
                rows,
                g: values(4),
                l: values(5),
                u: values(6),
            }),
            quadratics: (shape.quadratic > 0).then(|| Quadratics {
                rows: shape.quadratic,
                h: symmetric(7, shape.dense_h),
                g: values(8),
                c: values(9),
            }),
        }
    }
}

/// The matrix as a diagonal or in full; zeros where there is none.
fn expanded(matrix: &Option<Symmetric>, n: usize, dense: bool) -> Vec<f64> {
    match (matrix, dense) {
        (None, true) => vec![0.0; n * n],
        (None, false) => vec![0.0; n],
        (Some(Symmetric::Diagonal(diagonal)), true) => {
            let mut full = vec![0.0; n * n];
            for (i, v) in diagonal.iter().enumerate() {
                full[i * n + i] = *v;
            }
            full
        }
        (Some(Symmetric::Dense(data) | Symmetric::Diagonal(data)), _) => data.clone(),
    }
}

/// Solves problems of one shape as one batch; one answer each.
pub(crate) fn answers(problems: &[&Qp], options: &Options) -> Result<Vec<Value>, Error> {
    let batch = Batch::new(problems);
    let solution = solve(&batch.problem(true), &options.quadratic)?;
    let gradients = problems
        .iter()
        .any(|problem| problem.cotangent.is_some())
        .then(|| {
            let x: Vec<f64> = problems
                .iter()
                .flat_map(|problem| {
                    problem
                        .cotangent
                        .clone()
                        .unwrap_or_else(|| vec![0.0; problem.n])
                })
                .collect();
            let cotangent = Cotangent::of_x(&x);
            adjoint(
                &batch.problem(false),
                &solution,
                &cotangent,
                &Wanted::ALL,
                &options.adjoint,
            )
        })
        .transpose()?;
    Ok(problems
        .iter()
        .enumerate()
        .map(|(i, problem)| {
            let mut answer = solved(problem, &solution, i);
            if let (Some(_), Some(gradients)) = (&problem.cotangent, &gradients) {
                answer.insert(
                    "gradient".to_owned(),
                    gradient(problem, &batch, gradients, i),
                );
            }
            Value::Object(answer)
        })
        .collect())
}

fn part(values: &[f64], i: usize, len: usize) -> &[f64] {
    &values[i * len..(i + 1) * len]
}

fn solved(problem: &Qp, solution: &Solution, i: usize) -> Map<String, Value> {
    let mut duals = Map::new();
    if let Some((a, _)) = &problem.equalities {
        let nu = part(&solution.equality_dual, i, a.rows);
        duals.insert("A".to_owned(), answer::vector(nu));
    }
    if let Some(TwoSided { g, .. }) = &problem.inequalities {
        let lambda = part(&solution.inequality_dual, i, g.rows);
        duals.insert("G".to_owned(), answer::vector(lambda));
    }
    if !problem.quadratic.is_empty() {
        let mu = part(&solution.quadratic_dual, i, problem.quadratic.len());
        duals.insert("quadratic".to_owned(), answer::vector(mu));
    }
    let mut map = Map::new();
    for (name, value) in [
        ("status", json!(answer::status(solution.status[i]))),
        ("x", answer::vector(part(&solution.x, i, problem.n))),
        ("objective", answer::number(solution.objective[i])),
        ("duals", Value::Object(duals)),
        ("iterations", json!(solution.iterations[i])),
        ("residuals", answer::residuals(&solution.residuals[i])),
    ] {
        map.insert(name.to_owned(), value);
    }
    if let Some(conflict) = solution.conflict(i) {
        let named = |row: NamedRow| match row {
            NamedRow::Equality(row) => ("A", row, "b"),
            NamedRow::Lower(row) => ("G", row, "l"),
            NamedRow::Upper(row) => ("G", row, "u"),
            NamedRow::Quadratic(row) => ("quadratic", row, "u"),
        };
        let rows: Value = (conflict.rows.iter())
            .map(|conflicting| {
                let (part, row, bound) = named(conflicting.row);
                let weight = answer::number(conflicting.weight);
                json!({ "part": part, "row": row, "bound": bound, "weight": weight })
            })
            .collect();
        let conflict = json!({ "rows": rows, "message": conflict.to_string() });
        map.insert("conflict".to_owned(), conflict);
    }
    if let Some(shift) = solution.shift(i) {
        let mut parts = Map::new();
        for (name, part) in [
            ("b", &shift.equality),
            ("G", &shift.inequality),
            ("quadratic", &shift.quadratic),
        ] {
            if !part.is_empty() {
                parts.insert(name.to_owned(), answer::vector(part));
            }
        }
        map.insert("shift".to_owned(), Value::Object(parts));
    }
    if let Some(ray) = solution.ray(i) {
        map.insert("ray".to_owned(), answer::vector(ray));
    }
    map
}

/// One entry for every parameter that was given, in its form.
fn gradient(problem: &Qp, batch: &Batch, gradients: &Gradients, i: usize) -> Value {
    let n = problem.n;
    let of = |values: &Option<Vec<f64>>, len: usize| -> Vec<f64> {
        values
            .as_ref()
            .map_or_else(|| vec![0.0; len], |values| part(values, i, len).to_vec())
    };
    let mut map = answer::gradient(&gradients.reports[i]);
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if let Some(p) = &problem.p {
        let entries = if batch.shape.dense_p { n * n } else { n };
        put("P", answer::like(p, &of(&gradients.p, entries), n));
    }
    put("q", answer::vector(&of(&gradients.q, n)));
    if let Some((a, _)) = &problem.equalities {
        put("A", answer::matrix(&of(&gradients.a, a.rows * n), n));
        put("b", answer::vector(&of(&gradients.b, a.rows)));
    }
    if let Some(TwoSided { g, l, u }) = &problem.inequalities {
        put("G", answer::matrix(&of(&gradients.g, g.rows * n), n));
        if l.is_some() {
            put("l", answer::vector(&of(&gradients.l, g.rows)));
        }
        if u.is_some() {
            put("u", answer::vector(&of(&gradients.u, g.rows)));
        }
    }
    if !problem.quadratic.is_empty() {
        let count = problem.quadratic.len();
        let entries = if batch.shape.dense_h { n * n } else { n };
        let h = of(&gradients.quadratic_h, count * entries);
        let g = of(&gradients.quadratic_g, count * n);
        let c = of(&gradients.quadratic_c, count);
        let rows = problem.quadratic.iter().enumerate().map(|(k, row)| {
            let mut map = Map::new();
            if let Some(given) = &row.h {
                let full = part(&h, k, entries);
                let value = match given {
                    // Of a row that was only expanded for its neighbours' sake.
                    Symmetric::Diagonal(_) if entries > n => {
                        let diagonal: Vec<f64> = (0..n).map(|j| full[j * n + j]).collect();
                        answer::vector(&diagonal)
                    }
                    _ => answer::like(given, full, n),
                };
                map.insert("H".to_owned(), value);
            }
            if row.g.is_some() {
                map.insert("g".to_owned(), answer::vector(part(&g, k, n)));
            }
            map.insert("u".to_owned(), answer::number(c[k]));
            Value::Object(map)
        });
        let rows: Value = rows.collect();
        put("quadratic", rows);
    }
    Value::Object(map)
}
