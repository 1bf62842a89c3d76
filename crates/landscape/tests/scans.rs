//! Scans: values, order, resumption, refinement; and the files they leave.

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use feasible_landscape::{
    About, Axes, Axis, Error, EvaluationError, InPlane, Landscape, Plane, PlaneKind, Progress,
    RefineSettings, RefineStatus, ScanOptions, refine, scan, scan_in_order,
};

fn axes() -> Axes {
    Axes::grid(
        Axis::centred(1.0, 4).unwrap(),
        Axis::centred(2.0, 3).unwrap(),
    )
}

const NAMES: [&str; 2] = ["loss", "violation.max"];

fn bowl(a: f64, b: f64) -> Result<Vec<f64>, EvaluationError> {
    let violation = if a > 0.6 { f64::NAN } else { a - b };
    Ok(vec![a * a + 3.0 * b * b, violation])
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_point_is_evaluated_and_nan_is_kept() {
    let options = ScanOptions::default();
    let parallel = scan(&axes(), &NAMES, &options, bowl).unwrap();
    let in_order = scan_in_order(&axes(), &NAMES, &options, bowl).unwrap();
    assert_eq!(parallel.evaluated, 63);
    for (p, q) in parallel
        .surface
        .quantities
        .iter()
        .zip(&in_order.surface.quantities)
    {
        assert_eq!(bits(&p.values), bits(&q.values));
    }
    let surface = parallel.finish().unwrap();
    let violation = &surface.quantity("violation.max").unwrap().values;
    assert_eq!(violation.iter().filter(|v| v.is_nan()).count(), 2 * 7);
    for (j, b) in surface.b.iter().enumerate() {
        for (i, a) in surface.a.iter().enumerate() {
            assert_eq!(surface.quantities[0].values[j * 9 + i], a * a + 3.0 * b * b);
        }
    }
    let centre = surface.centre().unwrap();
    assert_eq!(
        surface.quantities[0].values[centre].to_bits(),
        0.0f64.to_bits()
    );
}

#[test]
fn the_centre_of_a_quadratic_is_its_loss_bit_for_bit() {
    let parameters: Vec<f64> = (0..50).map(|i| (f64::from(i) * 0.37).sin()).collect();
    let loss = |p: &[f64]| {
        p.iter()
            .enumerate()
            .map(|(i, x)| (i as f64 + 0.1) * x * x)
            .sum::<f64>()
    };
    let u: Vec<f64> = (0..50).map(|i| f64::from(i % 3)).collect();
    let v: Vec<f64> = (0..50).map(|i| f64::from(i % 5) - 2.0).collect();
    let plane = Plane::orthonormal(parameters.clone(), u, v, PlaneKind::Given).unwrap();
    let found = scan(&axes(), &["loss"], &ScanOptions::default(), |a, b| {
        Ok(vec![loss(&plane.point(a, b))])
    })
    .unwrap();
    let centre = found.surface.centre().unwrap();
    let at_centre = found.surface.quantities[0].values[centre];
    assert_eq!(at_centre.to_bits(), loss(&parameters).to_bits());
}

#[test]
fn a_line_is_scanned_point_by_point() {
    let axes = Axes::line(Axis::span(-0.5, 1.5, 5).unwrap());
    let rows = AtomicUsize::new(0);
    let progress = |p: Progress| {
        rows.fetch_max(p.done, Ordering::Relaxed);
        assert_eq!(p.of, 5);
        ControlFlow::Continue(())
    };
    let options = ScanOptions {
        progress: Some(&progress),
        ..ScanOptions::default()
    };
    let found = scan(&axes, &["f"], &options, |a, b| Ok(vec![a + 100.0 * b])).unwrap();
    assert!(found.surface.is_line());
    assert_eq!(
        found.surface.quantities[0].values,
        [-0.5, 0.0, 0.5, 1.0, 1.5]
    );
    assert_eq!(rows.load(Ordering::Relaxed), 5);
}

#[test]
fn a_scan_that_was_stopped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.part");
    let stop = |p: Progress| {
        if p.done == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let options = ScanOptions {
        file: Some(&path),
        key: "run 1",
        progress: Some(&stop),
    };
    let stopped = scan_in_order(&axes(), &NAMES, &options, bowl);
    assert!(
        matches!(stopped, Err(Error::Stopped { done: 3, of: 7 })),
        "{stopped:?}"
    );
    // Killed in the middle of a line.
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 10);
    fs::write(&path, &bytes).unwrap();

    let evaluated = AtomicUsize::new(0);
    let counting = |a, b| {
        evaluated.fetch_add(1, Ordering::Relaxed);
        bowl(a, b)
    };
    let options = ScanOptions {
        file: Some(&path),
        key: "run 1",
        progress: None,
    };
    let resumed = scan(&axes(), &NAMES, &options, counting).unwrap();
    assert_eq!(resumed.evaluated, 5 * 9);
    assert_eq!(evaluated.load(Ordering::Relaxed), 5 * 9);
    let whole = scan(&axes(), &NAMES, &ScanOptions::default(), bowl).unwrap();
    for (p, q) in resumed
        .surface
        .quantities
        .iter()
        .zip(&whole.surface.quantities)
    {
        assert_eq!(bits(&p.values), bits(&q.values));
    }
    // Done, and again: nothing is left to evaluate.
    let again = scan(&axes(), &NAMES, &options, counting).unwrap();
    assert_eq!(again.evaluated, 0);
    again.finish().unwrap();
    assert!(!path.exists());
}

