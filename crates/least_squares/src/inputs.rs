//! The numbers of a batch: starts and auxiliaries, shared or per sample.

use crate::error::Error;
use crate::objective::{AuxiliaryId, Objective, VariableId};

/// Where numbers live: one copy for the batch, or one per sample.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// One copy that every sample uses: `[len]`.
    Shared(&'a [f64]),
    /// One copy per sample, sample after sample: `[batch, len]`.
    PerSample(&'a [f64]),
}

impl<'a> Values<'a> {
    fn data(&self) -> &'a [f64] {
        match self {
            Self::Shared(data) | Self::PerSample(data) => data,
        }
    }

    pub(crate) fn sample(&self, i: usize, len: usize) -> &'a [f64] {
        match self {
            Self::Shared(data) => data,
            Self::PerSample(data) => &data[i * len..(i + 1) * len],
        }
    }

    fn validate(&self, name: &str, batch: usize, len: usize) -> Result<(), Error> {
        let (expected, layout) = match self {
            Self::Shared(_) => (len, "[len]"),
            Self::PerSample(_) => (batch.saturating_mul(len), "[batch, len]"),
        };
        let data = self.data();
        if data.len() != expected {
            return Err(Error::Shape {
                argument: name.to_owned(),
                got: data.len(),
                expected,
                layout,
            });
        }
        match data.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::NotFinite {
                argument: name.to_owned(),
                sample: self.owner(at, len),
                entry: at % len,
                value: data[at],
            }),
        }
    }

    fn owner(&self, at: usize, len: usize) -> Option<usize> {
        match self {
            Self::Shared(_) => None,
            Self::PerSample(_) => Some(at / len),
        }
    }
}

/// The numbers that a batch of problems of one objective starts from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    owner: u32,
    batch: usize,
    starts: Vec<Option<Values<'a>>>,
    auxiliaries: Vec<Option<Values<'a>>>,
}

impl<'a> Inputs<'a> {
    /// Inputs for `batch` problems, without numbers yet. An empty batch is solved at once.
    pub fn new(objective: &Objective, batch: usize) -> Self {
        Self {
            owner: objective.owner,
            batch,
            starts: vec![None; objective.variables.len()],
            auxiliaries: vec![None; objective.auxiliaries.len()],
        }
    }

    /// Where a variable starts.
    ///
    /// # Panics
    /// When the handle is another objective's.
    #[must_use]
    pub fn start(mut self, id: VariableId, values: Values<'a>) -> Self {
        assert_eq!(id.owner, self.owner, "a handle of another objective");
        self.starts[id.index] = Some(values);
        self
    }

    /// The numbers of an auxiliary.
    ///
    /// # Panics
    /// When the handle is another objective's.
    #[must_use]
    pub fn auxiliary(mut self, id: AuxiliaryId, values: Values<'a>) -> Self {
        assert_eq!(id.owner, self.owner, "a handle of another objective");
        self.auxiliaries[id.index] = Some(values);
        self
    }

    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Checks everything and lays the starts out sample by sample, `[batch, storage]`; starts outside of
    /// bounds are moved to them.
    pub(crate) fn validated(&self, objective: &Objective) -> Result<Checked<'a>, Error> {
        if self.owner != objective.owner {
            return Err(Error::ForeignHandle {
                kind: "inputs'",
                index: 0,
            });
        }
        let mut starts = Vec::with_capacity(self.starts.len());
        for (variable, values) in objective.variables.iter().zip(&self.starts) {
            let values = values.ok_or_else(|| Error::Missing {
                kind: "variable",
                name: variable.name.clone(),
                method: "start",
            })?;
            values.validate(&variable.name, self.batch, variable.manifold.storage())?;
            starts.push((variable, values));
        }
        // Numbers that the batch shares say nothing of how large it may be.
        let mut x = Vec::new();
        let size = self.batch.checked_mul(objective.storage);
        if size.is_none_or(|size| x.try_reserve_exact(size).is_err()) {
            return Err(Error::Setting {
                setting: "batch",
                value: self.batch.to_string(),
                must: "a number of samples that fits in memory",
            });
        }
        x.resize(self.batch * objective.storage, 0.0);
        let mut outside = Vec::new();
        for (variable, values) in starts {
            let len = variable.manifold.storage();
            for sample in 0..self.batch {
                let start = values.sample(sample, len);
                let first = sample * objective.storage + variable.place;
                let out = &mut x[first..first + len];
                out.copy_from_slice(start);
                if let Some(bounds) = variable.manifold.bounds() {
                    for (i, out) in out.iter_mut().enumerate() {
                        let inside = out.clamp(bounds.lower[i], bounds.upper[i]);
                        if inside != *out {
                            outside.push(first + i);
                        }
                        *out = inside;
                    }
                }
                variable
                    .manifold
                    .normalise(out)
                    .map_err(|reason| Error::NotOnManifold {
                        argument: variable.name.clone(),
                        sample: values.owner(sample * len, len),
                        reason,
                    })?;
            }
        }
        let mut auxiliaries = Vec::with_capacity(self.auxiliaries.len());
        for (auxiliary, values) in objective.auxiliaries.iter().zip(&self.auxiliaries) {
            let values = values.ok_or_else(|| Error::Missing {
                kind: "auxiliary",
                name: auxiliary.name.clone(),
                method: "auxiliary",
            })?;
            values.validate(&auxiliary.name, self.batch, auxiliary.len)?;
            auxiliaries.push((values, auxiliary.len));
        }
        Ok(Checked {
            x,
            outside,
            auxiliaries,
        })
    }
}

/// Inputs that fit their objective.
pub(crate) struct Checked<'a> {
    /// `[batch, storage]`.
    pub(crate) x: Vec<f64>,
    /// Which of them were outside of their bounds.
    pub(crate) outside: Vec<usize>,
    auxiliaries: Vec<(Values<'a>, usize)>,
}

impl<'a> Checked<'a> {
    /// Every auxiliary's numbers for one sample.
    pub(crate) fn auxiliaries(&self, sample: usize) -> Vec<&'a [f64]> {
        self.auxiliaries
            .iter()
            .map(|(values, len)| values.sample(sample, *len))
            .collect()
    }
}
