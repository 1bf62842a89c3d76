//! Merge trees against functions with known critical points and against brute force.

use feasible_landscape::{Branch, Filtration, MergeTree, Neighbours, merge_tree};
use proptest::prelude::*;

const SUB: Filtration = Filtration::Sublevel;

fn grid(n: usize, radius: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let axis: Vec<f64> = (0..n)
        .map(|i| radius * (2.0 * i as f64 / (n - 1) as f64 - 1.0))
        .collect();
    axis.iter()
        .flat_map(|&y| axis.iter().map(move |&x| (x, y)))
        .map(|(x, y)| f(x, y))
        .collect()
}

fn tree(width: usize, height: usize, values: &[f64]) -> MergeTree {
    merge_tree(width, height, values, Neighbours::Eight, SUB).unwrap()
}

#[test]
fn a_line_with_three_valleys() {
    let values = [3.0, 0.0, 5.0, 1.0, 4.0, 2.0, 6.0];
    let found = tree(7, 1, &values);
    let of = |b: &Branch| (b.extremum, b.birth, b.saddle, b.death, b.parent);
    assert_eq!(found.branches.len(), 3);
    assert_eq!(of(&found.branches[0]), (1, 0.0, None, 6.0, None));
    assert_eq!(of(&found.branches[1]), (3, 1.0, Some(2), 5.0, Some(0)));
    // The valley at 5 joins that at 3, the elder of the two, before both join the deepest.
    assert_eq!(of(&found.branches[2]), (5, 2.0, Some(4), 4.0, Some(1)));
    let simple = found.simplified(2.0);
    assert_eq!(simple.branches.len(), 2);
    assert_eq!(simple.branches[1].parent, Some(0));
    assert_eq!(found.simplified(10.0).branches.len(), 1);

    let hills = merge_tree(7, 1, &values, Neighbours::Four, Filtration::Superlevel).unwrap();
    let of_hills: Vec<_> = hills.branches.iter().map(|b| (b.birth, b.death)).collect();
    // Ordered by persistence; equal ones by birth.
    assert_eq!(of_hills, [(6.0, 0.0), (5.0, 1.0), (3.0, 0.0), (4.0, 2.0)]);
}

/// Himmelblau's function: four minima of value 0, one maximum of 181.617 at (−0.271, −0.923), and four
/// saddles, of which three join the minima.
#[test]
fn himmelblaus_four_minima_and_their_saddles() {
    let n = 401;
    let f = |x: f64, y: f64| (x * x + y - 11.0).powi(2) + (x + y * y - 7.0).powi(2);
    let values = grid(n, 5.0, f);
    let found = tree(n, n, &values).simplified(1.0);
    assert_eq!(found.branches.len(), 4);
    let minima = [
        (3.0, 2.0),
        (-2.805_118, 3.131_312),
        (-3.779_310, -3.283_186),
        (3.584_428, -1.848_126),
    ];
    let at = |index: usize| {
        let (i, j) = found.place(index);
        (i as f64 * 0.025 - 5.0, j as f64 * 0.025 - 5.0)
    };
    for minimum in minima {
        let near = found.branches.iter().any(|b| {
            let (x, y) = at(b.extremum);
            (x - minimum.0).abs() < 0.02 && (y - minimum.1).abs() < 0.02
        });
        assert!(near, "{minimum:?}");
    }
    // The saddles of lowest value that join them: (3.3852, 0.0739), (0.0867, 2.8843), (−3.0730, −0.0814).
    let saddles = [
        (3.385_2, 0.073_9, 13.312),
        (0.086_7, 2.884_3, 67.719),
        (-3.073, -0.081_4, 104.015),
    ];
    let mut deaths: Vec<f64> = found.branches[1..].iter().map(|b| b.death).collect();
    deaths.sort_by(f64::total_cmp);
    for (death, saddle) in deaths.iter().zip(saddles) {
        // On a grid of step 0.025 a path passes the saddle within half a step: second derivatives
        // of about 100 make that 0.03 at most, along the ridge.
        assert!((death - saddle.2).abs() < 0.1, "{deaths:?}");
        let near = found.branches.iter().filter_map(|b| b.saddle).any(|s| {
            let (x, y) = at(s);
            (x - saddle.0).abs() < 0.1 && (y - saddle.1).abs() < 0.1
        });
        assert!(near, "{saddle:?}");
    }
    let hills = merge_tree(n, n, &values, Neighbours::Four, Filtration::Superlevel).unwrap();
    // The maximum, the four corners of the square, which are higher, and one point on each of two
    // sides: f(−5, y) has the derivative 4y³ − 46y + 28 and f(x, −5) has 4x³ − 62x + 36, with three real
    // roots each, of which the middle one is a maximum; on the other two sides there is one root.
    let hills = hills.simplified(1.0);
    let inner: Vec<&Branch> = hills
        .branches
        .iter()
        .filter(|b| (b.birth - 181.617).abs() < 0.05)
        .collect();
    assert_eq!(inner.len(), 1, "{:?}", hills.branches);
    assert_eq!(hills.branches.len(), 7);
}

