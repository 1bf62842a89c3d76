//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use feasible_data::Recipe;
use feasible_json::Degenerate;

/// Neural networks whose outputs satisfy constraints: train them, compare them.
#[derive(Debug, Parser)]
#[command(name = "feasible", version, propagate_version = true)]
#[command(after_long_help = "Examples:
  feasible study studies/quickstart.toml      train every run of a study, print its table
  feasible table runs                         the table again
  feasible solve problem.json                 a QP, QCQP or cone program, with gradients
  feasible spectrum matrix.npy -k 5           the largest eigenvalues, with residuals
  feasible landscape runs/quickstart/RUN      the loss around a trained network, as SVG
  feasible data qcqp --out qcqp.npz           a published data set for numpy

Exit codes: 0 done, 1 failed, 2 bad arguments or bad input.")]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train every problem × method × backbone × seed of a study file and print the table.
    Study(StudyArguments),
    /// Print the table of the runs in a folder: mean ± standard deviation over seeds.
    Table(TableArguments),
    /// Solve QPs, QCQPs and cone programs given as JSON; answer with solutions and gradients.
    Solve(SolveArguments),
    /// Find eigenvalues of a symmetric matrix given as .npy.
    Spectrum(SpectrumArguments),
    /// Draw the loss and the violation over a plane of a trained network's parameters.
    Landscape(LandscapeArguments),
    /// Draw metrics over training: mean and standard deviation over seeds.
    Figures(FiguresArguments),
    /// Write a published problem's arrays as .npz.
    Data(DataArguments),
}

/// Finds eigenvalues of a symmetric matrix by Lanczos, repeated ones as often as they repeat. Each comes
/// with its residual ‖Hv − λv‖: an eigenvalue lies within it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible spectrum matrix.npy -k 5
  feasible spectrum matrix.npy -k 3 --which both --json
  feasible spectrum matrix.npy --shift=-0.5 -k 4      the four nearest to -0.5
  feasible spectrum matrix.npy --density

The matrix is numpy's: np.save(\"matrix.npy\", H), float32 or float64.

Exit codes: 0 every eigenvalue met the tolerance, 1 one did not, 2 bad arguments or a bad file.")]
pub(crate) struct SpectrumArguments {
    /// The matrix.
    pub(crate) matrix: PathBuf,
    /// How many eigenvalues; with --which both at each end.
    #[arg(short = 'k', long = "count", default_value_t = 5)]
    pub(crate) count: usize,
    /// Which ones.
    #[arg(long, value_enum, default_value_t = Which::Top)]
    pub(crate) which: Which,
    /// Those nearest to this number instead.
    #[arg(long, conflicts_with = "which", allow_negative_numbers = true)]
    pub(crate) shift: Option<f64>,
    /// Residual to reach, relative to the eigenvalue.
    #[arg(long, default_value_t = 1e-8)]
    pub(crate) tolerance: f64,
    /// Products with the matrix to spend at most.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) products: usize,
    /// Sample the density of the whole spectrum as well, by stochastic Lanczos quadrature.
    #[arg(long)]
    pub(crate) density: bool,
    /// Seed of the random directions.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which eigenvalues are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// The algebraically largest.
    Top,
    /// The algebraically smallest.
    Bottom,
    /// Those of largest absolute value.
    Magnitude,
    /// The largest and the smallest.
    Both,
}

/// Draws a landscape: of a run, whose network, problem and method are made again from its folder, or
/// of a landscape's file.
///
/// A run's landscape is written as .npz and .json, with one .svg for each --quantity: a heat map with
/// contours, minima, saddles and the run's checkpoints, or a curve on a line; and, with --topology, its
/// merge tree and persistence diagram. Undefined values stay NaN in the file and are hatched.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible landscape runs/study/RUN                            random plane, 51 x 51
  feasible landscape runs/study/RUN --plane hessian --points 31
  feasible landscape runs/study/RUN --plane pca --topology     needs a study with keep_every
  feasible landscape runs/study/RUN --plane between --with runs/study/OTHER
  feasible landscape runs/study/RUN --refine 0.01              more points where it is rough
  feasible landscape runs/study/RUN --resume                   go on after Ctrl-C
  feasible landscape runs/study/RUN/landscapes/random-step-600.json --quantity loss --log

