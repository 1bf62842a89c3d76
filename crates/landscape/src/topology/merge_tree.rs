//! The merge tree of a grid's sublevel sets.

use serde::{Deserialize, Serialize};

use crate::error::{Error, length};

/// Which grid points touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Neighbours {
    /// Left, right, below, above.
    Four,
    /// And the diagonals: narrow diagonal valleys stay in one piece. The complement of a set that is
    /// joined through eight neighbours is joined through four.
    #[default]
    Eight,
}

/// Which sets grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filtration {
    /// `{f ≤ t}` for rising `t`: minima and the saddles that join their basins.
    #[default]
    Sublevel,
    /// `{f ≥ t}` for falling `t`: maxima and the saddles that join their hills.
    Superlevel,
}

/// A basin: born at its lowest point, it ends where it meets a deeper one.
///
/// For [`Filtration::Superlevel`] read "highest" for lowest and "higher" for deeper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Grid index of its lowest point, an extremum of the grid.
    pub extremum: usize,
    /// Value there.
    pub birth: f64,
    /// Grid index of the saddle where it meets a deeper basin; none for the deepest of its component.
    pub saddle: Option<usize>,
    /// Value at the saddle; for the deepest basin the last value of its component.
    pub death: f64,
    /// The branch that it meets there, by its index.
    pub parent: Option<usize>,
}

impl Branch {
    /// How far the level must move for the basin to disappear: its depth below its saddle, or below
    /// the component's last value.
    pub fn persistence(&self) -> f64 {
        (self.death - self.birth).abs()
    }

    /// Whether it never meets a deeper basin.
    pub fn is_essential(&self) -> bool {
        self.saddle.is_none()
    }
}

/// The merge tree as branches, each with its parent: the essential ones first, then by falling
/// persistence, ties by the extremum's index. Each branch comes after its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeTree {
    /// Points along a row of the grid.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Which points touch.
    pub neighbours: Neighbours,
    /// Which sets grow.
    pub filtration: Filtration,
    /// The basins.
    pub branches: Vec<Branch>,
}

/// The merge tree of values on a grid, `[height, width]`; a line has height 1.
///
/// Points are added in the order of their values, equal ones in the order of their index, so that
/// plateaus have one extremum and the result is determined (Edelsbrunner & Mücke 1990). When a point
/// joins basins, the one with the deepest extremum goes on and the others end: the elder rule of
/// persistent homology in dimension 0 (Edelsbrunner, Letscher & Zomorodian 2002). NaN points belong
/// to no set; infinite values are values.
///
/// A plateau's join can have persistence 0; [`MergeTree::simplified`] removes those as well.
///
/// # Cost
/// Sorting, then nearly linear: union by size with path halving.
///
/// # Errors
/// [`Error::Shape`] if there are not `width · height` values.
pub fn merge_tree(
    width: usize,
    height: usize,
    values: &[f64],
    neighbours: Neighbours,
    filtration: Filtration,
) -> Result<MergeTree, Error> {
    let expected = width.saturating_mul(height);
    length("values", values.len(), expected, "values, width · height")?;
    let sign = match filtration {
        Filtration::Sublevel => 1.0,
        Filtration::Superlevel => -1.0,
    };
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| !values[i].is_nan()).collect();
    order.sort_by(|&i, &j| {
        // −0 and 0 are equal values.
        let (x, y) = (sign * values[i] + 0.0, sign * values[j] + 0.0);
        x.total_cmp(&y).then(i.cmp(&j))
    });
    let mut rank = vec![usize::MAX; values.len()];
    for (position, &vertex) in order.iter().enumerate() {
        rank[vertex] = position;
    }
    let mut sets = Sets::new(values.len());
    // Branches by the rank order of their extrema; the branch that a set's root stands for.
    let mut branches: Vec<Branch> = Vec::new();
    let mut branch_of = vec![usize::MAX; values.len()];
    let mut last_of = vec![0usize; values.len()];
    for &vertex in &order {
        let mut roots: Vec<usize> = touching(vertex, width, height, neighbours)
            .filter(|&other| rank[other] < rank[vertex])
            .map(|other| sets.root(other))
            .collect();
        roots.sort_unstable();
        roots.dedup();
        // Branches are numbered in the order of birth, so the smallest number is the elder.
        let elder = roots
            .iter()
            .map(|&r| branch_of[r])
            .min()
            .unwrap_or_else(|| {
                branches.push(Branch {
                    extremum: vertex,
                    birth: values[vertex],
                    saddle: None,
                    death: values[vertex],
                    parent: None,
                });
                branches.len() - 1
            });
        for &root in &roots {
            let ending = branch_of[root];
            if ending != elder {
                branches[ending].saddle = Some(vertex);
                branches[ending].death = values[vertex];
                branches[ending].parent = Some(elder);
            }
        }
        let mut root = vertex;
        for other in roots {
            root = sets.join(root, other);
        }
        branch_of[root] = elder;
        last_of[root] = vertex;
    }
    for &vertex in &order {
        let root = sets.root(vertex);
        branches[branch_of[root]].death = values[last_of[root]];
    }
    let mut tree = MergeTree {
        width,
        height,
        neighbours,
        filtration,
        branches,
    };
    tree.sort();
    Ok(tree)
}

