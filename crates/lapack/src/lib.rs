//! The BLAS and LAPACK routines that Clarabel's semidefinite cone calls, in Rust.
//!
//! Clarabel leaves its dense products and decompositions to whatever BLAS and LAPACK the program is
//! linked with. This crate is one that `cargo build` alone brings: the routines below, in `f64` and
//! `f32`, under their Fortran names. Depend on it and name it once, so that the linker sees it:
//!
//! ```
//! use feasible_lapack as _;
//! ```
//!
//! | routine | problem |
//! |---|---|
//! | `?gemm`, `?gemv`, `?symv` | products with a matrix, with a vector, of a symmetric matrix with a vector |
//! | `?syrk`, `?syr2k` | symmetric products `αAAᵀ + βC`, `α(ABᵀ + BAᵀ) + βC` |
//! | `?potrf`, `?potrs` | Cholesky factorisation, and solves with it |
//! | `?gesv` | solve by LU factorisation with partial pivoting |
//! | `?syevr` | eigenvalues and eigenvectors of a symmetric matrix |
//! | `?gesdd`, `?gesvd` | singular values and vectors |
//!
//! They follow the reference BLAS and LAPACK (Anderson et al., LAPACK Users' Guide, 3rd ed. 1999) in
//! every argument, in workspace queries and in `info`, with these differences:
//!
//! - An illegal argument of a BLAS routine makes it return without doing anything; the reference
//!   prints a message and stops the program.
//! - The decompositions answer numbers that are not finite with a positive `info`.
//! - `?syevr` leaves the matrix as it was, and ignores `abstol`: eigenvalues are as accurate as they
//!   come. Workspaces are checked but not used; memory comes from the allocator.
//!
//! Products and decompositions are faer's, on the calling thread alone.
//!
//! A program must not hold two BLAS libraries: link this one or another.

// Fortran's argument lists.
#![allow(clippy::too_many_arguments)]
// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

#[allow(unsafe_code)]
pub mod blas;
mod cholesky;
mod decompose;
mod export;
#[allow(unsafe_code)]
pub mod lapack;
mod lu;
mod options;
mod products;
mod real;
#[allow(unsafe_code)]
mod views;
