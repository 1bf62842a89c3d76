//! Row-major kernels, compiled for the widest vector instructions of the machine.

pub(crate) use feasible_kernels::{
    add_transposed, axpy, dot, dots, max_abs, multiply, norm, vectorised,
};
