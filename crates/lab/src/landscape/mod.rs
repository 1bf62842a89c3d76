//! Landscapes of a run: its loss and violations over a plane of its network's parameters.

mod axes;
mod plane;
mod samples;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use feasible_data::Part;
use feasible_dynamics::{Layout, ScanPlan, Threads, refine_module, scan_module};
use feasible_landscape::{
    About, Axes, InPlane, Landscape, Plane, PlaneKind, RefineSettings, ScanOptions, Surface,
    check_file_name,
};
use feasible_nn::Mlp;

use crate::loss::{Loss, QUANTITIES};
use crate::{Error, Method, SavedRun};

pub(crate) use samples::Samples;

/// What a landscape of a run has at every point: the loss and its parts, violations of the true box
/// after the layer and, `raw_`, before it, and the samples whose layer did not converge.
pub const LANDSCAPE_QUANTITIES: [&str; 9] = QUANTITIES;

/// A refinement's cells along an axis at the start, and how often one may be halved: where the axes
/// have the points of its finest lattice, nothing is between two of them.
const CELLS: usize = 4;
const DEPTH: u32 = 4;
const LATTICE: usize = (CELLS << DEPTH) + 1;

/// Which plane, and how it is scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct LandscapeSettings {
    /// The plane.
    pub plane: PlaneChoice,
    /// Points along an axis, at least 3; a random or Hessian plane needs an odd number, so that the
    /// checkpoint is one of them. Default 51.
    pub points: usize,
    /// How far the axes reach: in lengths of the parameters' filters on a random plane (default 1),
    /// in distance on a Hessian plane (default a fifth of the parameters' length), and the share of
    /// the trajectory's or the distance's length beyond its ends on the others (default 0.2 and 0.5).
    pub extent: Option<f64>,
    /// The part of the data.
    pub part: Part,
    /// The first so many samples of it, at most those there are. Default 1000.
    pub samples: usize,
    /// Which box the layer repairs into.
    pub bounds: BoxChoice,
    /// Seed of random directions. Default 0.
    pub seed: u64,
    /// Evaluates more points where the landscape is rough, `points²` at most, until interpolation is
    /// off by this share of the range at most, in place of a full grid. A principal plane then has the
    /// 65 points an axis of the finest cells.
    pub refine: Option<f64>,
}

/// Which plane through parameter space.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum PlaneChoice {
    /// Two random directions, filter by filter as long as the parameters.
    #[default]
    Random,
    /// The two top eigenvectors of the loss's Hessian.
    Hessian,
    /// The two principal directions of the run's checkpoints.
    Pca,
    /// The line from this run to another, or the plane through this run and two others, all of one
    /// network shape. Statistics of batch normalisation go along with the parameters.
    Between(Vec<PathBuf>),
}

/// Which box a layer repairs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoxChoice {
    /// The true one, as in a test.
    #[default]
    True,
    /// As the checkpoint's epoch has it: relaxed, or without its layer in a soft epoch.
    AsTrained,
}

impl Default for LandscapeSettings {
    fn default() -> Self {
        Self {
            plane: PlaneChoice::default(),
            points: 51,
            extent: None,
            part: Part::Train,
            samples: 1000,
            bounds: BoxChoice::default(),
            seed: 0,
            refine: None,
        }
    }
}

impl LandscapeSettings {
    fn validate(&self) -> Result<(), Error> {
        let centred = matches!(self.plane, PlaneChoice::Random | PlaneChoice::Hessian);
        if self.points < 3 || (centred && self.points.is_multiple_of(2)) {
            let expected = if centred {
                "odd and at least 3, so that the checkpoint is one of the points"
            } else {
                "at least 3"
            };
            return Err(Error::value("points", self.points, expected));
        }
        if self.samples == 0 {
            return Err(Error::value("samples", 0, "at least 1"));
        }
        if let Some(extent) = self.extent
            && !(extent > 0.0 && extent.is_finite())
        {
            return Err(Error::value("extent", extent, "above 0 and finite"));
        }
        if self.refine.is_some() && matches!(self.plane, PlaneChoice::Between(_)) {
            let expected = "of a random, Hessian or principal plane; that between runs is scanned";
            return Err(Error::value("refine", "of a plane between runs", expected));
        }
        if let Some(tolerance) = self.refine
            && !(tolerance > 0.0 && tolerance.is_finite())
        {
            return Err(Error::value("refine", tolerance, "above 0 and finite"));
        }
        Ok(())
    }
}

