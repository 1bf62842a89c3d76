//! What both methods see from the interior point.

use std::sync::Arc;

use burn::tensor::Tensor;
use faer::MatRef;
use feasible_core::{Block, Bounds, Constraints, Curvature, HostBlock, HostCurvature, host};
use feasible_solver::{check_semidefinite, check_semidefinite_diagonal};

use super::RaySettings;
use super::cones::RayCone;
use super::gauge::gauges;
use super::interior::{Interior, Sides, interior};
use crate::Error;
use crate::hardnet::stack_linear;
use crate::linear::{Remembered, inverses, rank, shortest};

/// A set, and a point inside it for every sample.
#[derive(Debug)]
pub(super) struct View<'a> {
    blocks: Vec<Block>,
    bounds: &'a Bounds,
    cones: &'a [RayCone],
    /// The interior points, `[1 or batch, n]`.
    pub(super) z0: Tensor<2>,
    points: Vec<f64>,
    /// Equality rows, `[1 or batch, e, n]`.
    equalities: Option<Tensor<3>>,
    /// Whether a sample's point is inside; one entry where the batch shares it.
    inside: Vec<bool>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        method: &'static str,
        settings: &RaySettings,
        cones: &'a [RayCone],
        constraints: &dyn Constraints,
        bounds: &'a Bounds,
        like: &Tensor<2>,
        kept: &Kept,
    ) -> Result<Self, Error> {
        let n = constraints.variables();
        let blocks = convex_blocks(method, constraints, bounds)?;
        if settings.interior.is_some() {
            // Else the program that finds one refuses them.
            kept.convex
                .get(&on_host(&blocks)?, || check_convex(method, &blocks))?;
        }
        for cone in cones {
            cone.check(n)?;
        }
        let equalities = equality_rows(&blocks, bounds.equalities());
        let found = match &settings.interior {
            Some(point) if point.len() == n => Arc::new(Interior {
                points: point.clone(),
                margins: vec![f64::INFINITY],
            }),
            Some(point) => {
                let got = [point.len()];
                return Err(feasible_core::Error::shape("interior", &got, format!("[{n}]")).into());
            }
            None => find(&blocks, bounds, equalities.as_ref(), n, &kept.found)?,
        };
        let copies = found.margins.len();
        let points = found.points.clone();
        let z0: Tensor<2> = host::write(points.clone(), [copies, n], &like.device(), like.dtype());
        let margins = found.margins.iter().zip(points.chunks_exact(n.max(1)));
        let inside = margins.map(|(margin, point)| {
            *margin >= settings.least_margin
                && cones
                    .iter()
                    .all(|cone| cone.margin(point) >= settings.least_margin)
        });
        let mut view = Self {
            blocks,
            bounds,
            cones,
            z0,
            inside: inside.collect(),
            points,
            equalities,
        };
        if settings.interior.is_some() {
            view.check_given(constraints, like.dims()[0])?;
        }
        Ok(view)
    }

    /// A given point must be inside every sample's rows, strictly.
    fn check_given(&mut self, constraints: &dyn Constraints, batch: usize) -> Result<(), Error> {
        let m = constraints.rows();
        let n = constraints.variables();
        let at = constraints.values(host::expand(self.z0.clone(), [batch, n]));
        let at = host::expand(at, [batch, m]);
        let above = host::read("upper", &(self.bounds.upper() - at.clone()))?;
        let below = host::read("lower", &(at - self.bounds.lower()))?;
        let shared = self.inside[0];
        self.inside = (0..batch)
            .map(|sample| {
                shared
                    && (0..m).all(|row| {
                        let place = sample * m + row;
                        match self.bounds.equalities()[row] {
                            // Rounding of the caller's arithmetic in f32.
                            true => (above[place] - below[place]).abs() <= 1e-5,
                            false => above[place] > 0.0 && below[place] > 0.0,
                        }
                    })
            })
            .collect();
        Ok(())
    }

    /// Whether a sample has an interior point.
    pub(super) fn inside(&self, sample: usize) -> bool {
        self.inside[sample.min(self.inside.len() - 1)]
    }

    /// The part of v that keeps the equalities, `[batch, n]`.
    pub(super) fn tangent(&self, v: Tensor<2>) -> Result<Tensor<2>, Error> {
        let Some(a) = &self.equalities else {
            return Ok(v);
        };
        let ([_, e, n], batch) = (a.dims(), v.dims()[0]);
        let inverses = Arc::new(inverses(&host::read_finite("a", a)?, e, n));
        let off = a
            .clone()
            .matmul(v.clone().unsqueeze_dim::<3>(2))
            .reshape([batch, e]);
        Ok(v - shortest(a.clone(), inverses, off)?.delta)
    }

    /// Orthonormal columns that span the directions which keep the equalities, `[n, n − rank]`; `None`
    /// where those are all directions.
    pub(super) fn basis(&self, method: &'static str) -> Result<Option<Tensor<2>>, Error> {
        let Some(a) = &self.equalities else {
            return Ok(None);
        };
        let [copies, e, n] = a.dims();
        if copies != 1 {
            return Err(Error::Rows {
                method,
                needs: "equality rows that the batch shares",
                row: 0,
                found: "given for each sample",
            });
        }
        let numbers = host::read_finite("a", a)?;
        let qr = MatRef::from_row_major_slice(&numbers, e, n)
            .transpose()
            .col_piv_qr();
        let (rank, q) = (rank(&qr), qr.compute_Q());
        let width = n - rank;
        let free = (0..n).flat_map(|i| (rank..n).map(move |j| (i, j)));
        let free = free.map(|place| q[place]).collect();
        let (device, dtype) = (self.z0.device(), self.z0.dtype());
        Ok(Some(host::write(free, [n, width], &device, dtype)))
    }

    /// The gauge of the set at `d`, `[batch, 1]`.
    pub(super) fn gauge(&self, d: &Tensor<2>) -> Result<Tensor<2>, Error> {
        let batch = d.dims()[0];
        let mut parts = vec![];
        if let Some(rows) = gauges(&self.blocks, self.bounds, &self.z0, d)? {
            parts.push(rows);
        }
        for cone in self.cones {
            let n = d.dims()[1];
            parts.push(cone.gauge(&self.points[..n], d)?);
        }
        match parts.is_empty() {
            true => Ok(Tensor::zeros([batch, 1], (&d.device(), d.dtype()))),
            false => Ok(Tensor::cat(parts, 1).max_dim(1)),
        }
    }
}

