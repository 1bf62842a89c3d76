//! The lifted form of affine rows: {Ax = b, w = Cx} ∩ {box on x and w}.

use faer::{Mat, MatRef};

use super::PiNetSettings;
use super::ruiz::Scaling;
use crate::linear::inverses;

/// What a row of the constraints has become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// Row of A with this index.
    Equality(usize),
    /// Bounds of entry `at` of (x, w) as it is iterated, after division by `scale`.
    Box { at: usize, scale: f64 },
}

/// The matrices of the lifted problem. One for the batch, or one a sample.
#[derive(Debug)]
pub(super) struct Lift {
    pub(super) n: usize,
    /// n + the rows of C.
    pub(super) size: usize,
    pub(super) roles: Vec<Role>,
    /// Which rows were taken for equalities when this was made.
    pub(super) equal: Vec<bool>,
    /// What an entry of (x, w) as it is iterated is multiplied by, `[size]`.
    pub(super) columns: Vec<f64>,
    /// I − B⁺B with B = [A 0; C −I] after scaling, symmetric, `[size, size]`; one for each matrix.
    projections: Vec<Mat<f64>>,
    /// The columns of B⁺ that b meets, `[size, equalities]`.
    particular: Vec<Mat<f64>>,
    /// Whether B has full row rank.
    full_rank: Vec<bool>,
}

impl Lift {
    /// For the row-major `a`, `[copies, m, n]`.
    pub(super) fn new(a: &[f64], equal: &[bool], n: usize, settings: &PiNetSettings) -> Self {
        let m = equal.len();
        let copies = a.len() / (m * n);
        // As published, only one matrix for the batch is equilibrated.
        let is_equilibrated = settings.equilibration > 0 && copies == 1;
        let (mut roles, equalities, lifted) = roles(a, equal, n, !is_equilibrated);
        let size = n + lifted;
        let mut scaling = Scaling::none(equalities + lifted, size);
        let (mut projections, mut particular, mut full_rank) = (vec![], vec![], vec![]);
        for copy in 0..copies {
            let mut b = stacked(&a[copy * m * n..][..m * n], &roles, n, equalities, lifted);
            let rows = equalities + lifted;
            if rows == 0 {
                projections.push(Mat::identity(size, size));
                particular.push(Mat::zeros(size, 0));
                full_rank.push(true);
                continue;
            }
            if is_equilibrated {
                let (passes, tolerance) =
                    (settings.equilibration, settings.equilibration_tolerance);
                scaling = Scaling::ruiz(&b, rows, size, passes, tolerance).with_unit_mean(n);
                for (at, v) in b.iter_mut().enumerate() {
                    *v *= scaling.rows[at / size] * scaling.columns[at % size];
                }
            }
            // More equality rows than variables have no full rank; the inverse needs m ≤ n.
            let square = rows.max(size);
            let mut padded = vec![0.0; rows * square];
            for i in 0..rows {
                padded[i * square..][..size].copy_from_slice(&b[i * size..][..size]);
            }
            let inverse = inverses(&padded, rows, square);
            let inverse_of = inverse.of(0).subrows(0, size);
            let matrix = MatRef::from_row_major_slice(&b, rows, size);
            let product = inverse_of * matrix;
            projections.push(Mat::from_fn(size, size, |i, j| {
                let identity = if i == j { 1.0 } else { 0.0 };
                // Symmetric but for rounding.
                identity - 0.5 * (product[(i, j)] + product[(j, i)])
            }));
            let of_row = |i: usize, j: usize| inverse_of[(i, j)] * scaling.rows[j];
            particular.push(Mat::from_fn(size, equalities, of_row));
            full_rank.push(inverse.full_rank(0) && rows <= size);
        }
        for role in &mut roles {
            if let Role::Box { at, scale } = role {
                *scale *= scaling.columns[*at];
            }
        }
        Self {
            n,
            size,
            columns: scaling.columns,
            roles,
            equal: equal.to_vec(),
            projections,
            particular,
            full_rank,
        }
    }

    fn index(&self, sample: usize) -> usize {
        sample.min(self.projections.len() - 1)
    }

    /// Whether the batch has one matrix.
    pub(super) fn is_shared(&self) -> bool {
        self.projections.len() == 1
    }

