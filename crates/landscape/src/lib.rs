//! Planes.
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
pub use file::{About, Landscape};
pub use groups::{Filters, Group};
pub use pca::{Centre, Pca, pca};
pub use picture::{
    HeatMap, HeatMapSettings, LinePlot, PersistenceDiagram, Scaling, Segment, Series, Threshold,
    TreePicture, contour,
};
pub use plane::{InPlane, Plane, PlaneKind};
pub use refine::{RefineSettings, RefineStatus, Refined, refine};
pub use scan::{Progress, Scan, ScanOptions, scan, scan_in_order};
pub use statistics::{TrajectoryStatistics, trajectory_statistics};
pub use surface::{Quantity, Surface};
pub use topology::{Branch, Filtration, MergeTree, Neighbours, merge_tree};
