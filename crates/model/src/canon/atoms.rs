//! Epigraphs of the atoms: a new column `t` with `t ≥ f` for a convex `f`, `t ≤ f` for a concave
//! one, in linear rows and cones.
//!
//! Forms: Grant & Boyd 2008; MOSEK Modeling Cookbook 3.3, chapters 2, 3, 5 and 6.

use std::sync::Arc;

use super::affine::Affine;
use super::builder::{Builder, Kind};
use super::quadratic::Quadratic;
use crate::attributes::Sign;
use crate::expr::{Atom, Expr, Op, is_even};

impl Builder {
    pub(crate) fn atom(&mut self, atom: &Atom, expr: &Expr, args: &[Arc<Affine>]) -> Affine {
        let root = self.root(atom, expr.arg(0));
        let x = root.as_ref().unwrap_or(&args[0]);
        let rows = x.rows;
        let text = &expr.to_string();
        match atom {
            Atom::Abs | Atom::Norm1 | Atom::NormInf => self.absolute(atom, expr, x),
            Atom::Pos | Atom::NegPart => self.part(atom, expr, x),
            Atom::Maximum => self.largest(args),
            Atom::Minimum => {
                let negated: Vec<_> = args.iter().map(|a| Arc::new(a.times(-1.0))).collect();
                self.largest(&negated).times(-1.0)
            }
            Atom::Max => self.top(x),
            Atom::Min => self.top(&x.times(-1.0)).times(-1.0),
            Atom::SumLargest(count) => self.sum_largest(x, *count),
            Atom::SumSmallest(count) => self.sum_largest(&x.times(-1.0), *count).times(-1.0),
            Atom::Square => {
                let grouped = x.by_row();
                let each = (0..rows).map(|row| {
                    let terms = grouped
                        .group(row)
                        .iter()
                        .map(|t| super::Term { row: 0, ..*t });
                    Quadratic::squares(
                        Affine {
                            rows: 1,
                            terms: terms.collect(),
                        },
                        text,
                    )
                });
                self.quadratic_columns(each.collect())
            }
            Atom::SumSquares => self.quadratic_columns(vec![Quadratic::squares(x.clone(), text)]),
            Atom::QuadForm(definiteness) => {
                let negative = definiteness.is_negative();
                let p = if negative {
                    args[1].times(-1.0)
                } else {
                    (*args[1]).clone()
                };
                let column = self.quadratic_columns(vec![Quadratic::form(x.clone(), p, text)]);
                column.times(if negative { -1.0 } else { 1.0 })
            }
            Atom::QuadOverLin => self.quad_over_lin(expr, x, &args[1], text),
            Atom::Huber(threshold) => {
                // An argument that is not affine is bounded from one side only.
                let size = if root.is_some() || expr.arg(0).curvature().is_affine() {
                    None
                } else {
                    self.size(expr, x)
                };
                self.huber(size.as_ref().unwrap_or(x), *threshold, text)
            }
            Atom::Norm2 => {
                let t = self.lift(1);
                let kind = Kind::SecondOrder(1 + rows);
                self.in_cone(kind, Affine::stacked([&t, x]), text);
                t
            }
            Atom::Exp => {
                let t = self.lift(rows);
                self.exponential(x, &Affine::ones(rows), &t, text);
                t
            }
            Atom::Log => {
                let t = self.lift(rows);
                self.exponential(&t, &Affine::ones(rows), x, text);
                t
            }
            Atom::Entropy => {
                let t = self.lift(rows);
                self.exponential(&t, x, &Affine::ones(rows), text);
                t
            }
            Atom::RelEntr => self.relative_entropy(x, &args[1], text),
            Atom::KlDiv => {
                let t = self.relative_entropy(x, &args[1], text);
                t.minus(x).plus(&args[1])
            }
            Atom::LogSumExp => {
                let (t, u) = (self.lift(1), self.lift(rows));
                let shifted = x.minus(&t.spread(rows));
                self.exponential(&shifted, &Affine::ones(rows), &u, text);
                self.ordered(&u.sum(), &Affine::ones(1));
                t
            }
            Atom::Logistic => {
                // exp(−t) + exp(x − t) ≤ 1.
                let (t, u, v) = (self.lift(rows), self.lift(rows), self.lift(rows));
                self.exponential(&t.times(-1.0), &Affine::ones(rows), &u, text);
                self.exponential(&x.minus(&t), &Affine::ones(rows), &v, text);
                self.ordered(&u.plus(&v), &Affine::ones(rows));
                t
            }
            Atom::Sqrt => {
                let t = self.lift(rows);
                self.hyperbola(x, &Affine::ones(rows), &t, text);
                t
            }
            Atom::InvPos => {
                let t = self.lift(rows);
                self.hyperbola(x, &t, &Affine::ones(rows), text);
                t
            }
            Atom::Power(p) => self.power(x, *p, text),
            Atom::GeoMean(weights) => self.geo_mean(x, weights, text),
            Atom::LambdaMax
            | Atom::LambdaMin
            | Atom::LogDet
            | Atom::MatrixFrac
            | Atom::NuclearNorm
            | Atom::OperatorNorm => self.spectral(atom, expr, args, text),
        }
    }

