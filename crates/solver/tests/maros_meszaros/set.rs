//! The problems and what is known of them.

use std::fs;
use std::path::{Path, PathBuf};

use feasible_solver::{Cone, ConeProblem, Sparse, Values};
use serde_json::Value;

use crate::support::{Owned, Part, inner};

/// One problem of the set.
pub struct Entry {
    pub name: String,
    /// What the objective leaves out.
    pub constant: f64,
    /// The published value of the optimum, constant included.
    pub optimum: f64,
    pub owned: Owned,
}

/// All problems, by name.
pub fn entries() -> Vec<Entry> {
    let index = read(&folder().join("optima.json"));
    let index = index.as_object().unwrap();
    index
        .iter()
        .map(|(name, about)| Entry {
            name: name.clone(),
            constant: about["constant"].as_f64().unwrap(),
            optimum: about["optimum"].as_f64().unwrap(),
            owned: owned(&read(&folder().join(format!("{name}.json")))),
        })
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from("tests/maros_meszaros/data")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Numbers of a list, or of a list of rows; none of an absent field.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        Value::String(word) if word == "Infinity" => vec![f64::INFINITY],
        Value::String(word) if word == "-Infinity" => vec![f64::NEG_INFINITY],
        other => vec![other.as_f64().unwrap()],
    }
}

fn owned(value: &Value) -> Owned {
    let part = |name: &str| Part {
        data: numbers(&value[name]),
        shared: true,
    };
    let parts = ["P", "q", "A", "b", "G", "l", "u", "H", "g", "c"].map(part);
    let n = parts[1].data.len();
    Owned {
        batch: 1,
        n,
        p_rows: parts[3].data.len(),
        m: parts[5].data.len(),
        k: 0,
        p_diagonal: parts[0].data.len() == n && n > 1,
        h_diagonal: false,
        parts,
    }
}

/// Residuals of the optimality conditions: primal and dual feasibility, and complementarity with
/// the signs. Each is relative to 1 + the largest sum of the terms that cancel in it.
pub fn relative_residuals(owned: &Owned, x: &[f64], nu: &[f64], lambda: &[f64]) -> [f64; 3] {
    let n = owned.n;
    let part = |i: usize| &owned.parts[i].data[..];
    let size = |row: &[f64]| -> f64 { row.iter().zip(x).map(|(v, x)| (v * x).abs()).sum() };
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let mut gradient = part(1).to_vec();
    let mut terms: Vec<f64> = gradient.iter().map(|v| v.abs()).collect();
    let mut objective = size(part(1));
    for i in 0..n {
        let row: Vec<f64> = (0..n).map(|j| hessian(owned, i, j)).collect();
        gradient[i] += inner(&row, x);
        terms[i] += size(&row);
        objective += (0.5 * x[i] * inner(&row, x)).abs();
    }
    for (rows, multipliers) in [(part(2), nu), (part(4), lambda)] {
        for (row, multiplier) in rows.chunks_exact(n).zip(multipliers) {
            for j in 0..n {
                gradient[j] += multiplier * row[j];
                terms[j] += (multiplier * row[j]).abs();
            }
        }
    }
    let (mut primal, mut sizes, mut gap) = (0.0f64, 0.0f64, 0.0);
    for (row, b) in part(2).chunks_exact(n).zip(part(3)) {
        primal = primal.max((inner(row, x) - b).abs());
        sizes = sizes.max(size(row)).max(b.abs());
    }
    for (i, row) in part(4).chunks_exact(n).enumerate() {
        let (l, u, value) = (part(5)[i], part(6)[i], inner(row, x));
        primal = primal.max(l - value).max(value - u);
        sizes = sizes.max(size(row));
        gap += match lambda[i] {
            v if v > 0.0 => v * (u - value).abs(),
            v if v < 0.0 => -v * (value - l).abs(),
            _ => 0.0,
        };
    }
    let residuals = [
        primal / (1.0 + sizes),
        largest(&gradient) / (1.0 + largest(&terms)),
        gap / (1.0 + objective),
    ];
    assert!(residuals.iter().all(|v| !v.is_nan()));
    residuals
}

