//! Basins of a landscape: merge tree and persistence.

mod merge_tree;

pub use merge_tree::{Branch, Filtration, MergeTree, Neighbours, merge_tree};