    /// The atom of a symmetric matrix, whose mirrored entries share their rows: with rows of their
    /// own the multipliers of two equal rows would not be unique.
    pub(crate) fn atom_of_distinct(
        &mut self,
        atom: &Atom,
        expr: &Expr,
        args: &[Arc<Affine>],
    ) -> Option<Affine> {
        if !self.mirrored || args.len() > 1 || matches!(expr.arg(0).0.op, Op::Atom(_)) {
            return None;
        }
        let (rows, map) = match atom {
            Atom::Abs
            | Atom::Entropy
            | Atom::Exp
            | Atom::Huber(_)
            | Atom::InvPos
            | Atom::Log
            | Atom::Logistic
            | Atom::Max
            | Atom::Min
            | Atom::NegPart
            | Atom::Norm1
            | Atom::NormInf
            | Atom::Pos
            | Atom::Power(_)
            | Atom::Sqrt => args[0].distinct()?,
            _ => return None,
        };
        let rows = [Arc::new(rows)];
        Some(match atom {
            Atom::Max | Atom::Min | Atom::NormInf => self.atom(atom, expr, &rows),
            Atom::Norm1 => self.atom(&Atom::Abs, expr, &rows).linear(&map).sum(),
            _ => self.atom(atom, expr, &rows).linear(&map),
        })
    }

    /// `t ≥ 0` and `t ≥` each part.
    fn above(&mut self, rows: usize, parts: &[&Affine]) -> Affine {
        let t = self.lift(rows);
        self.at_most_zero(t.times(-1.0));
        for part in parts {
            self.ordered(part, &t);
        }
        t
    }

    /// What an even function that grows away from zero may take in place of `|v|`, `max(v, 0)` or
    /// `max(−v, 0)`: `v` itself, or any number above `±v`. The rows `t ≥ 0` that are left out would
    /// hold at zero with a multiplier of zero, and with them the derivative would be in doubt.
    fn root(&mut self, atom: &Atom, arg: &Expr) -> Option<Affine> {
        let even = match atom {
            Atom::Norm2 | Atom::Square | Atom::SumSquares | Atom::Huber(_) => true,
            Atom::QuadOverLin => true,
            Atom::Power(p) => is_even(*p),
            _ => false,
        };
        let Op::Atom(inner) = &arg.0.op else {
            return None;
        };
        if !even || arg.0.folded.is_some() {
            return None;
        }
        let v = self.lowered[&arg.arg(0).key()].clone();
        let below = match inner {
            Atom::Abs if arg.arg(0).curvature().is_affine() => return Some((*v).clone()),
            Atom::Pos => (*v).clone(),
            Atom::NegPart => v.times(-1.0),
            _ => return None,
        };
        let t = self.lift(below.rows);
        self.ordered(&below, &t);
        Some(t)
    }

    /// `|x|` of an argument of known sign: the argument or its negative. In new columns above it
    /// where its parameters have to stay out of what the rest of the expression may multiply by
    /// parameters, or where it must not be bounded from both sides.
    fn size(&mut self, expr: &Expr, x: &Affine) -> Option<Affine> {
        let arg = expr.arg(0);
        let size = if arg.sign().is_nonnegative() {
            x.clone()
        } else if arg.sign().is_nonpositive() {
            x.times(-1.0)
        } else {
            return None;
        };
        if arg.curvature().is_affine() && !arg.0.carries {
            return Some(size);
        }
        let t = self.lift(x.rows);
        self.ordered(&size, &t);
        Some(t)
    }

    fn part(&mut self, atom: &Atom, expr: &Expr, x: &Affine) -> Affine {
        let (sign, above) = match atom {
            Atom::Pos => (Sign::Nonnegative, x.clone()),
            _ => (Sign::Nonpositive, x.times(-1.0)),
        };
        if expr.arg(0).sign() == sign
            && let Some(size) = self.size(expr, x)
        {
            return size;
        }
        self.above(x.rows, &[&above])
    }

    fn absolute(&mut self, atom: &Atom, expr: &Expr, x: &Affine) -> Affine {
        let known = self.size(expr, x);
        if let Atom::NormInf = atom {
            let t = self.lift(1);
            let spread = t.spread(x.rows);
            match known {
                Some(size) => self.ordered(&size, &spread),
                None => {
                    self.ordered(x, &spread);
                    self.ordered(&x.times(-1.0), &spread);
                }
            }
            return t;
        }
        let sizes = known.unwrap_or_else(|| {
            let t = self.lift(x.rows);
            self.ordered(x, &t);
            self.ordered(&x.times(-1.0), &t);
            t
        });
        match atom {
            Atom::Norm1 => sizes.sum(),
            _ => sizes,
        }
    }

