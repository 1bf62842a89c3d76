//! The Lie groups against matrix exponentials, power series, central differences and dual numbers.

#[path = "support/dual.rs"]
mod dual;
#[path = "support/groups.rs"]
mod support;

use std::f64::consts::PI;

use dual::Dual;
use feasible_least_squares::groups::{LieGroup, Matrix, Se2, Se3, So2, So3};
use feasible_least_squares::scalar::Real;
use proptest::prelude::*;
use support::*;

type D1 = Dual<f64>;
type D2 = Dual<D1>;

#[test]
fn exponentials_are_matrix_exponentials() {
    // 60 terms: at |τ| = 35 the translations enter once, so powers grow with the angle only.
    for t in tangents_2d() {
        let x = Se2::exp(&t);
        let m = series(&hat_se2(&t), 0, 60);
        let r = x.rotation.matrix();
        let got = [r[0], r[1], x.translation];
        let expected = [[m[0][0], m[0][1]], [m[1][0], m[1][1]], [m[0][2], m[1][2]]];
        assert_close(got.as_flattened(), expected.as_flattened(), 1e-14, "SE(2)");
        let plain = So2::exp(&[t[2]]).matrix();
        assert_close(plain.as_flattened(), r.as_flattened(), 1e-15, "SO(2)");
    }
    for t in tangents_3d() {
        let x = Se3::exp(&t);
        let m = series(&hat_se3(&t), 0, 60);
        let r = x.rotation.matrix();
        let got = [r[0], r[1], r[2], x.translation];
        let part = |i: usize| [m[i][0], m[i][1], m[i][2]];
        let expected = [part(0), part(1), part(2), [m[0][3], m[1][3], m[2][3]]];
        assert_close(got.as_flattened(), expected.as_flattened(), 1e-14, "SE(3)");
        let plain = So3::exp(&[t[3], t[4], t[5]]).matrix();
        assert_close(plain.as_flattened(), r.as_flattened(), 1e-15, "SO(3)");
    }
}