#[test]
fn a_bowl_has_one_basin_and_a_monkey_saddle_none_more() {
    let bowl = tree(31, 31, &grid(31, 1.0, |x, y| x * x + y * y));
    assert_eq!(bowl.branches.len(), 1);
    assert_eq!((bowl.branches[0].birth, bowl.branches[0].death), (0.0, 2.0));
    // x³ − 3xy² + r⁴: three minima around a monkey saddle at 0, which joins two of them at once.
    let values = grid(101, 1.0, |x, y| {
        x.powi(3) - 3.0 * x * y * y + 1.2 * (x * x + y * y).powi(2)
    });
    let found = tree(101, 101, &values).simplified(0.01);
    assert_eq!(found.branches.len(), 3);
    for branch in &found.branches[1..] {
        // The grid's paths pass the origin within a step of 0.02.
        assert!(branch.death.abs() < 1e-4, "{branch:?}");
    }
}

#[test]
fn undefined_points_divide_and_plateaus_do_not() {
    let nan = f64::NAN;
    let found = tree(3, 3, &[1.0, nan, 3.0, 2.0, nan, 2.5, 0.5, nan, 9.0]);
    // The left column has two valleys, the right one; nothing joins the columns.
    let of = |b: &Branch| (b.birth, b.death, b.is_essential());
    let all: Vec<_> = found.branches.iter().map(of).collect();
    assert_eq!(all, [(2.5, 9.0, true), (0.5, 2.0, true), (1.0, 2.0, false)]);
    assert!(tree(2, 2, &[nan; 4]).branches.is_empty());
    assert!(tree(0, 0, &[]).branches.is_empty());
    let flat = tree(5, 5, &[7.0; 25]);
    assert_eq!((flat.branches.len(), flat.branches[0].extremum), (1, 0));
    // Two ends of one level that a single point joins at the same level.
    let joined = tree(3, 1, &[0.0, 0.0, -0.0]);
    assert_eq!(joined.branches.len(), 1);
    let infinite = tree(3, 1, &[f64::NEG_INFINITY, f64::INFINITY, 0.0]);
    assert_eq!(infinite.branches.len(), 2);
    assert!(merge_tree(2, 2, &[0.0], Neighbours::Four, SUB).is_err());
}

/// Diagonal neighbours touch or do not.
#[test]
fn the_neighbourhood_is_the_one_that_was_named() {
    let diagonal = [0.0, 9.0, 9.0, 1.0];
    let four = merge_tree(2, 2, &diagonal, Neighbours::Four, SUB).unwrap();
    let eight = merge_tree(2, 2, &diagonal, Neighbours::Eight, SUB).unwrap();
    assert_eq!((four.branches.len(), eight.branches.len()), (2, 1));
}

