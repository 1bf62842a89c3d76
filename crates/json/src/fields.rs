//! A JSON object read field by field, with errors that name the field, what it was and what it must
//! be.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What is wrong with a problem.
pub(crate) type Fault = String;

/// An object whose fields are asked for one after the other.
pub(crate) struct Fields<'a> {
    /// What to put before a field's name in messages: `quadratic[1].`.
    prefix: String,
    object: &'a Map<String, Value>,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// Rows of equal length, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) data: Vec<f64>,
}

/// A symmetric matrix as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Symmetric {
    Dense(Vec<f64>),
    Diagonal(Vec<f64>),
}

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value, prefix: &str) -> Result<Self, Fault> {
        let object = value.as_object().ok_or_else(|| {
            let what = prefix.trim_end_matches('.');
            let what = if what.is_empty() { "the problem" } else { what };
            format!("{what} is {} but must be an object", kind(value))
        })?;
        Ok(Self {
            prefix: prefix.to_owned(),
            object,
            asked: RefCell::default(),
        })
    }

    /// The field, unless it is absent or null.
    pub(crate) fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&'a Value, Fault> {
        self.get(name)
            .ok_or_else(|| format!("`{}{name}` is missing", self.prefix))
    }

    /// `name` of this object, for messages.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn vector(&self, name: &'static str) -> Result<Option<Vec<f64>>, Fault> {
        let path = self.path(name);
        self.get(name)
            .map(|value| numbers(value, &path))
            .transpose()
    }

    /// A vector of a known length.
    pub(crate) fn vector_of(
        &self,
        name: &'static str,
        len: usize,
        why: &str,
    ) -> Result<Option<Vec<f64>>, Fault> {
        match self.vector(name)? {
            Some(vector) if vector.len() != len => Err(format!(
                "`{}` has {} numbers but must have {len}, {why}",
                self.path(name),
                vector.len()
            )),
            other => Ok(other),
        }
    }

    /// A matrix with `columns` columns.
    pub(crate) fn matrix(
        &self,
        name: &'static str,
        columns: usize,
    ) -> Result<Option<Matrix>, Fault> {
        let path = self.path(name);
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let rows = value
            .as_array()
            .ok_or_else(|| format!("`{path}` is {} but must be a list of rows", kind(value)))?;
        // Not for all of them: only rows that are there are known to have as many numbers.
        let mut data = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let row = numbers(row, &format!("{path}[{i}]"))?;
            if row.len() != columns {
                return Err(format!(
                    "`{path}[{i}]` has {} numbers but must have {columns}, one a variable",
                    row.len()
                ));
            }
            data.extend(row);
        }
        Ok(Some(Matrix {
            rows: rows.len(),
            columns,
            data,
        }))
    }

    /// A symmetric `n × n` matrix, as rows or as its diagonal.
    pub(crate) fn symmetric(
        &self,
        name: &'static str,
        n: usize,
    ) -> Result<Option<Symmetric>, Fault> {
        let path = self.path(name);
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let of_rows = value
            .as_array()
            .and_then(|list| list.first())
            .is_some_and(Value::is_array);
        if of_rows {
            let matrix = self.matrix(name, n)?;
            let Some(matrix) = matrix.filter(|matrix| matrix.rows == n) else {
                return Err(format!("`{path}` must have {n} rows, one a variable"));
            };
            return Ok(Some(Symmetric::Dense(matrix.data)));
        }
        let why = "the diagonal, or be a list of rows";
        Ok(self.vector_of(name, n, why)?.map(Symmetric::Diagonal))
    }

    /// Refuses fields that nobody asked for.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        let asked = self.asked.borrow();
        match self.object.keys().find(|key| !asked.contains(key.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(format!(
                "`{}{unknown}` is not known here; there can be {}",
                self.prefix,
                asked.iter().copied().collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// A list of numbers, infinities as words.
fn numbers(value: &Value, path: &str) -> Result<Vec<f64>, Fault> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("`{path}` is {} but must be a list of numbers", kind(value)))?;
    let must = match path.rsplit('.').next() {
        Some("l") => "a number or \"-Infinity\"",
        Some("u") => "a number or \"Infinity\"",
        _ => "a number",
    };
    list.iter()
        .enumerate()
        .map(|(i, value)| {
            number(value).ok_or_else(|| format!("`{path}[{i}]` is {value} but must be {must}"))
        })
        .collect()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(word) => match word.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
