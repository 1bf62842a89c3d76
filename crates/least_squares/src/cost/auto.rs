//! Costs from functions written over [`Real`]: every derivative exact, none written by hand.

use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;
use std::thread::LocalKey;

use super::{Cost, Gradient, Lengths, Point, Probe, Shapes, gathered, parts};
use crate::dense::vectorised;
use crate::jet::Jet;
use crate::manifold::Manifold;
use crate::reverse::Reverse;
use crate::scalar::Real;
use crate::tape::Tape;

/// A residual written once over every scalar.
///
/// Mark a long `evaluate` with `#[inline(always)]`: it is then compiled for the widest vector
/// instructions of the machine, else perhaps for the oldest machine of its kind.
///
/// ```
/// use feasible_least_squares::{Real, Residual};
///
/// /// Rosenbrock's function as two rows.
/// struct Rosenbrock;
///
/// impl Residual for Rosenbrock {
///     fn rows(&self) -> usize {
///         2
///     }
///     fn evaluate<T: Real>(&self, variables: &[&[T]], _auxiliaries: &[&[T]], out: &mut [T]) {
///         let (x, y) = (variables[0][0], variables[0][1]);
///         out[0] = (y - x * x) * 10.0;
///         out[1] = T::constant(1.0) - x;
///     }
/// }
/// ```
pub trait Residual: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Writes all rows; `out` holds zeros. Variables and auxiliaries come in the order in which the cost
    /// was given them; one on a group as its stored numbers.
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]);

    /// Whether sizes fit. The default accepts all: an index out of range then panics, in the first
    /// evaluation already.
    ///
    /// # Errors
    /// What does not fit, as the end of a sentence that begins with the cost's name.
    fn check(&self, _shapes: &Shapes<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The cost of a [`Residual`]: Jacobians by forward mode, up to twenty columns a pass, or by reverse mode,
/// row by row, where the first evaluation shows that to be cheaper; gradients by reverse over forward mode in
/// one pass, second derivatives eight columns a pass.
pub struct AutoCost<F> {
    residual: F,
    by_rows: OnceLock<bool>,
}

impl<F: Residual> AutoCost<F> {
    /// The cost of `residual`.
    pub fn new(residual: F) -> Self {
        Self {
            residual,
            by_rows: OnceLock::new(),
        }
    }

    /// The residual.
    pub fn get(&self) -> &F {
        &self.residual
    }
}

impl<F: Residual> fmt::Debug for AutoCost<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoCost")
            .field("rows", &self.residual.rows())
            .finish()
    }
}

/// Total of the lengths.
fn total(slices: &[&[f64]]) -> usize {
    slices.iter().map(|s| s.len()).sum()
}

impl<F: Residual> AutoCost<F> {
    #[inline(always)]
    fn call<T: Real>(&self, at: &Point<'_>, variables: &[T], auxiliaries: &[T], out: &mut [T]) {
        let lengths = |slices: &[&[f64]]| slices.iter().map(|s| s.len()).collect::<Lengths>();
        let (v, a) = (lengths(at.variables), lengths(at.auxiliaries));
        // Closures too are compiled for the widest vectors only where they are inlined.
        gathered(
            parts(variables, v.iter()),
            v.count,
            #[inline(always)]
            |variables| {
                gathered(
                    parts(auxiliaries, a.iter()),
                    a.count,
                    #[inline(always)]
                    |auxiliaries| self.residual.evaluate(variables, auxiliaries, out),
                );
            },
        );
    }

    /// Forward mode, `N` columns a pass, in memory kept for the thread.
    fn by_columns<const N: usize>(
        &self,
        at: &Point<'_>,
        residual: &mut [f64],
        jacobian: &mut [f64],
        width: usize,
        memory: &'static LocalKey<RefCell<Vec<Jet<N>>>>,
    ) {
        // A residual may evaluate another cost, so the memory is taken for the time.
        let mut jets = memory.take();
        vectorised(
            #[inline(always)]
            || self.columns(at, residual, jacobian, width, &mut jets),
        );
        memory.replace(jets);
    }

