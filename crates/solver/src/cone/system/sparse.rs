//! The system as a sparse quasidefinite matrix.
//!
//! Long second-order cones keep their rows: `u` has an entry a row and `axisᵀu = 0` is one more
//! equation with a multiplier of its own, so that no row of `A` is mixed with another.
//!
//! ```text
//! [ P          Bᵀ  ]
//! [     0    axisᵀ ]     signs of the shift that makes it quasidefinite: + + −
//! [ B   axis   −Γ  ]
//! ```
//!
//! The factor is of the equilibrated matrix plus a shift (Vanderbei 1995), which exists in every
//! order of elimination; refinement with the matrix itself removes the shift's error.

use clarabel::algebra::CscMatrix;
use clarabel::qdldl::{QDLDLFactorisation, QDLDLSettings};

use crate::cone::geometry::Local;
use crate::cone::layout::Layout;
use crate::cone::problem::ConeSample;
use crate::dense::max_abs;

/// The shift, between what refinement can remove and what the factor's rounding can bear: the root
/// of the machine's precision.
const SHIFT: f64 = 1e-8;

/// Refinement steps at most.
const REFINEMENTS: usize = 12;

/// Passes of equilibration (Ruiz 2001).
const EQUILIBRATIONS: usize = 2;

/// A factored sparse system.
pub(crate) struct Sparse {
    n: usize,
    /// Upper triangle without the shift.
    matrix: CscMatrix<f64>,
    scaling: Vec<f64>,
    factor: QDLDLFactorisation<f64>,
    work: Vec<f64>,
}

/// Columns of the matrix as they are put together, and what belongs to each.
struct Assembly {
    matrix: CscMatrix<f64>,
    /// Place in the order of elimination.
    order: Vec<usize>,
    signs: Vec<i8>,
}

impl Sparse {
    /// Assembles and factors; `None` where that breaks down.
    pub(crate) fn new(sample: &ConeSample<'_>, local: &Local, layout: &Layout) -> Option<Sparse> {
        let Assembly {
            matrix,
            order,
            signs,
        } = assemble(sample, local, layout);
        if !max_abs(&matrix.nzval).is_finite() {
            return None;
        }
        let scaling = equilibrate(&matrix);
        let mut shifted = matrix.clone();
        for column in 0..matrix.n {
            for at in matrix.colptr[column]..matrix.colptr[column + 1] {
                let row = matrix.rowval[at];
                shifted.nzval[at] *= scaling[row] * scaling[column];
                if row == column {
                    shifted.nzval[at] += SHIFT * f64::from(signs[column]);
                }
            }
        }
        let mut perm: Vec<usize> = (0..matrix.n).collect();
        perm.sort_by_key(|&unknown| order[unknown]);
        let settings = QDLDLSettings {
            perm: Some(perm),
            Dsigns: Some(signs),
            ..QDLDLSettings::default()
        };
        let factor = QDLDLFactorisation::new(&shifted, Some(settings)).ok()?;
        Some(Sparse {
            n: sample.n,
            work: vec![0.0; matrix.n],
            matrix,
            scaling,
            factor,
        })
    }

    /// See [`super::System::refresh`].
    pub(crate) fn refresh(
        &mut self,
        sample: &ConeSample<'_>,
        local: &Local,
        layout: &Layout,
    ) -> bool {
        let next = assemble(sample, local, layout).matrix;
        if next.colptr != self.matrix.colptr || next.rowval != self.matrix.rowval {
            return false;
        }
        self.matrix = next;
        true
    }

    /// Solves for `dx` and `dz`, both overwritten; returns the relative residual.
    pub(crate) fn solve(
        &mut self,
        local: &Local,
        right: (&[f64], &[f64]),
        dx: &mut [f64],
        dz: &mut [f64],
    ) -> f64 {
        let mut wanted = vec![0.0; self.matrix.n];
        wanted[..self.n].copy_from_slice(right.0);
        let mut at = self.n + local.spheres.len();
        for t in &local.directions {
            wanted[at] = t.dot(right.1);
            at += 1;
        }
        for sphere in &local.spheres {
            let len = sphere.axis.len();
            wanted[at..at + len].copy_from_slice(&right.1[sphere.rows()]);
            at += len;
        }
        let (x, residual) = self.refine(&wanted);
        dx.copy_from_slice(&x[..self.n]);
        dz.fill(0.0);
        let mut at = self.n + local.spheres.len();
        for t in &local.directions {
            t.add_to(x[at], dz);
            at += 1;
        }
        for sphere in &local.spheres {
            let len = sphere.axis.len();
            crate::dense::axpy(1.0, &x[at..at + len], &mut dz[sphere.rows()]);
            at += len;
        }
        residual
    }

