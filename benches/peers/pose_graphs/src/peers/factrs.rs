//! factrs.

use factrs::core::{BetweenResidual, GaussNewton, LevenMarquardt, PriorResidual};
use factrs::linalg::{Const, ForwardProp, Numeric, Vector2, Vector3, VectorX};
use factrs::noise::GaussianNoise;
use factrs::optimizers::{BaseOptParams, LevenParams, OptError};
use factrs::residuals::Residual2;
use factrs::traits::*;
use factrs::variables::{SE2, SE3, SO3};
use factrs::{assign_symbols, containers, fac};
use feasible_least_squares::groups::{Se2, Se3, So2, So3};
use nalgebra::{SMatrix, dvector};

use super::{Clock, Peer, Run};
use crate::graph::{Graph, Poses};

assign_symbols!(X: SE2, SE3);

pub struct Factrs;

/// The true logarithm: that of factrs 0.3 leaves the translation as it is where the angle is below 1e-5, all negative
/// angles among them.
#[derive(Clone, Debug)]
struct Between2 {
    measured: SE2,
}

#[factrs::mark]
impl Residual2 for Between2 {
    type Differ = ForwardProp<Const<6>>;
    type V1 = SE2;
    type V2 = SE2;
    type DimIn = Const<6>;
    type DimOut = Const<3>;

    fn residual2<T: Numeric>(&self, v1: SE2<T>, v2: SE2<T>) -> VectorX<T> {
        let e = v1.compose(&self.measured.cast()).inverse().compose(&v2);
        let theta = e.theta();
        let half = theta * T::from(0.5);
        let a = if theta.abs() < T::from(1e-4) {
            T::from(1.0) - half * half / T::from(3.0)
        } else {
            half / half.tan()
        };
        let xy = Vector2::new(a * e.x() + half * e.y(), a * e.y() - half * e.x());
        dvector![theta, xy.x, xy.y]
    }
}

/// Theirs is rotation first.
fn noise<const D: usize, const R: usize>(root: &[[f64; D]; D]) -> GaussianNoise<D> {
    let order = |i: usize| if i < R { D - R + i } else { i - R };
    let matrix = SMatrix::<f64, D, D>::from_fn(|i, j| root[order(i)][order(j)]);
    GaussianNoise::from_matrix_sqrt_inf(matrix)
}

fn spatial(pose: &Se3<f64>) -> SE3 {
    let [x, y, z] = pose.rotation.v;
    let [a, b, c] = pose.translation;
    SE3::from_rot_trans(
        SO3::from_xyzw(x, y, z, pose.rotation.w),
        Vector3::new(a, b, c),
    )
}

fn planar(pose: &Se2<f64>) -> SE2 {
    let theta = pose.rotation.sin.atan2(pose.rotation.cos);
    SE2::new(theta, pose.translation[0], pose.translation[1])
}

fn build(graph: &Graph) -> (containers::Graph, containers::Values, usize) {
    let mut factors = containers::Graph::new();
    let mut values = containers::Values::new();
    let count = match graph {
        Graph::Planar(graph) => {
            let first = planar(&graph.poses[0]);
            factors.add_factor(fac![PriorResidual::new(first), X(0), 1e-6 as cov]);
            for (i, pose) in graph.poses.iter().enumerate() {
                values.insert(X(i as u32), planar(pose));
            }
            for edge in &graph.edges {
                let measured = planar(&edge.measured);
                let noise = noise::<3, 1>(&edge.root_information);
                let (from, to) = (edge.from as u32, edge.to as u32);
                factors.add_factor(fac![Between2 { measured }, (X(from), X(to)), noise]);
            }
            graph.poses.len()
        }
        Graph::Spatial(graph) => {
            let first = spatial(&graph.poses[0]);
            factors.add_factor(fac![PriorResidual::new(first), X(0), 1e-6 as cov]);
            for (i, pose) in graph.poses.iter().enumerate() {
                values.insert(X(i as u32), spatial(pose));
            }
            for edge in &graph.edges {
                let noise = noise::<6, 3>(&edge.root_information);
                let (from, to) = (edge.from as u32, edge.to as u32);
                let residual = BetweenResidual::new(spatial(&edge.measured));
                factors.add_factor(fac![residual, (X(from), X(to)), noise]);
            }
            graph.poses.len()
        }
    };
    (factors, values, count)
}

impl Peer for Factrs {
    fn name(&self) -> &'static str {
        "factrs 0.3"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Gauss-Newton", "Levenberg-Marquardt"]
    }

    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run> {
        let (factors, values, count) = build(graph);
        let base = BaseOptParams {
            max_iterations: iterations,
            error_tol_relative: -1.0,
            error_tol_absolute: -1.0,
            error_tol: 0.0,
        };
        let (seconds, outcome) = if method == 0 {
            let mut solver = GaussNewton::new(base, factors);
            let start = Clock::start();
            let outcome = solver.optimize(values);
            (start.elapsed(), outcome)
        } else {
            let params = LevenParams {
                base,
                ..LevenParams::default()
            };
            let mut solver = LevenMarquardt::new(params, factors);
            let start = Clock::start();
            let outcome = solver.optimize(values);
            (start.elapsed(), outcome)
        };
        let values = match outcome {
            Ok(values) | Err(OptError::MaxIterations(values)) => values,
            Err(_) => return None,
        };
        let poses = match graph {
            Graph::Planar(_) => Poses::Planar(
                (0..count)
                    .map(|i| {
                        let pose: &SE2 = values.get(X(i as u32)).expect("it was inserted");
                        let theta = pose.theta();
                        Se2 {
                            rotation: So2 {
                                cos: theta.cos(),
                                sin: theta.sin(),
                            },
                            translation: [pose.x(), pose.y()],
                        }
                    })
                    .collect(),
            ),
            Graph::Spatial(_) => Poses::Spatial(
                (0..count)
                    .map(|i| {
                        let pose: &SE3 = values.get(X(i as u32)).expect("it was inserted");
                        let (q, t) = (pose.rot(), pose.xyz());
                        Se3 {
                            rotation: So3 {
                                w: q.w(),
                                v: [q.x(), q.y(), q.z()],
                            },
                            translation: [t[0], t[1], t[2]],
                        }
                    })
                    .collect(),
            ),
        };
        Some(Run { seconds, poses })
    }
}
