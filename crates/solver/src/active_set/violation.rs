//! Which row is violated most: asked after every pivot, of all rows.

/// A bound counts as violated beyond this times `1 + |bound| + |value|`.
const FEASIBLE: f64 = 1e-12;

/// Rows looked at together.
const LANES: usize = 8;

/// Fewer rows are looked at one by one: most are passed over at a glance, and putting the lanes together
/// costs more than that (a tenth of the whole solve at 10 rows).
const FEW: usize = 24;

/// The first of the rows that are most beyond a bound, and `+1` for its upper bound, `−1` for its lower;
/// `None` where all hold to rounding. `closed` is infinite for rows that do not count, 0 for the others.
#[inline(always)]
pub(crate) fn most_violated(
    value: &[f64],
    lower: &[f64],
    upper: &[f64],
    closed: &[f64],
) -> Option<(usize, f64)> {
    let m = value.len();
    let (lower, upper, closed) = (&lower[..m], &upper[..m], &closed[..m]);
    // Without branches, so that it vectorises: lane by lane the worst row so far.
    let asks = |i: usize| {
        let (above, below) = (value[i] - upper[i], lower[i] - value[i]);
        let over = above > below;
        let violation = if over { above } else { below };
        let bound = if over { upper[i] } else { lower[i] };
        let least = FEASIBLE * (1.0 + bound.abs() + value[i].abs()) + closed[i];
        if violation > least { violation } else { 0.0 }
    };
    let (mut worst, mut at) = ([0.0f64; LANES], [0.0f64; LANES]);
    let whole = if m < FEW { 0 } else { m - m % LANES };
    for first in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            let violation = asks(first + lane);
            let more = violation > worst[lane];
            worst[lane] = if more { violation } else { worst[lane] };
            at[lane] = if more { first as f64 } else { at[lane] };
        }
    }
    let (mut largest, mut row) = (0.0, usize::MAX);
    if whole > 0 {
        for (lane, (worst, at)) in worst.into_iter().zip(at).enumerate() {
            let found = at as usize + lane;
            // Of equal ones the first.
            if worst > largest || worst == largest && found < row {
                (largest, row) = (worst, found);
            }
        }
    }
    for i in whole..m {
        if value[i] > upper[i] || value[i] < lower[i] {
            let violation = asks(i);
            if violation > largest {
                (largest, row) = (violation, i);
            }
        }
    }
    if largest == 0.0 {
        return None;
    }
    let above = value[row] - upper[row] > lower[row] - value[row];
    Some((row, if above { 1.0 } else { -1.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::vectorised;

    const INF: f64 = f64::INFINITY;

    /// Looked at together and one by one: closed rows and those within rounding of a bound apart.
    #[test]
    fn the_first_of_the_worst() {
        let mut none = 0;
        for m in 0..60 {
            for turn in 0..40 {
                // Coarse values, so that some violations are equal.
                let wave = |at: usize| (3.0 * (1.7 * (at + 61 * turn) as f64).sin()).round();
                let value: Vec<f64> = (0..m).map(wave).collect();
                let mut lower: Vec<f64> = value.iter().map(|v| v - 1.0).collect();
                let mut upper: Vec<f64> = value.iter().map(|v| v + 1.0).collect();
                let mut closed = vec![0.0; m];
                let (mut expected, mut worst) = (None, 0.0);
                for i in 0..m {
                    let violation = if turn == 0 {
                        0.0
                    } else {
                        wave(100 + i).max(0.0)
                    };
                    let above = wave(300 + i) > 0.0;
                    if wave(200 + i) == 0.0 {
                        closed[i] = INF;
                    }
                    (lower[i], upper[i]) = match (violation > 0.0, above) {
                        (true, true) => (-INF, value[i] - violation),
                        (true, false) => (value[i] + violation, INF),
                        (false, true) => (-INF, value[i] - 1e-13),
                        (false, false) => (lower[i], upper[i]),
                    };
                    if violation > worst && closed[i] == 0.0 {
                        worst = violation;
                        expected = Some((i, if above { 1.0 } else { -1.0 }));
                    }
                }
                let found = || most_violated(&value, &lower, &upper, &closed);
                assert_eq!(found(), expected, "{m} rows, turn {turn}");
                let widest = vectorised(
                    #[inline(always)]
                    || most_violated(&value, &lower, &upper, &closed),
                );
                assert_eq!(widest, expected);
                none += usize::from(expected.is_none());
            }
        }
        assert!(none > 60 && none < 600, "{none}");
    }
}
