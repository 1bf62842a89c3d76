//! Every method by its name in a study, on the problems it can take.

use feasible_lab::{Existing, Options, Silent, Study, StudyConfig};
use feasible_record::summary::last;
use feasible_record::{Metric, RunReader, RunStatus};

/// Trains each method for a few epochs and returns (label, status, metrics).
fn run(problem: &str, training: &str, methods: &str) -> Vec<(String, RunStatus, Vec<Metric>)> {
    let text = format!(
        "name = 'small'\nseeds = [3]\n[problem]\n{problem}\n[training]\n{training}\n\
         [[backbone]]\nkind = 'mlp'\nhidden = [16, 16]\n{methods}"
    );
    let folder = tempfile::tempdir().unwrap();
    let study = Study::new(StudyConfig::from_toml(&text).unwrap()).unwrap();
    let options = Options {
        runs: folder.path().to_path_buf(),
        existing: Existing::Continue,
    };
    let report = study.run(&options, &mut Silent).unwrap();
    let combinations = study.config().combinations();
    let runs = report.runs.iter().zip(&combinations);
    runs.map(|(run, config)| {
        let metrics = RunReader::open(&run.path).unwrap().metrics().unwrap();
        let metrics: Vec<Metric> = metrics.collect::<Result<_, _>>().unwrap();
        (
            config.method.label().to_owned(),
            run.status.clone(),
            metrics,
        )
    })
    .collect()
}

fn value(metrics: &[Metric], name: &str) -> f64 {
    last(metrics, name).unwrap().value
}

const GENERAL: &str = "
[[method]]
kind = 'optnet'
[[method]]
kind = 'hardnet-cvx'
relaxation = { decay_epochs = 2 }
[[method]]
kind = 'hardnet++'
[[method]]
kind = 'snarenet'
trust_region = 1.0
[[method]]
name = 'snarenet, implicit gradient'
kind = 'snarenet'
gradient = 'implicit'
[[method]]
name = 'snarenet, row weights'
kind = 'snarenet'
rows = 'violated'
weights = 'inverse-norms'
[[method]]
name = 'snarenet by conjugate gradients'
kind = 'snarenet'
conjugate_gradient = 20
[[method]]
kind = 'dc3'
learning_rate = 1e-4
[[method]]
kind = 'fsnet'
[[method]]
name = 'fsnet, whole batch'
kind = 'fsnet'
line_search = 'whole-batch'
relaxation = { decay_epochs = 2 }
[[method]]
kind = 'rayen'
[[method]]
kind = 'gauge-map'
relaxation = { decay_epochs = 2 }
";

const AFFINE: &str = "
[[method]]
kind = 'hardnet-aff'
relaxation = { decay_epochs = 2 }
[[method]]
kind = 'pinet'
[[method]]
name = 'equilibrated pinet'
kind = 'pinet'
equilibration = 25
[[method]]
name = 'relaxed pinet'
kind = 'pinet'
relaxation = { decay_epochs = 2 }
";

#[test]
fn every_method_trains_and_keeps_its_promise() {
    let sizes = "variables = 8\nequalities = 3\ninequalities = 4\nsamples = 60";
    let training = "epochs = 3\nbatch = 16\noptimizer = { learning_rate = 1e-2 }";
    let affine = format!("{GENERAL}{AFFINE}");
    for (recipe, methods) in [("dc3-nonconvex", affine.as_str()), ("snare-qcqp", GENERAL)] {
        let problem = format!("recipe = '{recipe}'\n{sizes}");
        for (label, status, metrics) in run(&problem, training, methods) {
            assert_eq!(status, RunStatus::Finished, "{recipe}, {label}");
            let (equality, inequality) = (
                value(&metrics, "test.equality_max"),
                value(&metrics, "test.inequality_max"),
            );
            // Completion and the projection onto equalities are exact, splitting to its tolerance;
            // FSNet stops at ‖r‖² = 1e-9, which is 3e-5, and DC3 promises nothing about inequalities.
            let limit = if label.starts_with("fsnet") {
                1e-4
            } else {
                1e-6
            };
            assert!(equality < limit, "{recipe}, {label}: {equality}");
            if label != "dc3" {
                assert!(inequality < limit, "{recipe}, {label}: {inequality}");
                assert_eq!(value(&metrics, "test.failed"), 0.0, "{recipe}, {label}");
            }
        }
    }
}