fn hessian(owned: &Owned, i: usize, j: usize) -> f64 {
    let (p, n) = (&owned.parts[0].data, owned.n);
    match owned.p_diagonal {
        true if i == j => p[i],
        true => 0.0,
        false => p[i * n + j],
    }
}

/// Which number of the dense form a row's right-hand side is, and the row's sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Equality(usize),
    /// A row of `G` with equal bounds.
    Fixed(usize),
    Upper(usize),
    /// The row is minus that of `G`, and its right-hand side minus the bound.
    Lower(usize),
}

/// A problem as a sparse cone program.
pub struct Sparsified {
    n: usize,
    p: Columns,
    q: Vec<f64>,
    a: Columns,
    pub b: Vec<f64>,
    cones: [Cone; 2],
    /// Where each row comes from.
    pub sides: Vec<Side>,
}

/// A sparse matrix by columns.
struct Columns {
    rows: usize,
    starts: Vec<usize>,
    indices: Vec<usize>,
    values: Vec<f64>,
}

impl Columns {
    fn new(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let (mut starts, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for column in 0..columns {
            for row in 0..rows {
                let value = entry(row, column);
                if value != 0.0 {
                    indices.push(row);
                    values.push(value);
                }
            }
            starts.push(indices.len());
        }
        Self {
            rows,
            starts,
            indices,
            values,
        }
    }

    fn sparse(&self) -> Sparse<'_> {
        Sparse {
            rows: self.rows,
            columns: self.starts.len() - 1,
            starts: &self.starts,
            indices: &self.indices,
            values: Values::Shared(&self.values),
        }
    }
}

impl Sparsified {
    pub fn new(owned: &Owned) -> Self {
        let n = owned.n;
        let [_, q, a, b, g, l, u, ..] = &owned.parts;
        let (l, u) = (&l.data, &u.data);
        let fixed = |i: &usize| l[*i] == u[*i];
        let mut sides: Vec<Side> = (0..owned.p_rows).map(Side::Equality).collect();
        sides.extend((0..owned.m).filter(fixed).map(Side::Fixed));
        let zero = sides.len();
        for i in (0..owned.m).filter(|i| !fixed(i)) {
            sides.extend(u[i].is_finite().then_some(Side::Upper(i)));
            sides.extend(l[i].is_finite().then_some(Side::Lower(i)));
        }
        let row = |side: Side| match side {
            Side::Equality(i) => (&a.data[i * n..(i + 1) * n], 1.0, b.data[i]),
            Side::Fixed(i) | Side::Upper(i) => (&g.data[i * n..(i + 1) * n], 1.0, u[i]),
            Side::Lower(i) => (&g.data[i * n..(i + 1) * n], -1.0, l[i]),
        };
        let rows: Vec<(&[f64], f64, f64)> = sides.iter().map(|side| row(*side)).collect();
        Self {
            n,
            p: Columns::new(n, n, |i, j| if i <= j { hessian(owned, i, j) } else { 0.0 }),
            q: q.data.clone(),
            a: Columns::new(rows.len(), n, |i, j| rows[i].1 * rows[i].0[j]),
            b: rows.iter().map(|(_, sign, bound)| sign * bound).collect(),
            cones: [Cone::Zero(zero), Cone::Nonnegative(rows.len() - zero)],
            sides,
        }
    }

    pub fn problem(&self) -> ConeProblem<'_> {
        ConeProblem {
            batch: 1,
            n: self.n,
            p: Some(self.p.sparse()),
            q: Values::Shared(&self.q),
            a: self.a.sparse(),
            b: Values::Shared(&self.b),
            cones: &self.cones,
        }
    }

    /// Multipliers of the cone program in the dense form's signs: `ν`, and `λ_u − λ_l`.
    pub fn duals(&self, owned: &Owned, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut nu, mut lambda) = (vec![0.0; owned.p_rows], vec![0.0; owned.m]);
        for (side, z) in self.sides.iter().zip(z) {
            match *side {
                Side::Equality(i) => nu[i] = *z,
                Side::Fixed(i) | Side::Upper(i) => lambda[i] += z,
                Side::Lower(i) => lambda[i] -= z,
            }
        }
        (nu, lambda)
    }
}
