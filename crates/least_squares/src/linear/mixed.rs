//! Kernels whose first operand may be of lower precision than what is computed with.

/// `aᵀb` for each `b`, in eight running sums, which the compiler can keep in vector registers.
#[inline(always)]
pub(super) fn dots<T: Copy + Into<f64>, const K: usize>(a: &[T], b: [&[f64]; K]) -> [f64; K] {
    let (a_head, a_tail) = a.as_chunks::<8>();
    let b = b.map(|b| b[..a.len()].as_chunks::<8>());
    let mut sums = [[0.0; 8]; K];
    for (i, a) in a_head.iter().enumerate() {
        let a = a.map(Into::<f64>::into);
        for k in 0..K {
            let b = &b[k].0[i];
            for lane in 0..8 {
                sums[k][lane] += a[lane] * b[lane];
            }
        }
    }
    std::array::from_fn(|k| {
        let sums = &sums[k];
        let mut total = 0.0;
        for (a, b) in a_tail.iter().zip(b[k].1) {
            total += (*a).into() * b;
        }
        total
            + ((sums[0] + sums[4]) + (sums[2] + sums[6]))
            + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
    })
}

/// `y += factor · x`.
#[inline(always)]
pub(super) fn axpy<T: Copy + Into<f64>>(factor: f64, x: &[T], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * (*x).into();
    }
}