    fn refine(&mut self, wanted: &[f64]) -> (Vec<f64>, f64) {
        let size = max_abs(wanted);
        let mut x = vec![0.0; wanted.len()];
        if size == 0.0 {
            return (x, 0.0);
        }
        let mut rest = wanted.to_vec();
        let mut error = size;
        for _ in 0..REFINEMENTS {
            self.apply(&rest);
            let next: Vec<f64> = x.iter().zip(&self.work).map(|(x, step)| x + step).collect();
            let mut next_rest = wanted.to_vec();
            subtract_product(&self.matrix, &next, &mut next_rest);
            let next_error = max_abs(&next_rest);
            // A NaN stops as well.
            if !(next_error < error) {
                break;
            }
            let slow = next_error > 0.5 * error;
            (x, rest, error) = (next, next_rest, next_error);
            if slow || error <= 1e-15 * size {
                break;
            }
        }
        (x, error / size)
    }

    /// `work = F⁻¹ rhs`, the shifted matrix's inverse.
    fn apply(&mut self, rhs: &[f64]) {
        for ((work, v), e) in self.work.iter_mut().zip(rhs).zip(&self.scaling) {
            *work = v * e;
        }
        self.factor.solve(&mut self.work);
        for (work, e) in self.work.iter_mut().zip(&self.scaling) {
            *work *= e;
        }
    }

    /// An estimate of the equilibrated matrix's condition in the 1-norm, by the norm of its inverse
    /// on a few well-chosen vectors (Hager 1984; Higham 1988).
    pub(crate) fn condition(&mut self) -> f64 {
        let size = self.matrix.n;
        let mut sums = vec![0.0; size];
        for column in 0..size {
            for at in self.matrix.colptr[column]..self.matrix.colptr[column + 1] {
                let row = self.matrix.rowval[at];
                let v = (self.matrix.nzval[at] * self.scaling[row] * self.scaling[column]).abs();
                sums[column] += v;
                if row != column {
                    sums[row] += v;
                }
            }
        }
        let norm = max_abs(&sums);
        let mut x = vec![1.0 / size as f64; size];
        let mut estimate = 0.0f64;
        let mut last = usize::MAX;
        for _ in 0..4 {
            self.factor.solve(&mut x);
            let sum: f64 = x.iter().map(|v| v.abs()).sum();
            if !(sum > estimate) {
                break;
            }
            estimate = sum;
            for v in &mut x {
                *v = if *v >= 0.0 { 1.0 } else { -1.0 };
            }
            self.factor.solve(&mut x);
            let (at, _) = x.iter().enumerate().fold((0, -1.0), |best, (at, v)| {
                if v.abs() > best.1 {
                    (at, v.abs())
                } else {
                    best
                }
            });
            if at == last {
                break;
            }
            last = at;
            x.fill(0.0);
            x[at] = 1.0;
        }
        // A vector of alternating growth catches what the ascent misses.
        for (at, v) in x.iter_mut().enumerate() {
            let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
            *v = sign * (1.0 + at as f64 / (size.max(2) - 1) as f64);
        }
        self.factor.solve(&mut x);
        let sum: f64 = x.iter().map(|v| v.abs()).sum();
        norm * estimate.max(2.0 * sum / (3.0 * size as f64))
    }
}

/// `out −= M x` for the symmetric matrix of which this is the upper triangle.
fn subtract_product(matrix: &CscMatrix<f64>, x: &[f64], out: &mut [f64]) {
    for column in 0..matrix.n {
        let of_column = x[column];
        let mut sum = 0.0;
        for at in matrix.colptr[column]..matrix.colptr[column + 1] {
            let (row, v) = (matrix.rowval[at], matrix.nzval[at]);
            out[row] -= v * of_column;
            if row != column {
                sum += v * x[row];
            }
        }
        out[column] -= sum;
    }
}

