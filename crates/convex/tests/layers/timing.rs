use crate::support::*;
use burn::tensor::Tensor;
use feasible_convex::*;
use feasible_core::*;
use std::sync::Arc;
use std::time::Instant;
#[test]
fn timing() {
    let (batch, n, p, m) = (128usize, 100usize, 50usize, 50usize);
    let mut r = random(1);
    let a = tensor(&r(p * n), [p, n]);
    let b = tensor(&r(batch * p), [batch, p]);
    let g = tensor(&r(m * n), [m, n]);
    let u: Vec<f64> = (0..m).map(|_| 1.5).collect();
    let u = tensor(&u, [m]);
    let l = tensor(&vec![f64::NEG_INFINITY; m], [m]);
    let q = tensor(&r(batch * n), [batch, n]).require_grad();
    let problem = QpTensors::new(Hessian::diagonal(tensor(&vec![1.0; n], [n])), q.clone())
        .equalities(a.clone(), b.clone())
        .inequalities(g.clone(), l.clone(), u.clone());
    for all in [false, true] {
        for _ in 0..4 {
            let problem = if all {
                QpTensors::new(Hessian::diagonal(tensor(&vec![1.0; n], [n]).require_grad()), q.clone())
                    .equalities(a.clone().require_grad(), b.clone().require_grad())
                    .inequalities(g.clone().require_grad(), l.clone(), u.clone().require_grad())
            } else {
                problem.clone()
            };
            let t = Instant::now();
            let s = QpLayer::default().forward(&problem).unwrap();
            let f = t.elapsed();
            let t = Instant::now();
            let _ = s.x.sum().backward();
            let bw = t.elapsed();
            eprintln!("TIME qp all={all} forward {f:?} backward {bw:?} iters {:?}", s.iterations.iter().max());
        }
    }
    let k = 10;
    let h: Vec<f64> = r(k * n).iter().map(|v| v * v + 0.1).collect();
    let set = Stacked::new(vec![
        Arc::new(Affine::shared(a.clone(), Bounds::equal(b.clone() * 0.2).unwrap()).unwrap()) as Arc<dyn Constraints>,
        Arc::new(Quadratic::diagonal(tensor(&h, [k, n]), tensor(&r(k * n), [k, n]), Bounds::at_most(tensor(&vec![4.0; k], [1, k])).unwrap()).unwrap()),
    ])
    .unwrap();
    for _ in 0..4 {
        let t = Instant::now();
        let s = Projection::default().forward(q.clone(), &set).unwrap();
        let f = t.elapsed();
        let t = Instant::now();
        let _ = s.y.clone().sum().backward();
        let bw = t.elapsed();
        let held = numbers(&s.dual()).iter().filter(|d| d.abs() > 1e-8).count() as f64 / batch as f64 - 50.0;
        eprintln!("TIME qcqp projection forward {f:?} backward {bw:?} iters {:?} held {held}", s.iterations.iter().max());
    }
    let _: Option<Tensor<1>> = None;
}
