//! Cones whose rows are all multiplied by one number are the same set: solutions and derivatives of
//! tiny and of huge coefficients against closed forms.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeParameter, ConeProblem, ConeSettings, GradientQuality, Outputs,
    Sparse, Values, cone_jacobian, solve_cones,
};
use support::{inner, normal, rng, uniform};

#[test]
fn probe() {
    let mut rng = rng(1);
    for n in [2usize, 5, 12] {
    for exponent in [0.0, -1.0, -2.0, -2.5, -3.0, -3.2, -4.0, -5.0, -6.0, -8.0, -10.0, 2.0, 3.0, 4.0, 6.0, 8.0] {
        let c = 10f64.powf(exponent);
        for _ in 0..3 {
        let p = uniform(&mut rng, 0.5, 2.0, n);
        let o = normal(&mut rng, n);
        let t: Vec<f64> = normal(&mut rng, n).iter().map(|v| 3.0 * v).collect();
        let q: Vec<f64> = (0..n).map(|i| -p[i] * (o[i] + t[i])).collect();
        let r = 0.5 * inner(&t, &t).sqrt();
        let starts: Vec<usize> = (0..=n).collect();
        let rows: Vec<usize> = (1..=n).collect();
        let a = vec![c; n];
        let mut b = vec![c * r];
        b.extend(o.iter().map(|v| c * v));
        let problem = ConeProblem {
            batch: 1, n,
            p: Some(Sparse { rows: n, columns: n, starts: &starts, indices: &starts[..n], values: Values::Shared(&p) }),
            q: Values::Shared(&q),
            a: Sparse { rows: n + 1, columns: n, starts: &starts, indices: &rows, values: Values::Shared(&a) },
            b: Values::Shared(&b),
            cones: &[Cone::SecondOrder(n + 1)],
        };
        let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
        // y = (P + λ)⁻¹ P t, ‖y‖ = r.
        let y = |l: f64| -> Vec<f64> { (0..n).map(|i| p[i] * t[i] / (p[i] + l)).collect() };
        let (mut low, mut high) = (0.0, 100.0);
        for _ in 0..200 {
            let mid = 0.5 * (low + high);
            if inner(&y(mid), &y(mid)) > r * r { low = mid } else { high = mid }
        }
        let l = low;
        let y = y(l);
        let x: Vec<f64> = y.iter().zip(&o).map(|(y, o)| y + o).collect();
        let ex = x.iter().zip(&solution.x).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let ez = (1..=n).map(|i| (l * y[i-1] / c - solution.z[i]).abs()).fold(0.0, f64::max) / (l * r / c);
        let es = (1..=n).map(|i| (-c * y[i-1] - solution.s[i]).abs()).fold(0.0, f64::max) / (c * r);
        let m: Vec<f64> = p.iter().map(|p| p + l).collect();
        let ymy: f64 = (0..n).map(|i| y[i] * y[i] / m[i]).sum();
        let settings = AdjointSettings::default();
        let jq = cone_jacobian(&problem, &solution, ConeParameter::Q, Outputs::PrimalAndDuals, &settings).unwrap();
        let jb = cone_jacobian(&problem, &solution, ConeParameter::B, Outputs::PrimalAndDuals, &settings).unwrap();
        let mut eq = 0.0f64; let mut ezq = 0.0f64; 
        for j in 0..n { 
            let dl = -(y[j] / m[j]) / ymy;
            for i in 0..n {
                let e = -(f64::from(u8::from(i == j)) + y[i] * dl) / m[i];
                eq = eq.max((e - jq.x[i * n + j]).abs());
                let dz = (dl * y[i] + l * e) / c;
                ezq = ezq.max(c * (dz - jq.z[(i + 1) * n + j]).abs());
            }
        }
        let mut eb = 0.0f64;
        let dl = -r / ymy;
        for i in 0..n {
            let e = -y[i] * dl / m[i] / c;
            eb = eb.max(c * (e - jb.x[i * (n + 1)]).abs());
        }
        println!("n {n} c 1e{exponent}: {:?} {:?} margin {:.1e} cond {:.1e}: x {ex:.1e} s {es:.1e} z {ez:.1e} dx/dq {eq:.1e} dz/dq {ezq:.1e} dx/db {eb:.1e}", solution.status[0], jq.reports[0].quality, jq.reports[0].margin, jq.reports[0].condition);
        let _ = GradientQuality::Exact;
        }
    }
    }
}
