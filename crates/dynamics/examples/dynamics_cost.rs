//! What the instruments cost on a network of 70,500 parameters and 833 samples: Hessian products, the
//! five largest eigenvalues, per-sample gradients. The quickest of several runs each.
//!
//! cargo run --release -p feasible-dynamics --example dynamics_cost

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, activation};
use feasible_core::host;
use feasible_dynamics::{
    DifferenceSettings, Differences, EvaluationError, ExactHessian, Hessian, Layout,
    PerSampleGradients, SharpnessTracker, Tangent, captured_gradients, in_precision,
    symmetry_defect, tanh, whole,
};
use feasible_kernels::dot;
use feasible_spectrum::{Operator, Settings};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    StandardNormal.sample_iter(rng).take(count).collect()
}

fn tensor(shape: [usize; 2], seed: u64, device: &Device) -> Tensor<2> {
    let values = numbers(shape[0] * shape[1], seed);
    host::write(values, shape, device, DType::F64)
}

type Activation = fn(Tensor<2>) -> Result<Tensor<2>, feasible_dynamics::Error>;

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        device.seed(1);
        let layer = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        let network = Self {
            layers: vec![layer(50, 200), layer(200, 200), layer(200, 100)],
        };
        in_precision(&network, DType::F64)
    }

    fn forward(
        &self,
        x: Tensor<2>,
        activation: Activation,
    ) -> Result<Tensor<2>, feasible_dynamics::Error> {
        let h = activation(self.layers[0].forward(x))?;
        let h = activation(self.layers[1].forward(h))?;
        Ok(self.layers[2].forward(h))
    }
}

/// The quickest of several runs, in milliseconds.
fn quickest<T>(runs: usize, mut run: impl FnMut() -> T) -> f64 {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed().as_secs_f64() * 1e3
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    hessian(&device)?;
    per_sample_gradients(&device)
}

fn hessian(device: &Device) -> Result<(), Box<dyn Error>> {
    let network = Mlp::new(device);
    let layout = Layout::of(&network)?;
    let x = tensor([833, 50], 2, device);
    let y = tensor([833, 100], 3, device);
    let activations: [(&str, Activation); 3] = [
        ("tanh", tanh),
        ("Burn's tanh", |x| Ok(x.tanh())),
        ("relu", |x| Ok(activation::relu(x))),
    ];
    for (name, activation) in activations {
        for differences in [Differences::Forward, Differences::Central] {
            let loss = whole(|network: &Mlp| {
                let error = network.forward(x.clone(), activation)? - y.clone();
                Ok(error.square().mean())
            });
            // Small enough for ReLU, whose kinks would show between the ends of a larger one.
            let settings = DifferenceSettings {
                differences,
                step: Some(1e-8),
            };
            let mut hessian = Hessian::new(&network, &layout, loss, settings)?;
            let name = format!("{name}, {differences:?}");
            top(&name, &mut hessian)?;
        }
    }
    // The same through the exact products.
    let mut exact = ExactHessian::new(
        &network,
        &layout,
        vec![1.0],
        |network: &Mlp, direction: &Mlp, _| {
            let mut h = Tangent::constant(x.clone());
            for k in 0..2 {
                h = h.linear(&network.layers[k], &direction.layers[k]).tanh();
            }
            let out = h.linear(&network.layers[2], &direction.layers[2]);
            let loss = (out - Tangent::constant(y.clone())).square().mean();
            Ok(loss.tangent.expect("parameters are involved"))
        },
    )?;
    let mut out = vec![0.0; layout.n()];
    let v = numbers(layout.n(), 4);
    let product = quickest(8, || exact.apply(&v, &mut out).expect("of this size"));
    println!(
        "exact: product {product:.1} ms, symmetry {:?}",
        symmetry_defect(&mut exact, 0)
    );
    let settings = Settings {
        tolerance: 1e-6,
        ..SharpnessTracker::difference_settings()
    };
    let mut tracker = SharpnessTracker::new(5, settings)?;
    let start = Instant::now();
    let found = tracker.measure(&mut exact)?;
    println!(
        "exact: top 5 in {:.2} s, {} products: {:?}",
        start.elapsed().as_secs_f64(),
        found.products,
        found.top
    );
    Ok(())
}

fn top<F>(name: &str, hessian: &mut Hessian<Mlp, F>) -> Result<(), Box<dyn Error>>
where
    F: FnMut(&Mlp, usize) -> Result<Tensor<1>, EvaluationError>,
{
    let gradient = quickest(8, || {
        hessian.gradient().expect("a loss that is differentiable")
    });
    let n = hessian.dim();
    let v = numbers(n, 4);
    let mut out = vec![0.0; n];
    let product = quickest(8, || hessian.apply(&v, &mut out).expect("of this size"));
    println!(
        "{name}: gradient {gradient:.1} ms, product {product:.1} ms, {:.2} gradients",
        product / gradient
    );
    println!("{name}: {:?}", hessian.quality(1)?);
    let mut found = None;
    let top = quickest(3, || {
        let settings = SharpnessTracker::difference_settings();
        let mut tracker = SharpnessTracker::new(5, settings).expect("settings in their ranges");
        found = Some(tracker.eigenpairs(hessian).expect("products can be had").1);
    });
    let found = found.expect("it ran");
    println!(
        "{name}: top 5 in {:.2} s, {} products, {:?}",
        top / 1e3,
        found.products,
        found.status
    );
    for pair in &found.pairs {
        println!(
            "{name}:   {:.6} residual {:.1e}",
            pair.value,
            pair.residual / pair.value
        );
    }
    Ok(())
}

fn per_sample_gradients(device: &Device) -> Result<(), Box<dyn Error>> {
    let network = Mlp::new(device);
    let layout = Layout::of(&network)?;
    let x = tensor([128, 50], 2, device);
    let y = tensor([128, 100], 3, device);
    let plain = quickest(20, || {
        let relu = |x| Ok(activation::relu(x));
        let out = network.forward(x.clone(), relu).expect("no error");
        (out - y.clone()).square().mean().backward()
    });
    let capture = || {
        captured_gradients(&network, &layout, |network: &Mlp, capture| {
            let h = activation::relu(capture.linear(&network.layers[0], x.clone()));
            let h = activation::relu(capture.linear(&network.layers[1], h));
            let out = capture.linear(&network.layers[2], h);
            Ok((out - y.clone()).square().sum_dim(1).squeeze_dim::<1>(1))
        })
        .expect("a chain of linear layers")
    };
    let factors = quickest(20, capture);
    let moments = quickest(20, || capture().moments().expect("several samples"));
    let fresh = quickest(20, || {
        let mut rows = PerSampleGradients::default();
        capture().per_sample(&mut rows).expect("fits into memory");
        rows
    });
    let mut rows = PerSampleGradients::default();
    capture().per_sample(&mut rows)?;
    let kept = quickest(20, || {
        capture().per_sample(&mut rows).expect("fits into memory");
    });
    let direction = numbers(layout.n(), 4);
    let mapped = quickest(20, || {
        let along = |_: usize, gradient: &[f64]| dot(gradient, &direction);
        capture().map_samples(along).expect("fits into memory")
    });
    println!(
        "batch 128: plain {plain:.1} ms; factors {:.2}, moments {:.2}, all rows {:.2}, the first time {:.2}, one after the other {:.2}",
        factors / plain,
        moments / plain,
        kept / plain,
        fresh / plain,
        mapped / plain
    );
    Ok(())
}
