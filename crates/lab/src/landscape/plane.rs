//! Planes of a run.

use std::path::PathBuf;

use burn::tensor::{DType, Tensor};
use feasible_dynamics::{
    Layout, SharpnessTracker, evaluating, hessian_plane, random_plane, trajectory_plane,
};
use feasible_landscape::{Axes, Axis, Centre, InPlane, Plane, WithoutFilters};
use feasible_nn::Mlp;
use feasible_spectrum::Eigenpairs;

use super::axes::{covering, unit};
use super::{Found, LATTICE, LandscapeSettings, PlaneChoice};
use crate::checkpoint::CheckpointFault;
use crate::hessian::{for_a_figure, loss_hessian};
use crate::loss::Loss;
use crate::saved::{self, SavedState};
use crate::{Error, SavedRun};

/// The plane that the settings want. `loss` has automatic differentiation.
pub(super) fn find(
    run: &SavedRun,
    state: &SavedState,
    loss: &Loss<'_>,
    settings: &LandscapeSettings,
    samples: usize,
) -> Result<Found, Error> {
    let network = &state.network;
    match &settings.plane {
        PlaneChoice::Random => {
            let layout = Layout::of(network)?;
            let plane = random_plane(network, &layout, WithoutFilters::Zero, settings.seed)?;
            centred(
                layout,
                plane,
                settings.extent.unwrap_or(1.0),
                settings,
                vec![],
            )
        }
        PlaneChoice::Hessian => {
            let layout = Layout::of(network)?;
            let x = run.task().part_inputs(settings.part, samples);
            let found = hessian_directions(network, &layout, loss, &x)?;
            let plane = hessian_plane(network, &layout, &found)?;
            let norm = plane.origin().iter().map(|v| v * v).sum::<f64>().sqrt();
            let extent = settings.extent.unwrap_or(0.2 * norm);
            let (points, steps) = trajectory(run, &layout, network, state)?;
            let seen = if steps.len() > 2 {
                plane.project_all(&points)?
            } else {
                vec![]
            };
            centred(layout, plane, extent, settings, seen)
        }
        PlaneChoice::Pca => pca(run, state, settings),
        PlaneChoice::Between(others) => between(run, state, settings, others),
    }
}

/// Both axes from −extent to extent, the checkpoint in the middle.
fn centred(
    layout: Layout,
    plane: Plane,
    extent: f64,
    settings: &LandscapeSettings,
    trajectory: Vec<InPlane>,
) -> Result<Found, Error> {
    let axis = || Axis::centred(extent, settings.points / 2);
    Ok(Found {
        checksum: plane_checksum(&plane),
        axes: Axes::grid(axis()?, axis()?),
        ranges: [(-extent, extent); 2],
        layout,
        plane,
        trajectory,
    })
}

/// The two top eigenvectors of the loss at the samples `x`, which have automatic differentiation.
fn hessian_directions(
    network: &Mlp,
    layout: &Layout,
    loss: &Loss<'_>,
    x: &Tensor<2>,
) -> Result<Eigenpairs, Error> {
    if loss.dtype != DType::F64 {
        return Err(Error::value(
            "plane",
            "hessian of an f32 run",
            "of an f64 run: it comes from differences of gradients",
        ));
    }
    let mut hessian = loss_hessian(&evaluating(network), layout, loss, x)?;
    let (_, found) = SharpnessTracker::new(2, for_a_figure(1e-3, 400))?.eigenpairs(&mut hessian)?;
    Ok(found)
}

/// The parameters at every checkpoint up to the state's, and their steps.
fn trajectory(
    run: &SavedRun,
    layout: &Layout,
    network: &Mlp,
    state: &SavedState,
) -> Result<(Vec<Vec<f64>>, Vec<u64>), Error> {
    let mut points = Vec::new();
    let mut steps = run.steps()?;
    steps.retain(|step| *step <= state.progress.steps);
    for step in &steps {
        points.push(if *step == state.progress.steps {
            layout.flatten(network)?
        } else {
            let earlier = run.state(Some(*step))?.network;
            // Another network's parameters have other identifiers and the same order.
            Layout::of(&earlier)?.flatten(&earlier)?
        });
    }
    Ok((points, steps))
}