/// Components of `{f ≤ t}` by flood fill: a label for each point.
fn components(w: usize, h: usize, values: &[f64], t: f64, eight: bool) -> Vec<Option<usize>> {
    let mut label = vec![None; values.len()];
    let mut next = 0;
    for start in 0..values.len() {
        if values[start] > t || label[start].is_some() {
            continue;
        }
        let mut open = vec![start];
        label[start] = Some(next);
        while let Some(v) = open.pop() {
            let (x, y) = ((v % w) as i64, (v / w) as i64);
            for dy in -1..=1 {
                for dx in -1..=1 {
                    if !eight && dx != 0 && dy != 0 {
                        continue;
                    }
                    let (a, b) = (x + dx, y + dy);
                    if a < 0 || b < 0 || a >= w as i64 || b >= h as i64 {
                        continue;
                    }
                    let other = (b * w as i64 + a) as usize;
                    if values[other] <= t && label[other].is_none() {
                        label[other] = Some(next);
                        open.push(other);
                    }
                }
            }
        }
        next += 1;
    }
    label
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The persistent Betti numbers determine the diagram: of the components of `{f ≤ t}`, as many
    /// hold a point of `{f ≤ s}` as there are basins born by s that end after t.
    #[test]
    fn persistence_is_that_of_brute_force(
        w in 1usize..7, h in 1usize..7, seed in prop::collection::vec(0i32..9, 49), eight: bool
    ) {
        let values: Vec<f64> = seed[..w * h].iter().map(|v| f64::from(*v)).collect();
        let neighbours = if eight { Neighbours::Eight } else { Neighbours::Four };
        let found = merge_tree(w, h, &values, neighbours, SUB).unwrap();
        for t in 0..9 {
            let label = components(w, h, &values, f64::from(t), eight);
            for s in 0..=t {
                let touched: std::collections::BTreeSet<usize> = (0..w * h)
                    .filter(|&v| values[v] <= f64::from(s))
                    .filter_map(|v| label[v])
                    .collect();
                let counted = found.branches.iter().filter(|b| {
                    b.birth <= f64::from(s) && (b.is_essential() || b.death > f64::from(t))
                });
                prop_assert_eq!(touched.len(), counted.count(), "s {} t {} {:?}", s, t, &values);
            }
        }
    }

    /// Every branch ends at its saddle by meeting an older one there, and simplification keeps parents.
    #[test]
    fn branches_are_consistent(
        w in 1usize..9, h in 1usize..9, seed in prop::collection::vec(-1.0..1.0f64, 81)
    ) {
        let values = &seed[..w * h];
        let found = tree(w, h, values);
        for (index, branch) in found.branches.iter().enumerate() {
            prop_assert_eq!(branch.birth, values[branch.extremum]);
            match (branch.saddle, branch.parent) {
                (Some(saddle), Some(parent)) => {
                    prop_assert_eq!(branch.death, values[saddle]);
                    prop_assert!(parent < index);
                    prop_assert!(found.branches[parent].birth <= branch.birth);
                    prop_assert!(found.branches[parent].persistence() >= branch.persistence());
                    let below = components(w, h, values, branch.death, true);
                    prop_assert_eq!(
                        below[branch.extremum], below[found.branches[parent].extremum]
                    );
                }
                (None, None) => prop_assert_eq!(index, 0),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        for threshold in [0.0, 0.3, 1.0] {
            let simple = found.simplified(threshold);
            for (index, branch) in simple.branches.iter().enumerate().skip(1) {
                prop_assert!(branch.persistence() > threshold);
                prop_assert!(branch.parent.unwrap() < index);
            }
        }
    }

    /// Turning a function upside down swaps the filtrations.
    #[test]
    fn superlevel_sets_are_sublevel_sets_upside_down(
        w in 1usize..6, h in 1usize..6, seed in prop::collection::vec(-5i32..5, 36)
    ) {
        let values: Vec<f64> = seed[..w * h].iter().map(|v| f64::from(*v)).collect();
        let turned: Vec<f64> = values.iter().map(|v| -v).collect();
        let up = merge_tree(w, h, &values, Neighbours::Four, Filtration::Superlevel).unwrap();
        let down = merge_tree(w, h, &turned, Neighbours::Four, SUB).unwrap();
        let a: Vec<_> = up.branches.iter().map(|b| (b.extremum, b.birth, b.death)).collect();
        let b: Vec<_> = down.branches.iter().map(|b| (b.extremum, -b.birth, -b.death)).collect();
        prop_assert_eq!(a, b);
    }
}
