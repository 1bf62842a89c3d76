//! Metrics over training as curves: mean and standard deviation over seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use feasible_landscape::{LinePlot, Scaling, Series, Threshold};
use feasible_record::summary::Spread;
use feasible_record::{Metric, RunReader, RunStatus, is_study, list_runs, list_study};

use crate::Error;
use crate::config::RunConfig;

/// Metrics of training as curves, read back from the runs of a study.
#[derive(Debug, Clone)]
pub struct Curves {
    groups: Vec<Group>,
    /// Runs that are in no curve, in words.
    pub left_out: Vec<String>,
}

/// Runs that differ in their seeds alone.
#[derive(Debug, Clone)]
struct Group {
    study: String,
    problem: String,
    method: String,
    backbone: String,
    config: RunConfig,
    runs: Vec<Run>,
}

#[derive(Debug, Clone)]
struct Run {
    metrics: Vec<Metric>,
    diverged: bool,
}

impl Run {
    fn first(&self, metric: &str) -> Option<f64> {
        self.metrics.iter().find_map(|m| m.value(metric))
    }

    /// What training came to: nothing, if it diverged.
    fn last(&self, metric: &str) -> Option<f64> {
        let mut backwards = self.metrics.iter().rev();
        let last = backwards.find_map(|m| m.value(metric));
        last.filter(|_| !self.diverged)
    }
}

/// What a figure's curves differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Across {
    /// A figure for each problem and backbone, a curve for each method.
    #[default]
    Methods,
    /// A figure for each problem and method, a curve for each backbone.
    Backbones,
}

/// A metric's curves of some runs.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveFigure {
    /// A plain name for its file, which no other figure of the metric has.
    pub name: String,
    /// The picture.
    pub plot: LinePlot,
}

/// The last value of a metric in runs that differ in their seeds alone.
#[derive(Debug, Clone, PartialEq)]
pub struct LastValue {
    /// The study.
    pub study: String,
    /// The problem.
    pub problem: String,
    /// The backbone.
    pub backbone: String,
    /// The method.
    pub method: String,
    /// The first recorded value, over seeds.
    pub first: Spread,
    /// The last recorded value, over seeds; undefined where a seed has none or diverged.
    pub last: Spread,
}

impl Curves {
    /// Reads a study's folder, or all studies of a runs folder. Runs that diverged are part of their
    /// curves as far as they went; those under way and those that failed are left out.
    ///
    /// # Errors
    /// [`Error::Record`] if the folder or a run's metrics cannot be read, [`Error::Value`] if there
    /// is no run.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let list = if is_study(folder)? {
            list_study(folder)?
        } else {
            list_runs(folder)?
        };
        let mut curves = Self {
            groups: Vec::new(),
            left_out: list.problems.iter().map(ToString::to_string).collect(),
        };
        for run in &list.runs {
            curves.add(run)?;
        }
        if curves.groups.is_empty() {
            return Err(Error::value(
                "folder",
                folder.display(),
                "a runs folder, or a study's folder in it, with at least one run that has ended",
            ));
        }
        Ok(curves)
    }

    fn add(&mut self, run: &RunReader) -> Result<(), Error> {
        let document = run.document();
        let config = serde_json::from_value::<RunConfig>(document.info.config.clone());
        let reason = match (&document.status, &config) {
            (_, Err(error)) => Some(format!("its settings cannot be read: {error}")),
            (RunStatus::Finished | RunStatus::Diverged { .. }, _) => None,
            (RunStatus::Failed { reason }, _) => Some(format!("it failed: {reason}")),
            _ => Some("it has not ended".to_owned()),
        };
        let (Ok(config), None) = (config, &reason) else {
            let reason = reason.unwrap_or_default();
            self.left_out.push(format!("{}: {reason}", run.run()));
            return Ok(());
        };
        let read = Run {
            metrics: run.metrics()?.collect::<Result<_, _>>()?,
            diverged: document.status != RunStatus::Finished,
        };
        let same = |group: &&mut Group| {
            group.study == run.study()
                && RunConfig {
                    seed: config.seed,
                    ..group.config.clone()
                } == config
        };
        match self.groups.iter_mut().find(same) {
            Some(group) => group.runs.push(read),
            None => self.groups.push(Group {
                study: run.study().to_owned(),
                problem: config.problem.label(),
                method: config.method.label().to_owned(),
                backbone: config.backbone.label(),
                config,
                runs: vec![read],
            }),
        }
        Ok(())
    }

    /// Those of problems, methods and backbones whose label has `part` in it.
    ///
    /// # Errors
    /// [`Error::Value`] if there are none.
    pub fn only(mut self, part: &str) -> Result<Self, Error> {
        let labels =
            |group: &Group| [&group.problem, &group.method, &group.backbone].map(String::clone);
        let known: BTreeSet<String> = self.groups.iter().flat_map(labels).collect();
        let has = |group: &Group| labels(group).iter().any(|label| label.contains(part));
        self.groups.retain(has);
        if self.groups.is_empty() {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            let expected = format!("part of a problem, method or backbone: {known}");
            return Err(Error::value("only", format!("{part:?}"), expected));
        }
        Ok(self)
    }

    /// The names of all metrics that were recorded.
    pub fn metrics(&self) -> BTreeSet<String> {
        let runs = self.groups.iter().flat_map(|group| &group.runs);
        let records = runs.flat_map(|run| &run.metrics);
        records
            .flat_map(|metric| metric.values.keys().cloned())
            .collect()
    }

    /// Whether the runs are of more than one study, so that their studies must be told apart.
    pub fn several_studies(&self) -> bool {
        let mut studies = self.groups.iter().map(|group| &group.study);
        let first = studies.next();
        studies.any(|study| Some(study) != first)
    }

    /// A metric's figures, in the order of the runs. A group of curves that never recorded it has
    /// none.
    ///
    /// Bands are standard deviations over seeds; a step at which a seed has no value is undefined.
    pub fn figures(&self, metric: &str, across: Across, scaling: Scaling) -> Vec<CurveFigure> {
        let mut figures: BTreeMap<(String, String, String), Vec<&Group>> = BTreeMap::new();
        for group in self.groups.iter().filter(|group| group.has(metric)) {
            let other = match across {
                Across::Methods => &group.backbone,
                Across::Backbones => &group.method,
            };
            let key = (group.study.clone(), group.problem.clone(), other.clone());
            figures.entry(key).or_default().push(group);
        }
        let several = self.several_studies();
        let mut names = BTreeSet::new();
        figures
            .into_iter()
            .map(|((study, problem, other), groups)| {
                let seeds = groups.iter().map(|group| group.runs.len()).max();
                let seeds = seeds.unwrap_or(0);
                let plural = if seeds == 1 { "" } else { "s" };
                let series = groups.iter().map(|group| group.series(metric, across));
                let of_study = if several {
                    format!("{study} ")
                } else {
                    String::new()
                };
                let name = plain(&format!("{of_study}{problem} {other} {metric}"));
                CurveFigure {
                    name: unique(name, &mut names),
                    plot: LinePlot {
                        title: format!("{metric}: {problem}, {other}"),
                        source: format!(
                            "{study}, mean ± standard deviation over {seeds} seed{plural}"
                        ),
                        x_label: "step".to_owned(),
                        y_label: metric.to_owned(),
                        y_scaling: scaling,
                        series: series.collect(),
                        thresholds: thresholds(&groups, metric, across),
                        ..LinePlot::default()
                    },
                }
            })
            .collect()
    }

    /// First and last values of a metric, a line for each group that recorded it.
    pub fn values(&self, metric: &str) -> Vec<LastValue> {
        let groups = self.groups.iter().filter(|group| group.has(metric));
        groups
            .map(|group| {
                let first = |run: &Run| run.first(metric);
                let last = |run: &Run| run.last(metric);
                LastValue {
                    study: group.study.clone(),
                    problem: group.problem.clone(),
                    backbone: group.backbone.clone(),
                    method: group.method.clone(),
                    first: Spread::of(&group.runs.iter().map(first).collect::<Vec<_>>()),
                    last: Spread::of(&group.runs.iter().map(last).collect::<Vec<_>>()),
                }
            })
            .collect()
    }
}

