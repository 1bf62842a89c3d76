//! The products. An illegal argument makes a routine return without doing anything.
//!
//! # Safety of every routine
//! As in Fortran, every argument is a pointer. For legal arguments (others are refused before
//! anything is read through a matrix pointer):
//!
//! - scalars and letters are valid for reads, `info` and other scalar results for writes;
//! - a matrix argument of `r` rows, `c` columns and leading dimension `ld` is the first of
//!   `ld·(c − 1) + r` numbers valid for reads, and for writes where the routine writes; of a symmetric
//!   or triangular matrix the entries of the triangle that `uplo` names;
//! - a vector argument of `n` entries and increment `inc` is the first of `(n − 1)·|inc| + 1` numbers;
//! - what is written overlaps nothing else that is passed;
//! - matrices and vectors without entries are never read, and may be null.

use core::ffi::{c_char, c_int};

use crate::export::export;
use crate::options::{Transpose, Triangle, spans};
use crate::products;
use crate::real::Real;
use crate::views::{lower, lower_mut, matrix, matrix_mut, turned, vector, vector_mut};

/// # Safety
/// That of every routine, see the module.
unsafe fn gemm<T: Real>(
    transa: *const c_char,
    transb: *const c_char,
    m: *const c_int,
    n: *const c_int,
    k: *const c_int,
    alpha: *const T,
    a: *const T,
    lda: *const c_int,
    b: *const T,
    ldb: *const c_int,
    beta: *const T,
    c: *mut T,
    ldc: *const c_int,
) {
    // SAFETY: scalars are valid for reads.
    let (m, n, k, alpha, lda, ldb, beta, ldc) =
        unsafe { (*m, *n, *k, *alpha, *lda, *ldb, *beta, *ldc) };
    // SAFETY: so are letters.
    let letters = unsafe { (*transa as u8, *transb as u8) };
    let (Some(of_a), Some(of_b)) = (Transpose::read(letters.0), Transpose::read(letters.1)) else {
        return;
    };
    let (a_rows, a_columns) = of_a.stored(m, k);
    let (b_rows, b_columns) = of_b.stored(k, n);
    let legal = m >= 0 && n >= 0 && k >= 0;
    if !(legal && spans(lda, a_rows) && spans(ldb, b_rows) && spans(ldc, m)) || m == 0 || n == 0 {
        return;
    }
    // SAFETY: the arguments are legal, and the matrices as the contract has them.
    let (a, b, c) = unsafe {
        (
            matrix(a, a_rows, a_columns, lda),
            matrix(b, b_rows, b_columns, ldb),
            matrix_mut(c, m, n, ldc),
        )
    };
    products::general(alpha, turned(a, of_a), turned(b, of_b), beta, c);
}

/// # Safety
/// That of every routine, see the module.
unsafe fn gemv<T: Real>(
    trans: *const c_char,
    m: *const c_int,
    n: *const c_int,
    alpha: *const T,
    a: *const T,
    lda: *const c_int,
    x: *const T,
    incx: *const c_int,
    beta: *const T,
    y: *mut T,
    incy: *const c_int,
) {
    // SAFETY: scalars are valid for reads.
    let (trans, m, n, alpha, lda, incx, beta, incy) =
        unsafe { (*trans as u8, *m, *n, *alpha, *lda, *incx, *beta, *incy) };
    let Some(trans) = Transpose::read(trans) else {
        return;
    };
    let legal = m >= 0 && n >= 0 && spans(lda, m) && incx != 0 && incy != 0;
    if !legal || m == 0 || n == 0 {
        return;
    }
    // The product has so many rows, from a vector of so many entries.
    let (rows, columns) = trans.stored(m, n);
    // SAFETY: the arguments are legal, the vectors have entries, all as the contract has them.
    let (a, x, y) = unsafe {
        (
            matrix(a, m, n, lda),
            vector(x, columns, incx),
            vector_mut(y, rows, incy),
        )
    };
    products::general(alpha, turned(a, trans), x, beta, y);
}

/// # Safety
/// That of every routine, see the module.
unsafe fn symv<T: Real>(
    uplo: *const c_char,
    n: *const c_int,
    alpha: *const T,
    a: *const T,
    lda: *const c_int,
    x: *const T,
    incx: *const c_int,
    beta: *const T,
    y: *mut T,
    incy: *const c_int,
) {
    // SAFETY: scalars are valid for reads.
    let (uplo, n, alpha, lda, incx, beta, incy) =
        unsafe { (*uplo as u8, *n, *alpha, *lda, *incx, *beta, *incy) };
    let Some(triangle) = Triangle::read(uplo) else {
        return;
    };
    if !(n > 0 && spans(lda, n) && incx != 0 && incy != 0) {
        return;
    }
    // SAFETY: the arguments are legal, the vectors have entries, all as the contract has them.
    let (a, x, y) = unsafe {
        (
            matrix(a, n, n, lda),
            vector(x, n, incx),
            vector_mut(y, n, incy),
        )
    };
    products::symmetric_vector(alpha, lower(a, triangle), x, beta, y);
}