    fn largest(&mut self, args: &[Arc<Affine>]) -> Affine {
        let t = self.lift(args[0].rows);
        for arg in args {
            self.ordered(arg, &t);
        }
        t
    }

    fn top(&mut self, x: &Affine) -> Affine {
        let t = self.lift(1);
        self.ordered(x, &t.spread(x.rows));
        t
    }

    /// `count·q + Σ max(x − q, 0)`, least over `q`.
    fn sum_largest(&mut self, x: &Affine, count: usize) -> Affine {
        let q = self.lift(1);
        // Any number between the last that counts and the next one.
        self.flat.extend(q.terms.iter().map(|t| t.column));
        let over = x.minus(&q.spread(x.rows));
        let excess = self.above(x.rows, &[&over]);
        q.times(count as f64).plus(&excess.sum())
    }

    fn quad_over_lin(&mut self, expr: &Expr, x: &Affine, y: &Affine, text: &str) -> Affine {
        if let Some(&[divisor]) = expr.arg(1).0.folded.as_deref()
            && divisor > 0.0
        {
            let column = self.quadratic_columns(vec![Quadratic::squares(x.clone(), text)]);
            return column.times(1.0 / divisor);
        }
        let t = self.lift(1);
        let cone = Affine::stacked([&t.plus(y), &t.minus(y), &x.times(2.0)]);
        self.in_cone(Kind::SecondOrder(2 + x.rows), cone, text);
        t
    }

    /// `n² + 2·threshold·|x − n|`, least over `n`.
    fn huber(&mut self, x: &Affine, threshold: f64, text: &str) -> Affine {
        let (n, v) = (self.lift(x.rows), self.lift(x.rows));
        let rest = x.minus(&n);
        self.ordered(&rest, &v);
        self.ordered(&rest.times(-1.0), &v);
        let each = n.terms.iter().map(|t| {
            let column = Affine::columns(std::iter::once(t.column));
            Quadratic::squares(column, text)
        });
        let squares = self.quadratic_columns(each.collect());
        squares.plus(&v.times(2.0 * threshold))
    }

    /// `y·exp(x/y) ≤ v`, entry by entry.
    pub(crate) fn exponential(&mut self, x: &Affine, y: &Affine, v: &Affine, text: &str) {
        self.in_cone(Kind::Exponential, Affine::interleaved(&[x, y, v]), text);
    }

    fn relative_entropy(&mut self, x: &Affine, y: &Affine, text: &str) -> Affine {
        let t = self.lift(x.rows);
        self.exponential(&t.times(-1.0), x, y, text);
        t
    }

    /// `x·y ≥ z²`, `x, y ≥ 0`, entry by entry, as `x + y ≥ ‖(x − y, 2z)‖`.
    fn hyperbola(&mut self, x: &Affine, y: &Affine, z: &Affine, text: &str) {
        let parts = [&x.plus(y), &x.minus(y), &z.times(2.0)];
        self.in_cone(Kind::SecondOrder(3), Affine::interleaved(&parts), text);
    }

    /// `x^α·y^(1−α) ≥ |z|`, `x, y ≥ 0`, entry by entry.
    fn power_cone(&mut self, alpha: f64, [x, y, z]: [&Affine; 3], text: &str) {
        if alpha == 0.5 {
            self.hyperbola(x, y, z, text);
        } else {
            self.in_cone(Kind::Power(alpha), Affine::interleaved(&[x, y, z]), text);
        }
    }

    fn power(&mut self, x: &Affine, p: f64, text: &str) -> Affine {
        let t = self.lift(x.rows);
        let ones = Affine::ones(x.rows);
        if p < 0.0 {
            // t·x^(−p) ≥ 1.
            self.power_cone(1.0 / (1.0 - p), [&t, x, &ones], text);
        } else if p < 1.0 {
            self.power_cone(p, [x, &ones, &t], text);
        } else {
            self.power_cone(1.0 / p, [&t, &ones, x], text);
            if !is_even(p) {
                self.at_most_zero(x.times(-1.0));
            }
        }
        t
    }

    /// A chain of power cones, one an entry: each takes the mean so far with the next entry.
    fn geo_mean(&mut self, x: &Affine, weights: &[f64], text: &str) -> Affine {
        let grouped = x.by_row();
        let entry = |i: usize| Affine {
            rows: 1,
            terms: grouped
                .group(i)
                .iter()
                .map(|t| super::Term { row: 0, ..*t })
                .collect(),
        };
        let mut mean = entry(0);
        let mut total = weights[0];
        if x.rows == 1 {
            // t ≤ x and x ≥ 0.
            let t = self.lift(1);
            self.ordered(&t, &mean);
            self.at_most_zero(mean.times(-1.0));
            return t;
        }
        for i in 1..x.rows {
            let t = self.lift(1);
            let share = total / (total + weights[i]);
            self.power_cone(share, [&mean, &entry(i), &t], text);
            total += weights[i];
            mean = t;
        }
        mean
    }
}