/// The identities that hold in every group; one module a group.
macro_rules! group_tests {
    ($module:ident, $group:ident, $d:literal, $tangents:expr, $ad:expr) => {
        mod $module {
            use super::*;

            type Tangent = [f64; $d];

            fn tangents() -> Vec<Tangent> {
                $tangents
            }

            fn lifted<S: Real>(x: &$group<f64>) -> $group<S> {
                let mut stored = [0.0; <$group<f64> as LieGroup<f64, $d>>::STORED];
                x.write(&mut stored);
                $group::read(&stored.map(S::constant))
            }

            /// Several elements that are not exponentials of the tangents.
            fn elements() -> Vec<$group<f64>> {
                [0.3, -1.1, 2.4]
                    .into_iter()
                    .map(|s| $group::exp(&std::array::from_fn(|i| s * (1.0 - 0.35 * i as f64))))
                    .collect()
            }

            fn stored(x: &$group<f64>) -> Vec<f64> {
                let mut out = vec![0.0; <$group<f64> as LieGroup<f64, $d>>::STORED];
                x.write(&mut out);
                out
            }

            /// ∂f/∂ε at zero, exactly.
            fn by_duals(f: impl Fn([D1; $d]) -> [D1; $d]) -> Matrix<f64, $d, $d> {
                let mut out = [[0.0; $d]; $d];
                for j in 0..$d {
                    let epsilon =
                        std::array::from_fn(|i| Dual::new(0.0, if i == j { 1.0 } else { 0.0 }));
                    let value = f(epsilon);
                    for i in 0..$d {
                        out[i][j] = value[i].slope;
                    }
                }
                out
            }

            #[test]
            fn the_logarithm_inverts_the_exponential() {
                for t in tangents() {
                    let back = $group::exp(&t).log();
                    // Near a half turn an error of one unit in the quaternion is one in the angle, and the
                    // translation (up to 30) turns with it: scaled by the largest entry.
                    assert_close(&back, &t, 3e-15, "Log Exp");
                }
                assert_eq!($group::<f64>::identity().log(), [0.0; $d]);
            }

            #[test]
            fn gradients_by_stored_numbers_and_by_steps_are_each_others() {
                for x in elements() {
                    let gradient: Tangent = std::array::from_fn(|i| 0.7 - 0.4 * i as f64);
                    let mut raised = stored(&x);
                    x.raise(&gradient, &mut raised);
                    assert_close(&x.lower(&raised), &gradient, 1e-15, "lower raise");
                    // Nothing along what is stored: its length does not count.
                    let own = stored(&x);
                    let count = <$group<f64> as LieGroup<f64, $d>>::ROTATION;
                    let along: f64 = (0..count).map(|i| own[i] * raised[i]).sum();
                    assert!(along.abs() < 1e-15, "{along:e}");
                }
            }

            #[test]
            fn tiny_rotations_keep_their_relative_accuracy() {
                for size in [1e-300, 1e-150, 1e-20, 1e-9, 1e-3] {
                    let t: Tangent = std::array::from_fn(|i| size * (1.0 + i as f64));
                    let back = $group::exp(&t).log();
                    for i in 0..$d {
                        assert!((back[i] / t[i] - 1.0).abs() < 1e-15, "{back:?} {t:?}");
                    }
                }
            }

            #[test]
            fn left_jacobians_are_their_series() {
                for t in tangents() {
                    let expected = series(&$ad(&t), 1, 60);
                    let got = $group::left_jacobian(&t);
                    // The series itself cancels: its largest term is π³/6, times a translation of 30.
                    assert_close(got.as_flattened(), expected.as_flattened(), 3e-14, "J_l");
                }
            }

            #[test]
            fn inverse_jacobians_invert() {
                for t in tangents() {
                    let left = product(
                        &$group::left_jacobian(&t),
                        &$group::left_jacobian_inverse(&t),
                    );
                    let right = product(
                        &$group::right_jacobian(&t),
                        &$group::right_jacobian_inverse(&t),
                    );
                    // The product's terms are as large as the translation squared near a half turn.
                    let scale = t.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                    for m in [left, right] {
                        let one = identity::<$d>();
                        assert_close(m.as_flattened(), one.as_flattened(), 1e-14 * scale, "J J⁻¹");
                    }
                }
            }

            #[test]
            fn gradients_are_pulled_back_and_raised() {
                for t in tangents() {
                    let s: Tangent = std::array::from_fn(|i| 0.7 - 0.4 * i as f64);
                    let inverse = $group::right_jacobian_inverse(&t);
                    let expected: Tangent =
                        std::array::from_fn(|j| (0..$d).map(|i| inverse[i][j] * s[i]).sum());
                    let got = $group::pull_back(&t, &s);
                    // Entries of J⁻¹ are as large as the translation.
                    let scale = t.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                    assert_close(&got, &expected, 1e-14 * scale, "J⁻ᵀ s");

                    // A gradient a by the stored numbers is Pᵀa by steps, P = ∂(x ⊞ δ)/∂δ; the shortest one
                    // is in the range of P.
                    let x = $group::exp(&t);
                    let mut raised = [0.0; 7];
                    x.raise(&s, &mut raised);
                    let lifted = lifted::<D1>(&x);
                    for j in 0..$d {
                        let unit = |i| Dual::new(0.0, if i == j { 1.0 } else { 0.0 });
                        let moved = lifted.retract(&std::array::from_fn(unit));
                        let mut column = [D1::constant(0.0); 7];
                        moved.write(&mut column);
                        let products = column.iter().zip(&raised).map(|(c, r)| c.slope * r);
                        // Seven products of numbers up to three.
                        assert!((products.sum::<f64>() - s[j]).abs() < 5e-15);
                    }
                    let rotation = <$group<f64> as LieGroup<f64, $d>>::ROTATION;
                    let point = stored(&x);
                    let along = point.iter().zip(&raised).take(rotation);
                    // Rotations keep their length, so nothing is gained along it.
                    assert!(along.map(|(x, r)| x * r).sum::<f64>().abs() < 5e-15);
                }
            }

            #[test]
            fn adjoints() {
                for t in tangents() {
                    let x = $group::exp(&t);
                    let expected = series(&$ad(&t), 0, 60);
                    let got = x.adjoint();
                    assert_close(got.as_flattened(), expected.as_flattened(), 3e-14, "Ad Exp");
                    // J_l = Ad J_r (Solà, eq. 75).
                    let by_right = product(&got, &$group::right_jacobian(&t));
                    let left = $group::left_jacobian(&t);
                    let scale = t.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                    assert_close(
                        by_right.as_flattened(),
                        left.as_flattened(),
                        1e-14 * scale,
                        "Ad J_r",
                    );
                    for y in elements() {
                        // x Exp(τ) x⁻¹ = Exp(Ad τ).
                        let small: Tangent = y.log();
                        let moved: Tangent =
                            std::array::from_fn(|i| (0..$d).map(|j| got[i][j] * small[j]).sum());
                        let conjugate = x.compose(&y).compose(&x.inverse());
                        let difference = $group::exp(&moved).local(&conjugate);
                        assert_close(&difference, &[0.0; $d], 1e-13 * scale, "conjugate");
                    }
                }
            }

            #[test]
            fn jacobians_of_the_exponential_agree_with_duals() {
                for t in tangents() {
                    let inverse = lifted::<D1>(&$group::exp(&t).inverse());
                    let right = by_duals(|e| {
                        let moved = std::array::from_fn(|i| D1::constant(t[i]) + e[i]);
                        inverse.compose(&$group::exp(&moved)).log()
                    });
                    let expected = $group::right_jacobian(&t);
                    assert_close(right.as_flattened(), expected.as_flattened(), 1e-13, "J_r");
                    let left = by_duals(|e| {
                        let moved = std::array::from_fn(|i| D1::constant(t[i]) + e[i]);
                        $group::exp(&moved).compose(&inverse).log()
                    });
                    let expected = $group::left_jacobian(&t);
                    assert_close(left.as_flattened(), expected.as_flattened(), 1e-13, "J_l");
                }
            }

            #[test]
            fn jacobians_of_the_difference_agree_with_duals() {
                for t in tangents() {
                    for x in elements() {
                        let y = x.retract(&t);
                        let (delta, by_x, by_y) = x.local_jacobians(&y);
                        // Composition with a rotation loses a unit of the translation's size.
                        assert_close(&delta, &t, 1e-14, "local");
                        let (x, y) = (lifted::<D1>(&x), lifted::<D1>(&y));
                        let first = by_duals(|e| x.retract(&e).local(&y));
                        let second = by_duals(|e| x.local(&y.retract(&e)));
                        assert_close(first.as_flattened(), by_x.as_flattened(), 1e-12, "by x");
                        assert_close(second.as_flattened(), by_y.as_flattened(), 1e-12, "by y");
                    }
                }
            }

            #[test]
            fn jacobians_of_the_difference_agree_with_central_differences() {
                let h = 1e-5;
                for t in tangents() {
                    for x in elements() {
                        let y = x.retract(&t);
                        let (_, by_x, by_y) = x.local_jacobians(&y);
                        for j in 0..$d {
                            // A step across a half turn changes the branch of the logarithm.
                            if t.iter().rev().take(3).map(|v| v * v).sum::<f64>().sqrt() > PI - 2e-3
                            {
                                continue;
                            }
                            let step = |s: f64| -> Tangent {
                                std::array::from_fn(|i| if i == j { s } else { 0.0 })
                            };
                            let (plus, minus) = (step(h), step(-h));
                            let a = x.retract(&plus).local(&y);
                            let b = x.retract(&minus).local(&y);
                            let c = x.local(&y.retract(&plus));
                            let d = x.local(&y.retract(&minus));
                            for i in 0..$d {
                                // Truncation h² times third derivatives, up to 30 here; rounding 30 ε/h.
                                let scale = t.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                                let first = (a[i] - b[i]) / (2.0 * h);
                                let second = (c[i] - d[i]) / (2.0 * h);
                                assert!((first - by_x[i][j]).abs() < 1e-9 * scale);
                                assert!((second - by_y[i][j]).abs() < 1e-9 * scale);
                            }
                        }
                    }
                }
            }

            #[test]
            fn second_derivatives_pass_at_zero_and_everywhere() {
                let h = 1e-5;
                for t in tangents() {
                    let near_half_turn =
                        t.iter().rev().take(3).map(|v| v * v).sum::<f64>().sqrt() > PI - 2e-3;
                    if near_half_turn {
                        continue;
                    }
                    let x = &elements()[0];
                    let y = x.retract(&t);
                    let (xx, yy) = (lifted::<D2>(x), lifted::<D2>(&y));
                    let scale = t.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
                    for a in 0..$d {
                        for b in 0..$d {
                            let unit = |k: usize, j: usize| if k == j { 1.0 } else { 0.0 };
                            let epsilon = std::array::from_fn(|k| {
                                Dual::new(Dual::new(0.0, unit(k, a)), Dual::new(unit(k, b), 0.0))
                            });
                            let got = xx.local(&yy.retract(&epsilon));
                            // d/db of the derivative along a at zero of the retraction, by differences of duals.
                            let slope = |s: f64| {
                                let moved =
                                    std::array::from_fn(|k| Dual::new(s * unit(k, b), unit(k, a)));
                                lifted::<D1>(x).local(&lifted::<D1>(&y).retract(&moved))
                            };
                            let (plus, minus) = (slope(h), slope(-h));
                            for i in 0..$d {
                                let expected = (plus[i].slope - minus[i].slope) / (2.0 * h);
                                let error = (got[i].slope.slope - expected).abs();
                                assert!(error < 3e-9 * scale, "{t:?} {a} {b}: {error}");
                            }
                        }
                    }
                }
            }

            #[test]
            fn normalisation_undoes_a_scaled_rotation_and_keeps_a_unit_one() {
                for x in elements() {
                    let y = x.normalised();
                    assert_close(&stored(&x), &stored(&y), 3e-16, "unit");
                }
            }

            #[test]
            fn numbers_that_are_not_finite_stay_so() {
                for bad in [f64::NAN, f64::INFINITY] {
                    let t = [bad; $d];
                    assert!($group::exp(&t).log().iter().any(|v| !v.is_finite()));
                    let _ = $group::left_jacobian(&t);
                    let _ = $group::left_jacobian_inverse(&t);
                    let x = $group::read(&[bad; 7]).normalised();
                    assert!(x.log().iter().any(|v| !v.is_finite()));
                }
                let nothing = $group::read(&[0.0; 7]).normalised();
                assert!(nothing.log().iter().any(|v| !v.is_finite()));
            }

            proptest! {
                #[test]
                fn group_axioms(
                    a in prop::array::uniform::<_, $d>(-3.0..3.0_f64),
                    b in prop::array::uniform::<_, $d>(-3.0..3.0_f64),
                    c in prop::array::uniform::<_, $d>(-1.0..1.0_f64),
                ) {
                    let (x, y, z) = ($group::exp(&a), $group::exp(&b), $group::exp(&c));
                    let left = stored(&x.compose(&y).compose(&z));
                    let right = stored(&x.compose(&y.compose(&z)));
                    // Translations up to 15, five roundings each.
                    assert_close(&left, &right, 2e-15, "associative");
                    let neutral = x.compose(&x.inverse()).log();
                    assert_close(&neutral, &[0.0; $d], 1e-14, "inverse");
                    let back = x.local(&x.retract(&c));
                    // |c| ≤ √3 < π, so the logarithm finds it.
                    assert_close(&back, &c, 2e-14, "local of retract");
                }
            }
        }
    };
}

