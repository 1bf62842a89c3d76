//! Pictures as SVG, readable without anything else.
//!
//! Drawn by this crate itself: its pictures are a few shapes, and need what plotting libraries for
//! SVG lack, hatching for undefined values and names for screen readers. Every picture has a title,
//! a source line and a description; colours are told apart by the colour-blind, and lines by their
//! dashes too; what is undefined is hatched or left out, and the legend says so.

mod contour;
mod frame;
mod heat_map;
mod line_plot;
mod palette;
mod persistence;
mod scale;
mod svg;
mod tree;

pub use contour::{Segment, contour};
pub use heat_map::{HeatMap, HeatMapSettings, Levels};
pub use line_plot::{LinePlot, Series, Threshold};
pub use persistence::PersistenceDiagram;
pub use scale::Scaling;
pub use tree::TreePicture;
