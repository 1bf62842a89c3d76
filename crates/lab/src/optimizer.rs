use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::Optimizer as ParameterOptimizer;
use burn::optim::{
    Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState,
};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

use crate::config::{AdamSettings, OptimizerConfig, OptimizerKind};

/// Updates a module's parameters from their gradients, with a state that can be saved and restored
/// exactly.
///
/// Adam's and AdamW's rules are Burn's; the states are kept here, by parameter path. Burn's own
/// record of a module optimiser restores states in the default device's precision, which rounds an
/// f64 run's moments to f32, so that a resumed run would leave the path of the uninterrupted one.
/// The rule with momentum is written here, because Burn's lets nobody see its velocity. Gradient flow
/// needs gradients at several points and is the trainer's: its rule here is Euler's step.
///
/// All rules act on each number by itself, so every parameter is updated as a flat vector.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    learning_rate: f64,
    states: BTreeMap<String, State>,
}

enum Rule {
    Adam(Adam),
    AdamW(AdamW),
    /// v ← momentum v + g, θ ← θ − learning rate · v.
    Sgd {
        momentum: f64,
    },
    /// θ ← θ − learning rate · g.
    Descent,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adam(_) => "Adam",
            Self::AdamW(_) => "AdamW",
            Self::Sgd { .. } => "Sgd",
            Self::Descent => "Descent",
        })
    }
}

/// What a rule remembers of one parameter.
#[derive(Debug, Clone)]
struct State {
    steps: usize,
    moments: Vec<Tensor<1>>,
}

/// An [`Optimizer`]'s memory of one parameter, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterState {
    /// Steps taken.
    pub steps: usize,
    /// Moments, each with one number per number of the parameter.
    pub moments: Vec<TensorData>,
}

impl Optimizer {
    /// An optimiser without memory.
    pub fn new(config: &OptimizerConfig) -> Self {
        // Burn keeps these constants in f32.
        let single = |m: AdamSettings| (m.beta1 as f32, m.beta2 as f32, m.epsilon as f32);
        let rule = match config.kind {
            OptimizerKind::Adam(moments) => {
                let (beta1, beta2, epsilon) = single(moments);
                let adam = AdamConfig::new().with_beta_1(beta1).with_beta_2(beta2);
                Rule::Adam(adam.with_epsilon(epsilon).build())
            }
            OptimizerKind::AdamW {
                moments,
                weight_decay,
            } => {
                let (beta1, beta2, epsilon) = single(moments);
                let adamw = AdamWConfig::new().with_beta_1(beta1).with_beta_2(beta2);
                let adamw = adamw.with_epsilon(epsilon);
                Rule::AdamW(adamw.with_weight_decay(weight_decay as f32).build())
            }
            OptimizerKind::Sgd { momentum } => Rule::Sgd { momentum },
            OptimizerKind::GradientDescent | OptimizerKind::GradientFlow { .. } => Rule::Descent,
        };
        Self {
            rule,
            learning_rate: config.learning_rate,
            states: BTreeMap::new(),
        }
    }

    /// The module after one step along its `gradients`; parameters without one stay as they are.
    pub fn step<M: Module>(&mut self, module: M, gradients: &mut Gradients) -> M {
        module.map(&mut Step {
            optimizer: self,
            gradients,
            path: Vec::new(),
        })
    }

    /// The memory of every parameter, by path.
    pub fn save(&self) -> BTreeMap<String, ParameterState> {
        let save = |state: &State| ParameterState {
            steps: state.steps,
            moments: state
                .moments
                .iter()
                .map(|moment| moment.to_data())
                .collect(),
        };
        self.states
            .iter()
            .map(|(path, state)| (path.clone(), save(state)))
            .collect()
    }

    /// Takes over a memory that [`Optimizer::save`] returned; `device` is the parameters', without
    /// automatic differentiation.
    pub fn restore(&mut self, saved: BTreeMap<String, ParameterState>, device: &Device) {
        let restore = |saved: ParameterState| State {
            steps: saved.steps,
            moments: saved
                .moments
                .into_iter()
                .map(|data| {
                    let dtype: DType = data.dtype();
                    Tensor::from_data(data, (device, dtype))
                })
                .collect(),
        };
        self.states = saved
            .into_iter()
            .map(|(path, saved)| (path, restore(saved)))
            .collect();
    }

    fn update(&mut self, path: String, value: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let state = self.states.remove(&path);
        let (updated, state) = self.rule.update(self.learning_rate, value, gradient, state);
        self.states.insert(path, state);
        updated
    }
}

impl Rule {
    fn update(
        &self,
        rate: f64,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: Option<State>,
    ) -> (Tensor<1>, State) {
        match self {
            Self::Adam(rule) => {
                let (value, state) = rule.step(
                    rate,
                    value,
                    gradient,
                    state.map(|s| AdamState::new(s.into_adaptive())),
                );
                (value, State::from_adaptive(state.map(|s| s.momentum)))
            }
            Self::AdamW(rule) => {
                let (value, state) = rule.step(
                    rate,
                    value,
                    gradient,
                    state.map(|s| AdamWState::new(s.into_adaptive())),
                );
                (value, State::from_adaptive(state.map(|s| s.momentum)))
            }
            Self::Descent => (
                value - gradient * rate,
                State {
                    steps: state.map_or(0, |s| s.steps) + 1,
                    moments: Vec::new(),
                },
            ),
            Self::Sgd { momentum } => {
                let steps = state.as_ref().map_or(0, |s| s.steps);
                let velocity = match state.and_then(|mut s| s.moments.pop()) {
                    Some(velocity) => velocity * *momentum + gradient,
                    None => gradient,
                };
                (
                    value - velocity.clone() * rate,
                    State {
                        steps: steps + 1,
                        moments: vec![velocity],
                    },
                )
            }
        }
    }
}

