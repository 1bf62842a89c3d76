//! Evaluating several quantities at every point of a line or a grid.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::axis::Axes;
use crate::error::{Error, EvaluationError};
use crate::journal::Journal;
use crate::surface::{Surface, check_names};

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows done, those read from the scan's file included.
    pub done: usize,
    /// Rows in all.
    pub of: usize,
}

/// What a scan does beside evaluating.
#[derive(Default)]
pub struct ScanOptions<'a> {
    /// File that keeps the rows as they are done, and from which an interrupted scan continues. It
    /// stays when the scan is done; [`Scan::finish`] removes it.
    pub file: Option<&'a Path>,
    /// What the landscape depends on beside the axes and the names: a checkpoint's name, a hash of
    /// the parameters. A file written under another key is refused.
    pub key: &'a str,
    /// Called after each row; [`ControlFlow::Break`] stops the scan, with [`Error::Stopped`].
    pub progress: Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)>,
}

/// A scan that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// What it found.
    pub surface: Surface,
    /// Points that were evaluated; the others came from the scan's file.
    pub evaluated: usize,
    file: Option<PathBuf>,
}

impl Scan {
    /// Removes the scan's file, now that the surface is kept elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<Surface, Error> {
        if let Some(path) = &self.file {
            Journal::remove(path)?;
        }
        Ok(self.surface)
    }
}

/// Evaluates the named quantities at every point, rows in parallel.
///
/// `evaluate(a, b)` returns one value a name, in order; `b` is 0 on a line. NaN and infinities are
/// kept as they are. Values depend on the point alone, so the result does not depend on the number
/// of threads. To evaluate at parameters, `|a, b| loss(&plane.point(a, b))`.
///
/// # Errors
/// [`Error::Argument`] for the names, [`Error::Evaluation`] with the point, [`Error::Shape`] if the
/// values are not one a name, [`Error::Stopped`], [`Error::Io`], [`Error::File`]. Rows done before an
/// error are in the scan's file.
pub fn scan<F>(
    axes: &Axes,
    names: &[&str],
    options: &ScanOptions<'_>,
    evaluate: F,
) -> Result<Scan, Error>
where
    F: Fn(f64, f64) -> Result<Vec<f64>, EvaluationError> + Sync,
{
    let (state, left) = State::open(axes, names, options)?;
    let failed = AtomicBool::new(false);
    let outcome: Result<(), Error> = left.par_iter().try_for_each(|&row| {
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let done =
            evaluate_row(axes, names, row, &evaluate).and_then(|values| state.keep(row, values));
        if done.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        done
    });
    outcome?;
    state.done(left.len())
}

/// As [`scan`], one point after the other: for what cannot be shared by threads.
///
/// # Errors
/// As [`scan`].
pub fn scan_in_order<F>(
    axes: &Axes,
    names: &[&str],
    options: &ScanOptions<'_>,
    mut evaluate: F,
) -> Result<Scan, Error>
where
    F: FnMut(f64, f64) -> Result<Vec<f64>, EvaluationError>,
{
    let (state, left) = State::open(axes, names, options)?;
    for &row in &left {
        let values = evaluate_row(axes, names, row, &mut evaluate)?;
        state.keep(row, values)?;
    }
    state.done(left.len())
}

/// Values of one row, one list a quantity.
fn evaluate_row(
    axes: &Axes,
    names: &[&str],
    row: usize,
    mut evaluate: impl FnMut(f64, f64) -> Result<Vec<f64>, EvaluationError>,
) -> Result<Vec<Vec<f64>>, Error> {
    let points = axes.row(row);
    let mut out = vec![Vec::with_capacity(points.len()); names.len()];
    for (a, b) in points {
        let values = evaluate(a, b).map_err(|source| Error::Evaluation { a, b, source })?;
        let what = "values, one a name";
        crate::error::length("evaluate", values.len(), names.len(), what)?;
        for (list, value) in out.iter_mut().zip(values) {
            list.push(value);
        }
    }
    Ok(out)
}

struct State<'a> {
    options: &'a ScanOptions<'a>,
    rows: usize,
    width: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    surface: Surface,
    journal: Option<Journal>,
    done: usize,
}

impl<'a> State<'a> {
    /// The state, and the rows that are still to be done.
    fn open(
        axes: &Axes,
        names: &[&str],
        options: &'a ScanOptions<'a>,
    ) -> Result<(Self, Vec<usize>), Error> {
        check_names(names.iter().copied())?;
        let rows = axes.rows();
        let (journal, kept) = match options.file {
            None => (None, Vec::new()),
            Some(path) => {
                let (journal, kept) = Journal::open(path, axes, names, options.key)?;
                (Some(journal), kept)
            }
        };
        let state = Self {
            options,
            rows,
            width: axes.points() / rows,
            inner: Mutex::new(Inner {
                surface: Surface::undefined(axes, names),
                journal,
                done: 0,
            }),
        };
        let mut is_done = vec![false; rows];
        for (row, values) in kept {
            if !std::mem::replace(&mut is_done[row], true) {
                let mut inner = state.lock();
                inner.done += 1;
                state.store(&mut inner.surface, row, &values);
            }
        }
        let left = (0..rows).filter(|&row| !is_done[row]).collect();
        Ok((state, left))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic elsewhere leaves whole rows: they are stored after everything that can fail.
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn store(&self, surface: &mut Surface, row: usize, values: &[Vec<f64>]) {
        for (quantity, values) in surface.quantities.iter_mut().zip(values) {
            quantity.values[row * self.width..][..self.width].copy_from_slice(values);
        }
    }

    fn keep(&self, row: usize, values: Vec<Vec<f64>>) -> Result<(), Error> {
        let mut inner = self.lock();
        if let Some(journal) = &mut inner.journal {
            journal.append(row, &values)?;
        }
        self.store(&mut inner.surface, row, &values);
        inner.done += 1;
        let progress = Progress {
            done: inner.done,
            of: self.rows,
        };
        drop(inner);
        match self.options.progress.map(|tell| tell(progress)) {
            Some(ControlFlow::Break(())) if progress.done < progress.of => Err(Error::Stopped {
                done: progress.done,
                of: progress.of,
            }),
            _ => Ok(()),
        }
    }

    fn done(self, rows: usize) -> Result<Scan, Error> {
        let evaluated = rows * self.width;
        let inner = self.inner.into_inner().unwrap_or_else(|e| e.into_inner());
        Ok(Scan {
            surface: inner.surface,
            evaluated,
            file: self.options.file.map(Path::to_owned),
        })
    }
}