/// Rows in units over four decades: weights take the iteration back to where it was.
#[test]
fn row_weights_undo_the_units_of_the_rows() {
    let methods = "
[[method]]
name = 'plain'
kind = 'snarenet'
max_iterations = 1000
[[method]]
name = 'weighted'
kind = 'snarenet'
max_iterations = 1000
weights = 'inverse-norms'
";
    let iterations = |decades: &str| -> Vec<f64> {
        let problem = format!(
            "recipe = 'snare-qcqp'\nvariables = 8\nequalities = 3\ninequalities = 4\nsamples = 60{decades}"
        );
        let runs = run(&problem, "epochs = 1\nbatch = 16", methods);
        let mean = |(label, status, metrics): &(String, RunStatus, Vec<Metric>)| {
            assert_eq!(*status, RunStatus::Finished, "{label}");
            value(metrics, "test.iterations_mean")
        };
        runs.iter().map(mean).collect()
    };
    let (same, apart) = (iterations(""), iterations("\nrow_decades = 2.0"));
    assert!(apart[0] > 3.0 * apart[1], "{same:?} {apart:?}");
    assert!(apart[1] < 1.5 * same[1], "{same:?} {apart:?}");
}

#[test]
fn the_closed_form_refuses_quadratic_rows_and_the_study_goes_on() {
    let problem =
        "recipe = 'snare-qcqp'\nvariables = 8\nequalities = 3\ninequalities = 4\nsamples = 60";
    let methods = "[[method]]\nkind = 'hardnet-aff'\n[[method]]\nkind = 'soft'\n";
    let runs = run(problem, "epochs = 1\nbatch = 16", methods);
    let RunStatus::Failed { reason } = &runs[0].1 else {
        panic!("{:?}", runs[0].1);
    };
    assert!(
        reason.contains("HardNetAff needs affine rows, but row 0 is quadratic"),
        "{reason}"
    );
    assert_eq!(runs[1].1, RunStatus::Finished);
}

#[test]
fn a_supervised_problem_trains_with_every_method() {
    for (recipe, points) in [
        ("hardnet-pwc", 50),
        ("hardnet-pwcfull", 50),
        ("hardnet-pwcbox", 10),
    ] {
        let problem = format!("recipe = '{recipe}'\nsamples = {points}");
        let methods = "
[[method]]
kind = 'hardnet-aff'
[[method]]
kind = 'pinet'
[[method]]
kind = 'projection'
[[method]]
kind = 'soft'
[[method]]
name = 'nothing'
kind = 'soft'
penalty = { upper = 0.0, lower = 0.0 }
";
        let training = "epochs = 40\nbatch = 500\noptimizer = { learning_rate = 1e-2 }";
        let runs = run(&problem, training, methods);
        let objective = |at: usize| value(&runs[at].2, "test.objective");
        for (label, status, metrics) in &runs {
            assert_eq!(*status, RunStatus::Finished, "{recipe}, {label}");
            assert_eq!(value(metrics, "test.samples"), 401.0);
            // The optimum is zero error at the target, so that a gap is the squared error.
            let (mean, gap) = (
                value(metrics, "test.objective"),
                value(metrics, "test.gap_mean"),
            );
            assert!((mean - gap).abs() < 1e-12);
        }
        for at in [0, 1] {
            assert!(value(&runs[at].2, "test.violation_max") < 1e-6, "{recipe}");
            // In one dimension they are the projection.
            assert!(
                (objective(at) - objective(2)).abs() < 1e-4 * objective(2),
                "{recipe}"
            );
        }
        // Without weight a violation costs nothing: the loss is the error alone.
        assert_eq!(value(&runs[4].2, "train.penalty_upper"), 0.0);
        assert!(value(&runs[3].2, "test.violation_max") > 1e-2, "{recipe}");
    }
}

#[test]
fn fsnets_families_train_with_methods_for_any_rows() {
    for kind in [
        "convex-qp",
        "convex-qcqp",
        "convex-socp",
        "nonconvex-qp",
        "nonconvex-qcqp",
        "nonconvex-socp",
    ] {
        let problem = format!(
            "recipe = 'fsnet-{kind}'\nvariables = 10\nequalities = 3\ninequalities = 3\nsamples = 100"
        );
        let methods = "
[[method]]
kind = 'fsnet'
[[method]]
kind = 'snarenet'
rows = 'violated'
tolerance = 1e-6
[[method]]
kind = 'dc3'
learning_rate = 1e-4
";
        let training = "epochs = 5\nbatch = 32\noptimizer = { learning_rate = 1e-2 }";
        for (label, status, metrics) in run(&problem, training, methods) {
            assert_eq!(status, RunStatus::Finished, "{kind}, {label}");
            assert_eq!(value(&metrics, "test.samples"), 20.0);
            let worst = match label.as_str() {
                "dc3" => value(&metrics, "test.equality_max"),
                _ => value(&metrics, "test.violation_max"),
            };
            // A sample of the non-convex families may have no feasible point, or none nearby.
            if kind.starts_with("convex") || label == "dc3" {
                assert!(worst < 1e-4, "{kind}, {label}: {worst}");
            }
            // The reference solver takes linear and quadratic rows.
            let unreferenced = value(&metrics, "test.unreferenced");
            let solved = matches!(kind, "convex-qp" | "convex-qcqp");
            assert_eq!(unreferenced, if solved { 0.0 } else { 20.0 }, "{kind}");
        }
    }
}
