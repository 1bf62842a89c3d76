//! The generator and the recipes against numpy's own draws (`fixtures/generate.py`).

use feasible_data::{LegacyRandom, Recipe, Size, generate};
use npyz::npz::NpzArchive;
use std::path::Path;

const SMALL: Size = Size {
    n: 11,
    eq: 5,
    ineq: 7,
    samples: 9,
};
const SMALL_SEED: u32 = 3;
/// Linear algebra (`pinv`, `norm`) of another library: about a thousand roundings at these sizes.
const DERIVED: f64 = 1e-12;

struct Fixture(NpzArchive<std::io::BufReader<std::fs::File>>);

impl Fixture {
    fn open(name: &str) -> Self {
        let path = Path::new("fixtures").join(name);
        Self(NpzArchive::open(path).unwrap())
    }

    fn get<T: npyz::Deserialize>(&mut self, name: &str) -> Vec<T> {
        let array = self.0.by_name(name).unwrap();
        let array = array.unwrap_or_else(|| panic!("the fixture has no {name}"));
        array.into_vec().unwrap()
    }
}

fn same_bits(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert_eq!(g.to_bits(), w.to_bits(), "{what} entry {k}: {g} is not {w}");
    }
}

fn close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= DERIVED * w.abs(),
            "{what} entry {k}: {g} is not {w}"
        );
    }
}

/// The generator's script documents this sum; it sees every bit and the order.
fn checksum(values: &[f64]) -> u64 {
    values.iter().enumerate().fold(0, |sum: u64, (k, v)| {
        sum.wrapping_add(v.to_bits().wrapping_mul(2 * k as u64 + 1))
    })
}

#[test]
fn every_kind_of_draw_is_numpys() {
    let mut fixture = Fixture::open("random.npz");
    let seeds: Vec<u32> = fixture.get("seeds");
    assert_eq!(seeds.len(), 5);
    for seed in seeds {
        let fresh = || LegacyRandom::new(seed);
        let mut random = fresh();
        let words: Vec<u32> = (0..700).map(|_| random.word()).collect();
        assert_eq!(words, fixture.get::<u32>(&format!("words_{seed}")));
        same_bits(
            &fresh().rand_vec(20),
            &fixture.get(&format!("rand_{seed}")),
            "rand",
        );
        same_bits(
            &fresh().randn_vec(21),
            &fixture.get(&format!("randn_{seed}")),
            "randn",
        );
        let uniform = fresh().uniform_vec(-0.3, 1.7, 20);
        same_bits(
            &uniform,
            &fixture.get(&format!("uniform_{seed}")),
            "uniform",
        );
        let mut random = fresh();
        let normal: Vec<f64> = (0..21).map(|_| random.normal(1.5, 0.3)).collect();
        same_bits(&normal, &fixture.get(&format!("normal_{seed}")), "normal");
        let mut random = fresh();
        let mut mixed = Vec::new();
        for _ in 0..5 {
            mixed.push(random.randn());
            mixed.push(random.rand());
            mixed.extend(random.randn_vec(2));
            mixed.push(random.uniform(2.0, 5.0));
        }
        same_bits(&mixed, &fixture.get(&format!("mixed_{seed}")), "mixed");
    }
}

#[test]
fn long_runs_are_numpys() {
    let mut fixture = Fixture::open("random.npz");
    for seed in fixture.get::<u32>("seeds") {
        let fresh = || LegacyRandom::new(seed);
        let sums = [
            checksum(&fresh().rand_vec(200_000)),
            checksum(&fresh().randn_vec(200_000)),
            checksum(&fresh().uniform_vec(-1.0, 1.0, 200_000)),
        ];
        assert_eq!(
            sums.to_vec(),
            fixture.get::<u64>(&format!("long_{seed}")),
            "seed {seed}"
        );
    }
}

fn family(recipe: Recipe) -> &'static str {
    match recipe {
        Recipe::Dc3Simple | Recipe::Dc3Nonconvex => "dc3",
        Recipe::SnareNoncvx => "snare-noncvx",
        Recipe::SnareQcqp => "snare-qcqp",
    }
}

/// Published names of `(equality, ineq, upper)`.
fn letters(recipe: Recipe) -> [&'static str; 3] {
    if recipe == Recipe::SnareNoncvx {
        ["C", "A", "b"]
    } else {
        ["A", "G", "h"]
    }
}

fn diagonals(full: &[f64], n: usize) -> Vec<f64> {
    full.chunks_exact(n * n)
        .flat_map(|matrix| matrix.iter().step_by(n + 1).copied())
        .collect()
}

#[test]
fn small_instances_are_numpys() {
    let mut fixture = Fixture::open("small.npz");
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &SMALL, SMALL_SEED).unwrap();
        let parts = instance.parts();
        let [equality, ineq, upper] = letters(recipe);
        let mut want = |name: &str| fixture.get::<f64>(&format!("{}.{name}", family(recipe)));
        let n = SMALL.n;
        same_bits(&parts.q, &diagonals(&want("Q"), n), "Q");
        same_bits(&parts.p, &want("p"), "p");
        same_bits(&parts.equality, &want(equality), equality);
        same_bits(&parts.x, &want("X"), "X");
        same_bits(&parts.ineq, &want(ineq), ineq);
        close(&parts.upper, &want(upper), upper);
        if let Some(rows) = &parts.ineq_diagonals {
            same_bits(rows, &diagonals(&want("H"), n), "H");
        }
    }
}

#[test]
fn published_instances_are_numpys() {
    let mut fixture = Fixture::open("published.npz");
    let cases = [
        (Recipe::Dc3Simple, 50, 50),
        (Recipe::Dc3Nonconvex, 50, 50),
        (Recipe::Dc3Simple, 10, 50),
        (Recipe::Dc3Simple, 50, 90),
        (Recipe::SnareNoncvx, 50, 50),
        (Recipe::SnareQcqp, 50, 50),
        (Recipe::SnareQcqp, 50, 10),
        (Recipe::SnareQcqp, 50, 100),
    ];
    for (recipe, eq, ineq) in cases {
        let size = Size {
            eq,
            ineq,
            ..Size::default()
        };
        let instance = generate(recipe, &size, recipe.published_seed()).unwrap();
        let parts = instance.parts();
        let [equality, linear, upper] = letters(recipe);
        let prefix = format!("{}_{eq}_{ineq}", family(recipe));
        let arrays = [
            ("Q", &parts.q),
            ("p", &parts.p),
            (equality, &parts.equality),
            ("X", &parts.x),
            (linear, &parts.ineq),
        ];
        let quadratic = parts.ineq_diagonals.iter().map(|rows| ("H", rows));
        for (name, values) in arrays.into_iter().chain(quadratic) {
            let key = format!("{prefix}.{name}");
            same_bits(
                &values[values.len() - 1..],
                &fixture.get(&format!("{key}.last")),
                &key,
            );
            assert_eq!(vec![checksum(values)], fixture.get::<u64>(&key), "{key}");
        }
        close(
            &parts.upper,
            &fixture.get(&format!("{prefix}.{upper}")),
            upper,
        );
    }
}