impl Group {
    fn has(&self, metric: &str) -> bool {
        let mut records = self.runs.iter().flat_map(|run| &run.metrics);
        records.any(|record| record.value(metric).is_some())
    }

    /// What tells its curve from the others of a figure.
    fn name(&self, across: Across) -> &str {
        match across {
            Across::Methods => &self.method,
            Across::Backbones => &self.backbone,
        }
    }

    fn series(&self, metric: &str, across: Across) -> Series {
        let runs: Vec<BTreeMap<u64, f64>> = self
            .runs
            .iter()
            .map(|run| {
                let found = run
                    .metrics
                    .iter()
                    .filter_map(|m| Some((m.step, m.value(metric)?)));
                found.collect()
            })
            .collect();
        let steps: BTreeSet<u64> = runs.iter().flat_map(|run| run.keys().copied()).collect();
        let at = |step: &u64| {
            let values: Vec<Option<f64>> = runs.iter().map(|run| run.get(step).copied()).collect();
            Spread::of(&values)
        };
        let spreads: Vec<Spread> = steps.iter().map(at).collect();
        let deviations = spreads.iter().map(|s| s.std.unwrap_or(f64::NAN));
        Series {
            name: self.name(across).to_owned(),
            x: steps.iter().map(|step| *step as f64).collect(),
            y: spreads.iter().map(|s| s.mean.unwrap_or(f64::NAN)).collect(),
            error: deviations.collect(),
        }
    }
}

/// What `sharpness` and the like are compared with, where it is one number throughout a run: a line
/// for each number.
fn thresholds(groups: &[&Group], metric: &str, across: Across) -> Vec<Threshold> {
    let name = match metric.strip_suffix("_sharpness") {
        Some(prefix) => format!("{prefix}_threshold"),
        None => format!("{metric}_threshold"),
    };
    let mut found: Vec<(Vec<&str>, f64)> = Vec::new();
    for group in groups {
        let records = group.runs.iter().flat_map(|run| &run.metrics);
        let mut values = records.filter_map(|record| record.value(&name));
        let Some(value) = values.next() else { continue };
        if values.any(|other| other != value) {
            continue;
        }
        match found.iter_mut().find(|(_, known)| *known == value) {
            Some((names, _)) => names.push(group.name(across)),
            None => found.push((vec![group.name(across)], value)),
        }
    }
    let alone = found.len() == 1;
    let thresholds = found.into_iter().map(|(names, value)| Threshold {
        name: match (alone, &names[..]) {
            (false, [name]) => format!("threshold, {name}"),
            _ => "stability threshold".to_owned(),
        },
        value,
    });
    thresholds.collect()
}

/// The name, with a number after it if it is taken: labels that differ may be the same in plain
/// letters.
fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let mut found = name.clone();
    let mut count = 1;
    while !taken.insert(found.clone()) {
        count += 1;
        found = format!("{name}-{count}");
    }
    found
}

/// Letters, digits and dashes.
fn plain(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}
