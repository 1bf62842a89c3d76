//! An estimate from below of ‖H⁻¹‖₁ for a symmetric H, from solves alone (Higham, *Accuracy and stability
//! of numerical algorithms*, algorithm 15.1).

/// Unknowns from which on the solves of an estimate count beside the factor.
const MANY: usize = 1000;

/// The estimate, one solve at a time, so that each can be made together with another.
pub(super) struct InverseNorm {
    /// What is to be solved with, and then the solution.
    x: Vec<f64>,
    estimate: f64,
    last: usize,
    rounds: usize,
    next: Next,
}

#[derive(Clone, Copy, PartialEq)]
enum Next {
    /// Its answer is a column, or a mean of columns, of the inverse.
    Column,
    /// Its answer says which column may be larger.
    Signs,
    Done,
}

impl InverseNorm {
    pub(super) fn new(n: usize) -> Self {
        Self {
            x: vec![1.0 / n as f64; n],
            estimate: 0.0,
            last: usize::MAX,
            // A round is two solves; later ones seldom double the estimate.
            rounds: if n > MANY { 2 } else { 4 },
            next: Next::Column,
        }
    }

    /// The right-hand side to be replaced by its solution, and then [`answered`](Self::answered); `None`
    /// when no more is needed.
    pub(super) fn asked(&mut self) -> Option<&mut [f64]> {
        (self.next != Next::Done).then_some(&mut self.x[..])
    }

    pub(super) fn answered(&mut self) {
        let x = &mut self.x;
        match self.next {
            Next::Done => {}
            Next::Column => {
                let sum: f64 = x.iter().map(|v| v.abs()).sum();
                let larger = sum > self.estimate;
                self.rounds -= 1;
                if larger {
                    self.estimate = sum;
                }
                if !larger || self.rounds == 0 {
                    self.next = Next::Done;
                    return;
                }
                x.iter_mut()
                    .for_each(|v| *v = if *v < 0.0 { -1.0 } else { 1.0 });
                self.next = Next::Signs;
            }
            Next::Signs => {
                let mut largest = 0;
                for (i, v) in x.iter().enumerate() {
                    if v.abs() > x[largest].abs() {
                        largest = i;
                    }
                }
                if largest == self.last {
                    self.next = Next::Done;
                    return;
                }
                self.last = largest;
                x.fill(0.0);
                x[largest] = 1.0;
                self.next = Next::Column;
            }
        }
    }

    /// What it has come to.
    pub(super) fn estimate(&self) -> f64 {
        self.estimate
    }
}

/// The whole estimate, by `solve`.
pub(super) fn inverse_norm(n: usize, mut solve: impl FnMut(&mut [f64])) -> f64 {
    let mut norm = InverseNorm::new(n);
    while let Some(x) = norm.asked() {
        solve(x);
        norm.answered();
    }
    norm.estimate()
}