Planes:
  random   two random directions, filter by filter as long as the weights (Li et al. 2018)
  hessian  the two top eigenvectors of the loss's Hessian; coordinates are distances
  pca      the two principal directions of the run's checkpoints, through the last
  between  the line from this run at 0 to --with at 1, or the plane through it and two others

Quantities: loss, objective, penalty_upper, penalty_lower, violation_max, violation_mean,
raw_violation_max, raw_violation_mean (before the layer), failed (samples whose layer did not
converge). The file has them all.

Exit codes: 0 drawn, 1 failed, 2 bad arguments.")]
pub(crate) struct LandscapeArguments {
    /// A run's folder, or a landscape's .json or .npz.
    pub(crate) source: PathBuf,
    /// The plane [default: random].
    #[arg(long, value_enum)]
    pub(crate) plane: Option<PlaneName>,
    /// Another run, for --plane between; twice for a plane through three.
    #[arg(long = "with", value_name = "RUN")]
    pub(crate) with: Vec<PathBuf>,
    /// What to draw; several times or separated by commas [default: loss,violation_max, and for a
    /// file all that it has].
    #[arg(long, value_delimiter = ',')]
    pub(crate) quantity: Vec<String>,
    /// Points along an axis [default: 51].
    #[arg(long)]
    pub(crate) points: Option<usize>,
    /// How far the axes reach from the checkpoint; with pca and between how far beyond the ends, as a
    /// share of the length [default: random 1, hessian a fifth of the parameters' norm, pca 0.2,
    /// between 0.5].
    #[arg(long)]
    pub(crate) extent: Option<f64>,
    /// The checkpoint of this step [default: the last].
    #[arg(long)]
    pub(crate) step: Option<u64>,
    /// The data [default: train].
    #[arg(long, value_enum)]
    pub(crate) part: Option<PartName>,
    /// Its first so many samples, at most [default: 1000].
    #[arg(long)]
    pub(crate) samples: Option<usize>,
    /// The box as the checkpoint's epoch had it, not the true one.
    #[arg(long)]
    pub(crate) as_trained: bool,
    /// Seed of random directions [default: 0].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Evaluate more points where the landscape is rough, at most as many as the grid has, until
    /// interpolation is off by this share of the range.
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "0.01", conflicts_with = "resume")]
    pub(crate) refine: Option<f64>,
    /// Go on with a scan that was interrupted.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Draw merge tree and persistence diagram as well.
    #[arg(long)]
    pub(crate) topology: bool,
    /// Logarithmic colours or values.
    #[arg(long)]
    pub(crate) log: bool,
    /// Where the files go [default: the folder landscapes of the run, or that of the file].
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// The files' name [default: plane and step].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Draws metrics over training, one .svg for each metric, problem and backbone with a curve for each
/// method, and prints first and last values. Runs that differ in their seeds alone are one curve with
/// a band of their standard deviation.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible figures runs/study                               all training dynamics
  feasible figures runs/study --metric sharpness,snr_global --out figures
  feasible figures runs/study --metric valid.violation_max --log
  feasible figures runs/study --metric sharpness --backbones    a curve for each network
  feasible figures runs/study --only qcqp --only 200-200        one problem and network

A metric is named as in metrics.jsonl; `dynamics.` may be left out. Without --metric all dynamics are
drawn that the study's `measure` recorded, but for what tells their cost and quality: names that end in
limit, seconds, share, products, defect, residual or threshold. A threshold that is one number is a line
in the picture of what it limits. A run that diverged is part of its curve and has no last value.

