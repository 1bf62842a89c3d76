//! What a table tells of the runs.

use std::fs;
use std::ops::ControlFlow;

use feasible_lab::{Column, Event, Silent, Study, Table};
use feasible_record::RunStatus;

use crate::{options, study, warnings_in};

#[test]
fn runs_with_other_settings_are_rows_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = |epochs: usize, seed: u64, aside: &str| {
        let mut config = study(
            "recipe = 'dc3-simple'",
            &format!("epochs = {epochs}"),
            "[[method]]\nkind = 'soft'",
        )
        .config()
        .clone();
        config.seeds = vec![seed];
        let root = folder.path().join(aside);
        let report = Study::new(config)
            .unwrap()
            .run(&options(&root), &mut Silent)
            .unwrap();
        report.runs[0].path.clone()
    };
    let joined = folder.path().join("joined/small");
    fs::create_dir_all(&joined).unwrap();
    for (epochs, seed) in [(1, 1), (2, 2), (1, 3)] {
        let made = run(epochs, seed, &format!("e{epochs}"));
        fs::rename(&made, joined.join(made.file_name().unwrap())).unwrap();
    }
    let table = Table::read(&joined).unwrap();
    let rows: Vec<_> = table
        .rows
        .iter()
        .map(|row| (row.variant, row.finished))
        .collect();
    assert_eq!(rows, [(Some(1), 2), (Some(2), 1)]);
    assert_eq!(table.differences.len(), 1);
    assert_eq!(
        (
            table.differences[0].key.as_str(),
            &table.differences[0].values[..]
        ),
        ("training.epochs", &["1".to_owned(), "2".to_owned()][..])
    );

    // A set-aside folder beside the runs is none of them.
    fs::rename(
        joined.join("dc3-simple-8-3-4_soft_mlp-16-16_s2"),
        joined.join(".hidden"),
    )
    .unwrap();
    let table = Table::read(&joined).unwrap();
    assert_eq!((table.rows.len(), table.rows[0].variant), (1, None));
    assert!(table.unfinished.is_empty());
}

#[test]
fn a_row_is_feasible_only_if_every_seed_is() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 1",
        "[[method]]\nkind = 'snarenet'",
    );
    let mut config = study.config().clone();
    config.seeds = vec![1, 2];
    let report = Study::new(config)
        .unwrap()
        .run(&options(folder.path()), &mut Silent)
        .unwrap();
    assert!(Table::read(&report.folder).unwrap().rows[0].feasible);
    // 1.5e-4 in one seed, nothing in the other: the mean would be within 1e-4.
    let path = report.runs[0].path.join("metrics.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    let start = lines.find("\"test.inequality_max\":").unwrap() + "\"test.inequality_max\":".len();
    let end = start + lines[start..].find([',', '}']).unwrap();
    fs::write(&path, format!("{}1.5e-4{}", &lines[..start], &lines[end..])).unwrap();
    let row = &Table::read(&report.folder).unwrap().rows[0];
    assert!(row.cell(Column::InequalityMax).spread.mean.unwrap() <= 1e-4);
    assert!(!row.feasible);
}

#[test]
fn samples_the_layer_failed_on_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 1",
        "[[method]]\nkind = 'snarenet'\nmax_iterations = 1",
    );
    let mut warnings = Vec::new();
    let report = study.run(&options(folder.path()), &mut |event: &Event<'_>| {
        if let Event::Warning { message, .. } = event {
            warnings.push((*message).to_owned());
        }
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Finished);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("did not converge for 10"),
        "{warnings:?}"
    );
    assert_eq!(warnings_in(&report.runs[0].path).len(), 1);
    assert_eq!(
        Table::read(&report.folder).unwrap().rows[0].failed_samples,
        10
    );
}
