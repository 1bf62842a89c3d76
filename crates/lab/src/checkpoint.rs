//! What a stopped run needs to go on exactly where it was, in one safetensors file.
//!
//! Tensors `model.<path>` are the network's parameters and batch normalisation statistics,
//! `optimizer.<path>.<k>` the optimiser's moments; the metadata entry `feasible` is a JSON document
//! with the rest ([`Progress`]). Random numbers need no place here: they are derived from the seed
//! and the epoch.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use feasible_repair::AdaptiveRelaxation;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use thiserror::Error as ThisError;

use crate::optimizer::ParameterState;
use crate::{Error, Optimizer};

/// Changes when an older reader would misread a checkpoint.
const FORMAT: u32 = 1;
const ENTRY: &str = "feasible";

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whole epochs done.
    pub epochs: usize,
    /// Optimiser steps done.
    pub steps: u64,
    /// Seconds of training so far.
    pub wall_seconds: f64,
    /// Where adaptive relaxation stands, if the method has it and it has begun.
    pub relaxation: Option<AdaptiveRelaxation>,
    /// The best checkpoint so far.
    pub best: Option<Best>,
}

/// The checkpoint with the lowest finite validation loss, of those whose epoch was validated with
/// the whole method on the true box: no soft epoch, and ε = 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its mean validation loss, penalty included.
    pub loss: f64,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// It was torn or altered after it was written.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// Another program, or another version of this one, wrote it.
    #[error("{0}")]
    Foreign(String),
    /// It does not fit the network, or the network's numbers have no place in it.
    #[error("{0}")]
    Mismatch(String),
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    progress: Progress,
    optimizer_steps: BTreeMap<String, usize>,
}

/// A checkpoint in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// How far the run had come.
    pub progress: Progress,
    parameters: BTreeMap<String, TensorData>,
    optimizer: BTreeMap<String, ParameterState>,
}

impl Checkpoint {
    /// Takes a run's state. The module must be in training mode.
    pub fn of<M: Module>(module: &M, optimizer: &Optimizer, progress: Progress) -> Self {
        // Batch normalisation keeps its last update apart until somebody asks for the statistics;
        // a validation snapshot asks, for the module too, as they share them.
        let _ = module.valid();
        let mut collect = Collect::default();
        module.visit(&mut collect);
        Self {
            progress,
            parameters: collect.parameters,
            optimizer: optimizer.save(),
        }
    }

    /// The module with this checkpoint's parameters and statistics.
    ///
    /// # Errors
    /// [`CheckpointFault::Mismatch`] if the module's parameters are not those of the checkpoint.
    pub fn load_module<M: Module>(&self, module: M) -> Result<M, CheckpointFault> {
        let mut load = Load {
            checkpoint: self,
            path: Vec::new(),
            loaded: 0,
            problem: None,
        };
        let module = module.map(&mut load);
        match load.problem {
            Some(problem) => Err(CheckpointFault::Mismatch(problem)),
            None if load.loaded != self.parameters.len() => {
                Err(CheckpointFault::Mismatch(format!(
                    "has {} parameters, the network {}",
                    self.parameters.len(),
                    load.loaded
                )))
            }
            None => Ok(module),
        }
    }

    /// The optimiser's memory.
    pub fn optimizer(&self) -> BTreeMap<String, ParameterState> {
        self.optimizer.clone()
    }