/// Scales rows and columns alike towards largest entries of 1.
fn equilibrate(matrix: &CscMatrix<f64>) -> Vec<f64> {
    let mut scaling = vec![1.0; matrix.n];
    let mut largest = vec![0.0f64; matrix.n];
    for _ in 0..EQUILIBRATIONS {
        largest.fill(0.0);
        for column in 0..matrix.n {
            for at in matrix.colptr[column]..matrix.colptr[column + 1] {
                let row = matrix.rowval[at];
                let v = (matrix.nzval[at] * scaling[row] * scaling[column]).abs();
                largest[row] = largest[row].max(v);
                largest[column] = largest[column].max(v);
            }
        }
        for (scaling, largest) in scaling.iter_mut().zip(&largest) {
            if *largest > 0.0 {
                *scaling /= largest.sqrt();
            }
        }
    }
    scaling
}

fn assemble(sample: &ConeSample<'_>, local: &Local, layout: &Layout) -> Assembly {
    let (n, spheres) = (sample.n, local.spheres.len());
    let size = n + spheres + local.count() + spheres;
    let mut matrix = CscMatrix {
        m: size,
        n: size,
        colptr: Vec::with_capacity(size + 1),
        rowval: Vec::with_capacity(2 * sample.a.entries.len() + 2 * size),
        nzval: Vec::with_capacity(2 * sample.a.entries.len() + 2 * size),
    };
    matrix.colptr.push(0);
    let mut order = Vec::with_capacity(size);
    let mut signs = vec![1; n + spheres];
    signs.resize(size, -1);
    for column in 0..n {
        let mut diagonal = 0.0;
        if let Some(p) = sample.p {
            for at in p.starts[column]..p.starts[column + 1] {
                if p.indices[at] == column {
                    diagonal = p.entries[at];
                } else {
                    matrix.rowval.push(p.indices[at]);
                    matrix.nzval.push(p.entries[at]);
                }
            }
        }
        finish(&mut matrix, diagonal);
        order.push(layout.of_variable(column));
    }
    for sphere in &local.spheres {
        finish(&mut matrix, 0.0);
        order.push(layout.of_sphere(sphere.first));
    }
    let push_row = |matrix: &mut CscMatrix<f64>, row: usize| {
        for &(column, at) in layout.row(row) {
            matrix.rowval.push(column);
            matrix.nzval.push(sample.a.entries[at]);
        }
    };
    let mut mixed = vec![0.0; n];
    let mut touched: Vec<usize> = Vec::new();
    let mut last = (usize::MAX, 0);
    for t in &local.directions {
        // Directions of one block take its rows' places one after the other.
        let row = if last.0 == t.first {
            last.1 + 1
        } else {
            t.first
        };
        last = (t.first, row);
        order.push(layout.of_row(row.min(sample.m - 1)));
        if let [entry] = t.entries[..] {
            let start = matrix.nzval.len();
            push_row(&mut matrix, t.first);
            if entry != 1.0 {
                matrix.nzval[start..].iter_mut().for_each(|v| *v *= entry);
            }
        } else {
            for (offset, entry) in t.entries.iter().enumerate() {
                for &(column, at) in layout.row(t.first + offset) {
                    // Zeros keep their place, so that nearby directions have one pattern.
                    if mixed[column] == 0.0 {
                        touched.push(column);
                    }
                    mixed[column] += entry * sample.a.entries[at];
                    if mixed[column] == 0.0 {
                        mixed[column] = f64::MIN_POSITIVE;
                    }
                }
            }
            touched.sort_unstable();
            for &column in &touched {
                matrix.rowval.push(column);
                matrix.nzval.push(mixed[column]);
                mixed[column] = 0.0;
            }
            touched.clear();
        }
        finish(&mut matrix, -t.curvature);
    }
    for (number, sphere) in local.spheres.iter().enumerate() {
        for (row, axis) in sphere.rows().zip(&sphere.axis) {
            push_row(&mut matrix, row);
            matrix.rowval.push(n + number);
            matrix.nzval.push(*axis);
            finish(&mut matrix, -sphere.curvature);
            order.push(layout.of_row(row));
        }
    }
    Assembly {
        matrix,
        order,
        signs,
    }
}

/// Ends a column with its diagonal entry.
fn finish(matrix: &mut CscMatrix<f64>, diagonal: f64) {
    let column = matrix.colptr.len() - 1;
    matrix.rowval.push(column);
    matrix.nzval.push(diagonal);
    matrix.colptr.push(matrix.rowval.len());
}
