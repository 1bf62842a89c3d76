//! Landscapes of a module: planes through its parameters, scanned for any measurement.

use std::sync::Mutex;

use burn::module::Module;
use feasible_landscape::{
    Axes, Centre, InPlane, Pca, Plane, PlaneKind, RefineSettings, Refined, Scan, ScanOptions,
    Surface, WithoutFilters, pca, random_direction, refine, scan, scan_in_order,
};
use feasible_spectrum::Eigenpairs;

use crate::error::EvaluationError;
use crate::{Error, Layout};

/// Whether points are evaluated one after the other or rows in parallel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Threads {
    /// One point after the other, each with all threads that the backend uses: for large batches.
    #[default]
    OneRow,
    /// Rows in parallel, each with its own copy of the module: for small ones.
    ManyRows,
}

/// Where and what to scan.
pub struct ScanPlan<'a> {
    /// The plane or line through parameter space.
    pub plane: &'a Plane,
    /// The coordinates on it.
    pub axes: &'a Axes,
    /// Names of the quantities measured.
    pub names: &'a [&'a str],
    /// The file to go on from, and who follows.
    pub options: ScanOptions<'a>,
    /// How points share the threads.
    pub threads: Threads,
}

/// A scan of a module's landscape.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleScan {
    /// The landscape.
    pub scan: Scan,
    /// What was measured with the module as it was given: equal to the centre bit for bit, where the
    /// plane's origin is the module's parameters.
    pub at_module: Vec<f64>,
}

impl ModuleScan {
    /// Whether the centre of the scan has the numbers measured at the module itself, bit for bit.
    /// `None` if (0, 0) is not among the points.
    pub fn centre_is_exact(&self) -> Option<bool> {
        let surface: &Surface = &self.scan.surface;
        let centre = surface.centre()?;
        let same = |(quantity, here): (&feasible_landscape::Quantity, &f64)| {
            let there = quantity.values[centre];
            there.to_bits() == here.to_bits() || (there.is_nan() && here.is_nan())
        };
        Some(surface.quantities.iter().zip(&self.at_module).all(same))
    }
}

/// Measures named quantities with the module at every point of a plane or a line through parameter
/// space: loss components, violations before and after a layer.
///
/// `measure` is given a module and returns one number a name. It must be a function of the
/// parameters: give a validation snapshot (`valid()`), which also spares it the graph, with the
/// layout of the module in training mode. The given module is never changed.
///
/// # Cost
/// One measurement a point and one for the module itself. The file of [`ScanOptions`] keeps the rows
/// done, so that a killed scan goes on from them.
///
/// # Errors
/// [`Error::Shape`] if the plane is not one of the layout's space, [`Error::Evaluation`] if the
/// measurement fails at the module, [`Error::Landscape`] otherwise. NaN is no error and is kept.
pub fn scan_module<M, F>(
    module: &M,
    layout: &Layout,
    plan: &ScanPlan<'_>,
    measure: F,
) -> Result<ModuleScan, Error>
where
    M: Module,
    F: Fn(&M) -> Result<Vec<f64>, EvaluationError> + Sync,
{
    let ScanPlan {
        plane,
        axes,
        names,
        options,
        threads,
    } = plan;
    crate::error::check_length("plane", plane.origin().len(), layout.n())?;
    layout.flatten(module)?;
    let at_module = measure(module).map_err(Error::evaluation("measure"))?;
    let evaluate = |module: M, a: f64, b: f64| -> Result<Vec<f64>, EvaluationError> {
        measure(&layout.assign(module, &plane.point(a, b))?)
    };
    let scan = match threads {
        Threads::OneRow => {
            scan_in_order(axes, names, options, |a, b| evaluate(module.clone(), a, b))
        }
        Threads::ManyRows => {
            // Modules may be sent to other threads but not shared by them: each point takes a clone,
            // which copies no numbers.
            let original = Mutex::new(module.clone());
            scan(axes, names, options, |a, b| {
                let module = original.lock().unwrap_or_else(|e| e.into_inner()).clone();
                evaluate(module, a, b)
            })
        }
    }?;
    Ok(ModuleScan { scan, at_module })
}

/// As [`scan_module`], on a quadtree with more points where the landscape is rough, in parallel;
/// `ranges` are those of the two coordinates.
///
/// # Errors
/// As [`scan_module`] and [`feasible_landscape::refine`].
pub fn refine_module<M, F>(
    module: &M,
    layout: &Layout,
    plane: &Plane,
    ranges: [(f64, f64); 2],
    names: &[&str],
    settings: &RefineSettings,
    measure: F,
) -> Result<Refined, Error>
where
    M: Module,
    F: Fn(&M) -> Result<Vec<f64>, EvaluationError> + Sync,
{
    crate::error::check_length("plane", plane.origin().len(), layout.n())?;
    layout.flatten(module)?;
    let original = Mutex::new(module.clone());
    let [a, b] = ranges;
    Ok(refine(a, b, names, settings, |a, b| {
        let module = original.lock().unwrap_or_else(|e| e.into_inner()).clone();
        measure(&layout.assign(module, &plane.point(a, b))?)
    })?)
}

/// The plane through the module's parameters along two random directions, filter by filter as long
/// as the parameters (Li et al., NeurIPS 2018). A neuron's filter is a column of its `Linear`.
///
/// # Errors
/// As [`Layout::flatten`]; [`Error::Landscape`] if the parameters are not finite, or all 0.
pub fn random_plane<M: Module>(
    module: &M,
    layout: &Layout,
    without_filters: WithoutFilters,
    seed: u64,
) -> Result<Plane, Error> {
    let origin = layout.flatten(module)?;
    let groups = layout.groups();
    // Seeds of the two axes are apart, whatever the seeds of other planes.
    let direction = |axis: u64| {
        let seed = seed.wrapping_mul(2).wrapping_add(axis);
        random_direction(&origin, &groups, without_filters, seed)
    };
    let (u, v) = (direction(0)?, direction(1)?);
    Ok(Plane::new(origin, u, v, PlaneKind::Random)?)
}

/// The plane through the module's parameters along the first two eigenvectors found.
///
/// # Errors
/// [`Error::Argument`] if fewer than two were found.
pub fn hessian_plane<M: Module>(
    module: &M,
    layout: &Layout,
    found: &Eigenpairs,
) -> Result<Plane, Error> {
    if found.pairs.len() < 2 {
        let problem = format!("has {} eigenvectors but must have 2", found.pairs.len());
        return Err(Error::argument("found", problem));
    }
    let (u, v) = (found.vector(0).to_vec(), found.vector(1).to_vec());
    let origin = layout.flatten(module)?;
    Ok(Plane::orthonormal(origin, u, v, PlaneKind::Hessian)?)
}

/// A trajectory seen from its principal plane.
#[derive(Clone, Debug)]
pub struct TrajectoryPlane {
    /// The principal directions and what they explain.
    pub pca: Pca,
    /// The plane through the last point.
    pub plane: Plane,
    /// Every point's coordinates and distance to the plane.
    pub points: Vec<InPlane>,
}

/// The principal plane of checkpoints, given as flat vectors in the order of training.
///
/// # Errors
/// [`Error::Landscape`], as [`pca`]: fewer than two points, or all the same.
pub fn trajectory_plane(
    checkpoints: &[Vec<f64>],
    centre: Centre,
    seed: u64,
) -> Result<TrajectoryPlane, Error> {
    let pca = pca(checkpoints, centre, 2)?;
    let plane = pca.plane(seed)?;
    let points = plane.project_all(checkpoints)?;
    Ok(TrajectoryPlane { pca, plane, points })
}
