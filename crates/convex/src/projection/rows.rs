use burn::tensor::Tensor;
use feasible_core::{Block, Bounds, Curvature, HostCurvature, host};

use super::gather::Gather;
use crate::parameter::batch_size;
use crate::{Error, RowHessians};

/// The part of the problem that a row goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Equality,
    Affine,
    Quadratic,
}

/// The rows of a set of blocks, sorted by kind; within a kind in their first order.
#[derive(Debug)]
pub(super) struct Rows {
    sorted: [Vec<usize>; 3],
}

impl Rows {
    /// Sorts the rows; refuses quadratic ones with a finite lower bound.
    pub(super) fn sort(
        blocks: &[Block],
        bounds: &Bounds,
        equalities: &[bool],
    ) -> Result<Self, Error> {
        let count = blocks.iter().map(Block::rows).sum();
        if count != bounds.rows() {
            return Err(Error::BlockRows {
                blocks: count,
                bounds: bounds.rows(),
            });
        }
        let mut sorted = [vec![], vec![], vec![]];
        let mut start = 0;
        for block in blocks {
            let curved = curved_rows(block)?;
            for (row, &curved) in curved.iter().enumerate() {
                let kind = match (curved, equalities[start + row]) {
                    (true, _) => Kind::Quadratic,
                    (false, true) => Kind::Equality,
                    (false, false) => Kind::Affine,
                };
                sorted[kind as usize].push(start + row);
            }
            start += block.rows();
        }
        let rows = Self { sorted };
        refuse_lower_bounds(rows.of(Kind::Quadratic), bounds)?;
        Ok(rows)
    }

    /// The rows of a kind, counted over all blocks.
    pub(super) fn of(&self, kind: Kind) -> &[usize] {
        &self.sorted[kind as usize]
    }

    /// The rows of every kind, in the order of [`Kind`].
    pub(super) fn sorted(&self) -> [Vec<usize>; 3] {
        self.sorted.clone()
    }

    /// Where each row of the constraints went when the kinds are put one after the other.
    pub(super) fn original_order(&self) -> Vec<usize> {
        let mut order = vec![0; self.sorted.iter().map(Vec::len).sum()];
        for (position, &row) in self.sorted.iter().flatten().enumerate() {
            order[row] = position;
        }
        order
    }

    /// The rows a_i of a kind, `[1 or batch, rows, n]`; there is at least one.
    pub(super) fn linear(&self, blocks: &[Block], kind: Kind) -> Tensor<3> {
        stack(self.parts(blocks, kind, |block| block.linear().clone()))
    }

    /// The matrices H_i of the quadratic rows: diagonals if every block with such rows has them.
    pub(super) fn hessians(&self, blocks: &[Block]) -> RowHessians {
        let mut curved = self.split(blocks, Kind::Quadratic).into_iter();
        if curved.all(|(block, _)| matches!(block.curvature(), Curvature::Diagonal(_))) {
            let parts = self.parts(blocks, Kind::Quadratic, |block| match block.curvature() {
                Curvature::Diagonal(h) => h.clone(),
                _ => unreachable!("all curvatures are diagonal"),
            });
            return RowHessians::diagonal(stack(parts));
        }
        let parts = self.parts(blocks, Kind::Quadratic, |block| match block.curvature() {
            Curvature::Dense(h) => h.clone(),
            Curvature::Diagonal(h) => {
                let [_, _, n] = h.dims();
                let identity = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 });
                let identity =
                    host::write(identity.collect(), [1, 1, n, n], &h.device(), h.dtype());
                h.clone().unsqueeze_dim::<4>(3) * identity
            }
            Curvature::None => unreachable!("affine blocks have no quadratic rows"),
        });
        RowHessians::dense(stack(parts))
    }

    /// The blocks that have rows of a kind, each with those rows counted inside it.
    fn split<'a>(&self, blocks: &'a [Block], kind: Kind) -> Vec<(&'a Block, Vec<usize>)> {
        let (mut start, mut parts) = (0, vec![]);
        for block in blocks {
            let range = start..start + block.rows();
            let inside = self.of(kind).iter().filter(|row| range.contains(row));
            let inside: Vec<usize> = inside.map(|row| row - start).collect();
            if !inside.is_empty() {
                parts.push((block, inside));
            }
            start = range.end;
        }
        parts
    }

    fn parts<const D: usize>(
        &self,
        blocks: &[Block],
        kind: Kind,
        numbers: impl Fn(&Block) -> Tensor<D>,
    ) -> Vec<Tensor<D>> {
        let split = self.split(blocks, kind).into_iter();
        split
            .map(|(block, inside)| numbers(block).gather_axis(1, &inside))
            .collect()
    }
}

/// For every row of a block whether it counts as quadratic: H_i is not zero, or may become so
/// because a gradient of it is asked for.
fn curved_rows(block: &Block) -> Result<Vec<bool>, Error> {
    let (m, n) = (block.rows(), block.variables());
    let tracked = match block.curvature() {
        Curvature::None => return Ok(vec![false; m]),
        Curvature::Diagonal(h) => h.is_tracked(),
        Curvature::Dense(h) => h.is_tracked(),
    };
    if tracked {
        return Ok(vec![true; m]);
    }
    let host = block.on_host()?;
    let (values, entries) = match &host.curvature {
        HostCurvature::None => return Ok(vec![false; m]),
        HostCurvature::Diagonal(h, _) => (h, n),
        HostCurvature::Dense(h, _) => (h, n * n),
    };
    let mut curved = vec![false; m];
    for (i, matrix) in values.chunks_exact(entries.max(1)).enumerate() {
        curved[i % m] |= matrix.iter().any(|&v| v != 0.0);
    }
    Ok(curved)
}

fn refuse_lower_bounds(quadratic: &[usize], bounds: &Bounds) -> Result<(), Error> {
    if quadratic.is_empty() {
        return Ok(());
    }
    let lower = host::read("lower", &bounds.lower())?;
    for (sample, lower) in lower.chunks_exact(bounds.rows()).enumerate() {
        let bounded = quadratic
            .iter()
            .find(|&&row| lower[row] != f64::NEG_INFINITY);
        if let Some(&row) = bounded {
            return Err(Error::LowerBoundOnQuadratic {
                row,
                sample,
                lower: lower[row],
            });
        }
    }
    Ok(())
}

/// Rows one below the other; a shared part is repeated if another is per sample.
fn stack<const D: usize>(parts: Vec<Tensor<D>>) -> Tensor<D> {
    let leading: Vec<usize> = parts.iter().map(|part| part.dims()[0]).collect();
    let batch = batch_size(&leading);
    let parts = parts.into_iter().map(|part| {
        let mut shape = part.dims();
        if shape[0] == batch {
            return part;
        }
        shape[0] = batch;
        host::expand(part, shape)
    });
    host::cat(parts.collect(), 1)
}
