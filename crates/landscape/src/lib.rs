//! Landscapes of a function of many parameters: planes, scans, topology, comparison of runs, pictures,
//! and the files that keep them. Without Burn: parameters are flat `&[f64]`, a function is a closure.
//!
//! | step | items |
//! |---|---|
//! | a plane or line through parameter space | [`random_direction`] (filter-normalised), [`pca`] of a trajectory, [`Plane::orthonormal`] through eigenvectors, [`Plane::through`] and [`Plane::line`] towards other minimisers |
//! | a trajectory seen from it | [`Plane::project_all`], with each point's distance to the plane |
//! | several quantities over it | [`scan`] on [`Axes`], resumable and in parallel; [`refine`] where it is rough |
//! | its basins | [`merge_tree`], persistence, simplification |
//! | runs beside each other | [`linear_cka`], [`barrier`], [`classical_mds`], [`trajectory_statistics`] |
//! | pictures | [`HeatMap`], [`LinePlot`], [`PersistenceDiagram`], [`TreePicture`]: SVG that stands alone |
//! | files | [`Landscape::write`], [`Landscape::read`]: `.npz` and `.json` |
//!
//! Undefined values are NaN in files, gaps or hatching in pictures, and `None` where a whole result
//! is undefined.
//!
//! # Example
//! ```
//! use feasible_landscape::{
//!     About, Axes, Axis, Group, HeatMap, HeatMapSettings, Plane, PlaneKind, ScanOptions,
//!     WithoutFilters, random_direction, scan,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A layer of 3 inputs and 2 neurons, and a loss of its parameters.
//! let parameters = vec![1.0, -2.0, 0.5, 0.3, 2.0, 1.0, 0.1, -0.1];
//! let groups = [Group::of_shape("weight", &[3, 2]), Group::of_shape("bias", &[2])];
//! let loss = |p: &[f64]| p.iter().map(|v| v * v).sum::<f64>();
//!
//! let u = random_direction(&parameters, &groups, WithoutFilters::Zero, 1)?;
//! let v = random_direction(&parameters, &groups, WithoutFilters::Zero, 2)?;
//! let plane = Plane::new(parameters.clone(), u, v, PlaneKind::Random)?;
//! let axes = Axes::grid(Axis::centred(1.0, 10)?, Axis::centred(1.0, 10)?);
//! let surface = scan(&axes, &["loss"], &ScanOptions::default(), |a, b| {
//!     Ok(vec![loss(&plane.point(a, b))])
//! })?
//! .finish()?;
//! // The centre is the parameters' own loss, bit for bit.
//! let centre = surface.centre().expect("a centred axis has it");
//! assert_eq!(surface.quantities[0].values[centre], loss(&parameters));
//!
//! let picture = HeatMap {
//!     surface: &surface,
//!     quantity: "loss",
//!     about: &About::of(&plane, "Loss", "an example"),
//!     trajectory: &[],
//!     tree: None,
//! };
//! assert!(picture.to_svg(&HeatMapSettings::default())?.starts_with("<svg"));
//! # Ok(()) }
//! ```

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod axis;
mod compare;
mod directions;
mod error;
mod file;
mod groups;
mod journal;
mod linalg;
mod pca;
mod picture;
mod plane;
mod refine;
mod scan;
mod statistics;
mod surface;
mod topology;

pub use axis::{Axes, Axis};
pub use compare::{Barrier, Positions, barrier, classical_mds, linear_cka};
pub use directions::{WithoutFilters, orthonormalise, random_direction};
pub use error::{Error, EvaluationError};
pub use file::{About, Landscape, check_file_name};
pub use groups::{Filters, Group};
pub use pca::{Centre, Pca, pca};
pub use picture::{
    HeatMap, HeatMapSettings, Levels, LinePlot, PersistenceDiagram, Scaling, Segment, Series,
    Threshold, TreePicture, contour,
};
pub use plane::{InPlane, Plane, PlaneKind};
pub use refine::{RefineSettings, RefineStatus, Refined, refine};
pub use scan::{Progress, Scan, ScanOptions, scan, scan_in_order};
pub use statistics::{TrajectoryStatistics, trajectory_statistics};
pub use surface::{Quantity, Surface};
pub use topology::{Branch, Filtration, MergeTree, Neighbours, merge_tree};
