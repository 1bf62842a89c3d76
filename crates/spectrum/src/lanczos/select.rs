//! Which Ritz values are wanted, and which are worth keeping.

use crate::settings::Wanted;

/// Indices of the wanted among values, in the order of [`Wanted`]; all if there are fewer.
pub(crate) fn wanted(values: &[f64], wanted: Wanted) -> Vec<usize> {
    let mut ascending: Vec<usize> = (0..values.len()).collect();
    ascending.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let count = wanted.count().min(values.len());
    match wanted {
        Wanted::Top(_) => ascending.into_iter().rev().take(count).collect(),
        Wanted::Bottom(_) => ascending.into_iter().take(count).collect(),
        Wanted::Magnitude(_) => {
            ascending.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
            ascending.truncate(count);
            ascending
        }
        Wanted::BothEnds { top, .. } => {
            let top = top.min(count);
            let mut out: Vec<usize> = ascending.iter().rev().take(top).copied().collect();
            out.extend(ascending.iter().take(count - top));
            out
        }
    }
}

/// The same kind of eigenvalues, `keep` of them.
pub(crate) fn more(wanted: Wanted, keep: usize) -> Wanted {
    match wanted {
        Wanted::Top(_) => Wanted::Top(keep),
        Wanted::Bottom(_) => Wanted::Bottom(keep),
        Wanted::Magnitude(_) => Wanted::Magnitude(keep),
        Wanted::BothEnds { top, bottom } => {
            let extra = keep.saturating_sub(top + bottom);
            // Each end gets a share of the room, an end nobody asked for none.
            let to_top = match (top, bottom) {
                (0, _) => 0,
                (_, 0) => extra,
                _ => extra / 2,
            };
            Wanted::BothEnds {
                top: top + to_top,
                bottom: bottom + extra - to_top,
            }
        }
    }
}

/// Beyond which values another eigenvalue would change the answer `found`, in the order of
/// [`Wanted`]: below the first, above the second.
pub(crate) fn outside(found: &[f64], wanted: Wanted, margin: impl Fn(f64) -> f64) -> (f64, f64) {
    let none = (f64::NEG_INFINITY, f64::INFINITY);
    match wanted {
        Wanted::Top(_) => found.last().map_or(none, |&v| (none.0, v + margin(v))),
        Wanted::Bottom(_) => found.last().map_or(none, |&v| (v - margin(v), none.1)),
        Wanted::Magnitude(_) => found.last().map_or(none, |&v| {
            let size = v.abs() + margin(v);
            (-size, size)
        }),
        Wanted::BothEnds { top, bottom } => {
            let high = if top > 0 { found.get(top - 1) } else { None };
            let low = if bottom > 0 { found.last() } else { None };
            (
                low.map_or(none.0, |&v| v - margin(v)),
                high.map_or(none.1, |&v| v + margin(v)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 5] = [3.0, -7.0, 0.5, 5.0, -1.0];

    fn chosen(kind: Wanted) -> Vec<f64> {
        wanted(&VALUES, kind)
            .into_iter()
            .map(|i| VALUES[i])
            .collect()
    }

    #[test]
    fn the_order_is_that_of_the_wish() {
        assert_eq!(chosen(Wanted::Top(2)), [5.0, 3.0]);
        assert_eq!(chosen(Wanted::Bottom(2)), [-7.0, -1.0]);
        assert_eq!(chosen(Wanted::Magnitude(3)), [-7.0, 5.0, 3.0]);
        let both = Wanted::BothEnds { top: 2, bottom: 1 };
        assert_eq!(chosen(both), [5.0, 3.0, -7.0]);
        let all = Wanted::BothEnds { top: 3, bottom: 9 };
        assert_eq!(chosen(all), [5.0, 3.0, 0.5, -7.0, -1.0]);
    }

    #[test]
    fn an_end_that_is_not_wanted_is_not_searched() {
        let none = Wanted::BothEnds { top: 0, bottom: 2 };
        assert_eq!(outside(&[-3.0, -2.0], none, |_| 0.5), (-2.5, f64::INFINITY));
        assert_eq!(
            outside(&[4.0, -6.0], Wanted::Magnitude(2), |_| 0.5),
            (-6.5, 6.5)
        );
        assert_eq!(more(none, 7), Wanted::BothEnds { top: 0, bottom: 7 });
    }
}
