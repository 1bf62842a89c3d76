//! Spectra and landscapes at the start, in the middle and at the end of a training.

use std::path::Path;
use std::time::Instant;

use feasible_data::Part;
use feasible_dynamics::{Layout, SharpnessTracker, evaluating, random_plane};
use feasible_landscape::{
    About, Axes, Axis, Filtration, Landscape, Neighbours, ScanOptions, WithoutFilters, merge_tree,
};
use feasible_nn::Mlp;
use feasible_record::{EventKind, Number};
use feasible_spectrum::{DensitySettings, SpectralDensity, spectral_density};
use serde_json::{Value, json};

use crate::config::{Measure, RunConfig, TrainingConfig};
use crate::hessian::{for_a_figure, loss_hessian};
use crate::landscape::{Samples, Scanned};
use crate::loss::Loss;
use crate::measure::Values;
use crate::{Error, Task};

/// Largest eigenvalues that are looked for.
const LARGEST: usize = 5;
const EIGENVALUES: [&str; LARGEST] = [
    "eigenvalue_1",
    "eigenvalue_2",
    "eigenvalue_3",
    "eigenvalue_4",
    "eigenvalue_5",
];
/// Directions and Lanczos steps of a density: a picture's worth, at 120 products.
const PROBES: usize = 4;
const STEPS: usize = 30;
/// Points of a density's curve.
const CURVE: usize = 400;
/// Basins shallower than this share of the range are not counted.
const PERSISTENCE: f64 = 0.01;

/// When spectra and landscapes are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the first step.
    Start,
    /// After half of the epochs.
    Middle,
    /// After the last.
    End,
}

impl Moment {
    /// The moment after so many epochs, if there is one.
    pub(crate) fn after(epochs: usize, training: &TrainingConfig) -> Option<Self> {
        match epochs {
            0 => Some(Self::Start),
            all if all == training.epochs => Some(Self::End),
            half if half == training.epochs / 2 => Some(Self::Middle),
            _ => None,
        }
    }

    /// The name of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// The state of a run that is looked at.
pub(crate) struct View<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) task: &'a Task,
    /// In training mode.
    pub(crate) network: &'a Mlp,
    /// With automatic differentiation.
    pub(crate) training: &'a Loss<'a>,
    /// Without.
    pub(crate) evaluation: &'a Loss<'a>,
    pub(crate) step: u64,
}

/// What was recorded: figures, and the files written with what an event says of them.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) values: Values,
    pub(crate) files: Vec<(EventKind, Value)>,
}