    /// Forward mode, `N` columns a pass.
    #[inline(always)]
    fn columns<const N: usize>(
        &self,
        at: &Point<'_>,
        residual: &mut [f64],
        jacobian: &mut [f64],
        width: usize,
        jets: &mut Vec<Jet<N>>,
    ) {
        let (stored, rows) = (total(at.variables), residual.len());
        jets.clear();
        for slice in at.variables.iter().chain(at.auxiliaries) {
            jets.extend(slice.iter().map(|v| Jet::<N>::constant(*v)));
        }
        let count = jets.len();
        jets.resize(count + rows, Jet::zero());
        let (inputs, out) = jets.split_at_mut(count);
        let (variables, auxiliaries) = inputs.split_at_mut(stored);
        for first in (0..width).step_by(N) {
            let lanes = N.min(width - first);
            seed(at, variables, first, lanes);
            if first > 0 {
                out.fill(Jet::zero());
            }
            self.call(at, variables, auxiliaries, out);
            unseed(at, variables);
            for (row, jet) in out.iter().enumerate() {
                jacobian[row * width + first..][..lanes].copy_from_slice(&jet.slope[..lanes]);
            }
        }
        for (residual, jet) in residual.iter_mut().zip(out.iter()) {
            *residual = jet.value;
        }
    }

    /// Reverse mode, row by row.
    #[inline(always)]
    fn rows_of(
        &self,
        at: &Point<'_>,
        residual: &mut [f64],
        jacobian: &mut [f64],
        recorder: &mut Recorder<0>,
    ) {
        self.record(at, recorder, |_| [], residual.len());
        for (residual, output) in residual.iter_mut().zip(&recorder.outputs) {
            *residual = output.value;
        }
        jacobian.fill(0.0);
        let rows = jacobian.chunks_exact_mut(at.width());
        for (output, row) in recorder.outputs.iter().zip(rows) {
            if let Some(place) = output.place {
                recorder.tape.sweep_one(place, row);
            }
        }
    }

    /// Whether reverse mode is cheaper, by the operations of one evaluation, in rough nanoseconds. The
    /// weights are estimates, which put two measured cases right: rows of a sum and a few operations are
    /// faster in forward mode with 20 columns and 10 rows, and twice as fast by rows with 100 and 50.
    fn prefers_rows(&self, tape: &Tape<0>, width: usize) -> bool {
        let (nodes, summed) = tape.size();
        let (nodes, summed, rows) = (nodes as f64, summed as f64, self.residual.rows() as f64);
        let reverse = 8.0 * nodes + summed + 15.0 * rows + 300.0;
        let lanes = lanes(width);
        let passes = (width.div_ceil(lanes) * pass(lanes)) as f64 / pass(8) as f64;
        let forward = (1.4 * nodes + 0.7 * summed) * passes;
        reverse < forward
    }

    /// Records one evaluation, along the directions that `direction` gives for a column.
    #[inline(always)]
    fn record<const N: usize>(
        &self,
        at: &Point<'_>,
        recorder: &mut Recorder<N>,
        direction: impl Fn(usize) -> [f64; N],
        rows: usize,
    ) {
        let Recorder {
            tape,
            numbers,
            outputs,
        } = recorder;
        tape.restart(at.width() + total(at.auxiliaries));
        let mut all = emptied(std::mem::take(numbers));
        let stored = total(at.variables);
        let mut column = 0;
        for (manifold, x) in at.manifolds.iter().zip(at.variables) {
            let tangent = manifold.tangent();
            let delta = |i: usize, value| {
                let slope = direction(column + i);
                tape.leaf(column + i, Jet { value, slope })
            };
            if manifold.is_flat() {
                all.extend(x.iter().enumerate().map(|(i, x)| delta(i, *x)));
            } else {
                let delta: Vec<_> = (0..tangent).map(|i| delta(i, 0.0)).collect();
                let x: Vec<_> = x.iter().map(|x| Reverse::constant(*x)).collect();
                let mut moved = x.clone();
                manifold.retract(&x, &delta, &mut moved);
                all.extend(moved);
            }
            column += tangent;
        }
        let thetas = at.auxiliaries.iter().copied().flatten();
        all.extend(
            thetas
                .enumerate()
                .map(|(i, v)| tape.leaf(column + i, Jet::constant(*v))),
        );
        let inputs = all.len();
        all.resize(inputs + rows, Reverse::constant(0.0));
        let (known, out) = all.split_at_mut(inputs);
        let (variables, auxiliaries) = known.split_at(stored);
        self.call(at, variables, auxiliaries, out);
        outputs.clear();
        outputs.extend(out.iter().map(|output| Output {
            value: output.value(),
            place: Tape::place(output),
        }));
        *numbers = emptied(all);
    }
}