impl MergeTree {
    /// Without the branches of persistence at most `threshold`: what is left when basins shallower
    /// than that are filled. A branch's parent is at least as persistent, so no branch loses it.
    #[must_use]
    pub fn simplified(&self, threshold: f64) -> Self {
        let kept: Vec<usize> = (0..self.branches.len())
            .filter(|&i| {
                let branch = &self.branches[i];
                branch.is_essential() || branch.persistence() > threshold
            })
            .collect();
        let mut place = vec![None; self.branches.len()];
        for (new, &old) in kept.iter().enumerate() {
            place[old] = Some(new);
        }
        let branches = kept
            .iter()
            .map(|&old| {
                let branch = self.branches[old];
                Branch {
                    parent: branch.parent.and_then(|p| place[p]),
                    ..branch
                }
            })
            .collect();
        Self {
            branches,
            ..self.clone()
        }
    }

    /// Column and row of a grid index.
    pub fn place(&self, index: usize) -> (usize, usize) {
        let width = self.width.max(1);
        (index % width, index / width)
    }

    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.branches.len()).collect();
        // Branches are in order of birth. A parent is as persistent as its child at least and older.
        order.sort_by(|&i, &j| {
            let (p, q) = (&self.branches[i], &self.branches[j]);
            q.is_essential()
                .cmp(&p.is_essential())
                .then(q.persistence().total_cmp(&p.persistence()))
                .then(i.cmp(&j))
        });
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        self.branches = order
            .iter()
            .map(|&old| {
                let branch = self.branches[old];
                Branch {
                    parent: branch.parent.map(|p| place[p]),
                    ..branch
                }
            })
            .collect();
    }
}

fn touching(
    vertex: usize,
    width: usize,
    height: usize,
    neighbours: Neighbours,
) -> impl Iterator<Item = usize> {
    const STEPS: [(isize, isize); 8] = [
        (-1, 0),
        (1, 0),
        (0, -1),
        (0, 1),
        (-1, -1),
        (1, -1),
        (-1, 1),
        (1, 1),
    ];
    let count = match neighbours {
        Neighbours::Four => 4,
        Neighbours::Eight => 8,
    };
    let (x, y) = (vertex % width, vertex / width);
    STEPS.into_iter().take(count).filter_map(move |(dx, dy)| {
        let x = x.checked_add_signed(dx).filter(|x| *x < width)?;
        let y = y.checked_add_signed(dy).filter(|y| *y < height)?;
        Some(y * width + x)
    })
}

/// Disjoint sets.
struct Sets {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl Sets {
    fn new(n: usize) -> Self {
        Self {
            parent: (0..n).collect(),
            size: vec![1; n],
        }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    /// Joins two different sets by their roots; returns the root of the union.
    fn join(&mut self, a: usize, b: usize) -> usize {
        let (small, large) = if self.size[a] < self.size[b] {
            (a, b)
        } else {
            (b, a)
        };
        self.parent[small] = large;
        self.size[large] += self.size[small];
        large
    }
}
