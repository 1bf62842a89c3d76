//! Runs that differ in their seeds alone, on their way to a row.

use feasible_record::summary::{Spread, last};
use feasible_record::{Metric, RunReader, RunStatus, Timestamp};

use super::{Cell, Column, Difference, Row};
use crate::config::RunConfig;
use crate::settings::{differences, to_json};
use crate::{Error, FEASIBILITY_TOLERANCE};

pub(super) struct Group {
    study: String,
    /// The settings of all its runs; the seed is that of the first.
    config: RunConfig,
    start: Timestamp,
    finished: usize,
    runs: usize,
    feasible: bool,
    failed_samples: usize,
    unreferenced_samples: usize,
    /// By column and run.
    values: Vec<Vec<Option<f64>>>,
}

impl Group {
    /// A group for runs like this one, without any.
    pub(super) fn new(run: &RunReader, config: RunConfig) -> Self {
        Self {
            study: run.study().to_owned(),
            config,
            start: run.document().start,
            finished: 0,
            runs: 0,
            feasible: true,
            failed_samples: 0,
            unreferenced_samples: 0,
            values: vec![Vec::new(); Column::ALL.len()],
        }
    }

    /// Whether a run with these settings belongs here.
    pub(super) fn is_of(&self, run: &RunReader, config: &RunConfig) -> bool {
        let same_seed = RunConfig {
            seed: self.config.seed,
            ..config.clone()
        };
        self.study == run.study() && self.config == same_seed
    }

    /// Counts a run. One that diverged or failed has undefined figures, and so makes the means
    /// undefined; one that is on its way has none yet.
    pub(super) fn add(&mut self, run: &RunReader) -> Result<(), Error> {
        let document = run.document();
        self.runs += 1;
        self.start = self.start.min(document.start);
        match document.status {
            RunStatus::Finished => self.add_finished(run),
            RunStatus::Diverged { .. } | RunStatus::Failed { .. } => {
                for values in &mut self.values {
                    values.push(None);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_finished(&mut self, run: &RunReader) -> Result<(), Error> {
        let metrics = run.metrics()?.collect::<Result<Vec<Metric>, _>>()?;
        self.finished += 1;
        for (values, column) in self.values.iter_mut().zip(Column::ALL) {
            values.push(column.of(&metrics));
        }
        let is_met = |column: Column| {
            column
                .of(&metrics)
                .is_some_and(|violation| violation <= FEASIBILITY_TOLERANCE)
        };
        self.feasible &= is_met(Column::InequalityMax) && is_met(Column::EqualityMax);
        let count = |name: &str| last(&metrics, name).map_or(0, |count| count.value as usize);
        self.failed_samples += count("test.failed");
        // Every seed is tested on the same samples.
        self.unreferenced_samples = self.unreferenced_samples.max(count("test.unreferenced"));
        Ok(())
    }

    fn has_figures(&self) -> bool {
        self.values.iter().any(|values| !values.is_empty())
    }

    fn row(&self) -> Row {
        let cell = |values: &Vec<Option<f64>>| Cell {
            spread: Spread::of(values),
            best: false,
        };
        Row {
            study: self.study.clone(),
            problem: self.config.problem.label(),
            method: self.config.method.label().to_owned(),
            backbone: self.config.backbone.label(),
            variant: None,
            finished: self.finished,
            runs: self.runs,
            feasible: self.feasible && self.finished > 0,
            failed_samples: self.failed_samples,
            unreferenced_samples: self.unreferenced_samples,
            cells: self.values.iter().map(cell).collect(),
        }
    }
}

/// The rows of the groups that have figures, in the order in which they were first trained, and what
/// tells those with the same labels apart.
pub(super) fn rows(mut groups: Vec<Group>) -> Result<(Vec<Row>, Vec<Difference>), Error> {
    groups.retain(Group::has_figures);
    groups.sort_by_key(|group| group.start);
    let mut rows: Vec<Row> = groups.iter().map(Group::row).collect();
    let mut found = Vec::new();
    for first in 0..rows.len() {
        if rows[first].variant.is_some() {
            continue;
        }
        let same: Vec<usize> = (first..rows.len())
            .filter(|&other| rows[other].labels() == rows[first].labels())
            .collect();
        if same.len() == 1 {
            continue;
        }
        for (variant, &row) in same.iter().enumerate() {
            rows[row].variant = Some(variant + 1);
        }
        let mut settings = Vec::new();
        for &row in &same {
            let config = RunConfig {
                seed: 0,
                ..groups[row].config.clone()
            };
            settings.push(to_json(&config)?);
        }
        let differ = differences(&settings).into_iter();
        found.extend(differ.map(|(key, values)| Difference {
            rows: same.clone(),
            key,
            values,
        }));
    }
    Ok((rows, found))
}