    /// The content of the file.
    ///
    /// # Errors
    /// [`CheckpointFault::Mismatch`] if a number type has no place in the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointFault> {
        let unwritable = |error: &dyn std::fmt::Display| {
            CheckpointFault::Mismatch(format!("cannot be written: {error}"))
        };
        let mut tensors: Vec<(String, Stored<'_>)> = Vec::new();
        for (path, data) in &self.parameters {
            tensors.push((format!("model.{path}"), Stored::new(data)?));
        }
        for (path, state) in &self.optimizer {
            for (index, moment) in state.moments.iter().enumerate() {
                tensors.push((format!("optimizer.{path}.{index}"), Stored::new(moment)?));
            }
        }
        let document = Document {
            format: FORMAT,
            progress: self.progress.clone(),
            optimizer_steps: self
                .optimizer
                .iter()
                .map(|(path, state)| (path.clone(), state.steps))
                .collect(),
        };
        let document = serde_json::to_string(&document).map_err(|error| unwritable(&error))?;
        let metadata = HashMap::from([(ENTRY.to_owned(), document)]);
        safetensors::serialize(tensors, Some(metadata)).map_err(|error| unwritable(&error))
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Checkpoint`] if it is damaged or of another format.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::from_bytes(&bytes).map_err(|fault| Error::Checkpoint {
            path: path.to_path_buf(),
            fault,
        })
    }

    /// Reads the content of a checkpoint file.
    ///
    /// # Errors
    /// [`CheckpointFault::Damaged`] or [`CheckpointFault::Foreign`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointFault> {
        let damaged = |error: &dyn std::fmt::Display| CheckpointFault::Damaged(error.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let document = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(ENTRY));
        let document = document.ok_or_else(|| {
            CheckpointFault::Foreign(format!(
                "has no `{ENTRY}` metadata; it is not a checkpoint of this program"
            ))
        })?;
        let value: serde_json::Value = serde_json::from_str(document).map_err(|e| damaged(&e))?;
        if value["format"] != FORMAT {
            return Err(CheckpointFault::Foreign(format!(
                "has format {}, this program reads format {FORMAT}; use the program version that wrote it",
                value["format"]
            )));
        }
        let document: Document = serde_json::from_value(value).map_err(|e| damaged(&e))?;

        let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let mut parameters = BTreeMap::new();
        let mut moments: BTreeMap<String, BTreeMap<usize, TensorData>> = BTreeMap::new();
        for (name, view) in tensors.iter() {
            let data = restore(&view)?;
            if let Some(path) = name.strip_prefix("model.") {
                parameters.insert(path.to_owned(), data);
            } else if let Some((path, index)) = name
                .strip_prefix("optimizer.")
                .and_then(|name| name.rsplit_once('.'))
            {
                let index = index.parse().map_err(|e| damaged(&e))?;
                moments
                    .entry(path.to_owned())
                    .or_default()
                    .insert(index, data);
            } else {
                return Err(CheckpointFault::Foreign(format!(
                    "has an unknown tensor {name:?}"
                )));
            }
        }
        let mut optimizer = BTreeMap::new();
        for (path, steps) in document.optimizer_steps {
            let moments = moments
                .remove(&path)
                .unwrap_or_default()
                .into_values()
                .collect();
            optimizer.insert(path, ParameterState { steps, moments });
        }
        Ok(Self {
            progress: document.progress,
            parameters,
            optimizer,
        })
    }
}

/// A tensor's bytes as the format wants them: little-endian, which is what every platform that Burn
/// supports has in memory.
struct Stored<'a> {
    data: &'a TensorData,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl<'a> Stored<'a> {
    fn new(data: &'a TensorData) -> Result<Self, CheckpointFault> {
        let dtype = match data.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            other => {
                return Err(CheckpointFault::Mismatch(format!(
                    "cannot hold numbers of type {other:?}"
                )));
            }
        };
        Ok(Self {
            data,
            dtype,
            shape: data.shape().to_vec(),
        })
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

fn restore(view: &safetensors::tensor::TensorView<'_>) -> Result<TensorData, CheckpointFault> {
    let shape = view.shape().to_vec();
    match view.dtype() {
        Dtype::F64 => Ok(TensorData::new(
            numbers(view.data(), f64::from_le_bytes),
            shape,
        )),
        Dtype::F32 => Ok(TensorData::new(
            numbers(view.data(), f32::from_le_bytes),
            shape,
        )),
        other => Err(CheckpointFault::Foreign(format!(
            "has numbers of type {other:?}, which no run writes"
        ))),
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .chunks_exact(N)
        .map(|chunk| number(chunk.try_into().expect("chunks have N bytes")))
        .collect()
}

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    parameters: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.parameters.insert(
            self.path.join("."),
            param.transform_for_save().val().into_data(),
        );
    }
}

struct Load<'a> {
    checkpoint: &'a Checkpoint,
    path: Vec<String>,
    loaded: usize,
    problem: Option<String>,
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let expected = param.lazy_shape();
        match self.checkpoint.parameters.get(&path) {
            Some(data) if *data.shape() == expected => {
                self.loaded += 1;
                let device = param.lazy_device();
                let tensor = Tensor::from_data(data.clone(), (&device, data.dtype()));
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            found => {
                let found = found.map_or("nothing".to_owned(), |data| {
                    format!("shape {:?}", data.shape())
                });
                self.problem.get_or_insert(format!(
                    "has {found} for parameter {path}, the network needs shape {expected:?}"
                ));
                param
            }
        }
    }
}
