//! From a study file to trained networks, run folders and tables.
//!
//! - [`StudyConfig`]: what a study file says; [`Study`] runs it: problem × method × backbone × seed.
//! - [`train_run`]: one run of any [`feasible_data::Problem`], with its folder and resumption.
//! - [`Trainer`]: one network's training, step by step.
//! - [`Checkpoint`]: a run's state in a safetensors file; a killed study goes on bit for bit.
//! - [`SavedRun`]: a run folder's network, problem and method, made again; its landscapes.
//! - [`Observer`]: follows a study while it runs.
//! - [`Table`]: mean ± standard deviation over seeds, the best marked.
//!
//! ```no_run
//! use feasible_lab::{Format, Options, Silent, Study, Table};
//!
//! let study = Study::from_file("studies/quickstart.toml")?;
//! let report = study.run(&Options::default(), &mut Silent)?;
//! println!("{}", Table::read(&report.folder)?.render(Format::Text { width: 100 }));
//! # Ok::<(), feasible_lab::Error>(())
//! ```

mod batches;
mod checkpoint;
mod config;
mod curves;
mod device;
mod error;
mod evaluate;
mod figures;
mod flow;
mod hessian;
mod landscape;
mod loss;
mod measure;
mod method;
mod moments;
mod observer;
mod optimizer;
mod provenance;
mod random;
mod runner;
mod saved;
mod settings;
mod start;
mod study;
mod table;
mod task;
mod trainer;

pub use checkpoint::{Best, Checkpoint, CheckpointFault, Progress};
pub use config::{
    AdamSettings, BackboneConfig, BackboneKind, DeviceKind, Measure, MethodConfig, MethodKind,
    OptimizerConfig, OptimizerKind, OwnProblem, PenaltyConfig, Precision, ProblemConfig,
    ProblemFamily, RelaxationConfig, RunConfig, RunProblem, SafeguardConfig, StudyConfig,
    TrainingConfig,
};
pub use curves::{Across, CurveFigure, Curves, LastValue};
pub use device::device;
pub use error::Error;
pub use evaluate::{Evaluation, FEASIBILITY_TOLERANCE};
pub use feasible_repair::{
    Completion, Dc3Settings, FsNetSettings, Gradient, LineSearch, PiNetSettings, RaySettings,
    RowPolicy, RowWeights, Schedule, SnareNetSettings, Stopping,
};
pub use figures::{StepDetails, StepFigures};
pub use landscape::{
    BoxChoice, EarlierRows, LANDSCAPE_QUANTITIES, LandscapeOutput, LandscapeReport,
    LandscapeSettings, PlaneChoice,
};
pub use method::{Method, Repaired};
pub use observer::{Beginning, EpochSummary, Event, Observer, Silent};
pub use optimizer::{Optimizer, ParameterState};
pub use runner::{RunReport, train_run};
pub use saved::{SavedRun, SavedState};
pub use study::{Existing, Options, Study, StudyReport};
pub use table::{Cell, Column, Difference, Format, Row, Table, Unfinished};
pub use task::{References, Task};
pub use trainer::{Diverged, Trainer};
