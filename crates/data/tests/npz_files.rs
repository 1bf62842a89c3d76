//! Instances as files: numpy reads what we write, and what cannot be an instance is refused with its reason.

use feasible_data::{Error, Recipe, Size, generate, npz};
use npyz::npz::NpzArchive;
use std::io::Read;
use std::path::{Path, PathBuf};

const SMALL: Size = Size {
    n: 11,
    eq: 5,
    ineq: 7,
    samples: 9,
};
const SMALL_SEED: u32 = 3;

fn fixtures() -> PathBuf {
    PathBuf::from("fixtures")
}

fn problem(result: Result<feasible_data::Instance, Error>) -> String {
    match result {
        Err(Error::File { problem, .. }) => problem,
        other => panic!("expected a file problem, got {other:?}"),
    }
}

/// The `.npy` entries of an archive, whole, in order.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = NpzArchive::open(path).unwrap();
    let zip = archive.zip_archive();
    (0..zip.len())
        .map(|k| {
            let mut entry = zip.by_index(k).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().to_owned(), bytes)
        })
        .collect()
}

/// `fixtures/generate.py --check` compared the committed files with numpy's arrays; what is written today must
/// be those bytes (up to the derived bounds, which depend on the machine in their last bits).
#[test]
fn what_is_written_is_what_numpy_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &SMALL, SMALL_SEED).unwrap();
        let path = folder.path().join("instance.npz");
        npz::write(&path, &instance).unwrap();
        let committed = fixtures().join(format!("written-{recipe}.npz"));
        if std::env::var_os("FEASIBLE_WRITE_FIXTURES").is_some() {
            std::fs::copy(&path, &committed).unwrap();
        }
        let (now, then) = (entries(&path), entries(&committed));
        assert_eq!(now.len(), then.len());
        for ((name, bytes), (committed_name, committed_bytes)) in now.iter().zip(&then) {
            assert_eq!(name, committed_name);
            if name == "h.npy" || name == "b.npy" {
                assert_eq!(
                    bytes[..128],
                    committed_bytes[..128],
                    "{recipe} {name}: header"
                );
                assert_eq!(bytes.len(), committed_bytes.len());
            } else {
                assert_eq!(bytes, committed_bytes, "{recipe} {name}");
            }
        }
    }
}

#[test]
fn reading_gives_back_the_instance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instance.npz");
    for recipe in Recipe::ALL {
        let instance = generate(recipe, &SMALL, u32::MAX).unwrap();
        npz::write(&path, &instance).unwrap();
        assert_eq!(npz::read(&path).unwrap(), instance);
        assert_eq!(npz::read_as(&path, recipe, u32::MAX).unwrap(), instance);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The matrices of `H` would take 9 GB.
#[test]
fn an_instance_that_no_file_holds_is_refused_before_it_is_written() {
    let size = Size {
        n: 1200,
        eq: 1,
        ineq: 800,
        samples: 3,
    };
    let folder = tempfile::tempdir().unwrap();
    let instance = generate(Recipe::SnareQcqp, &size, 1).unwrap();
    let refused = npz::write(&folder.path().join("instance.npz"), &instance).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "size: ineq is 800, must be smaller: array H [800, 1200, 1200] has 9216000000 bytes, \
         and at most 4000000000 fit into a file"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Only this recipe has quadratic rows.
    npz::validate_size(Recipe::Dc3Simple, &size).unwrap();
    for (size, expected) in [
        (Size { n: 25_000, ..size }, "n"),
        (
            Size {
                ineq: 500_000,
                ..size
            },
            "ineq",
        ),
        (
            Size {
                samples: 600_000_000,
                ..size
            },
            "samples",
        ),
    ] {
        match npz::validate_size(Recipe::Dc3Simple, &size) {
            Err(Error::Size { what, .. }) => assert_eq!(what, expected),
            other => panic!("{size:?} gave {other:?}"),
        }
    }
}

#[test]
fn numpys_own_files_are_read() {
    for (file, recipe) in [
        ("numpy-dc3.npz", Recipe::Dc3Nonconvex),
        ("numpy-snare-noncvx.npz", Recipe::SnareNoncvx),
        ("numpy-snare-qcqp.npz", Recipe::SnareQcqp),
    ] {
        let path = fixtures().join(file);
        let got = npz::read_as(&path, recipe, SMALL_SEED).unwrap();
        let want = generate(recipe, &SMALL, SMALL_SEED).unwrap();
        assert_eq!(got.size(), SMALL);
        let (got, want) = (got.parts(), want.parts());
        assert_eq!((&got.q, &got.p, &got.x), (&want.q, &want.p, &want.x));
        assert_eq!((&got.equality, &got.ineq), (&want.equality, &want.ineq));
        assert_eq!(got.ineq_diagonals, want.ineq_diagonals);
        assert!(problem(npz::read(&path)).contains("array recipe is missing"));
    }
}

#[test]
fn wrong_files_are_refused_with_their_reason() {
    for (file, reason) in [
        (
            "bad-missing.npz",
            "array G is missing; there are A, Q, X, h, p",
        ),
        ("bad-shape.npz", "array h has shape [6], must have [7]"),
        (
            "bad-dimensions.npz",
            "array Q has shape [11], must have 2 dimensions",
        ),
        ("bad-type.npz", "array X has type '<f4', must be float64"),
        (
            "bad-order.npz",
            "array A is in Fortran order, must be in C order",
        ),
        (
            "bad-diagonal.npz",
            "array Q has 0.5 at row 2, column 3, must be diagonal",
        ),
        ("bad-value.npz", "entry 4 is NaN"),
        ("bad-size.npz", "size: eq is 11, must be less than n = 11"),
    ] {
        let found = problem(npz::read_as(&fixtures().join(file), Recipe::Dc3Simple, 0));
        assert!(found.contains(reason), "{file}: {found}");
    }
    // Recipes are told apart by their arrays, not guessed.
    let dc3 = fixtures().join("numpy-dc3.npz");
    assert!(problem(npz::read_as(&dc3, Recipe::SnareQcqp, 0)).contains("array H is missing"));
    assert!(matches!(
        npz::read(Path::new("/no/such/file.npz")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn a_torn_file_is_refused_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instance.npz");
    npz::write(&path, &generate(Recipe::Dc3Simple, &SMALL, 0).unwrap()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(!problem(npz::read(&path)).is_empty(), "cut at {end}");
    }
    // A flipped bit in the data fails the archive's own checksum.
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(npz::read(&path).is_err());
}