group_tests!(
    so2,
    So2,
    1,
    tangents_2d().into_iter().map(|t| [t[2]]).collect(),
    ad_so2
);
group_tests!(se2, Se2, 3, tangents_2d(), ad_se2);
group_tests!(
    so3,
    So3,
    3,
    tangents_3d()
        .into_iter()
        .map(|t| [t[3], t[4], t[5]])
        .collect(),
    ad_so3
);
group_tests!(se3, Se3, 6, tangents_3d(), ad_se3);

#[test]
fn the_sign_of_a_quaternion_does_not_matter() {
    for t in tangents_3d() {
        let x = Se3::exp(&t);
        let mut other = x;
        other.rotation = So3 {
            w: -x.rotation.w,
            v: x.rotation.v.map(|c| -c),
        };
        assert_close(&other.log(), &x.log(), 1e-15, "−q");
        let y = Se3::exp(&[0.1, 0.2, 0.3, 0.3, -0.2, 0.1]);
        assert_close(&y.local(&other), &y.local(&x), 1e-14, "local of −q");
    }
}

#[test]
fn half_turns_have_a_logarithm() {
    let x = So3 {
        w: 0.0,
        v: [0.0, 0.6, -0.8],
    };
    assert_close(&x.log(), &[0.0, 0.6 * PI, -0.8 * PI], 1e-15, "half turn");
    let beyond = So3::exp(&[0.0, 0.0, PI + 0.01]);
    assert_close(
        &beyond.log(),
        &[0.0, 0.0, 0.01 - PI],
        1e-15,
        "beyond a half turn",
    );
    let x = Se2::new(1.0, 2.0, PI);
    let t = x.log();
    // V(π) = [[0, −2/π], [2/π, 0]].
    assert_close(&t, &[PI, -0.5 * PI, PI], 1e-15, "planar half turn");
}

