//! The factorisations. A negative `info` is the place of an illegal argument.
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
use crate::options::{Job, Range, Triangle, first_illegal, spans};
use crate::real::Real;
use crate::views::{lower, lower_mut, matrix, matrix_mut, numbers};
use crate::{cholesky, decompose, lu};

/// What LAPACK calls a failure inside a decomposition.
const NOT_CONVERGED: c_int = 1;

/// # Safety
/// That of every routine, see the module.
unsafe fn potrf<T: Real>(
    uplo: *const c_char,
    n: *const c_int,
    a: *mut T,
    lda: *const c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (uplo, n, lda) = unsafe { (*uplo as u8, *n, *lda) };
    let triangle = Triangle::read(uplo);
    let conditions = [(1, triangle.is_some()), (2, n >= 0), (4, spans(lda, n))];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    // SAFETY: the arguments are legal, and the matrix as the contract has it.
    let a = unsafe { matrix_mut(a, n, n, lda) };
    let a = lower_mut(a, triangle.unwrap_or(Triangle::Lower));
    cholesky::factor(a).map_or_else(|order| order as c_int, |()| 0)
}

/// # Safety
/// That of every routine, see the module.
unsafe fn potrs<T: Real>(
    uplo: *const c_char,
    n: *const c_int,
    nrhs: *const c_int,
    a: *const T,
    lda: *const c_int,
    b: *mut T,
    ldb: *const c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (uplo, n, nrhs, lda, ldb) = unsafe { (*uplo as u8, *n, *nrhs, *lda, *ldb) };
    let triangle = Triangle::read(uplo);
    let conditions = [
        (1, triangle.is_some()),
        (2, n >= 0),
        (3, nrhs >= 0),
        (5, spans(lda, n)),
        (7, spans(ldb, n)),
    ];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    if n == 0 || nrhs == 0 {
        return 0;
    }
    // SAFETY: the arguments are legal, and the matrices as the contract has them.
    let (a, b) = unsafe { (matrix(a, n, n, lda), matrix_mut(b, n, nrhs, ldb)) };
    cholesky::solve(lower(a, triangle.unwrap_or(Triangle::Lower)), b);
    0
}

/// # Safety
/// That of every routine, see the module.
unsafe fn gesv<T: Real>(
    n: *const c_int,
    nrhs: *const c_int,
    a: *mut T,
    lda: *const c_int,
    ipiv: *mut c_int,
    b: *mut T,
    ldb: *const c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (n, nrhs, lda, ldb) = unsafe { (*n, *nrhs, *lda, *ldb) };
    let conditions = [
        (1, n >= 0),
        (2, nrhs >= 0),
        (4, spans(lda, n)),
        (7, spans(ldb, n)),
    ];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    // SAFETY: the arguments are legal, and the matrices as the contract has them.
    let (a, pivots, b) = unsafe {
        (
            matrix_mut(a, n, n, lda),
            numbers(ipiv, n as usize),
            matrix_mut(b, n, nrhs, ldb),
        )
    };
    lu::solve(a, pivots, b).map_or_else(|place| place as c_int, |()| 0)
}

/// # Safety
/// That of every routine, see the module.
unsafe fn syevr<T: Real>(
    jobz: *const c_char,
    range: *const c_char,
    uplo: *const c_char,
    n: *const c_int,
    a: *mut T,
    lda: *const c_int,
    vl: *const T,
    vu: *const T,
    il: *const c_int,
    iu: *const c_int,
    _abstol: *const T,
    m: *mut c_int,
    w: *mut T,
    z: *mut T,
    ldz: *const c_int,
    isuppz: *mut c_int,
    work: *mut T,
    lwork: *const c_int,
    iwork: *mut c_int,
    liwork: *const c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (jobz, n, lda, vl, vu, il, iu, ldz, lwork, liwork) = unsafe {
        (
            (*jobz as u8).to_ascii_uppercase(),
            *n,
            *lda,
            *vl,
            *vu,
            *il,
            *iu,
            *ldz,
            *lwork,
            *liwork,
        )
    };
    // SAFETY: so are letters.
    let (range, triangle) = unsafe { (Range::read(*range as u8), Triangle::read(*uplo as u8)) };
    let query = lwork == -1 || liwork == -1;
    let least = n.max(0).saturating_mul(26).max(1);
    let least_integers = n.max(0).saturating_mul(10).max(1);
    let vectors = jobz == b'V';
    let by_index = range == Some(Range::Indices);
    let conditions = [
        (1, vectors || jobz == b'N'),
        (2, range.is_some()),
        (3, triangle.is_some()),
        (4, n >= 0),
        (6, spans(lda, n)),
        (8, range != Some(Range::Values) || n <= 0 || vu > vl),
        (9, !by_index || il >= 1 && il <= n.max(1)),
        (10, !by_index || iu >= n.min(il) && iu <= n),
        (15, ldz >= 1 && (!vectors || ldz >= n)),
        (18, query || lwork >= least),
        (20, query || liwork >= least_integers),
    ];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    // SAFETY: a legal workspace has at least one entry, also in a query.
    unsafe {
        *work = T::of_size(least);
        *iwork = least_integers;
    }
    if query {
        return 0;
    }
    // SAFETY: the scalar result is valid for writes, the matrix as the contract has it.
    let a = unsafe {
        *m = 0;
        matrix(a.cast_const(), n, n, lda)
    };
    if n == 0 {
        return 0;
    }
    let a = lower(a, triangle.unwrap_or(Triangle::Lower));
    let Some(found) = decompose::eigen(a, vectors) else {
        return NOT_CONVERGED;
    };
    let wanted: Vec<usize> = (0..n as usize)
        .filter(|&i| match range {
            Some(Range::Values) => found.values[i] > vl && found.values[i] <= vu,
            Some(Range::Indices) => (il..=iu).contains(&(i as i32 + 1)),
            _ => true,
        })
        .collect();
    let count = wanted.len();
    // SAFETY: `m` eigenvalues fit `w`, as many columns `z` and twice as many numbers `isuppz`.
    unsafe {
        *m = count as c_int;
        for (to, &from) in numbers(w, count).iter_mut().zip(&wanted) {
            *to = found.values[from];
        }
        if vectors {
            let mut z = matrix_mut(z, n, count as i32, ldz);
            for (to, &from) in wanted.iter().enumerate() {
                z.as_mut().col_mut(to).copy_from(found.vectors.col(from));
            }
            for support in numbers(isuppz, 2 * count).chunks_exact_mut(2) {
                support.copy_from_slice(&[1, n]);
            }
        }
    }
    0
}