    pub(super) fn projection(&self, sample: usize) -> MatRef<'_, f64> {
        self.projections[self.index(sample)].as_ref()
    }

    pub(super) fn particular(&self, sample: usize) -> MatRef<'_, f64> {
        self.particular[self.index(sample)].as_ref()
    }

    pub(super) fn full_rank(&self, sample: usize) -> bool {
        self.full_rank[self.index(sample)]
    }

    /// B⁺(b, 0) for the rows' bounds, `[size]`.
    pub(super) fn offset(&self, sample: usize, lower: &[f64], upper: &[f64]) -> Vec<f64> {
        let mut offset = vec![0.0; self.size];
        let matrix = self.particular(sample);
        for (row, role) in self.roles.iter().enumerate() {
            if let Role::Equality(index) = *role {
                let b = 0.5 * lower[row] + 0.5 * upper[row];
                for (out, v) in offset.iter_mut().zip(matrix.col(index).iter()) {
                    *out += v * b;
                }
            }
        }
        offset
    }

    /// What a difference in an entry of (x, w) is in its row, `[size]`.
    pub(super) fn scales(&self) -> Vec<f64> {
        let mut scales = self.columns.clone();
        for role in &self.roles {
            if let Role::Box { at, scale } = *role {
                scales[at] = scale.abs().max(scales[at]);
            }
        }
        scales
    }

    /// The box of (x, w).
    pub(super) fn bounds(&self, lower: &[f64], upper: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut low = vec![f64::NEG_INFINITY; self.size];
        let mut high = vec![f64::INFINITY; self.size];
        for (row, role) in self.roles.iter().enumerate() {
            if let Role::Box { at, scale } = *role {
                let (a, b) = (lower[row] / scale, upper[row] / scale);
                (low[at], high[at]) = if scale > 0.0 { (a, b) } else { (b, a) };
            }
        }
        (low, high)
    }
}

/// The first row with a single entry on a variable, the same in every copy, bounds that variable;
/// other inequality rows are lifted, where asked for divided by their length.
fn roles(a: &[f64], equal: &[bool], n: usize, to_length_one: bool) -> (Vec<Role>, usize, usize) {
    let m = equal.len();
    let mut bounded = vec![false; n];
    let (mut equalities, mut lifted) = (0, 0);
    let mut roles = Vec::with_capacity(m);
    for (row, &equal) in equal.iter().enumerate() {
        if equal {
            roles.push(Role::Equality(equalities));
            equalities += 1;
            continue;
        }
        let role = match single_entry(a, row, m, n) {
            Some((at, scale)) if !bounded[at] => {
                bounded[at] = true;
                Role::Box { at, scale }
            }
            _ => {
                lifted += 1;
                Role::Box {
                    at: n + lifted - 1,
                    scale: match to_length_one {
                        true => length(&a[row * n..][..n]),
                        false => 1.0,
                    },
                }
            }
        };
        roles.push(role);
    }
    (roles, equalities, lifted)
}

fn single_entry(a: &[f64], row: usize, m: usize, n: usize) -> Option<(usize, f64)> {
    let first = &a[row * n..][..n];
    let mut entries = (0..n).filter(|&j| first[j] != 0.0);
    let at = entries.next()?;
    let same = a
        .chunks_exact(m * n)
        .all(|copy| copy[row * n..][..n] == *first);
    (entries.next().is_none() && same).then_some((at, first[at]))
}

/// B = [A 0; C −I], row-major.
fn stacked(a: &[f64], roles: &[Role], n: usize, equalities: usize, lifted: usize) -> Vec<f64> {
    let size = n + lifted;
    let mut b = vec![0.0; (equalities + lifted) * size];
    for (row, role) in roles.iter().enumerate() {
        let (place, scale) = match *role {
            Role::Equality(index) => (index, 1.0),
            Role::Box { at, scale } if at >= n => {
                let place = equalities + at - n;
                b[place * size + at] = -1.0;
                (place, scale)
            }
            Role::Box { .. } => continue,
        };
        for (out, a) in b[place * size..][..n].iter_mut().zip(&a[row * n..][..n]) {
            *out = a / scale;
        }
    }
    b
}

/// Of the first copy; one for a row of zeros.
fn length(row: &[f64]) -> f64 {
    let square: f64 = row.iter().map(|v| v * v).sum();
    if square > 0.0 { square.sqrt() } else { 1.0 }
}
