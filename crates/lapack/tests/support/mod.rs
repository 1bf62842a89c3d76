//! Matrices in memory with room between their columns, and the routines in both precisions.
#![allow(dead_code, unreachable_pub, unsafe_code, clippy::too_many_arguments)]

use feasible_lapack as _;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What fills memory that no routine may read (a NaN spoils every result) or write.
const CANARY: f64 = f64::NAN;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn draw<T: Number>(rng: &mut ChaCha8Rng) -> T {
    T::of(StandardNormal.sample(rng))
}

/// A matrix by columns, with canaries between them.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    pub rows: usize,
    pub columns: usize,
    pub leading: i32,
    pub data: Vec<T>,
}

impl<T: Number> Stored<T> {
    pub fn new(
        rng: &mut ChaCha8Rng,
        rows: usize,
        columns: usize,
        mut entry: impl FnMut(usize, usize) -> T,
    ) -> Self {
        let leading = rows.max(1) + rng.random_range(0..4);
        let mut data = vec![T::of(CANARY); leading * columns + 1];
        for j in 0..columns {
            for i in 0..rows {
                data[j * leading + i] = entry(i, j);
            }
        }
        Stored {
            rows,
            columns,
            leading: leading as i32,
            data,
        }
    }

    pub fn normal(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Self {
        let mut more = rng.clone();
        let out = Self::new(rng, rows, columns, |_, _| draw(&mut more));
        *rng = more;
        out
    }

    /// Nothing but canaries: a result that must not be read.
    pub fn canaries(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Self {
        Self::new(rng, rows, columns, |_, _| T::of(CANARY))
    }

    /// The same with canaries in the triangle that is not given.
    pub fn only(mut self, triangle: u8) -> Self {
        for j in 0..self.columns {
            for i in 0..self.rows {
                if triangle == b'L' && i < j || triangle == b'U' && i > j {
                    self.data[j * self.leading as usize + i] = T::of(CANARY);
                }
            }
        }
        self
    }

    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.data[j * self.leading as usize + i].to()
    }

    /// Entry of the matrix or of its transpose.
    pub fn op(&self, letter: u8, i: usize, j: usize) -> f64 {
        if letter == b'N' {
            self.at(i, j)
        } else {
            self.at(j, i)
        }
    }

    /// Every number outside these entries is as before, to the bit.
    pub fn untouched(&self, before: &Self, except: impl Fn(usize, usize) -> bool) {
        for (place, (now, before)) in self.data.iter().zip(&before.data).enumerate() {
            let (i, j) = (place % self.leading as usize, place / self.leading as usize);
            let inside = i < self.rows && j < self.columns && except(i, j);
            assert!(
                inside || now.to().to_bits() == before.to().to_bits(),
                "({i}, {j}) of {} x {}: {} {}",
                self.rows,
                self.columns,
                now.to(),
                before.to()
            );
        }
    }
}

/// `f64` or `f32` and the routines in it.
pub trait Number: Copy + PartialEq + std::fmt::Debug + 'static {
    const EPSILON: f64;
    fn of(value: f64) -> Self;
    fn to(self) -> f64;
    fn gemm(
        of: [u8; 2],
        size: [i32; 3],
        alpha: Self,
        a: &Stored<Self>,
        b: &Stored<Self>,
        beta: Self,
        c: &mut Stored<Self>,
    );
    fn gemv(
        of: u8,
        alpha: Self,
        a: &Stored<Self>,
        x: (&[Self], i32),
        beta: Self,
        y: (&mut [Self], i32),
    );
    fn symv(
        uplo: u8,
        alpha: Self,
        a: &Stored<Self>,
        x: (&[Self], i32),
        beta: Self,
        y: (&mut [Self], i32),
    );
    fn syrk(
        uplo: u8,
        of: u8,
        k: i32,
        alpha: Self,
        a: &Stored<Self>,
        beta: Self,
        c: &mut Stored<Self>,
    );
    fn syr2k(
        uplo: u8,
        of: u8,
        k: i32,
        alpha: Self,
        a: [&Stored<Self>; 2],
        beta: Self,
        c: &mut Stored<Self>,
    );
    fn potrf(uplo: u8, a: &mut Stored<Self>) -> i32;
    fn potrs(uplo: u8, a: &Stored<Self>, b: &mut Stored<Self>) -> i32;
    fn gesv(a: &mut Stored<Self>, pivots: &mut [i32], b: &mut Stored<Self>) -> i32;
    /// Asks for the workspaces first. Gives `info` and how many were found.
    fn syevr(
        letters: [u8; 3],
        a: &mut Stored<Self>,
        between: [Self; 2],
        places: [i32; 2],
        w: &mut [Self],
        z: &mut Stored<Self>,
        support: &mut [i32],
    ) -> (i32, usize);
    fn gesvd(
        letters: [u8; 2],
        a: &mut Stored<Self>,
        s: &mut [Self],
        u: &mut Stored<Self>,
        vt: &mut Stored<Self>,
    ) -> i32;
    fn gesdd(
        letter: u8,
        a: &mut Stored<Self>,
        s: &mut [Self],
        u: &mut Stored<Self>,
        vt: &mut Stored<Self>,
    ) -> i32;
}