impl State {
    fn into_adaptive(self) -> AdaptiveMomentumState<1> {
        let [first, second] =
            <[Tensor<1>; 2]>::try_from(self.moments).expect("Adam's rules keep two moments");
        AdaptiveMomentumState::new(self.steps, first, second)
    }

    fn from_adaptive(state: Option<AdaptiveMomentumState<1>>) -> Self {
        let state = state.expect("Adam's rules return a state at every step");
        Self {
            steps: state.time,
            moments: vec![state.moment_1, state.moment_2],
        }
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a mut Gradients,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let count = shape.num_elements();
        let value = tensor.inner().reshape([count]);
        let updated = self
            .optimizer
            .update(self.path.join("."), value, gradient.reshape([count]));
        let updated = Tensor::from_inner(updated.reshape(shape)).require_grad();
        Param::from_mapped_value(id, updated, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feasible_core::host::{read, write};

    #[derive(Module, Debug)]
    struct Point {
        at: Param<Tensor<2>>,
    }

    const START: [f64; 4] = [1.0, -2.0, 0.5, 4.0];

    fn start(device: &Device) -> Point {
        Point {
            at: Param::from_tensor(write(START.to_vec(), [2, 2], device, DType::F64)),
        }
    }

    /// The gradient of ½ Σ θ² is θ.
    fn descend(optimizer: &mut Optimizer, mut point: Point, steps: usize) -> Point {
        for _ in 0..steps {
            let mut gradients = (point.at.val().square().sum() * 0.5).backward();
            point = optimizer.step(point, &mut gradients);
        }
        point
    }

    fn values(point: &Point) -> Vec<f64> {
        read("at", &point.at.val()).unwrap()
    }

    fn config(kind: OptimizerKind) -> OptimizerConfig {
        OptimizerConfig {
            kind,
            learning_rate: 0.1,
        }
    }

    const ADAM: OptimizerKind = OptimizerKind::Adam(MOMENTS);
    const ADAMW: OptimizerKind = OptimizerKind::AdamW {
        moments: MOMENTS,
        weight_decay: 0.1,
    };
    const SGD: OptimizerKind = OptimizerKind::Sgd { momentum: 0.9 };
    const MOMENTS: AdamSettings = AdamSettings {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };

    #[test]
    fn momentum_follows_its_recurrence() {
        let device = Device::flex().autodiff();
        let got = values(&descend(
            &mut Optimizer::new(&config(SGD)),
            start(&device),
            5,
        ));
        for (got, mut x) in got.into_iter().zip(START) {
            let mut v = 0.0;
            for _ in 0..5 {
                v = 0.9 * v + x;
                x -= 0.1 * v;
            }
            assert!((got - x).abs() < 1e-14, "{got} {x}"); // rounding of five steps
        }
    }

    /// The decay is decoupled: it shrinks x by itself and is in no moment.
    #[test]
    fn adam_and_adamw_follow_their_recurrence() {
        let device = Device::flex().autodiff();
        for (kind, decay) in [(ADAM, 0.0), (ADAMW, 0.1)] {
            let got = values(&descend(
                &mut Optimizer::new(&config(kind)),
                start(&device),
                5,
            ));
            let (b1, b2) = (f64::from(0.9f32), f64::from(0.999f32));
            for (got, mut x) in got.into_iter().zip(START) {
                let (mut m, mut v) = (0.0, 0.0);
                for t in 1..=5 {
                    m = b1 * m + (1.0 - b1) * x;
                    v = b2 * v + (1.0 - b2) * x * x;
                    let root = (v / (1.0 - b2.powi(t))).sqrt() + 1e-8;
                    x = x * (1.0 - 0.1 * decay) - 0.1 * (m / (1.0 - b1.powi(t))) / root;
                }
                // Burn's bias corrections are powers taken in f32: relative error 1e-4 of
                // 1 − 0.999ᵗ, half of it after the root, on steps of 0.1.
                assert!((got - x).abs() < 1e-4, "{kind:?}: {got} {x}");
            }
        }
    }

    #[test]
    fn descent_is_momentum_without_any() {
        let device = Device::flex().autodiff();
        let descend = |kind| {
            let mut optimizer = Optimizer::new(&config(kind));
            values(&descend(&mut optimizer, start(&device), 5))
        };
        assert_eq!(
            descend(OptimizerKind::GradientDescent),
            descend(OptimizerKind::Sgd { momentum: 0.0 })
        );
    }

    #[test]
    fn a_restored_memory_goes_on_bit_for_bit() {
        let device = Device::flex().autodiff();
        for kind in [ADAM, ADAMW, SGD, OptimizerKind::GradientDescent] {
            let mut whole = Optimizer::new(&config(kind));
            let expected = values(&descend(&mut whole, start(&device), 7));

            let mut first = Optimizer::new(&config(kind));
            let middle = descend(&mut first, start(&device), 3);
            let mut second = Optimizer::new(&config(kind));
            second.restore(first.save(), &Device::flex());
            assert_eq!(
                values(&descend(&mut second, middle, 4)),
                expected,
                "{kind:?}"
            );
            assert_eq!(whole.save(), second.save(), "{kind:?}");
        }
    }
}