Exit codes: 0 drawn, 1 failed, 2 bad arguments, or nothing to draw.")]
pub(crate) struct FiguresArguments {
    /// A runs folder, or one study's folder in it.
    pub(crate) runs: PathBuf,
    /// What to draw; several times or separated by commas [default: all of dynamics but its cost and
    /// quality].
    #[arg(long, value_delimiter = ',')]
    pub(crate) metric: Vec<String>,
    /// Only problems, methods and backbones whose name has this in it; several times for all of them.
    #[arg(long, value_name = "PART")]
    pub(crate) only: Vec<String>,
    /// A figure for each method with a curve for each backbone.
    #[arg(long)]
    pub(crate) backbones: bool,
    /// Logarithmic values.
    #[arg(long)]
    pub(crate) log: bool,
    /// What the pictures' names begin with.
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Where the pictures go [default: the folder .figures in the runs folder].
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlaneName {
    /// Two random directions.
    Random,
    /// The two top eigenvectors of the Hessian.
    Hessian,
    /// The two principal directions of the checkpoints.
    Pca,
    /// Towards one or two other runs.
    Between,
}

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// What the run was trained on.
    Train,
    /// What its checkpoints were chosen by.
    Validation,
    /// What its table is of.
    Test,
}

/// Solves a problem, or a list of problems, given as JSON, and answers in JSON.
///
/// Problems of one shape are solved as one batch. One that cannot be read or is not convex gets an
/// `error` as its answer and spares the others; infeasible and unbounded ones have a `status`. With a
/// `cotangent` the answer has the gradient of cotangentᵀx with respect to every number given.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible solve problem.json
  echo '{\"problem\": \"qp\", \"P\": [1, 1], \"q\": [-3, -4],
         \"quadratic\": [{\"H\": [1, 1], \"u\": 1}], \"cotangent\": [1, 0]}' | feasible solve -

