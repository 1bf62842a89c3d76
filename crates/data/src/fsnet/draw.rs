//! The families and their numbers.

use serde::{Deserialize, Serialize};

use crate::recipes::absolute_row_sums;
use crate::{Error, LegacyRandom, Size};

/// One of FSNet's families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FsNetFamily {
    /// Linear rows, convex objective.
    FsnetConvexQp,
    /// Convex quadratic rows, convex objective.
    FsnetConvexQcqp,
    /// Second-order cones, convex objective.
    FsnetConvexSocp,
    /// Rows in sin(y), with bounds in cos(x).
    FsnetNonconvexQp,
    /// Quadratic rows with cos(y).
    FsnetNonconvexQcqp,
    /// Norms of cos(y).
    FsnetNonconvexSocp,
}

impl FsNetFamily {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::FsnetConvexQp,
        Self::FsnetConvexQcqp,
        Self::FsnetConvexSocp,
        Self::FsnetNonconvexQp,
        Self::FsnetNonconvexQcqp,
        Self::FsnetNonconvexSocp,
    ];
    /// The seed that the authors used, of the numbers and of the split.
    pub const PUBLISHED_SEED: u32 = 2025;

    /// As in study files.
    pub fn name(self) -> &'static str {
        match self {
            Self::FsnetConvexQp => "fsnet-convex-qp",
            Self::FsnetConvexQcqp => "fsnet-convex-qcqp",
            Self::FsnetConvexSocp => "fsnet-convex-socp",
            Self::FsnetNonconvexQp => "fsnet-nonconvex-qp",
            Self::FsnetNonconvexQcqp => "fsnet-nonconvex-qcqp",
            Self::FsnetNonconvexSocp => "fsnet-nonconvex-socp",
        }
    }

    /// Whether objective and rows are convex.
    pub fn is_convex(self) -> bool {
        matches!(
            self,
            Self::FsnetConvexQp | Self::FsnetConvexQcqp | Self::FsnetConvexSocp
        )
    }

    /// Checks a size: as [`Size::validate`], and as many inequalities as equalities where bounds are
    /// in cos(x), entry for entry.
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn validate(self, size: &Size) -> Result<(), Error> {
        size.validate()?;
        let cones = matches!(self, Self::FsnetConvexSocp | Self::FsnetNonconvexSocp);
        // The limit of an array, as elsewhere; a cone has a matrix a row.
        if cones && size.ineq.saturating_mul(size.ineq).saturating_mul(size.n) > 1 << 27 {
            return Err(Error::Size {
                what: "ineq",
                got: size.ineq,
                need: format!("so small that ineq² · n is at most {}", 1 << 27),
            });
        }
        if self == Self::FsnetNonconvexQp && size.ineq != size.eq {
            return Err(Error::Size {
                what: "ineq",
                got: size.ineq,
                need: format!("eq = {}: the bounds are h cos(x)", size.eq),
            });
        }
        Ok(())
    }
}

impl std::fmt::Display for FsNetFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The drawn arrays, row-major.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) q: Vec<f64>,
    pub(super) p: Vec<f64>,
    /// `[eq, n]`.
    pub(super) equality: Vec<f64>,
    /// `[samples, eq]`.
    pub(super) x: Vec<f64>,
    pub(super) rows: Rows,
}

/// What the inequality rows are made of.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// G `[ineq, n]`, h `[ineq]` and, for quadratic rows, the diagonals of H `[ineq, n]`.
    Flat {
        g: Vec<f64>,
        h: Vec<f64>,
        curvature: Option<Vec<f64>>,
    },
    /// G `[ineq, ineq, n]`, h `[ineq, ineq]`, C `[ineq, n]`, d `[ineq]`.
    Cones {
        g: Vec<f64>,
        h: Vec<f64>,
        c: Vec<f64>,
        d: Vec<f64>,
    },
}

pub(super) fn draw(family: FsNetFamily, size: &Size, seed: u32) -> Result<Numbers, Error> {
    family.validate(size)?;
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    let mut random = LegacyRandom::new(seed);
    let q = random.rand_vec(n).into_iter().map(|v| v * 0.5).collect();
    let p = random.uniform_vec(-1.0, 1.0, n);
    let equality = random.uniform_vec(-1.0, 1.0, eq * n);
    let x = random.uniform_vec(-1.0, 1.0, samples * eq);
    let rows = match family {
        FsNetFamily::FsnetConvexSocp | FsNetFamily::FsnetNonconvexSocp => cones(&mut random, n, m),
        _ => {
            let g = random.uniform_vec(-1.0, 1.0, m * n);
            let h = absolute_row_sums(&g, &equality, size)?;
            let quadratic = matches!(
                family,
                FsNetFamily::FsnetConvexQcqp | FsNetFamily::FsnetNonconvexQcqp
            );
            let curvature = quadratic.then(|| random.uniform_vec(0.0, 0.1, m * n));
            Rows::Flat { g, h, curvature }
        }
    };
    Ok(Numbers {
        q,
        p,
        equality,
        x,
        rows,
    })
}

