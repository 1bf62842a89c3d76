//! What Burn adds to the bare solver, on DC3's QPs (flex, f64). Each way takes its turn in every round, and what is
//! printed is the median of the rounds' ratios: a machine whose clock changes while this runs changes both sides.
//!
//! cargo bench -p feasible-benches --bench through_burn
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::QpLayer;
use feasible::host::{self, HostAdjoint, Input};
use feasible::solver::{AdjointSettings, Cotangent, Settings, Wanted, adjoint, solve};
use feasible_benches::dc3::{Matrices, Qp};

/// How long a problem's rounds take, and how many there are at least.
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 20;

/// A computation that costs nothing, with these lengths of its inputs.
#[derive(Debug)]
struct Idle(Vec<usize>);

impl HostAdjoint for Idle {
    fn vjp(&self, _: &[f64]) -> Vec<Vec<f64>> {
        self.0.iter().map(|length| vec![0.0; *length]).collect()
    }
}

/// What Burn's graph and its backward steps take, whatever the layer.
fn graph_alone(tracked: &[Tensor<1>], shape: [usize; 2]) {
    let inputs = tracked.iter().cloned().map(Input::new).collect();
    let lengths = tracked.iter().map(|tensor| tensor.dims()[0]).collect();
    let device = tracked[0].device();
    let output = vec![0.0; shape[0] * shape[1]];
    let adjoint = Arc::new(Idle(lengths));
    let output = host::record(output, shape, &device, DType::F64, inputs, adjoint);
    black_box(output.sum().backward());
}

/// Gradients of the sum of all minimisers.
fn bare(qp: &Qp, wanted: &Wanted) {
    let problem = qp.problem();
    let solution = solve(&problem, &Settings::default()).expect("valid");
    let ones = vec![1.0; solution.x.len()];
    let settings = AdjointSettings::default();
    let cotangent = Cotangent::of_x(&ones);
    black_box(adjoint(&problem, &solution, &cotangent, wanted, &settings).expect("valid"));
}

/// Microseconds of every way in every round, the first rounds left out.
fn rounds(ways: &[&dyn Fn()]) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); ways.len()];
    let begin = Instant::now();
    for round in 0.. {
        if round > 2 * ROUNDS && begin.elapsed() > TIME {
            break;
        }
        for (way, times) in ways.iter().zip(&mut times) {
            let start = Instant::now();
            way();
            if round >= ROUNDS {
                times.push(1e6 * start.elapsed().as_secs_f64());
            }
        }
    }
    times
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(name: &str, qp: &Qp) {
    let layer = QpLayer::default();
    let of_q = Wanted {
        q: true,
        ..Wanted::NONE
    };
    let [constant, all, predicted] = [Wanted::NONE, Wanted::ALL, of_q].map(|w| qp.tensors(&w));
    let device = Device::flex().autodiff();
    let inputs: Vec<Tensor<1>> = (qp.parameters().into_iter())
        .map(|values| host::write(values.to_vec(), [values.len()], &device, DType::F64))
        .map(Tensor::require_grad)
        .collect();
    let size = [qp.batch, qp.size.0];
    let x: Tensor<2> = host::write(vec![1.0; size[0] * size[1]], size, &device, DType::F64);
    let x = x.require_grad();
    let ways: [&dyn Fn(); 8] = [
        &|| {
            black_box(solve(&qp.problem(), &Settings::default()).expect("valid"));
        },
        &|| {
            black_box(layer.forward(&constant).expect("valid").x);
        },
        &|| bare(qp, &Wanted::ALL),
        &|| {
            black_box(layer.forward(&all).expect("valid").x.sum().backward());
        },
        &|| bare(qp, &of_q),
        &|| {
            black_box(layer.forward(&predicted).expect("valid").x.sum().backward());
        },
        &|| graph_alone(&inputs, size),
        &|| {
            black_box(x.clone().sum().backward());
        },
    ];
    let times = rounds(&ways);
    let of = |way: usize| median(times[way].iter().copied());
    let over = |way: usize, base: usize| {
        median((times[way].iter().zip(&times[base])).map(|(time, base)| time / base))
    };
    println!(
        "{name:34} {:12} {:9.0} {:9.0}  {:7.2} {:7.2} {:7.2} {:7.2} {:7.2}",
        qp.name(),
        of(0),
        of(2),
        over(1, 0),
        over(3, 2),
        over(5, 4),
        over(6, 2),
        over(7, 2),
    );
}

fn main() {
    println!(
        "batch 128; microseconds of the bare solver, and what a layer takes over them\n{:34} {:12} {:>9} {:>9}  {:>7} {:>7} {:>7} {:>7} {:>7}",
        "", "", "forward", "both", "forward", "both", "of q", "graph", "loss"
    );
    let sizes = [(20, 5, 10), (100, 50, 50)];
    for (name, matrices) in [
        ("shared matrices", Matrices::Shared),
        ("shared matrices, dense P", Matrices::SharedDense),
        ("matrices a sample", Matrices::PerSample),
    ] {
        for size in sizes {
            measure(name, &Qp::draw(128, size, matrices));
        }
    }
    measure(
        "batch 16384, shared matrices",
        &Qp::draw(16_384, sizes[0], Matrices::Shared),
    );
}