/// Where a landscape is kept, whether it goes on from what is there, and who follows.
pub struct LandscapeOutput<'a> {
    /// The folder that `<name>.npz`, `<name>.json` and, while the scan is under way, `<name>.scan`
    /// are written to.
    pub folder: &'a Path,
    /// The files' name.
    pub name: &'a str,
    /// What to do with the rows that an interrupted scan has left.
    pub rows: EarlierRows,
    /// Told rows done and rows in all; `Break` stops the scan, which can go on from there.
    pub progress: &'a (dyn Fn(usize, usize) -> ControlFlow<()> + Sync),
}

/// What to do with the rows that an interrupted scan has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlierRows {
    /// Evaluate all rows.
    #[default]
    Discard,
    /// Keep them, if they are of the same scan.
    Continue,
}

/// A landscape that has been written.
#[derive(Debug, Clone, PartialEq)]
pub struct LandscapeReport {
    /// What was written.
    pub landscape: Landscape,
    /// The step of the checkpoint.
    pub step: u64,
    /// Points evaluated, without those of an earlier scan.
    pub evaluated: usize,
    /// Whether the centre has the checkpoint's own numbers, bit for bit; `None` where the checkpoint
    /// is not among the points.
    pub centre_is_exact: Option<bool>,
    /// Samples at every point.
    pub samples: usize,
    /// Seconds of the scan, without the search for its plane.
    pub seconds: f64,
}