fn pca(run: &SavedRun, state: &SavedState, settings: &LandscapeSettings) -> Result<Found, Error> {
    let layout = Layout::of(&state.network)?;
    let (points, steps) = trajectory(run, &layout, &state.network, state)?;
    if steps.len() < 3 {
        let expected = format!(
            "of a run with at least three checkpoints up to this step; it has {}. Train with `keep_every` set, which keeps them",
            steps.len()
        );
        return Err(Error::value("plane", "pca", expected));
    }
    let found = trajectory_plane(&points, Centre::Mean, settings.seed)?;
    let beyond = settings.extent.unwrap_or(0.2);
    // 0 must be a point of the finest cells, wherever it lies between the ends.
    let count = match settings.refine {
        Some(_) => LATTICE,
        None => settings.points,
    };
    let axis = |of: fn(&InPlane) -> f64| {
        let ends = found.points.iter().map(of);
        let low = ends.clone().fold(0.0, f64::min);
        let high = ends.fold(0.0, f64::max);
        let margin = beyond * (high - low);
        covering(low - margin, high + margin, count)
    };
    // A straight trajectory has no width: its second axis is as wide as the first.
    let (a, b) = (axis(|p| p.a)?, axis(|p| p.b)?);
    let width = |axis: &Axis| {
        let (low, high) = ends(axis);
        high - low
    };
    let b = if width(&b) > 1e-6 * width(&a) {
        b
    } else {
        covering(-0.5 * width(&a), 0.5 * width(&a), count)?
    };
    Ok(Found {
        layout,
        ranges: [ends(&a), ends(&b)],
        axes: Axes::grid(a, b),
        plane: found.plane,
        trajectory: found.points,
        checksum: checksum(&points.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    })
}

fn between(
    run: &SavedRun,
    state: &SavedState,
    settings: &LandscapeSettings,
    others: &[PathBuf],
) -> Result<Found, Error> {
    if !matches!(others.len(), 1 | 2) {
        return Err(Error::value(
            "plane",
            format!("between, with {} other runs", others.len()),
            "between this run and one or two others",
        ));
    }
    let everything = |network: &Mlp| Layout::filtered(network, |_, _| true);
    let layout = everything(&state.network)?;
    let origin = layout.flatten(&state.network)?;
    let mut ends_of = Vec::new();
    for path in others {
        let unlike = |expected| {
            let got = format!("between this run and {}", path.display());
            Error::value("plane", got, expected)
        };
        let (reader, config) = saved::read(path)?;
        if config.backbone.to_mlp()? != run.config().backbone.to_mlp()? {
            return Err(unlike("between runs of one network shape"));
        }
        let of_sizes = "between runs whose problems have as many inputs and variables";
        // Only the sizes of the problem matter here. One's own cannot be made again from a folder.
        let network = match saved::state(&reader, &config, run.task(), None) {
            Ok(state) => state.network,
            Err(Error::Checkpoint {
                fault: CheckpointFault::Mismatch(_),
                ..
            }) => return Err(unlike(of_sizes)),
            Err(error) => return Err(error),
        };
        let theirs = everything(&network)?;
        let parameters = theirs.flatten(&network)?;
        if theirs.groups() != layout.groups() {
            return Err(unlike(of_sizes));
        }
        ends_of.push((reader.run().to_owned(), parameters));
    }
    let beyond = settings.extent.unwrap_or(0.5);
    let a = unit(beyond, settings.points)?;
    let all: Vec<&[f64]> = [&origin]
        .into_iter()
        .chain(ends_of.iter().map(|(_, p)| p))
        .map(Vec::as_slice)
        .collect();
    let checksum = checksum(&all);
    let label = |name: &str| format!("towards {name}");
    if ends_of.len() == 1 {
        let plane = Plane::line(origin.clone(), &ends_of[0].1)?
            .with_labels(format!("0: this run, 1: {}", ends_of[0].0), "");
        return Ok(Found {
            layout,
            ranges: [ends(&a), (0.0, 0.0)],
            axes: Axes::line(a),
            plane,
            trajectory: vec![],
            checksum,
        });
    }
    let plane = Plane::through(origin.clone(), &ends_of[0].1, &ends_of[1].1)?.with_labels(
        label(&ends_of[0].0),
        format!("{}, orthogonal", label(&ends_of[1].0)),
    );
    let points =
        plane.project_all(&[ends_of[1].1.clone(), origin.clone(), ends_of[0].1.clone()])?;
    let (left, right) = (points[0].a.min(0.0), points[0].a.max(1.0));
    let margin = |low: f64, high: f64| beyond * (high - low);
    let wide = margin(left, right);
    let a = covering(left - wide, right + wide, settings.points)?;
    let tall = margin(0.0, points[0].b);
    let b = covering(-tall, points[0].b + tall, settings.points)?;
    Ok(Found {
        layout,
        ranges: [ends(&a), ends(&b)],
        axes: Axes::grid(a, b),
        plane,
        trajectory: points,
        checksum,
    })
}

fn ends(axis: &Axis) -> (f64, f64) {
    let coordinates = axis.coordinates();
    (coordinates[0], coordinates[coordinates.len() - 1])
}

/// Of origin and directions: eigenvectors may be others at the same parameters.
fn plane_checksum(plane: &Plane) -> u64 {
    let [u, v] = plane.directions();
    checksum(&[plane.origin(), u, v])
}

/// 64-bit FNV-1a of the bits: tells checkpoints apart.
fn checksum(all: &[&[f64]]) -> u64 {
    all.iter()
        .flat_map(|numbers| numbers.iter())
        .flat_map(|number| number.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use feasible_landscape::PlaneKind;

    #[test]
    fn planes_of_one_origin_are_told_apart() {
        let plane = |u: [f64; 2], v: [f64; 2]| {
            let origin = vec![1.0, 2.0];
            Plane::new(origin, u.to_vec(), v.to_vec(), PlaneKind::Hessian).unwrap()
        };
        let one = plane([1.0, 0.0], [0.0, 1.0]);
        assert_eq!(plane_checksum(&one), plane_checksum(&one.clone()));
        for other in [
            plane([-1.0, 0.0], [0.0, 1.0]),
            plane([1.0, 0.0], [0.0, -1.0]),
            plane([0.0, 1.0], [1.0, 0.0]),
        ] {
            assert_ne!(plane_checksum(&one), plane_checksum(&other));
        }
    }
}
