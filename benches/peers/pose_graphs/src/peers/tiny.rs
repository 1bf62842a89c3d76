//! tiny-solver. Its own spatial residual takes the translation for its logarithm, and its file reader leaves weights
//! out: this one is the residual of all here, over its scalars.

use std::collections::HashMap;
use std::sync::Arc;

use feasible_least_squares::groups::{LieGroup, Se2, Se3, So3};
use nalgebra as na;
use tiny_solver::common::OptimizerOptions;
use tiny_solver::factors::{Factor, PriorFactor};
use tiny_solver::gauss_newton_optimizer::GaussNewtonOptimizer;
use tiny_solver::levenberg_marquardt_optimizer::LevenbergMarquardtOptimizer;
use tiny_solver::manifold::se3::{SE3, SE3Manifold};
use tiny_solver::{Optimizer, Problem};

use super::{Clock, Peer, Run};
use crate::graph::{Graph, Poses};

pub struct Tiny;

struct Between2 {
    measured: [f64; 3],
    root: [[f64; 3]; 3],
}

struct Between3 {
    measured: [f64; 7],
    root: [[f64; 6]; 6],
}

fn constant<T: na::RealField>(value: f64) -> T {
    T::from_f64(value).expect("a number")
}

fn weighted<T: na::RealField, const D: usize>(root: &[[f64; D]; D], e: [T; D]) -> na::DVector<T> {
    na::DVector::from_fn(D, |i, _| {
        let mut sum = T::zero();
        for (w, e) in root[i].iter().zip(&e) {
            if *w != 0.0 {
                sum += e.clone() * constant::<T>(*w);
            }
        }
        sum
    })
}

impl<T: na::RealField> Factor<T> for Between2 {
    fn residual_func(&self, params: &[na::DVector<T>]) -> na::DVector<T> {
        let pose = |p: &na::DVector<T>| {
            na::Isometry2::new(na::Vector2::new(p[1].clone(), p[2].clone()), p[0].clone())
        };
        let [x, y, angle] = self.measured.map(constant::<T>);
        let z = na::Isometry2::new(na::Vector2::new(x, y), angle);
        let e = (pose(&params[0]) * z).inverse() * pose(&params[1]);
        let theta = e.rotation.angle();
        let half = theta.clone() * constant(0.5);
        let a = if theta.clone().abs() < constant(1e-4) {
            T::one() - half.clone() * half.clone() / constant(3.0)
        } else {
            half.clone() / half.clone().tan()
        };
        let (x, y) = (e.translation.x.clone(), e.translation.y.clone());
        let along = a.clone() * x.clone() + half.clone() * y.clone();
        let across = a * y - half * x;
        weighted(&self.root, [along, across, theta])
    }
}

impl<T: na::RealField> Factor<T> for Between3 {
    fn residual_func(&self, params: &[na::DVector<T>]) -> na::DVector<T> {
        let from = SE3::from_vec(params[0].as_view());
        let to = SE3::from_vec(params[1].as_view());
        let z = na::DVector::from_iterator(7, self.measured.iter().map(|v| constant::<T>(*v)));
        let z = SE3::from_vec(z.as_view());
        let e = (from * z).inverse() * to;
        let log = e.rot.log();
        let theta = na::Vector3::new(log[0].clone(), log[1].clone(), log[2].clone());
        let squared = theta.norm_squared();
        let k = if squared < constant(1e-8) {
            constant::<T>(1.0 / 12.0) + squared / constant(720.0)
        } else {
            let half = squared.clone().sqrt() * constant(0.5);
            (T::one() - half.clone() / half.tan()) / squared
        };
        let once = theta.cross(&e.xyz);
        let twice = theta.cross(&once);
        let rho = e.xyz - once * constant::<T>(0.5) + twice * k;
        let e = [&rho[0], &rho[1], &rho[2], &theta[0], &theta[1], &theta[2]];
        weighted(&self.root, e.map(Clone::clone))
    }
}

fn angle(pose: &Se2<f64>) -> f64 {
    pose.rotation.sin.atan2(pose.rotation.cos)
}

/// Quaternion x, y, z, w, then the translation.
fn stored(pose: &Se3<f64>) -> [f64; 7] {
    let [x, y, z] = pose.rotation.v;
    let [a, b, c] = pose.translation;
    [x, y, z, pose.rotation.w, a, b, c]
}

fn build(graph: &Graph) -> (Problem, HashMap<String, na::DVector<f64>>) {
    let mut problem = Problem::new();
    let mut values = HashMap::new();
    match graph {
        Graph::Planar(graph) => {
            for (i, pose) in graph.poses.iter().enumerate() {
                let [x, y] = pose.translation;
                values.insert(format!("x{i}"), na::dvector![angle(pose), x, y]);
            }
            for edge in &graph.edges {
                let [x, y] = edge.measured.translation;
                let factor = Between2 {
                    measured: [x, y, angle(&edge.measured)],
                    root: edge.root_information,
                };
                let (from, to) = (format!("x{}", edge.from), format!("x{}", edge.to));
                problem.add_residual_block(3, &[&from, &to], Box::new(factor), None);
            }
        }
        Graph::Spatial(graph) => {
            for (i, pose) in graph.poses.iter().enumerate() {
                let name = format!("x{i}");
                problem.set_variable_manifold(&name, Arc::new(SE3Manifold));
                values.insert(name, na::DVector::from_row_slice(&stored(pose)));
            }
            for edge in &graph.edges {
                let factor = Between3 {
                    measured: stored(&edge.measured),
                    root: edge.root_information,
                };
                let (from, to) = (format!("x{}", edge.from), format!("x{}", edge.to));
                problem.add_residual_block(6, &[&from, &to], Box::new(factor), None);
            }
        }
    }
    let first = values["x0"].clone();
    let rows = first.len();
    problem.add_residual_block(rows, &["x0"], Box::new(PriorFactor { v: first }), None);
    (problem, values)
}

impl Peer for Tiny {
    fn name(&self) -> &'static str {
        "tiny-solver 0.18.8"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Gauss-Newton", "Levenberg-Marquardt"]
    }

    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run> {
        let (problem, values) = build(graph);
        let options = OptimizerOptions {
            max_iteration: iterations,
            min_abs_error_decrease_threshold: -1.0,
            min_rel_error_decrease_threshold: -1.0,
            min_error_threshold: 0.0,
            ..OptimizerOptions::default()
        };
        let optimizer: Box<dyn Optimizer> = if method == 0 {
            Box::new(GaussNewtonOptimizer::new())
        } else {
            Box::new(LevenbergMarquardtOptimizer::default())
        };
        let start = Clock::start();
        let values = optimizer.optimize(&problem, &values, Some(options))?;
        let seconds = start.elapsed();
        let poses = match graph {
            Graph::Planar(graph) => Poses::Planar(
                (0..graph.poses.len())
                    .map(|i| {
                        let v = &values[&format!("x{i}")];
                        Se2::new(v[1], v[2], v[0])
                    })
                    .collect(),
            ),
            Graph::Spatial(graph) => Poses::Spatial(
                (0..graph.poses.len())
                    .map(|i| {
                        let v = &values[&format!("x{i}")];
                        let pose = Se3 {
                            rotation: So3 {
                                w: v[3],
                                v: [v[0], v[1], v[2]],
                            },
                            translation: [v[4], v[5], v[6]],
                        };
                        // It does not normalise: without this its drift would count as cost.
                        pose.normalised()
                    })
                    .collect(),
            ),
        };
        Some(Run { seconds, poses })
    }
}