#[test]
fn every_torn_end_of_a_scans_file_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.part");
    let options = ScanOptions {
        file: Some(&path),
        ..ScanOptions::default()
    };
    let whole = scan_in_order(&axes(), &NAMES, &options, bowl).unwrap();
    let bytes = fs::read(&path).unwrap();
    let whole_rows =
        |end: usize| (bytes[..end].iter().filter(|b| **b == b'\n').count()).saturating_sub(1);
    for end in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..end]).unwrap();
        let found = scan_in_order(&axes(), &NAMES, &options, bowl).unwrap();
        assert_eq!(found.evaluated, 9 * (7 - whole_rows(end)), "{end}");
        assert_eq!(
            bits(&found.surface.quantities[1].values),
            bits(&whole.surface.quantities[1].values)
        );
    }
}

#[test]
fn files_of_other_scans_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.part");
    let with = |key| ScanOptions {
        file: Some(&path),
        key,
        progress: None,
    };
    scan(&axes(), &NAMES, &with("one"), bowl).unwrap();
    let said = |outcome: Result<_, Error>| outcome.map(|_| ()).unwrap_err().to_string();
    assert!(said(scan(&axes(), &NAMES, &with("two"), bowl)).contains("other axes"));
    assert!(said(scan(&axes(), &["loss", "other"], &with("one"), bowl)).contains("other axes"));
    let wider = Axes::grid(
        Axis::centred(2.0, 4).unwrap(),
        Axis::centred(2.0, 3).unwrap(),
    );
    assert!(said(scan(&wider, &NAMES, &with("one"), bowl)).contains("other axes"));
    // One flipped digit, well inside.
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'0' { b'1' } else { b'0' };
    fs::write(&path, &bytes).unwrap();
    assert!(said(scan(&axes(), &NAMES, &with("one"), bowl)).contains("damaged"));
    fs::write(&path, "a letter to a friend\n").unwrap();
    assert!(said(scan(&axes(), &NAMES, &with("one"), bowl)).contains("not a scan's file"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter to a friend\n");
}

#[test]
fn what_goes_wrong_is_said_with_its_place() {
    let options = ScanOptions::default();
    let said = |outcome: Result<_, Error>| outcome.map(|_| ()).unwrap_err().to_string();
    let failing = |a: f64, _: f64| {
        if a == 0.5 {
            Err("no device".into())
        } else {
            Ok(vec![a])
        }
    };
    let line = Axes::line(Axis::centred(1.0, 2).unwrap());
    assert!(said(scan(&line, &["f"], &options, failing)).contains("(0.5, 0): no device"));
    let two = |_: f64, _: f64| Ok(vec![0.0; 2]);
    assert!(said(scan(&line, &["f"], &options, two)).contains("holds 2 but must hold 1"));
    for names in [
        &[][..],
        &["a b"],
        &["f", "f"],
        &["axis_a"],
        &["../x"],
        &[""],
    ] {
        assert!(scan(&line, names, &options, two).is_err(), "{names:?}");
    }
}

fn landscape() -> Landscape {
    let surface = scan(&axes(), &NAMES, &ScanOptions::default(), bowl)
        .unwrap()
        .surface;
    let plane = Plane::new(
        vec![0.0; 2],
        vec![1.0, 0.0],
        vec![0.0, 1.0],
        PlaneKind::Random,
    )
    .unwrap();
    Landscape {
        surface,
        about: About::of(&plane, "A bowl", "tests"),
        trajectory: vec![
            InPlane {
                a: -1.0,
                b: 0.1,
                off_plane: 0.2,
            },
            InPlane {
                a: 0.0,
                b: 0.0,
                off_plane: f64::NAN,
            },
        ],
    }
}

#[test]
fn a_landscape_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("landscapes");
    let grid = landscape();
    let line = Landscape {
        surface: scan(
            &Axes::line(Axis::centred(1.0, 5).unwrap()),
            &NAMES,
            &ScanOptions::default(),
            bowl,
        )
        .unwrap()
        .surface,
        trajectory: Vec::new(),
        ..grid.clone()
    };
    for (name, written) in [("step-10", grid), ("line", line)] {
        written.write(&into, name).unwrap();
        let read = Landscape::read(&into, name).unwrap();
        assert_eq!(read.about, written.about);
        assert_eq!(
            (&read.surface.a, &read.surface.b),
            (&written.surface.a, &written.surface.b)
        );
        for (p, q) in read
            .surface
            .quantities
            .iter()
            .zip(&written.surface.quantities)
        {
            assert_eq!((&p.name, bits(&p.values)), (&q.name, bits(&q.values)));
        }
        let off = |l: &Landscape| {
            l.trajectory
                .iter()
                .map(|p| p.off_plane.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(off(&read), off(&written));
    }
    // Only the two pairs: no temporary file stays.
    assert_eq!(fs::read_dir(&into).unwrap().count(), 4);
}

#[test]
fn torn_and_mixed_landscape_files_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let written = landscape();
    written.write(folder.path(), "x").unwrap();
    let npz = folder.path().join("x.npz");
    let json = folder.path().join("x.json");
    let (npz_bytes, json_text) = (fs::read(&npz).unwrap(), fs::read_to_string(&json).unwrap());
    let said = || Landscape::read(folder.path(), "x").unwrap_err().to_string();
    for end in [0, 1, npz_bytes.len() / 2, npz_bytes.len() - 1] {
        fs::write(&npz, &npz_bytes[..end]).unwrap();
        assert!(said().contains("torn"), "{end}");
    }
    let mut other = written.clone();
    other.surface.quantities[0].values[0] += 1.0;
    other.write(folder.path(), "y").unwrap();
    fs::copy(folder.path().join("y.npz"), &npz).unwrap();
    assert!(said().contains("not the one"));
    fs::write(&npz, &npz_bytes).unwrap();
    fs::write(&json, json_text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(said().contains("format 2"));
    fs::write(&json, &json_text[..json_text.len() / 2]).unwrap();
    assert!(said().contains("not a landscape's description"));
    fs::remove_file(&json).unwrap();
    assert!(said().contains("could not read"));
    for name in ["", "../x", ".hidden", "a/b"] {
        assert!(written.write(folder.path(), name).is_err(), "{name:?}");
    }
    let mut short = written.clone();
    short.surface.quantities[0].values.pop();
    assert!(short.write(folder.path(), "z").is_err());
}

/// Steep on a circle, flat elsewhere.
fn cliff(a: f64, b: f64) -> Result<Vec<f64>, EvaluationError> {
    let radius = (a * a + b * b).sqrt();
    Ok(vec![((radius - 0.6) * 40.0).tanh()])
}

#[test]
fn refinement_goes_where_it_is_rough() {
    let settings = RefineSettings {
        points: 3000,
        depth: 4,
        ..RefineSettings::default()
    };
    let found = refine((-1.0, 1.0), (-1.0, 1.0), &["f"], &settings, cliff).unwrap();
    // More points than are allowed would be needed: they go to the roughest cells first.
    assert_eq!(found.status, RefineStatus::Budget);
    // The finest lattice has 129² = 16,641 points.
    assert!(found.evaluated <= 3000, "{}", found.evaluated);
    let near = |a: f64, b: f64| ((a * a + b * b).sqrt() - 0.6).abs() < 0.1;
    let (mut inside, mut outside) = (0, 0);
    for ((a0, a1), (b0, b1)) in found.cells() {
        let small = a1 - a0 < 0.02;
        let close = near(0.5 * (a0 + a1), 0.5 * (b0 + b1));
        inside += usize::from(small && close);
        outside += usize::from(small && !close);
    }
    assert!(inside > 10 * outside.max(1), "{inside} {outside}");

    // Better than as many points spread evenly.
    let fine = Axes::grid(
        Axis::centred(1.0, 64).unwrap(),
        Axis::centred(1.0, 64).unwrap(),
    );
    let truth = scan(&fine, &["f"], &ScanOptions::default(), cliff)
        .unwrap()
        .surface;
    let error = |values: &[f64]| {
        let off = values
            .iter()
            .zip(&truth.quantities[0].values)
            .map(|(x, y)| (x - y).abs());
        off.sum::<f64>() / values.len() as f64
    };
    let refined = error(&found.on_grid(&fine).quantities[0].values);
    let even = RefineSettings {
        cells: 64,
        depth: 0,
        points: 65 * 65,
        tolerance: 0.01,
    };
    let even = refine((-1.0, 1.0), (-1.0, 1.0), &["f"], &even, cliff).unwrap();
    assert!(even.evaluated > found.evaluated);
    assert!(
        refined < 0.5 * error(&even.on_grid(&fine).quantities[0].values),
        "{refined}"
    );
    // Points that were evaluated are themselves.
    let on_fine = found.on_grid(&fine);
    let centre = on_fine.centre().unwrap();
    assert_eq!(
        on_fine.quantities[0].values[centre],
        cliff(0.0, 0.0).unwrap()[0]
    );
}

#[test]
fn refinement_of_a_plane_stops_at_once_and_a_budget_is_kept() {
    let flat = |a: f64, b: f64| Ok(vec![1.0 + 2.0 * a - b]);
    let settings = RefineSettings::default();
    let found = refine((0.0, 1.0), (-3.0, -1.0), &["f"], &settings, flat).unwrap();
    assert_eq!(found.status, RefineStatus::Complete);
    // Each of the 8 × 8 cells is halved once, to see that it is flat: 17² points.
    assert_eq!(found.evaluated, 17 * 17);
    let small = RefineSettings {
        points: 400,
        ..settings
    };
    let found = refine((-1.0, 1.0), (-1.0, 1.0), &["f"], &small, cliff).unwrap();
    assert_eq!(found.status, RefineStatus::Budget);
    assert!(
        found.evaluated <= 400 && found.evaluated > 390,
        "{}",
        found.evaluated
    );
    assert_eq!(found.points().count(), found.evaluated);
    // Cells tile the rectangle.
    let area: f64 = found
        .cells()
        .map(|((a0, a1), (b0, b1))| (a1 - a0) * (b1 - b0))
        .sum();
    assert!((area - 4.0).abs() < 1e-12);
}

#[test]
fn the_edge_of_the_undefined_is_refined() {
    let half = |a: f64, _: f64| Ok(vec![if a > 0.3 { f64::NAN } else { 0.0 }]);
    let settings = RefineSettings {
        depth: 4,
        points: 5000,
        ..RefineSettings::default()
    };
    let found = refine((-1.0, 1.0), (-1.0, 1.0), &["f"], &settings, half).unwrap();
    let smallest = found
        .cells()
        .map(|((a0, a1), _)| a1 - a0)
        .fold(1.0, f64::min);
    assert_eq!(found.status, RefineStatus::Complete);
    assert!((smallest - 2.0 / 128.0).abs() < 1e-12);
    let at = |a0: f64, a1: f64| a0 <= 0.3 && a1 >= 0.3;
    for ((a0, a1), _) in found.cells().filter(|((a0, a1), _)| at(*a0, *a1)) {
        assert!(a1 - a0 < 0.02, "{a0} {a1}");
    }
    for bad in [
        RefineSettings {
            cells: 0,
            ..settings
        },
        RefineSettings {
            depth: 13,
            ..settings
        },
        RefineSettings {
            points: 80,
            ..settings
        },
        RefineSettings {
            tolerance: f64::NAN,
            ..settings
        },
    ] {
        assert!(refine((-1.0, 1.0), (-1.0, 1.0), &["f"], &bad, half).is_err());
    }
}