/// # Safety
/// That of every routine, see the module.
unsafe fn syrk<T: Real>(
    uplo: *const c_char,
    trans: *const c_char,
    n: *const c_int,
    k: *const c_int,
    alpha: *const T,
    a: *const T,
    lda: *const c_int,
    beta: *const T,
    c: *mut T,
    ldc: *const c_int,
) {
    // SAFETY: scalars are valid for reads.
    let (uplo, trans, n, k, alpha, lda, beta, ldc) =
        unsafe { (*uplo as u8, *trans as u8, *n, *k, *alpha, *lda, *beta, *ldc) };
    let (Some(triangle), Some(trans)) = (Triangle::read(uplo), Transpose::read(trans)) else {
        return;
    };
    let (rows, columns) = trans.stored(n, k);
    if !(n > 0 && k >= 0 && spans(lda, rows) && spans(ldc, n)) {
        return;
    }
    // SAFETY: the arguments are legal, and the matrices as the contract has them.
    let (a, c) = unsafe { (matrix(a, rows, columns, lda), matrix_mut(c, n, n, ldc)) };
    products::symmetric(alpha, turned(a, trans), beta, lower_mut(c, triangle));
}

/// # Safety
/// That of every routine, see the module.
unsafe fn syr2k<T: Real>(
    uplo: *const c_char,
    trans: *const c_char,
    n: *const c_int,
    k: *const c_int,
    alpha: *const T,
    a: *const T,
    lda: *const c_int,
    b: *const T,
    ldb: *const c_int,
    beta: *const T,
    c: *mut T,
    ldc: *const c_int,
) {
    // SAFETY: scalars are valid for reads.
    let (n, k, alpha, lda, ldb, beta, ldc) = unsafe { (*n, *k, *alpha, *lda, *ldb, *beta, *ldc) };
    // SAFETY: so are letters.
    let letters = unsafe { (*uplo as u8, *trans as u8) };
    let (Some(triangle), Some(trans)) = (Triangle::read(letters.0), Transpose::read(letters.1))
    else {
        return;
    };
    let (rows, columns) = trans.stored(n, k);
    if !(n > 0 && k >= 0 && spans(lda, rows) && spans(ldb, rows) && spans(ldc, n)) {
        return;
    }
    // SAFETY: the arguments are legal, and the matrices as the contract has them.
    let (a, b, c) = unsafe {
        (
            matrix(a, rows, columns, lda),
            matrix(b, rows, columns, ldb),
            matrix_mut(c, n, n, ldc),
        )
    };
    products::symmetric_pair(
        alpha,
        turned(a, trans),
        turned(b, trans),
        beta,
        lower_mut(c, triangle),
    );
}

export!(
/// `C ← α·op(A)·op(B) + βC`, `C` of `m` rows and `n` columns, `op(A)` of `k` columns.
gemm: sgemm_, dgemm_; transa: in letter, transb: in letter, m: in integer, n: in integer,
    k: in integer, alpha: in number, a: in number, lda: in integer, b: in number, ldb: in integer,
    beta: in number, c: out number, ldc: in integer;);
export!(
/// `y ← α·op(A)·x + βy`, `A` of `m` rows and `n` columns.
gemv: sgemv_, dgemv_; trans: in letter, m: in integer, n: in integer, alpha: in number,
    a: in number, lda: in integer, x: in number, incx: in integer, beta: in number, y: out number,
    incy: in integer;);
export!(
/// `y ← αAx + βy`, `A` symmetric of `n` rows.
symv: ssymv_, dsymv_; uplo: in letter, n: in integer, alpha: in number, a: in number,
    lda: in integer, x: in number, incx: in integer, beta: in number, y: out number,
    incy: in integer;);
export!(
/// One triangle of `C ← αAAᵀ + βC`, or with `AᵀA`; `C` of `n` rows.
syrk: ssyrk_, dsyrk_; uplo: in letter, trans: in letter, n: in integer, k: in integer,
    alpha: in number, a: in number, lda: in integer, beta: in number, c: out number,
    ldc: in integer;);
export!(
/// One triangle of `C ← α(ABᵀ + BAᵀ) + βC`, or with `AᵀB + BᵀA`; `C` of `n` rows.
syr2k: ssyr2k_, dsyr2k_; uplo: in letter, trans: in letter, n: in integer, k: in integer,
    alpha: in number, a: in number, lda: in integer, b: in number, ldb: in integer,
    beta: in number, c: out number, ldc: in integer;);