#[test]
fn derivatives_of_the_action() {
    for t in tangents_3d() {
        let x = Se3::exp(&t);
        let p = [0.3, -1.2, 2.0];
        let (by_x, by_p) = x.act_jacobians(&p);
        let mut stored = [0.0; 7];
        x.write(&mut stored);
        let lifted = Se3::<D1>::read(&stored.map(D1::constant));
        for j in 0..6 {
            let e = std::array::from_fn(|i| Dual::new(0.0, if i == j { 1.0 } else { 0.0 }));
            let moved = lifted.retract(&e).act(&p.map(D1::constant));
            for i in 0..3 {
                assert!((moved[i].slope - by_x[i][j]).abs() < 3e-15, "{t:?}");
            }
        }
        for j in 0..3 {
            let q = std::array::from_fn(|i| Dual::new(p[i], if i == j { 1.0 } else { 0.0 }));
            let moved = lifted.act(&q);
            for i in 0..3 {
                assert!((moved[i].slope - by_p[i][j]).abs() < 3e-15);
            }
        }
    }
    for t in tangents_2d() {
        let x = Se2::exp(&t);
        let p = [0.3, -1.2];
        let (by_x, by_p) = x.act_jacobians(&p);
        let mut stored = [0.0; 4];
        x.write(&mut stored);
        let lifted = Se2::<D1>::read(&stored.map(D1::constant));
        for j in 0..3 {
            let e = std::array::from_fn(|i| Dual::new(0.0, if i == j { 1.0 } else { 0.0 }));
            let moved = lifted.retract(&e).act(&p.map(D1::constant));
            for i in 0..2 {
                assert!((moved[i].slope - by_x[i][j]).abs() < 3e-15);
            }
        }
        assert_eq!(by_p, x.rotation.matrix());
    }
}