Quadratic programs: min ½xᵀPx + qᵀx, Ax = b, l ≤ Gx ≤ u, xᵀHx + gᵀx ≤ u.
  {\"problem\": \"qp\", \"P\", \"q\", \"A\", \"b\", \"G\", \"l\", \"u\",
   \"quadratic\": [{\"H\", \"g\", \"u\"}], \"cotangent\"}
  P and H are rows or a diagonal; all but q may be absent; bounds may be \"Infinity\".
Cone programs: min ½xᵀPx + qᵀx, Ax + s = b, s in a product of cones.
  {\"problem\": \"cone\", \"P\", \"q\", \"A\", \"b\", \"cones\": [{\"zero\": 2}, {\"nonnegative\": 3},
   {\"second_order\": 4}, {\"exponential\": 1}, {\"power\": 0.6}, {\"psd\": 3}], \"cotangent\"}
  Exponential and power cones have three rows, a psd cone of size k has k(k + 1)/2: the upper
  triangle by columns, entries off the diagonal times √2.
An infeasible problem's answer names the rows that conflict.
  feasible solve problem.json --elastic         ... or has the closest point instead (QPs and QCQPs;
                                                a cone program gets an error)
  feasible solve problem.json --degenerate smoothed=1e-4

Exit codes: 0 every problem was read, whatever its status; 2 one was not.")]
pub(crate) struct SolveArguments {
    /// The problems, or - for standard input.
    pub(crate) file: PathBuf,
    /// Let the rows of infeasible QPs and QCQPs give way, at a quadratic price of this weight: their
    /// answer is the closest point, with status `relaxed` and the `shift` of every bound. Cone programs
    /// refuse it: each gets an `error`.
    #[arg(long, value_name = "WEIGHT", num_args = 0..=1, require_equals = true, default_missing_value = "1e6")]
    pub(crate) elastic: Option<f64>,
    /// Which derivative to take where the solution has a kink: `least-norm`, the one-sided `held` and
    /// `released`, or `smoothed=MU`, that of the central path's point of complementarity MU.
    #[arg(long, value_name = "CHOICE", default_value = "least-norm", value_parser = degenerate)]
    pub(crate) degenerate: Degenerate,
    /// Feasibility, stationarity and gap to reach, relative to the terms that cancel in each
    /// [default: 1e-9].
    #[arg(long)]
    pub(crate) tolerance: Option<f64>,
}

fn degenerate(word: &str) -> Result<Degenerate, String> {
    match word {
        "least-norm" => Ok(Degenerate::LeastNorm),
        "held" => Ok(Degenerate::Held),
        "released" => Ok(Degenerate::Released),
        _ => match word.strip_prefix("smoothed=").map(str::parse) {
            Some(Ok(mu)) => Ok(Degenerate::Smoothed { mu }),
            _ => {
                Err("must be least-norm, held, released or smoothed=MU, as in smoothed=1e-4".into())
            }
        },
    }
}

/// Trains a study.
///
/// A study that was interrupted, by Ctrl-C or worse, goes on where it was when it is run again: runs
/// that have ended are passed over, the others resume from their last checkpoint with no recorded
/// step lost or doubled.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible study studies/quickstart.toml
  feasible study studies/qcqp.toml --runs /data/runs
  feasible study studies/quickstart.toml --json > result.json

A study file:
  name = \"example\"
  seeds = [456, 789]

  [problem]
  recipe = \"snare-qcqp\"      # also dc3-*, snare-noncvx, fsnet-*, hardnet-*
  inequalities = 10

  [training]
  epochs = 4
  batch = 100

  [[method]]
  kind = \"soft\"

  [[method]]
  kind = \"snarenet\"          # or projection, dc3, pinet, fsnet, rayen ...
  relaxation = { schedule = \"linear\", decay_epochs = 2 }")]
pub(crate) struct StudyArguments {
    /// The study file.
    pub(crate) file: PathBuf,
    /// Folder that the runs go to, in a folder of the study's name.
    #[arg(long, default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// Start over: the study's old runs are put aside under a hidden name.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Prints a table. Runs that differ in their seeds alone make a row; the best of each column is
/// marked. A run that diverged or failed makes the means of its row undefined; one that was stopped
/// or is being trained is in no mean. Both are listed below the table.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible table runs
  feasible table runs/quickstart --format markdown
  feasible table runs --format csv > table.csv")]
pub(crate) struct TableArguments {
    /// A runs folder, or one study's folder in it.
    pub(crate) runs: PathBuf,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Aligned columns, as wide as the terminal.
    Text,
    /// A Markdown table.
    Markdown,
    /// Comma-separated values.
    Csv,
    /// One JSON document.
    Json,
}

/// Writes a published problem. Without further options it is the published instance: the numbers
/// that numpy draws from the published seed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  feasible data dc3-simple --out simple.npz
  feasible data qcqp --ineq 10 --out qcqp10.npz --json
  python3 -c \"import numpy; print({k: v.shape for k, v in numpy.load('qcqp10.npz').items()})\"")]
pub(crate) struct DataArguments {
    /// The problem.
    #[arg(value_enum)]
    pub(crate) problem: ProblemName,
    /// The file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Variables [default: 100, as published].
    #[arg(long)]
    pub(crate) n: Option<usize>,
    /// Equality rows [default: 50, as published].
    #[arg(long)]
    pub(crate) eq: Option<usize>,
    /// Inequality rows [default: 50, as published].
    #[arg(long)]
    pub(crate) ineq: Option<usize>,
    /// Inputs [default: 10000, as published].
    #[arg(long)]
    pub(crate) samples: Option<usize>,
    /// Seed [default: the published one].
    #[arg(long)]
    pub(crate) seed: Option<u32>,
    /// Print one JSON document instead of a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A published problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProblemName {
    /// DC3's convex quadratic programs.
    #[value(name = "dc3-simple")]
    Dc3Simple,
    /// DC3's non-convex objective on the same draws.
    #[value(name = "dc3-nonconvex")]
    Dc3Nonconvex,
    /// SnareNet's non-convex objective.
    #[value(name = "noncvx", alias = "snare-noncvx")]
    Noncvx,
    /// SnareNet's convex quadratically constrained programs.
    #[value(name = "qcqp", alias = "snare-qcqp")]
    Qcqp,
}

impl ProblemName {
    /// The recipe of this name.
    pub(crate) fn recipe(self) -> Recipe {
        match self {
            Self::Dc3Simple => Recipe::Dc3Simple,
            Self::Dc3Nonconvex => Recipe::Dc3Nonconvex,
            Self::Noncvx => Recipe::SnareNoncvx,
            Self::Qcqp => Recipe::SnareQcqp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