/// What is known of rows that were seen before.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    found: Remembered<Found>,
    convex: Remembered<()>,
}

/// A found point with the box it is inside of.
#[derive(Debug)]
struct Found {
    lower: Vec<f64>,
    upper: Vec<f64>,
    interior: Arc<Interior>,
}

/// A point inside every sample's rows; where the batch shares them, found once.
fn find(
    blocks: &[Block],
    bounds: &Bounds,
    equalities: Option<&Tensor<3>>,
    n: usize,
    kept: &Remembered<Found>,
) -> Result<Arc<Interior>, Error> {
    let leading = |block: &Block| {
        let curvature = match block.curvature() {
            Curvature::None => 1,
            Curvature::Diagonal(h) => h.dims()[0],
            Curvature::Dense(h) => h.dims()[0],
        };
        block.linear().dims()[0].max(curvature)
    };
    let copies = blocks
        .iter()
        .map(leading)
        .max()
        .unwrap_or(1)
        .max(bounds.batch());
    let on_host = on_host(blocks)?;
    let side = |tensor: Tensor<2>| {
        let m = tensor.dims()[1];
        host::read("bounds", &host::expand(tensor, [copies, m]))
    };
    let (lower, upper) = (side(bounds.lower())?, side(bounds.upper())?);
    let sides = Sides {
        lower: &lower,
        upper: &upper,
        equal: bounds.equalities(),
    };
    if copies > 1 {
        return Ok(Arc::new(deepest(&on_host, &sides, copies, equalities, n)?));
    }
    let make = || -> Result<Found, Error> {
        Ok(Found {
            lower: lower.clone(),
            upper: upper.clone(),
            interior: Arc::new(deepest(&on_host, &sides, 1, equalities, n)?),
        })
    };
    let found = kept.get(&on_host, make)?;
    // The same blocks may have another box.
    match found.lower == lower && found.upper == upper {
        true => Ok(found.interior.clone()),
        false => Ok(make()?.interior),
    }
}

