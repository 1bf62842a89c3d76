//! apex-solver.

use apex_solver::apex_manifolds::{ManifoldType, se2, se3};
use apex_solver::core::VarKey;
use apex_solver::core::problem::Problem;
use apex_solver::factors::pose::{BetweenFactor, PriorFactor};
use apex_solver::optimizer::gauss_newton::GaussNewtonConfig;
use apex_solver::optimizer::levenberg_marquardt::LevenbergMarquardtConfig;
use apex_solver::optimizer::{GaussNewton, LevenbergMarquardt};
use apex_solver::{JacobianMode, NoiseModel};
use feasible_least_squares::groups::{Se2, Se3, So3};
use nalgebra33 as na;

use super::{Clock, Peer, Run};
use crate::graph::{Graph, Poses};

pub struct Apex;

fn noise<const D: usize>(root: &[[f64; D]; D]) -> NoiseModel {
    let matrix = na::DMatrix::from_fn(D, D, |i, j| root[i][j]);
    NoiseModel::from_sqrt_info(matrix).expect("a square matrix")
}

fn angle(pose: &Se2<f64>) -> f64 {
    pose.rotation.sin.atan2(pose.rotation.cos)
}

fn planar(pose: &Se2<f64>) -> se2::SE2 {
    let [x, y] = pose.translation;
    se2::SE2::from_xy_angle(x, y, angle(pose))
}

fn spatial(pose: &Se3<f64>) -> se3::SE3 {
    let [x, y, z] = pose.rotation.v;
    let [a, b, c] = pose.translation;
    se3::SE3::from_translation_quaternion(
        na::Vector3::new(a, b, c),
        na::Quaternion::new(pose.rotation.w, x, y, z),
    )
}

fn build(graph: &Graph, prior: bool) -> (Problem, Vec<VarKey>) {
    let mut problem = Problem::new(JacobianMode::Sparse);
    let mut keys: Vec<VarKey> = Vec::new();
    match graph {
        Graph::Planar(graph) => {
            for pose in &graph.poses {
                let [x, y] = pose.translation;
                let stored = na::DVector::from_vec(vec![x, y, angle(pose)]);
                keys.push(problem.add_variable(ManifoldType::SE2, stored));
            }
            if prior {
                let factor = PriorFactor::new(planar(&graph.poses[0]));
                problem.add_residual_block(&keys[..1], Box::new(factor), None);
            }
            for edge in &graph.edges {
                let factor = Box::new(BetweenFactor::new(planar(&edge.measured)));
                let ends = [keys[edge.from], keys[edge.to]];
                let noise = noise(&edge.root_information);
                problem.add_residual_block_with_noise(&ends, factor, None, noise);
            }
            if !prior {
                (0..3).for_each(|i| problem.fix_variable(keys[0], i));
            }
        }
        Graph::Spatial(graph) => {
            for pose in &graph.poses {
                let [x, y, z] = pose.rotation.v;
                let [a, b, c] = pose.translation;
                let stored = na::DVector::from_vec(vec![a, b, c, pose.rotation.w, x, y, z]);
                keys.push(problem.add_variable(ManifoldType::SE3, stored));
            }
            if prior {
                let factor = PriorFactor::new(spatial(&graph.poses[0]));
                problem.add_residual_block(&keys[..1], Box::new(factor), None);
            }
            for edge in &graph.edges {
                let factor = Box::new(BetweenFactor::new(spatial(&edge.measured)));
                let ends = [keys[edge.from], keys[edge.to]];
                let noise = noise(&edge.root_information);
                problem.add_residual_block_with_noise(&ends, factor, None, noise);
            }
            if !prior {
                (0..6).for_each(|i| problem.fix_variable(keys[0], i));
            }
        }
    }
    (problem, keys)
}

impl Peer for Apex {
    fn name(&self) -> &'static str {
        "apex-solver 1.5"
    }

    fn methods(&self) -> &'static [&'static str] {
        &[
            "Gauss-Newton",
            "Levenberg-Marquardt",
            "its preset for pose graphs",
        ]
    }

    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run> {
        let (mut problem, keys) = build(graph, method == 0);
        let (seconds, outcome) = if method == 0 {
            let config = GaussNewtonConfig::new()
                .with_max_iterations(iterations)
                .with_cost_tolerance(0.0)
                .with_parameter_tolerance(0.0)
                .with_gradient_tolerance(0.0);
            let mut solver = GaussNewton::with_config(config);
            let start = Clock::start();
            let outcome = solver.optimize(&mut problem);
            (start.elapsed(), outcome)
        } else {
            let config = match (method, graph) {
                (1, _) => LevenbergMarquardtConfig::new(),
                (_, Graph::Planar(_)) => LevenbergMarquardtConfig::for_2d_pose_graph(),
                (_, Graph::Spatial(_)) => LevenbergMarquardtConfig::for_large_3d_pose_graph(),
            };
            let config = config
                .with_max_iterations(iterations)
                .with_cost_tolerance(0.0)
                .with_parameter_tolerance(0.0)
                .with_gradient_tolerance(0.0);
            let mut solver = LevenbergMarquardt::with_config(config);
            let start = Clock::start();
            let outcome = solver.optimize(&mut problem);
            (start.elapsed(), outcome)
        };
        let found = outcome.ok()?.parameters;
        let stored = |key: &VarKey| found[*key].as_param_slice();
        let poses = match graph {
            Graph::Planar(_) => Poses::Planar(
                keys.iter()
                    .map(stored)
                    .map(|v| Se2::new(v[0], v[1], v[2]))
                    .collect(),
            ),
            Graph::Spatial(_) => Poses::Spatial(
                keys.iter()
                    .map(stored)
                    .map(|v| Se3 {
                        rotation: So3 {
                            w: v[3],
                            v: [v[4], v[5], v[6]],
                        },
                        translation: [v[0], v[1], v[2]],
                    })
                    .collect(),
            ),
        };
        Some(Run { seconds, poses })
    }
}
