//! Eigenvalues near a shift, by the inverse.

use faer::Mat;
use faer::linalg::solvers::{PartialPivLu, Solve};

use crate::adapters::Shifted;
use crate::dense::DenseMatrix;
use crate::eigenpairs::{Eigenpairs, PairStatus, Status};
use crate::error::{Error, OperatorError};
use crate::lanczos::{eigenpairs_from, limit, residual};
use crate::minres::{MinresSettings, MinresStatus, minres};
use crate::operator::{Counted, Halt, Operator};
use crate::random::{gaussian, generator};
use crate::settings::{Settings, Wanted};
use crate::vectors::{dot, norm, scale};

/// `(A − σI)⁻¹` of a dense matrix, by its LU factors. Cost: `⅔ n³` once, `2 n²` a product.
#[derive(Debug)]
pub struct DenseInverse {
    n: usize,
    factors: PartialPivLu<f64>,
}

impl DenseInverse {
    /// Factors `A − σI`.
    ///
    /// # Errors
    /// [`Error::Singular`] if σ is an eigenvalue to rounding; [`Error::Entry`] if it is not finite.
    pub fn new(matrix: &DenseMatrix, shift: f64) -> Result<Self, Error> {
        check_shift(shift)?;
        let n = matrix.n();
        let shifted = Mat::from_fn(n, n, |i, j| {
            matrix.at(i, j) - if i == j { shift } else { 0.0 }
        });
        let factors = shifted.partial_piv_lu();
        let pivots: Vec<f64> = (0..n).map(|i| factors.U()[(i, i)].abs()).collect();
        let largest = pivots.iter().fold(0.0f64, |m, p| m.max(*p));
        let smallest = pivots.iter().fold(f64::INFINITY, |m, p| m.min(*p));
        if !(smallest > n as f64 * f64::EPSILON * largest) {
            return Err(Error::Singular { shift });
        }
        Ok(Self { n, factors })
    }
}

impl Operator for DenseInverse {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let right = Mat::from_fn(self.n, 1, |i, _| x[i]);
        let solution = self.factors.solve(&right);
        for (i, o) in out.iter_mut().enumerate() {
            *o = solution[(i, 0)];
        }
        Ok(())
    }
}

/// `(H − σI)⁻¹` of any operator, by MINRES: many products with `H` for each of its own.
#[derive(Debug)]
pub struct MinresInverse<O> {
    operator: Shifted<O>,
    settings: MinresSettings,
    products: usize,
}

impl<O: Operator> MinresInverse<O> {
    /// The inverse about a shift.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Entry`] if the shift is not finite.
    pub fn new(operator: O, shift: f64, settings: MinresSettings) -> Result<Self, Error> {
        check_shift(shift)?;
        settings.validate()?;
        Ok(Self {
            operator: Shifted::new(operator, shift, 1.0),
            settings,
            products: 0,
        })
    }

    /// Products with `H` so far.
    pub fn products(&self) -> usize {
        self.products
    }
}

impl<O: Operator> Operator for MinresInverse<O> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let solution = minres(&mut self.operator, x, &self.settings)?;
        self.products += solution.products;
        match solution.status {
            MinresStatus::Converged => {}
            MinresStatus::NotFinite => {
                // The algorithm above says it; an error would hide which kind of trouble it is.
                out.fill(f64::NAN);
                return Ok(());
            }
            status => {
                return Err(format!(
                    "MINRES ended with {status:?} and residual {:e} after {} products",
                    solution.residual, solution.products
                )
                .into());
            }
        }
        out.copy_from_slice(&solution.x);
        Ok(())
    }
}

fn check_shift(shift: f64) -> Result<(), Error> {
    if shift.is_finite() {
        Ok(())
    } else {
        Err(Error::Entry {
            argument: "shift",
            entry: 0,
            value: shift,
            must: "finite",
        })
    }
}