/// The deepest points, moved onto the equalities to rounding.
fn deepest(
    blocks: &[Arc<HostBlock>],
    sides: &Sides<'_>,
    copies: usize,
    equalities: Option<&Tensor<3>>,
    n: usize,
) -> Result<Interior, Error> {
    let mut found = interior(blocks, sides, copies, n)?;
    if let Some(a) = equalities {
        let [shared, e, _] = a.dims();
        let numbers = host::read_finite("a", a)?;
        let inverses = inverses(&numbers, e, n);
        let m = sides.equal.len();
        let rows: Vec<usize> = (0..m).filter(|&i| sides.equal[i]).collect();
        for (sample, point) in found.points.chunks_exact_mut(n).enumerate() {
            let matrix = &numbers[if shared == 1 { 0 } else { sample * e * n }..][..e * n];
            let short: Vec<f64> = rows
                .iter()
                .enumerate()
                .map(|(i, &row)| {
                    let at = sample * m + row;
                    let along = matrix[i * n..][..n].iter().zip(&*point);
                    let value: f64 = along.map(|(a, z)| a * z).sum();
                    0.5 * sides.lower[at] + 0.5 * sides.upper[at] - value
                })
                .collect();
            for (i, short) in short.iter().enumerate() {
                for (z, a) in point.iter_mut().zip(inverses.of(sample).col(i).iter()) {
                    *z += a * short;
                }
            }
        }
    }
    Ok(found)
}

const KINDS: &str = "affine rows or convex quadratic ones without a lower bound";

fn on_host(blocks: &[Block]) -> Result<Vec<Arc<HostBlock>>, Error> {
    Ok(blocks
        .iter()
        .map(Block::on_host)
        .collect::<Result<_, _>>()?)
}

/// Quadratic rows must be convex.
fn check_convex(method: &'static str, blocks: &[Block]) -> Result<(), Error> {
    let mut first = 0;
    for (block, tensors) in on_host(blocks)?.iter().zip(blocks) {
        let n = block.variables;
        let rounding = host::rounding(tensors.linear().dtype());
        let failed = match &block.curvature {
            HostCurvature::None => None,
            HostCurvature::Diagonal(h, _) => h
                .chunks_exact(n.max(1))
                .position(|h| check_semidefinite_diagonal(h, rounding).is_err()),
            HostCurvature::Dense(h, _) => h
                .chunks_exact((n * n).max(1))
                .position(|h| check_semidefinite(h, n, rounding).is_err()),
        };
        if let Some(at) = failed {
            return Err(Error::Rows {
                method,
                needs: KINDS,
                row: first + at % block.rows,
                found: "quadratic and not convex",
            });
        }
        first += block.rows;
    }
    Ok(())
}

fn equality_rows(blocks: &[Block], equal: &[bool]) -> Option<Tensor<3>> {
    let rows: Vec<usize> = (0..equal.len()).filter(|&row| equal[row]).collect();
    if rows.is_empty() {
        return None;
    }
    let all = stack_linear(blocks);
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let data = burn::tensor::TensorData::new(indices, [rows.len()]);
    let device = all.device();
    Some(all.select(1, Tensor::from_data(data, &device)))
}

/// The rows as blocks; equalities affine, quadratic rows without a lower bound.
fn convex_blocks(
    method: &'static str,
    constraints: &dyn Constraints,
    bounds: &Bounds,
) -> Result<Vec<Block>, Error> {
    let refuse = |row, found| Error::Rows {
        method,
        needs: KINDS,
        row,
        found,
    };
    let blocks = constraints
        .blocks()
        .ok_or_else(|| refuse(0, "a general function"))?;
    let lower = host::read("lower", &bounds.lower())?;
    let m = bounds.rows();
    let mut first = 0;
    for block in &blocks {
        let rows = first..first + block.rows();
        if !matches!(block.curvature(), Curvature::None) {
            let bounded = |row: &usize| {
                let mut column = lower.iter().skip(*row).step_by(m);
                column.any(|l| *l != f64::NEG_INFINITY)
            };
            if let Some(row) = rows.clone().find(bounded) {
                return Err(refuse(row, "quadratic with a lower bound"));
            }
        }
        first = rows.end;
    }
    Ok(blocks)
}