/// Writes what was wanted of a singular value decomposition.
///
/// # Safety
/// The arguments are legal, and those written as the contract has them.
unsafe fn singular<T: Real>(
    (left, right): (Job, Job),
    (m, n): (i32, i32),
    (a, lda): (*mut T, i32),
    s: *mut T,
    (u, ldu): (*mut T, i32),
    (vt, ldvt): (*mut T, i32),
) -> c_int {
    let least = m.min(n);
    if least == 0 {
        return 0;
    }
    let (columns, rows) = (left.count(m, least), right.count(n, least));
    // SAFETY: the matrix is as the contract has it.
    let given = unsafe { matrix(a.cast_const(), m, n, lda) };
    let Some(found) = decompose::singular(given, columns as usize, rows as usize) else {
        return NOT_CONVERGED;
    };
    // SAFETY: so are the results; `given` is not used any more.
    unsafe {
        numbers(s, least as usize).copy_from_slice(&found.values);
        match left {
            Job::All | Job::Some => matrix_mut(u, m, columns, ldu).copy_from(&found.left),
            Job::Overwrite => matrix_mut(a, m, columns, lda).copy_from(&found.left),
            Job::None => {}
        }
        let right_rows = found.right.transpose();
        match right {
            Job::All | Job::Some => matrix_mut(vt, rows, n, ldvt).copy_from(right_rows),
            Job::Overwrite => matrix_mut(a, rows, n, lda).copy_from(right_rows),
            Job::None => {}
        }
    }
    0
}

/// # Safety
/// That of every routine, see the module.
unsafe fn gesvd<T: Real>(
    jobu: *const c_char,
    jobvt: *const c_char,
    m: *const c_int,
    n: *const c_int,
    a: *mut T,
    lda: *const c_int,
    s: *mut T,
    u: *mut T,
    ldu: *const c_int,
    vt: *mut T,
    ldvt: *const c_int,
    work: *mut T,
    lwork: *const c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (m, n, lda, ldu, ldvt, lwork) = unsafe { (*m, *n, *lda, *ldu, *ldvt, *lwork) };
    // SAFETY: so are letters.
    let (left, right) = unsafe { (Job::read(*jobu as u8), Job::read(*jobvt as u8)) };
    let overwrite = Some(Job::Overwrite);
    let least = m.min(n).max(0);
    let workspace = (least.saturating_mul(3).saturating_add(m.max(n)))
        .max(least.saturating_mul(5))
        .max(1);
    let in_u = matches!(left, Some(Job::All | Job::Some));
    let in_vt = match right {
        Some(Job::All) => n,
        Some(Job::Some) => least,
        _ => 1,
    };
    let conditions = [
        (1, left.is_some()),
        (
            2,
            right.is_some() && !(left == overwrite && right == overwrite),
        ),
        (3, m >= 0),
        (4, n >= 0),
        (6, spans(lda, m)),
        (9, ldu >= 1 && (!in_u || ldu >= m)),
        (11, ldvt >= 1 && ldvt >= in_vt),
        (13, lwork == -1 || lwork >= workspace),
    ];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    // SAFETY: a legal workspace has at least one entry, also in a query.
    unsafe { *work = T::of_size(workspace) };
    let (Some(left), Some(right), false) = (left, right, lwork == -1) else {
        return 0;
    };
    // SAFETY: the arguments are legal, and the contract is the same.
    unsafe { singular((left, right), (m, n), (a, lda), s, (u, ldu), (vt, ldvt)) }
}