impl SavedRun {
    /// Scans a landscape of the run's loss at a checkpoint, the last one where no `step` is given, and
    /// writes it.
    ///
    /// # Cost
    /// A forward pass of network and layer over the samples a point. The rows done are on disk while
    /// the scan is under way; a refinement has none.
    ///
    /// # Errors
    /// [`Error::Value`] for settings and for checkpoints that are not there; [`Error::Landscape`] for
    /// a name that is no file's, before anything is done, and for files, an interruption among them.
    pub fn landscape(
        &self,
        step: Option<u64>,
        settings: &LandscapeSettings,
        output: &LandscapeOutput<'_>,
    ) -> Result<LandscapeReport, Error> {
        settings.validate()?;
        check_file_name(output.name)?;
        let state = self.state(step)?;
        let method = Method::new(&self.config().method)?;
        let soft = state.progress.epochs < self.config().method.soft_epochs;
        let (method, epsilon) = match settings.bounds {
            BoxChoice::True => (&method, None),
            BoxChoice::AsTrained if soft => (&Method::Soft, None),
            BoxChoice::AsTrained => {
                let relaxation = state.progress.relaxation.as_ref();
                (
                    &method,
                    relaxation.map(|r| r.epsilon(state.progress.epochs)),
                )
            }
        };
        let task = self.task();
        let loss = |problem| {
            Loss::new(
                self.config(),
                problem,
                method,
                epsilon.clone(),
                task.dtype(),
            )
        };
        let samples = settings.samples.min(task.part_samples(settings.part));
        let step = state.progress.steps;
        let found = plane::find(self, &state, &loss(task.training()), settings, samples)?;
        let (study, run) = (self.reader().study(), self.reader().run());
        let source = format!(
            "{study}/{run}, step {step}, {} {samples}",
            part_name(settings.part)
        );
        let about = About::of(&found.plane, title(self), source);
        let key = format!(
            "{study}/{run} step {step}: {settings:?}, {samples} samples, parameters {:016x}",
            found.checksum
        );
        let scanned = Scanned {
            loss: &loss(task.evaluation()),
            samples: &Samples::of(task, settings.part, samples)?,
            network: &state.network,
            layout: &found.layout,
            plane: &found.plane,
            axes: &found.axes,
        };
        let start = Instant::now();
        let (surface, evaluated, centre_is_exact) = match settings.refine {
            Some(tolerance) => {
                let (surface, evaluated) = scanned.refined(settings.points, tolerance, &found)?;
                (surface, evaluated, None)
            }
            None => {
                std::fs::create_dir_all(output.folder)
                    .map_err(Error::io("create", output.folder))?;
                let journal = output.folder.join(format!("{}.scan", output.name));
                if output.rows == EarlierRows::Discard && journal.is_file() {
                    std::fs::remove_file(&journal).map_err(Error::io("remove", &journal))?;
                }
                let progress = |p: feasible_landscape::Progress| (output.progress)(p.done, p.of);
                let options = ScanOptions {
                    file: Some(&journal),
                    key: &key,
                    progress: Some(&progress),
                };
                scanned.grid(&options)?
            }
        };
        let landscape = Landscape {
            surface,
            about,
            trajectory: found.trajectory,
        };
        landscape.write(output.folder, output.name)?;
        if settings.refine.is_none() {
            let journal = output.folder.join(format!("{}.scan", output.name));
            std::fs::remove_file(&journal).map_err(Error::io("remove", &journal))?;
        }
        Ok(LandscapeReport {
            landscape,
            step,
            evaluated,
            centre_is_exact,
            samples,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// A plane as it was found, with what it is scanned by.
struct Found {
    layout: Layout,
    plane: Plane,
    axes: Axes,
    /// First and last coordinates.
    ranges: [(f64, f64); 2],
    trajectory: Vec<InPlane>,
    /// Of the parameters that the plane depends on.
    checksum: u64,
}

/// Everything that a scan needs.
pub(crate) struct Scanned<'a> {
    /// Without automatic differentiation.
    pub(crate) loss: &'a Loss<'a>,
    pub(crate) samples: &'a Samples,
    /// In training mode.
    pub(crate) network: &'a Mlp,
    pub(crate) layout: &'a Layout,
    pub(crate) plane: &'a Plane,
    pub(crate) axes: &'a Axes,
}

impl Scanned<'_> {
    fn figures(&self, network: &Mlp) -> Result<Vec<f64>, feasible_dynamics::EvaluationError> {
        let raw = network.forward(self.samples.x.clone());
        let constraints = self.samples.constraints.as_ref();
        Ok(self.loss.figures(&self.samples.x, raw, constraints)?)
    }

    /// The surface, the points evaluated, and whether the centre is exact.
    pub(crate) fn grid(
        &self,
        options: &ScanOptions<'_>,
    ) -> Result<(Surface, usize, Option<bool>), Error> {
        let plan = ScanPlan {
            plane: self.plane,
            axes: self.axes,
            names: &QUANTITIES,
            options: ScanOptions { ..*options },
            // Statistics of batch normalisation are shared by clones, and move on such a plane.
            threads: match self.plane.kind() {
                PlaneKind::Points => Threads::OneRow,
                _ => Threads::ManyRows,
            },
        };
        let found = scan_module(&self.network.valid(), self.layout, &plan, |network| {
            self.figures(network)
        })?;
        let exact = found.centre_is_exact();
        Ok((found.scan.surface, found.scan.evaluated, exact))
    }

    /// The surface on the axes from a refinement, and the points evaluated.
    fn refined(
        &self,
        points: usize,
        tolerance: f64,
        found: &Found,
    ) -> Result<(Surface, usize), Error> {
        let settings = RefineSettings {
            cells: CELLS,
            depth: DEPTH,
            points: (points * points).max((CELLS + 1) * (CELLS + 1)),
            tolerance,
        };
        let refined = refine_module(
            &self.network.valid(),
            self.layout,
            self.plane,
            found.ranges,
            &QUANTITIES,
            &settings,
            |network| self.figures(network),
        )?;
        Ok((refined.on_grid(self.axes), refined.evaluated))
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Train => "training samples",
        Part::Validation => "validation samples",
        Part::Test => "test samples",
    }
}

fn title(run: &SavedRun) -> String {
    let config = run.config();
    format!(
        "{}, {}, {}, seed {}",
        config.problem.label(),
        config.method.label(),
        config.backbone.label(),
        config.seed
    )
}