/// The `count` eigenpairs nearest to a shift, nearest first, from products with the inverse
/// `(H − σI)⁻¹`: [`DenseInverse`], [`MinresInverse`], or one's own.
///
/// Eigenvalues and residuals are those of `operator` itself, by one [`Operator::residual_product`] a pair;
/// what the inverse says is used only to find the vectors. [`Eigenpairs::products`] counts products with the inverse
/// and with the operator together, [`Eigenpairs::verification_products`] includes the latter.
/// [`Eigenpairs::norm`], [`Eigenpairs::symmetry_defect`] are those of the inverse.
///
/// # Errors
/// As [`crate::eigenpairs`], and [`Error::Shape`] if the two dimensions differ.
pub fn eigenpairs_near(
    operator: &mut dyn Operator,
    inverse: &mut dyn Operator,
    shift: f64,
    count: usize,
    settings: &Settings,
) -> Result<Eigenpairs, Error> {
    check_shift(shift)?;
    settings.validate(count)?;
    let n = operator.dim();
    if inverse.dim() != n {
        return Err(Error::Shape {
            argument: "inverse",
            got: inverse.dim(),
            expected: n,
            layout: "the operator's dimension",
        });
    }
    let mut op = Counted::new(operator, usize::MAX)?;
    // A residual of the inverse is magnified by ‖H − σI‖ in the operator's: each attempt asks for more.
    let mut inner = *settings;
    let mut start = Vec::new();
    let (mut products, mut verification, mut searched) = (0, 0, 0);
    let mut attempt = 0;
    loop {
        attempt += 1;
        inner.products = settings.products.saturating_sub(products).max(2 * count);
        let mut found = eigenpairs_from(inverse, Wanted::Magnitude(count), &inner, &start)?;
        products += found.products;
        verification += found.verification_products;
        searched += found.search_products;
        if found.status != Status::NotFinite && found.status != Status::Asymmetric {
            let before = op.products();
            match measure(&mut op, &mut found, shift, settings) {
                Ok(()) => {}
                Err(Halt::Error(error)) => return Err(error),
                Err(_) => found.status = Status::NotFinite,
            }
            verification += op.products() - before;
            products += op.products() - before;
        }
        (found.products, found.verification_products) = (products, verification);
        found.search_products = searched;
        let met = found
            .pairs
            .iter()
            .all(|p| p.status == PairStatus::Converged);
        let again = found.status == Status::Converged && !met && attempt < 4;
        if !again || products >= settings.products {
            if found.status == Status::Converged && !met {
                found.status = Status::Stagnated;
            }
            return Ok(found);
        }
        // A residual of the inverse is, times its operator, one of the operator: how much larger is
        // known only now. Two digits a round: four rounds go from the default of 1e-8 to rounding.
        inner.tolerance *= 1e-2;
        start = found.vectors;
    }
}

/// Replaces the inverse's values by the operator's own.
fn measure(
    op: &mut Counted<'_>,
    found: &mut Eigenpairs,
    shift: f64,
    settings: &Settings,
) -> Result<(), Halt> {
    let n = op.dim();
    let mut product = vec![0.0; n];
    // The norm only sets what rounding allows; one random product is ‖H‖_F/√n on average.
    let mut probe = gaussian(n, &mut generator(settings.seed, u64::MAX));
    let length = norm(&probe);
    scale(&mut probe, 1.0 / length);
    op.apply(&probe, &mut product)?;
    let mut scale_of_h = norm(&product).max(shift.abs());
    let mut order = Vec::with_capacity(found.pairs.len());
    for (pair, vector) in found.pairs.iter_mut().zip(found.vectors.chunks_exact(n)) {
        op.residual_product(vector, &mut product)?;
        scale_of_h = scale_of_h.max(norm(&product));
        pair.value = dot(vector, &product);
        pair.residual = residual(vector, &product, pair.value);
        pair.status = if pair.residual <= limit(settings, pair.value, scale_of_h) {
            PairStatus::Converged
        } else {
            PairStatus::Unconverged
        };
        order.push((pair.value - shift).abs());
    }
    let mut sorted: Vec<usize> = (0..order.len()).collect();
    sorted.sort_by(|&a, &b| order[a].total_cmp(&order[b]));
    let (pairs, vectors) = (found.pairs.clone(), found.vectors.clone());
    found.pairs = sorted.iter().map(|&i| pairs[i]).collect();
    found.vectors = sorted
        .iter()
        .flat_map(|&i| vectors[i * n..(i + 1) * n].iter().copied())
        .collect();
    Ok(())
}