fn cones(random: &mut LegacyRandom, n: usize, m: usize) -> Rows {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let inside = random.uniform_vec(-1.0, 1.0, n);
    let (mut g, mut h, mut c, mut d) = (vec![], vec![], vec![], vec![]);
    for _ in 0..m {
        let matrix = random.uniform_vec(-1.0, 1.0, m * n);
        let offset = random.uniform_vec(-1.0, 1.0, m);
        let direction = random.uniform_vec(-1.0, 1.0, n);
        let rows = matrix.chunks_exact(n).zip(&offset);
        let square: f64 = rows.map(|(row, h)| (dot(row, &inside) + h).powi(2)).sum();
        d.push(square.sqrt() - dot(&direction, &inside));
        g.extend(matrix);
        h.extend(offset);
        c.extend(direction);
    }
    Rows::Cones { g, h, c, d }
}

/// `torch.randperm(samples)` after `manual_seed(seed)`: from the front, each place gets one of those
/// that are left, by the remainder of a 32-bit word.
pub(super) fn permutation(samples: usize, seed: u32) -> Vec<usize> {
    let mut random = LegacyRandom::new(seed);
    let mut order: Vec<usize> = (0..samples).collect();
    for i in 0..samples.saturating_sub(1) {
        let ahead = random.word() as usize % (samples - i);
        order.swap(i, i + ahead);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n: usize, rows: usize, samples: usize) -> Size {
        Size {
            n,
            eq: rows,
            ineq: rows,
            samples,
        }
    }

    /// Printed by torch 2.15 (CPU) after `manual_seed(2025)`.
    #[test]
    fn permutations_are_torchs() {
        let expected = [7246, 6676, 6846, 3594, 3580, 1550, 9585, 7066];
        assert_eq!(permutation(10_000, 2025)[..8], expected);
        let expected = [10, 0, 6, 8, 3, 2, 9, 5, 4, 7, 1, 11];
        assert_eq!(permutation(12, 2025), expected);
        assert!(permutation(0, 1).is_empty());
    }

    /// Printed by numpy 2.4 running the published script's draws.
    #[test]
    fn numbers_are_numpys() {
        for (size, expected) in [
            (
                size(6, 2, 10),
                [
                    0.0677440818389809,
                    0.31473517094207537,
                    -0.9165640543624978,
                    0.832062773464878,
                    -0.03574184953093407,
                    0.09590869876126133,
                    0.4424746901107174,
                ],
            ),
            (
                Size::default(),
                [
                    0.0677440818389809,
                    -0.2679708161392307,
                    0.4051440269968247,
                    0.48360159285599513,
                    -0.5686513821733195,
                    0.024022423770164936,
                    4.846946311560931,
                ],
            ),
        ] {
            let drawn = draw(FsNetFamily::FsnetNonconvexQcqp, &size, 2025).unwrap();
            let Rows::Flat { g, h, curvature } = &drawn.rows else {
                panic!("flat rows")
            };
            let curvature = curvature.as_ref().unwrap();
            let got = [
                drawn.q[0],
                drawn.p[0],
                drawn.equality[0],
                drawn.x[0],
                g[0],
                curvature[0],
            ];
            assert_eq!(got, expected[..6]);
            // A pseudo-inverse by another routine.
            assert!((h[0] / expected[6] - 1.0).abs() < 1e-12);
        }
        for (size, expected) in [
            (
                size(6, 2, 10),
                [
                    1.0094714448886946,
                    0.6248327099834021,
                    -0.5296326904960202,
                    -0.6117816319035738,
                ],
            ),
            (
                Size::default(),
                [
                    21.823945109666816,
                    20.01467135572708,
                    0.36575778733288655,
                    -0.9880337098695589,
                ],
            ),
        ] {
            let drawn = draw(FsNetFamily::FsnetNonconvexSocp, &size, 2025).unwrap();
            let Rows::Cones { h, c, d, .. } = &drawn.rows else {
                panic!("cones")
            };
            assert_eq!([c[size.n], h[size.ineq]], expected[2..]);
            for (d, expected) in d.iter().zip(&expected[..2]) {
                // Sums in another order.
                assert!((d - expected).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn sizes_that_a_family_cannot_have_are_named() {
        let uneven = Size {
            ineq: 1,
            ..size(6, 2, 10)
        };
        let message = draw(FsNetFamily::FsnetNonconvexQp, &uneven, 1).unwrap_err();
        assert!(message.to_string().contains("ineq is 1, must be eq = 2"));
        assert!(draw(FsNetFamily::FsnetConvexQp, &uneven, 1).is_ok());
        let huge = size(2000, 1000, 10);
        assert!(draw(FsNetFamily::FsnetConvexSocp, &huge, 1).is_err());
    }
}