/// A tape, and the memory of what is recorded on it.
#[derive(Default)]
struct Recorder<const N: usize> {
    tape: Tape<N>,
    /// Empty between recordings.
    numbers: Vec<Reverse<'static, N>>,
    outputs: Vec<Output>,
}

/// A row's value, and where on the tape it is, with its factor there.
struct Output {
    value: f64,
    place: Option<(u32, f64)>,
}

/// An empty vector in the memory of one whose numbers are of another tape: the standard library collects in place.
#[inline(always)]
fn emptied<'t, const N: usize>(mut numbers: Vec<Reverse<'_, N>>) -> Vec<Reverse<'t, N>> {
    numbers.clear();
    numbers
        .into_iter()
        .map(|_| Reverse::constant(0.0))
        .collect()
}

/// Gives columns `first..first + lanes` their directions.
#[inline(always)]
fn seed<const N: usize>(at: &Point<'_>, jets: &mut [Jet<N>], first: usize, lanes: usize) {
    let (mut column, mut place) = (0, 0);
    for (manifold, x) in at.manifolds.iter().zip(at.variables) {
        let (stored, tangent) = (manifold.storage(), manifold.tangent());
        let (begin, end) = (first.max(column), (first + lanes).min(column + tangent));
        if begin < end {
            let jets = &mut jets[place..place + stored];
            if manifold.is_flat() {
                for c in begin..end {
                    jets[c - column].slope[c - first] = 1.0;
                }
            } else {
                curved(manifold, x, jets, |delta| {
                    for c in begin..end {
                        delta[c - column].slope[c - first] = 1.0;
                    }
                });
            }
        }
        column += tangent;
        place += stored;
    }
}

/// The point moved by zero, with the derivatives that `seed` gives that step.
#[inline(never)]
fn curved<const N: usize>(
    manifold: &Manifold,
    x: &[f64],
    jets: &mut [Jet<N>],
    seed: impl FnOnce(&mut [Jet<N>]),
) {
    let mut delta = vec![Jet::zero(); manifold.tangent()];
    seed(&mut delta);
    let x: Vec<_> = x.iter().map(|x| Jet::constant(*x)).collect();
    manifold.retract(&x, &delta, jets);
}

#[inline(always)]
fn unseed<const N: usize>(at: &Point<'_>, jets: &mut [Jet<N>]) {
    let values = at.variables.iter().copied().flatten();
    for (jet, value) in jets.iter_mut().zip(values) {
        *jet = Jet::constant(*value);
    }
}

/// Up to this width forward mode always has few passes.
const NARROW_WIDTH: usize = 16;

/// What a pass of so many lanes takes, in lanes: the values themselves, and what surrounds them, count as
/// four (an estimate).
const fn pass(lanes: usize) -> usize {
    lanes + 4
}

/// How many columns a pass of forward mode has for a Jacobian of this width: as few passes as are worth it.
fn lanes(width: usize) -> usize {
    let time = |lanes: &usize| width.div_ceil(*lanes) * pass(*lanes);
    [4, 8, 12, 20].into_iter().min_by_key(time).unwrap_or(8)
}

thread_local! {
    static COLUMNS_4: RefCell<Vec<Jet<4>>> = RefCell::default();
    static COLUMNS_8: RefCell<Vec<Jet<8>>> = RefCell::default();
    static COLUMNS_12: RefCell<Vec<Jet<12>>> = RefCell::default();
    static COLUMNS_20: RefCell<Vec<Jet<20>>> = RefCell::default();
    static PLAIN: RefCell<Recorder<0>> = RefCell::default();
    static PAIRED: RefCell<Recorder<2>> = RefCell::default();
    static NARROW: RefCell<Recorder<1>> = RefCell::default();
    static WIDE: RefCell<Recorder<8>> = RefCell::default();
}

