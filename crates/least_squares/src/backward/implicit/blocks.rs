//! The matrix of the adjoint system as one block for every term, for solvers that assemble it themselves.

use super::System;
use crate::backward::hessian::{self, Curvature};
use crate::dense::{add_transposed, multiply};
use crate::objective::Objective;

/// Each term's part of the matrix, `[width, width]`.
pub(super) struct Blocks(Vec<Vec<f64>>);

impl Blocks {
    pub(super) fn new(objective: &Objective) -> Self {
        let terms = objective.terms.iter();
        Self(terms.map(|t| vec![0.0; t.width * t.width]).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.0.iter().map(Vec::as_slice)
    }

    pub(super) fn assemble(&mut self, system: &System<'_>, curvature: &mut Curvature) {
        for (index, block) in self.0.iter_mut().enumerate() {
            let term = &system.objective.terms[index];
            block.fill(0.0);
            if system.exact {
                curvature.add(system.objective, index, &system.sample, system.at, block);
            }
            hessian::add_gauss_newton(term, system.at, block);
            for (local, column) in term.columns.iter().enumerate() {
                if system.held[*column] {
                    for other in 0..term.width {
                        block[local * term.width + other] = 0.0;
                        block[other * term.width + local] = 0.0;
                    }
                }
            }
        }
    }

    /// `out` = the matrix times `x`, the identity where a coordinate is held.
    pub(super) fn multiply(&self, system: &System<'_>, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let mut gathered = Vec::new();
        let mut local = Vec::new();
        for (term, block) in system.objective.terms.iter().zip(&self.0) {
            local.resize(term.width, 0.0);
            multiply(
                block,
                term.gather(x, &mut gathered),
                &mut local[..term.width],
            );
            for (value, column) in local.iter().zip(&term.columns) {
                out[*column] += value;
            }
        }
        for (i, held) in system.held.iter().enumerate() {
            if *held {
                out[i] = x[i];
            }
        }
    }

    /// `out` = the exact Hessian times `x`, whichever the matrix is.
    pub(super) fn multiply_exact(
        &self,
        system: &System<'_>,
        curvature: &mut Curvature,
        x: &[f64],
        out: &mut [f64],
    ) {
        self.multiply(system, x, out);
        if system.exact {
            return;
        }
        let mut gathered = Vec::new();
        for (index, term) in system.objective.terms.iter().enumerate() {
            let mut block = vec![0.0; term.width * term.width];
            curvature.add(
                system.objective,
                index,
                &system.sample,
                system.at,
                &mut block,
            );
            let mut local = vec![0.0; term.width];
            add_transposed(&block, term.gather(x, &mut gathered), &mut local);
            for (value, column) in local.iter().zip(&term.columns) {
                if !system.held[*column] {
                    out[*column] += value;
                }
            }
        }
    }
}
