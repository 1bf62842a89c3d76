//! Matrices from `.npy` files, and the report on them.

use std::fs;
use std::path::PathBuf;

use feasible_spectrum::{
    DenseMatrix, DensitySettings, Error, Selection, Settings, Wanted, read_npy, report,
};
use npyz::{Order, WriterBuilder};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write<T: npyz::AutoSerialize>(
        &self,
        shape: &[u64],
        order: Order,
        values: Vec<T>,
    ) -> PathBuf {
        let path = self.0.path().join("matrix.npy");
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn both_precisions_and_both_orders_are_read() {
    let folder = Folder::new();
    let values = [1.0, 2.0, 0.5, 2.0, -3.0, 0.25, 0.5, 0.25, 4.0];
    for order in [Order::C, Order::Fortran] {
        let double = read_npy(&folder.write(&[3, 3], order, values.to_vec())).unwrap();
        assert_eq!(double.data(), values);
        let single = values.iter().map(|v| *v as f32).collect();
        let single = read_npy(&folder.write(&[3, 3], order, single)).unwrap();
        assert_eq!(single.data(), values);
    }
}

#[test]
fn single_precision_rounding_is_forgiven_and_its_mean_taken() {
    let folder = Folder::new();
    let path = folder.write(&[2, 2], Order::C, vec![1.0f32, 0.500_001, 0.5, 1.0]);
    let matrix = read_npy(&path).unwrap();
    assert_eq!(matrix.data()[1], matrix.data()[2]);
    let path = folder.write(&[2, 2], Order::C, vec![1.0f64, 0.500_001, 0.5, 1.0]);
    assert!(matches!(read_npy(&path), Err(Error::Asymmetric { .. })));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let folder = Folder::new();
    let said = |path: &PathBuf| read_npy(path).unwrap_err().to_string();
    let missing = folder.0.path().join("missing.npy");
    assert!(said(&missing).contains("could not be opened"));
    assert!(
        said(&folder.write(&[2, 3], Order::C, vec![0.0; 6]))
            .contains("[2, 3] but must be a square")
    );
    assert!(said(&folder.write(&[4], Order::C, vec![0.0; 4])).contains("[4] but must be a square"));
    assert!(said(&folder.write(&[0, 0], Order::C, Vec::<f64>::new())).contains("must be a square"));
    assert!(said(&folder.write(&[2, 2], Order::C, vec![1i64; 4])).contains("float32 or float64"));
    let nan = folder.write(&[2, 2], Order::Fortran, vec![0.0, f64::NAN, 0.0, 0.0]);
    assert!(said(&nan).contains("NaN at (1, 0)"), "{}", said(&nan));
    let path = folder.write(&[2, 2], Order::C, vec![0.0, 1.0, 2.0, 0.0]);
    assert!(said(&path).contains("not symmetric: entries (1, 0) and (0, 1)"));
    let torn = folder.write(&[2, 2], Order::C, vec![0.0f64; 4]);
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() - 8]).unwrap();
    assert!(said(&torn).contains("ends early"), "{}", said(&torn));
    // A header that promises more than there is, or than can be counted.
    let header = |size: &str| {
        let text =
            format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({size}, {size}), }}");
        let text = format!("{text:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    for size in ["1000000", "1000000000000", "18446744073709551615"] {
        fs::write(&torn, header(size)).unwrap();
        assert!(read_npy(&torn).is_err(), "{size}");
    }
    fs::write(&torn, "no matrix at all").unwrap();
    assert!(said(&torn).contains("not a numpy"));
}

fn matrix() -> DenseMatrix {
    DenseMatrix::new(3, vec![2.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 7.0]).unwrap()
}

#[test]
fn the_report_says_the_same_as_json_and_as_text() {
    let ends = Selection::Ends(Wanted::BothEnds { top: 1, bottom: 1 });
    let of = DensitySettings::default();
    let report = report(&mut matrix(), ends, &Settings::default(), Some(&of)).unwrap();
    assert!(report.all_converged());
    let json = report.to_json();
    assert_eq!(json["which"], "both");
    assert_eq!(json["status"], "converged");
    assert!((json["eigenpairs"][0]["value"].as_f64().unwrap() - 7.0).abs() < 1e-12);
    assert!((json["eigenpairs"][1]["value"].as_f64().unwrap() + 1.0).abs() < 1e-12);
    assert_eq!(json["eigenpairs"][1]["status"], "converged");
    assert!((json["density"]["trace"]["value"].as_f64().unwrap() - 8.0).abs() < 1e-12);
    assert_eq!(json["density"]["grid"].as_array().unwrap().len(), 201);
    let text = report.to_text();
    assert!(
        text.contains("converged: ") && text.contains("trace 8.000000e0"),
        "{text}"
    );
}

#[test]
fn near_a_shift_and_without_an_answer() {
    let near = Selection::Near {
        shift: 1.5,
        count: 1,
    };
    let found = report(&mut matrix(), near, &Settings::default(), None).unwrap();
    assert!((found.found().pairs[0].value - 2.0).abs() < 1e-12);
    assert_eq!(found.to_json()["shift"], 1.5);
    let on = Selection::Near {
        shift: 2.0,
        count: 1,
    };
    assert!(matches!(
        report(&mut matrix(), on, &Settings::default(), None),
        Err(Error::Singular { .. })
    ));
    let huge = f64::MAX;
    let mut overflowing = DenseMatrix::new(2, vec![huge, huge, huge, huge]).unwrap();
    let ends = Selection::Ends(Wanted::Top(1));
    let found = report(&mut overflowing, ends, &Settings::default(), None).unwrap();
    assert!(!found.all_converged());
    let json = found.to_json();
    assert_eq!(json["status"], "not_finite");
    assert!(found.to_text().contains("not finite: "));
}
