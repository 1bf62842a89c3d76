//! The remembered pairs and the direction they give.

use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::start::constant;

/// What keeps quotients finite in the published variant.
const PUBLISHED_EPSILON: f64 = 1e-10;

/// A step, the change of the gradient along it, and 1/sᵀy.
#[derive(Debug)]
struct Pair {
    s: Tensor<2>,
    y: Tensor<2>,
    /// `[batch, 1]`; zero for samples whose pair is left out.
    rho: Tensor<2>,
}

/// The pairs of a limited-memory BFGS iteration (Nocedal, Math. Comp. 35, 1980), a batch of them.
#[derive(Debug)]
pub(super) struct History {
    pairs: VecDeque<Pair>,
    memory: usize,
    /// γ = sᵀy/yᵀy of the last pair, `[batch, 1]`.
    gamma: Option<Tensor<2>>,
}

impl History {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            pairs: VecDeque::new(),
            memory,
            gamma: None,
        }
    }

    /// Adds a pair; samples with 0 in `kept`, `[batch, 1]`, leave it out. `None` keeps all, with a
    /// small number in the denominators as published.
    pub(super) fn push(&mut self, s: Tensor<2>, y: Tensor<2>, kept: Option<Tensor<2>>) {
        let along = (s.clone() * y.clone()).sum_dim(1);
        let square = y.clone().square().sum_dim(1);
        let (rho, gamma) = match kept {
            None => (
                (along.clone() + PUBLISHED_EPSILON).recip(),
                along / (square + PUBLISHED_EPSILON),
            ),
            Some(kept) => {
                // Denominators of one where the pair is left out, so that no gradient is NaN.
                let left_out = -kept.clone() + 1.0;
                let rho = kept.clone() / (along.clone() * kept.clone() + left_out.clone());
                let fresh = along / (square * kept.clone() + left_out.clone());
                let old = self.gamma.take().unwrap_or_else(|| left_out.ones_like());
                (rho, fresh * kept + old * left_out)
            }
        };
        self.gamma = Some(gamma);
        if self.pairs.len() == self.memory {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { s, y, rho });
    }

    /// −Hg by the two-loop recursion; `None` without a pair.
    pub(super) fn direction(&self, g: &Tensor<2>) -> Option<Tensor<2>> {
        let gamma = self.gamma.clone()?;
        let mut q = g.clone();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let alpha = (pair.s.clone() * q.clone()).sum_dim(1) * pair.rho.clone();
            q = q - pair.y.clone() * alpha.clone();
            alphas.push(alpha);
        }
        let mut r = q * gamma;
        for (pair, alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = (pair.y.clone() * r.clone()).sum_dim(1) * pair.rho.clone();
            r = r + pair.s.clone() * (alpha - beta);
        }
        Some(-r)
    }

    /// The same numbers without a graph.
    pub(super) fn fix(&mut self) {
        for pair in &mut self.pairs {
            pair.s = constant(&pair.s);
            pair.y = constant(&pair.y);
            pair.rho = constant(&pair.rho);
        }
        self.gamma = self.gamma.take().map(|gamma| constant(&gamma));
    }
}