impl<F: Residual> Cost for AutoCost<F> {
    fn rows(&self) -> usize {
        self.residual.rows()
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        self.residual.check(shapes)
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        out.fill(0.0);
        vectorised(
            #[inline(always)]
            || {
                self.residual.evaluate(at.variables, at.auxiliaries, out);
            },
        );
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let width = at.width();
        if width > NARROW_WIDTH && *self.by_rows.get().unwrap_or(&true) {
            let mut recorder = PLAIN.take();
            vectorised(
                #[inline(always)]
                || self.rows_of(at, residual, jacobian, &mut recorder),
            );
            self.by_rows
                .get_or_init(|| self.prefers_rows(&recorder.tape, width));
            PLAIN.replace(recorder);
            return;
        }
        match lanes(width) {
            4 => self.by_columns(at, residual, jacobian, width, &COLUMNS_4),
            8 => self.by_columns(at, residual, jacobian, width, &COLUMNS_8),
            12 => self.by_columns(at, residual, jacobian, width, &COLUMNS_12),
            _ => self.by_columns(at, residual, jacobian, width, &COLUMNS_20),
        }
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        let mut recorder = NARROW.take();
        vectorised(
            #[inline(always)]
            || {
                let direction = |column: usize| [probe.d[column]];
                self.record(at, &mut recorder, direction, probe.s.len());
                let Recorder { tape, outputs, .. } = &mut recorder;
                let seeds = outputs.iter().zip(probe.s.iter().zip(probe.t));
                let leaves = tape.sweep(seeds.filter_map(|(output, (s, t))| {
                    output.place.map(|(place, factor)| {
                        let seed = Jet {
                            value: s * factor,
                            slope: [t * factor],
                        };
                        (place, seed)
                    })
                }));
                let out = gradient
                    .variables
                    .iter_mut()
                    .chain(gradient.auxiliaries.iter_mut());
                for (out, leaf) in out.zip(leaves) {
                    *out += leaf.slope[0];
                }
            },
        );
        NARROW.replace(recorder);
    }

    fn probe_pair(&self, at: &Point<'_>, probes: [&Probe<'_>; 2], gradient: &mut Gradient<'_>) {
        let width = at.width();
        let [a, b] = probes;
        let mut recorder = PAIRED.take();
        vectorised(
            #[inline(always)]
            || {
                // Auxiliaries have no directions.
                let direction = |column: usize| [a.d[column], b.d[column]];
                self.record(at, &mut recorder, direction, a.s.len());
                let Recorder { tape, outputs, .. } = &mut recorder;
                let seeds = outputs.iter().enumerate().filter_map(|(i, output)| {
                    output.place.map(|(place, factor)| {
                        let seed = [a.s[i], a.t[i], b.s[i], b.t[i]];
                        (place, seed.map(|seed| seed * factor))
                    })
                });
                tape.sweep_pair(seeds, |leaf, value| {
                    if leaf < width {
                        gradient.variables[leaf] += value;
                    } else {
                        gradient.auxiliaries[leaf - width] += value;
                    }
                });
            },
        );
        PAIRED.replace(recorder);
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let width = at.width();
        let mut recorder = WIDE.take();
        for first in (0..width).step_by(8) {
            let lanes = 8.min(width - first);
            let direction = |column: usize| {
                let mut slope = [0.0; 8];
                if (first..first + 8).contains(&column) {
                    slope[column - first] = 1.0;
                }
                slope
            };
            let recorder = &mut recorder;
            vectorised(
                #[inline(always)]
                || {
                    self.record(at, recorder, direction, s.len());
                    let Recorder { tape, outputs, .. } = recorder;
                    let seeds = outputs.iter().zip(s).filter_map(|(output, s)| {
                        output
                            .place
                            .map(|(place, factor)| (place, Jet::constant(s * factor)))
                    });
                    let leaves = tape.sweep(seeds);
                    for (row, leaf) in leaves[..width].iter().enumerate() {
                        for (out, slope) in out[row * width + first..][..lanes]
                            .iter_mut()
                            .zip(leaf.slope)
                        {
                            *out += slope;
                        }
                    }
                },
            );
        }
        WIDE.replace(recorder);
    }
}
