//! Optima against scipy's SLSQP (`fixtures/generate.py`) and against the published means.

use feasible_data::{Instance, Optimum, OptimumStatus, Recipe, Size, Split, generate, optima};
use npyz::npz::NpzArchive;

const SIZE: Size = Size {
    n: 10,
    eq: 4,
    ineq: 5,
    samples: 20,
};

fn solve(instance: &Instance, samples: std::ops::Range<usize>) -> Vec<Optimum> {
    let mut told = Vec::new();
    let count = samples.len();
    let found = optima(instance, samples, &mut |done| told.push(done)).unwrap();
    assert_eq!(found.len(), count);
    assert_eq!(told.last().copied().unwrap_or(0), count);
    assert!(told.is_sorted());
    found
}

fn mean(found: &[Optimum]) -> f64 {
    found.iter().map(|o| o.objective).sum::<f64>() / found.len() as f64
}

fn scipy(name: &str) -> Vec<f64> {
    let path = "fixtures/optima.npz";
    let mut archive = NpzArchive::open(path).unwrap();
    archive.by_name(name).unwrap().unwrap().into_vec().unwrap()
}

/// SLSQP stops at a relative change of 1e-15; its own constraint error leaves about 1e-8 in the objective.
#[test]
fn optima_agree_with_scipy_on_every_sample() {
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &SIZE, 11).unwrap();
        let found = solve(&instance, 0..SIZE.samples);
        let objective = scipy(&format!("{recipe}.objective"));
        let points = scipy(&format!("{recipe}.y"));
        for (k, optimum) in found.iter().enumerate() {
            assert_eq!(
                optimum.status,
                OptimumStatus::Optimal,
                "{recipe} sample {k}"
            );
            let gap = optimum.objective - objective[k];
            let distance = optimum
                .y
                .iter()
                .zip(&points[k * SIZE.n..])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(
                gap.abs() < 1e-8,
                "{recipe} sample {k}: objective off by {gap:e}"
            );
            assert!(
                distance < 1e-5,
                "{recipe} sample {k}: point off by {distance:e}"
            );
        }
    }
}

#[test]
fn optima_do_not_depend_on_the_batch_they_are_in() {
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &SIZE, 2).unwrap();
        let together = solve(&instance, 0..SIZE.samples);
        for (k, whole) in together.iter().enumerate() {
            let alone = &solve(&instance, k..k + 1)[0];
            assert!(
                (alone.objective - whole.objective).abs() < 1e-12,
                "{recipe} sample {k}"
            );
        }
    }
}

#[test]
fn samples_outside_are_an_error_and_none_is_nothing() {
    let instance = generate(Recipe::Dc3Simple, &SIZE, 2).unwrap();
    assert!(optima(&instance, 0..SIZE.samples + 1, &mut |_| {}).is_err());
    assert!(solve(&instance, 5..5).is_empty());
}

/// SLSQP on five test samples each; its constraint error leaves about 1e-9 at this size.
#[test]
fn published_optima_agree_with_scipy() {
    let test = Split::published(10_000).test;
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &Size::default(), recipe.published_seed()).unwrap();
        let found = solve(&instance, test.start..test.start + 5);
        let want = scipy(&format!("{recipe}.published"));
        for (k, (optimum, want)) in found.iter().zip(want).enumerate() {
            assert!(optimum.is_solved(), "{recipe} sample {k}");
            let gap = optimum.objective - want;
            assert!(
                gap.abs() < 1e-8,
                "{recipe} sample {k}: objective off by {gap:e}"
            );
        }
    }
}

/// What OSQP reaches on the 833 test samples in DC3's tables (ICLR 2021, section 4.1 and its appendix), to the
/// two decimals given there: 50 rows of each kind, then other numbers of equalities, then of inequalities.
#[test]
fn dc3_simple_has_its_published_means() {
    let published = [
        (50, 50, -15.05),
        (10, 50, -27.26),
        (30, 50, -23.13),
        (70, 50, -14.80),
        (90, 50, -4.79),
        (50, 10, -17.33),
        (50, 30, -16.33),
        (50, 70, -14.61),
        (50, 90, -14.26),
    ];
    for (eq, ineq, published) in published {
        let size = Size {
            eq,
            ineq,
            ..Size::default()
        };
        let instance = generate(Recipe::Dc3Simple, &size, 17).unwrap();
        let found = solve(&instance, Split::published(10_000).test);
        assert!(found.iter().all(Optimum::is_solved), "eq {eq} ineq {ineq}");
        let mean = mean(&found);
        assert!(
            (mean - published).abs() < 0.0051,
            "eq {eq} ineq {ineq}: {mean}"
        );
    }
}

/// Table 2 of DC3: IPOPT reaches -11.59. HardNet (arXiv 2410.10807) gives -14.28 for SnareNet's order of draws
/// with seed 17.
#[test]
fn the_non_convex_problems_have_their_published_means() {
    for (recipe, published) in [
        (Recipe::Dc3Nonconvex, -11.59),
        (Recipe::SnareNoncvx, -14.28),
    ] {
        let instance = generate(recipe, &Size::default(), 17).unwrap();
        let found = solve(&instance, Split::published(10_000).test);
        assert!(
            found.iter().all(|o| o.status == OptimumStatus::Optimal),
            "{recipe}"
        );
        assert!(
            (mean(&found) - published).abs() < 0.005,
            "{recipe}: {}",
            mean(&found)
        );
    }
}
