//! The rows that are neither affine nor quadratic.

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints};

/// What the rows are, beside their numbers.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// G sin(y).
    Sine,
    /// ½ yᵀH_i y + G_i cos(y), with the diagonals of H `[m, n]`.
    Cosine(Box<Tensor<2>>),
    /// ‖G_i y + h_i‖ − C_iᵀy, or with cos(y) in the norm.
    Norm(Box<Norm>),
}

/// The numbers of rows that are norms.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    /// h, `[m, k]`.
    pub(super) offset: Tensor<2>,
    /// C, `[m, n]`.
    pub(super) direction: Tensor<2>,
    /// Whether the norm is of cos(y).
    pub(super) cosine: bool,
}

/// Rows g(y) ≤ u of one kind.
#[derive(Debug, Clone)]
pub(super) struct CurvedRows {
    pub(super) kind: Kind,
    /// G, `[m, n]`, or `[m·k, n]` for norms.
    pub(super) g: Tensor<2>,
    pub(super) bounds: Bounds,
}

impl CurvedRows {
    /// What G is multiplied with, and its derivative.
    fn carrier(&self, y: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        match &self.kind {
            Kind::Sine => (y.clone().sin(), y.clone().cos()),
            Kind::Cosine(_) => (y.clone().cos(), -y.clone().sin()),
            Kind::Norm(norm) if norm.cosine => (y.clone().cos(), -y.clone().sin()),
            Kind::Norm(_) => (y.clone(), y.ones_like()),
        }
    }

    fn product(&self, carrier: Tensor<2>) -> Tensor<2> {
        carrier.matmul(self.g.clone().transpose())
    }

    /// G_i c + h_i, `[batch, m, k]`.
    fn inside(&self, carrier: Tensor<2>, offset: &Tensor<2>) -> Tensor<3> {
        let ([m, k], batch) = (offset.dims(), carrier.dims()[0]);
        self.product(carrier).reshape([batch, m, k]) + offset.clone().unsqueeze_dim::<3>(0)
    }

    /// The unit vectors along G_i c + h_i, zero where that is, `[batch, m, k]`.
    fn units(inside: Tensor<3>) -> Tensor<3> {
        let square = inside.clone().square().sum_dim(2);
        let zero = square.clone().equal_elem(0.0);
        inside / square.mask_fill(zero, 1.0).sqrt()
    }
}

impl Constraints for CurvedRows {
    fn variables(&self) -> usize {
        self.g.dims()[1]
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        let (carrier, _) = self.carrier(&y);
        match &self.kind {
            Kind::Sine => self.product(carrier),
            Kind::Cosine(h) => {
                self.product(carrier) + y.square().matmul(h.as_ref().clone().transpose()) * 0.5
            }
            Kind::Norm(norm) => {
                let Norm {
                    offset, direction, ..
                } = norm.as_ref();
                let square = self.inside(carrier, offset).square().sum_dim(2);
                // The derivative of a root at zero is infinite; that of the norm is taken as zero.
                let zero = square.clone().equal_elem(0.0);
                let root = square.mask_fill(zero.clone(), 1.0).sqrt();
                let norm = root.mask_fill(zero, 0.0).squeeze_dim::<2>(2);
                norm - y.matmul(direction.clone().transpose())
            }
        }
    }

    fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        let [batch, n] = y.dims();
        let (carrier, slope) = self.carrier(&y);
        let slope = slope.unsqueeze_dim::<3>(1);
        match &self.kind {
            Kind::Sine => self.g.clone().unsqueeze_dim::<3>(0) * slope,
            Kind::Cosine(h) => {
                let curved = h.as_ref().clone().unsqueeze_dim::<3>(0) * y.unsqueeze_dim::<3>(1);
                self.g.clone().unsqueeze_dim::<3>(0) * slope + curved
            }
            Kind::Norm(norm) => {
                let Norm {
                    offset, direction, ..
                } = norm.as_ref();
                let [m, k] = offset.dims();
                let units = Self::units(self.inside(carrier, offset));
                let g = self.g.clone().reshape([m, k, n]);
                let along = units.swap_dims(0, 1).matmul(g).swap_dims(0, 1);
                let direction = direction.clone().unsqueeze_dim::<3>(0);
                (along * slope - direction).reshape([batch, m, n])
            }
        }
    }

    fn vjp(&self, y: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
        let batch = y.dims()[0];
        let (carrier, slope) = self.carrier(&y);
        match &self.kind {
            Kind::Sine => w.matmul(self.g.clone()) * slope,
            Kind::Cosine(h) => {
                w.clone().matmul(self.g.clone()) * slope + w.matmul(h.as_ref().clone()) * y
            }
            Kind::Norm(norm) => {
                let Norm {
                    offset, direction, ..
                } = norm.as_ref();
                let [m, k] = offset.dims();
                let units = Self::units(self.inside(carrier, offset));
                let weighted = units * w.clone().unsqueeze_dim::<3>(2);
                let through = weighted.reshape([batch, m * k]).matmul(self.g.clone());
                through * slope - w.matmul(direction.clone())
            }
        }
    }
}