impl View<'_> {
    /// Records what the settings name into a run's folder.
    pub(crate) fn record(&self, folder: &Path, moment: Moment) -> Result<Recorded, Error> {
        let measure = &self.config.training.measure;
        let mut recorded = Recorded::default();
        let start = Instant::now();
        let wanted = |what| measure.contains(&what);
        if wanted(Measure::Spectrum) || wanted(Measure::Density) {
            self.spectrum(folder, moment, &mut recorded)?;
        }
        if wanted(Measure::Landscape) {
            self.landscape(folder, moment, &mut recorded)?;
        }
        if !recorded.files.is_empty() {
            let seconds = start.elapsed().as_secs_f64();
            recorded.values.push(("moment_seconds", seconds));
        }
        Ok(recorded)
    }

    fn samples(&self) -> usize {
        let wanted = self.config.training.measure_samples;
        wanted.min(self.task.train_samples())
    }

    fn spectrum(
        &self,
        folder: &Path,
        moment: Moment,
        recorded: &mut Recorded,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let x = self.task.part_inputs(Part::Train, self.samples());
        let network = evaluating(self.network);
        let layout = Layout::of(&network)?;
        let mut hessian = loss_hessian(&network, &layout, self.training, &x)?;
        let mut document = json!({
            "format": 1, "moment": moment.name(), "step": self.step, "samples": self.samples(),
            "parameters": layout.n(),
        });
        let measure = &self.config.training.measure;
        if measure.contains(&Measure::Spectrum) {
            let mut tracker =
                SharpnessTracker::new(LARGEST, for_a_figure(1e-3, 200))?.with_smallest();
            let (found, pairs) = tracker.eigenpairs(&mut hessian)?;
            let values = &mut recorded.values;
            values.extend(EIGENVALUES.into_iter().zip(found.top.iter().copied()));
            values.extend(found.smallest.map(|value| ("eigenvalue_smallest", value)));
            let number = |v: &f64| Number(*v);
            document["largest"] = json!(found.top.iter().map(number).collect::<Vec<_>>());
            document["smallest"] = json!(found.smallest.map(Number));
            document["residuals"] = json!(
                pairs
                    .pairs
                    .iter()
                    .map(|p| Number(p.residual))
                    .collect::<Vec<_>>()
            );
            document["products"] = json!(found.products);
            document["symmetry_defect"] = json!(Number(found.symmetry_defect));
            document["status"] = json!(found.status);
        }
        if measure.contains(&Measure::Density) {
            let settings = DensitySettings {
                probes: PROBES,
                steps: STEPS,
                rounding: 1e-6,
                ..DensitySettings::default()
            };
            let found = spectral_density(&mut hessian, &settings)?;
            let trace = found.trace_of(|value| value);
            recorded.values.push(("hessian_trace", trace.value));
            recorded
                .values
                .push(("hessian_trace_error", trace.standard_error));
            document["density"] = density(&found)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        recorded.values.push(("spectrum_seconds", seconds));
        let name = format!("spectra/{}.json", moment.name());
        let text = format!("{document:#}\n");
        write(&folder.join(&name), &text)?;
        let payload = json!({ "file": name, "moment": moment.name(), "seconds": Number(seconds) });
        recorded.files.push((EventKind::Spectrum, payload));
        Ok(())
    }

    fn landscape(
        &self,
        folder: &Path,
        moment: Moment,
        recorded: &mut Recorded,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let layout = Layout::of(self.network)?;
        // The seed of the run's directions is its own: the same at all its moments.
        let plane = random_plane(
            self.network,
            &layout,
            WithoutFilters::Zero,
            self.config.seed,
        )?;
        let half = self.config.training.landscape_points / 2;
        let axes = Axes::grid(Axis::centred(1.0, half)?, Axis::centred(1.0, half)?);
        let scanned = Scanned {
            loss: self.evaluation,
            samples: &Samples::of(self.task, Part::Train, self.samples())?,
            network: self.network,
            layout: &layout,
            plane: &plane,
            axes: &axes,
        };
        let (surface, evaluated, _) = scanned.grid(&ScanOptions::default())?;
        let loss = &surface.quantities[0].values;
        let side = 2 * half + 1;
        let tree = merge_tree(side, side, loss, Neighbours::Eight, Filtration::Sublevel)?;
        let finite = || loss.iter().copied().filter(|v| v.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        if low <= high {
            let basins = tree.simplified(PERSISTENCE * (high - low)).branches.len();
            recorded.values.push(("landscape_basins", basins as f64));
            recorded.values.push(("landscape_rise", high - low));
        }
        let title = format!("{}, {}", self.config.run_name(), moment.name());
        let source = format!(
            "{}, step {}, {} training samples",
            self.config.study,
            self.step,
            self.samples()
        );
        let landscape = Landscape {
            about: About::of(&plane, title, source),
            surface,
            trajectory: Vec::new(),
        };
        landscape.write(&folder.join("landscapes"), moment.name())?;
        let seconds = start.elapsed().as_secs_f64();
        recorded.values.push(("landscape_seconds", seconds));
        let payload = json!({
            "file": format!("landscapes/{}.json", moment.name()), "moment": moment.name(),
            "points": evaluated, "seconds": Number(seconds),
        });
        recorded.files.push((EventKind::Landscape, payload));
        Ok(())
    }
}

fn density(found: &SpectralDensity) -> Result<Value, Error> {
    let curve = found.curve(CURVE, found.width())?;
    let numbers = |values: &[f64]| values.iter().map(|v| Number(*v)).collect::<Vec<_>>();
    let quadratures: Vec<Value> = found
        .quadratures
        .iter()
        .map(|q| json!({ "nodes": numbers(&q.nodes), "weights": numbers(&q.weights) }))
        .collect();
    Ok(json!({
        "quadratures": quadratures, "width": Number(curve.width), "grid": numbers(&curve.grid),
        "density": numbers(&curve.density), "standard_error": numbers(&curve.standard_error),
        "products": found.products, "symmetry_defect": Number(found.symmetry_defect),
    }))
}

/// Replaces a file, whose folder is made.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    feasible_record::replace_file(path, text.as_bytes())?;
    Ok(())
}