/// # Safety
/// That of every routine, see the module.
unsafe fn gesdd<T: Real>(
    jobz: *const c_char,
    m: *const c_int,
    n: *const c_int,
    a: *mut T,
    lda: *const c_int,
    s: *mut T,
    u: *mut T,
    ldu: *const c_int,
    vt: *mut T,
    ldvt: *const c_int,
    work: *mut T,
    lwork: *const c_int,
    _iwork: *mut c_int,
) -> c_int {
    // SAFETY: scalars are valid for reads.
    let (m, n, lda, ldu, ldvt, lwork) = unsafe { (*m, *n, *lda, *ldu, *ldvt, *lwork) };
    // SAFETY: so are letters.
    let job = unsafe { Job::read(*jobz as u8) };
    let least = m.min(n).max(0);
    // The larger side's vectors replace the matrix.
    let (left, right) = match job.unwrap_or(Job::None) {
        Job::Overwrite if m >= n => (Job::Overwrite, Job::All),
        Job::Overwrite => (Job::All, Job::Overwrite),
        job => (job, job),
    };
    let largest = m.max(n).max(0);
    let square = least.saturating_mul(least);
    let workspace = match job {
        Some(Job::None) => least
            .saturating_mul(3)
            .saturating_add(largest.max(least.saturating_mul(7))),
        Some(Job::Overwrite) => least.saturating_mul(3).saturating_add(
            largest.max(
                square
                    .saturating_mul(5)
                    .saturating_add(least.saturating_mul(4)),
            ),
        ),
        Some(Job::Some) => square
            .saturating_mul(4)
            .saturating_add(least.saturating_mul(7)),
        _ => square
            .saturating_mul(4)
            .saturating_add(least.saturating_mul(6))
            .saturating_add(largest),
    }
    .max(1);
    let stored = |job: Job, all: i32, some: i32| match job {
        Job::All => all,
        Job::Some => some,
        _ => 1,
    };
    let conditions = [
        (1, job.is_some()),
        (2, m >= 0),
        (3, n >= 0),
        (5, spans(lda, m)),
        (8, ldu >= 1 && ldu >= stored(left, m, m)),
        (10, ldvt >= 1 && ldvt >= stored(right, n, least)),
        (12, lwork == -1 || lwork >= workspace),
    ];
    if let Some(illegal) = first_illegal(&conditions) {
        return illegal;
    }
    // SAFETY: a legal workspace has at least one entry, also in a query.
    unsafe { *work = T::of_size(workspace) };
    if lwork == -1 {
        return 0;
    }
    // SAFETY: the arguments are legal, and the contract is the same.
    unsafe { singular((left, right), (m, n), (a, lda), s, (u, ldu), (vt, ldvt)) }
}

export!(
/// Cholesky factor `A = LLᵀ` or `A = UᵀU`, in place. A positive `info` is the order of the first
/// leading minor that is not positive.
potrf: spotrf_, dpotrf_; uplo: in letter, n: in integer, a: out number, lda: in integer;
    info);
export!(
/// `B ← A⁻¹B` with a factor that `?potrf` left.
potrs: spotrs_, dpotrs_; uplo: in letter, n: in integer, nrhs: in integer, a: in number,
    lda: in integer, b: out number, ldb: in integer; info);
export!(
/// `B ← A⁻¹B` by `PA = LU`, which replaces `A`. A positive `info` is the first pivot that is zero or
/// not finite; `B` is then as it was.
gesv: sgesv_, dgesv_; n: in integer, nrhs: in integer, a: out number, lda: in integer,
    ipiv: out integer, b: out number, ldb: in integer; info);
export!(
/// The eigenvalues, ascending, and eigenvectors of a symmetric matrix: all, those in `(vl, vu]`, or
/// those of places `il..=iu`. A positive `info` says that they were not found, which is so for numbers
/// that are not finite.
syevr: ssyevr_, dsyevr_; jobz: in letter, range: in letter, uplo: in letter, n: in integer,
    a: out number, lda: in integer, vl: in number, vu: in number, il: in integer, iu: in integer,
    abstol: in number, m: out integer, w: out number, z: out number, ldz: in integer,
    isuppz: out integer, work: out number, lwork: in integer, iwork: out integer,
    liwork: in integer; info);
export!(
/// Singular values, descending, and vectors `A = U·diag(s)·Vᵀ`. A positive `info` says that they were
/// not found, which is so for numbers that are not finite.
gesvd: sgesvd_, dgesvd_; jobu: in letter, jobvt: in letter, m: in integer, n: in integer,
    a: out number, lda: in integer, s: out number, u: out number, ldu: in integer, vt: out number,
    ldvt: in integer, work: out number, lwork: in integer; info);
export!(
/// As `?gesvd`, one letter saying what becomes of both sides' vectors.
gesdd: sgesdd_, dgesdd_; jobz: in letter, m: in integer, n: in integer, a: out number,
    lda: in integer, s: out number, u: out number, ldu: in integer, vt: out number,
    ldvt: in integer, work: out number, lwork: in integer, iwork: out integer; info);