macro_rules! number {
    ($T:ident, $gemm:ident, $gemv:ident, $symv:ident, $syrk:ident, $syr2k:ident, $potrf:ident,
     $potrs:ident, $gesv:ident, $syevr:ident, $gesvd:ident, $gesdd:ident) => {
        impl Number for $T {
            const EPSILON: f64 = $T::EPSILON as f64;

            fn of(value: f64) -> $T {
                value as $T
            }

            fn to(self) -> f64 {
                self as f64
            }

            fn gemm(
                of: [u8; 2],
                [m, n, k]: [i32; 3],
                alpha: $T,
                a: &Stored<$T>,
                b: &Stored<$T>,
                beta: $T,
                c: &mut Stored<$T>,
            ) {
                let (lda, ldb, ldc) = (a.leading, b.leading, c.leading);
                // SAFETY: every matrix holds its leading dimension times its columns.
                unsafe {
                    blas::$gemm(
                        of[0],
                        of[1],
                        m,
                        n,
                        k,
                        alpha,
                        &a.data,
                        lda,
                        &b.data,
                        ldb,
                        beta,
                        &mut c.data,
                        ldc,
                    )
                }
            }

            fn gemv(
                of: u8,
                alpha: $T,
                a: &Stored<$T>,
                x: (&[$T], i32),
                beta: $T,
                y: (&mut [$T], i32),
            ) {
                let (m, n) = (a.rows as i32, a.columns as i32);
                // SAFETY: the vectors are as long as their increments want them.
                unsafe {
                    blas::$gemv(
                        of, m, n, alpha, &a.data, a.leading, x.0, x.1, beta, y.0, y.1,
                    )
                }
            }

            fn symv(
                uplo: u8,
                alpha: $T,
                a: &Stored<$T>,
                x: (&[$T], i32),
                beta: $T,
                y: (&mut [$T], i32),
            ) {
                let n = a.rows as i32;
                // SAFETY: the vectors are as long as their increments want them.
                unsafe { blas::$symv(uplo, n, alpha, &a.data, a.leading, x.0, x.1, beta, y.0, y.1) }
            }

            fn syrk(
                uplo: u8,
                of: u8,
                k: i32,
                alpha: $T,
                a: &Stored<$T>,
                beta: $T,
                c: &mut Stored<$T>,
            ) {
                let (n, ldc) = (c.rows as i32, c.leading);
                // SAFETY: every matrix holds its leading dimension times its columns.
                unsafe {
                    blas::$syrk(
                        uplo,
                        of,
                        n,
                        k,
                        alpha,
                        &a.data,
                        a.leading,
                        beta,
                        &mut c.data,
                        ldc,
                    )
                }
            }

            fn syr2k(
                uplo: u8,
                of: u8,
                k: i32,
                alpha: $T,
                [a, b]: [&Stored<$T>; 2],
                beta: $T,
                c: &mut Stored<$T>,
            ) {
                let (n, lda, ldb, ldc) = (c.rows as i32, a.leading, b.leading, c.leading);
                // SAFETY: every matrix holds its leading dimension times its columns.
                unsafe {
                    blas::$syr2k(
                        uplo,
                        of,
                        n,
                        k,
                        alpha,
                        &a.data,
                        lda,
                        &b.data,
                        ldb,
                        beta,
                        &mut c.data,
                        ldc,
                    )
                }
            }

            fn potrf(uplo: u8, a: &mut Stored<$T>) -> i32 {
                let (n, lda, mut info) = (a.rows as i32, a.leading, 0);
                // SAFETY: the matrix holds its leading dimension times its columns.
                unsafe { lapack::$potrf(uplo, n, &mut a.data, lda, &mut info) };
                info
            }

            fn potrs(uplo: u8, a: &Stored<$T>, b: &mut Stored<$T>) -> i32 {
                let (n, nrhs, ldb) = (b.rows as i32, b.columns as i32, b.leading);
                let mut info = 0;
                // SAFETY: every matrix holds its leading dimension times its columns.
                unsafe {
                    lapack::$potrs(
                        uplo,
                        n,
                        nrhs,
                        &a.data,
                        a.leading,
                        &mut b.data,
                        ldb,
                        &mut info,
                    )
                };
                info
            }

            fn gesv(a: &mut Stored<$T>, pivots: &mut [i32], b: &mut Stored<$T>) -> i32 {
                let (n, nrhs, lda, ldb) = (b.rows as i32, b.columns as i32, a.leading, b.leading);
                let mut info = 0;
                // SAFETY: every matrix holds its leading dimension times its columns, and
                // there are as many pivots as rows.
                unsafe {
                    lapack::$gesv(
                        n,
                        nrhs,
                        &mut a.data,
                        lda,
                        pivots,
                        &mut b.data,
                        ldb,
                        &mut info,
                    )
                };
                info
            }

            fn syevr(
                [jobz, range, uplo]: [u8; 3],
                a: &mut Stored<$T>,
                [vl, vu]: [$T; 2],
                [il, iu]: [i32; 2],
                w: &mut [$T],
                z: &mut Stored<$T>,
                support: &mut [i32],
            ) -> (i32, usize) {
                let (n, lda, ldz) = (a.rows as i32, a.leading, z.leading);
                let (mut work, mut iwork) = (vec![$T::NAN], vec![0]);
                let (mut lwork, mut liwork, mut info, mut found) = (-1, -1, 0, 0);
                for _ in 0..2 {
                    // SAFETY: results hold what `n` eigenvalues need, workspaces what they say.
                    unsafe {
                        lapack::$syevr(
                            jobz,
                            range,
                            uplo,
                            n,
                            &mut a.data,
                            lda,
                            vl,
                            vu,
                            il,
                            iu,
                            -1.0,
                            &mut found,
                            w,
                            &mut z.data,
                            ldz,
                            support,
                            &mut work,
                            lwork,
                            &mut iwork,
                            liwork,
                            &mut info,
                        )
                    };
                    if info != 0 {
                        break;
                    }
                    (lwork, liwork) = (work[0] as i32, iwork[0]);
                    assert!(lwork >= (26 * n).max(1) && liwork >= (10 * n).max(1));
                    work.resize(lwork as usize, 0.0);
                    iwork.resize(liwork as usize, 0);
                }
                (info, found as usize)
            }

            fn gesvd(
                [jobu, jobvt]: [u8; 2],
                a: &mut Stored<$T>,
                s: &mut [$T],
                u: &mut Stored<$T>,
                vt: &mut Stored<$T>,
            ) -> i32 {
                let (m, n, lda) = (a.rows as i32, a.columns as i32, a.leading);
                let (ldu, ldvt) = (u.leading, vt.leading);
                let (mut work, mut lwork, mut info) = (vec![$T::NAN], -1, 0);
                for _ in 0..2 {
                    // SAFETY: results hold what their letters ask for, the workspace what it says.
                    unsafe {
                        lapack::$gesvd(
                            jobu,
                            jobvt,
                            m,
                            n,
                            &mut a.data,
                            lda,
                            s,
                            &mut u.data,
                            ldu,
                            &mut vt.data,
                            ldvt,
                            &mut work,
                            lwork,
                            &mut info,
                        )
                    };
                    if info != 0 {
                        break;
                    }
                    lwork = work[0] as i32;
                    assert!(lwork >= 1);
                    work.resize(lwork as usize, 0.0);
                }
                info
            }

            fn gesdd(
                letter: u8,
                a: &mut Stored<$T>,
                s: &mut [$T],
                u: &mut Stored<$T>,
                vt: &mut Stored<$T>,
            ) -> i32 {
                let (m, n, lda) = (a.rows as i32, a.columns as i32, a.leading);
                let (ldu, ldvt) = (u.leading, vt.leading);
                let (mut work, mut lwork, mut info) = (vec![$T::NAN], -1, 0);
                let mut iwork = vec![0; 8 * a.rows.min(a.columns) + 1];
                for _ in 0..2 {
                    // SAFETY: results hold what the letter asks for, workspaces what they say.
                    unsafe {
                        lapack::$gesdd(
                            letter,
                            m,
                            n,
                            &mut a.data,
                            lda,
                            s,
                            &mut u.data,
                            ldu,
                            &mut vt.data,
                            ldvt,
                            &mut work,
                            lwork,
                            &mut iwork,
                            &mut info,
                        )
                    };
                    if info != 0 {
                        break;
                    }
                    lwork = work[0] as i32;
                    assert!(lwork >= 1);
                    work.resize(lwork as usize, 0.0);
                }
                info
            }
        }
    };
}

number!(
    f64, dgemm, dgemv, dsymv, dsyrk, dsyr2k, dpotrf, dpotrs, dgesv, dsyevr, dgesvd, dgesdd
);
number!(
    f32, sgemm, sgemv, ssymv, ssyrk, ssyr2k, spotrf, spotrs, sgesv, ssyevr, sgesvd, sgesdd
);
