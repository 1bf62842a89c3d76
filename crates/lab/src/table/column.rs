use feasible_record::Metric;
use feasible_record::summary::last;

/// A figure of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Largest optimality gap over the test samples.
    GapMax,
    /// Geometric mean of the gaps.
    GapGmean,
    /// Largest violation of an inequality.
    InequalityMax,
    /// Inequalities violated by more than 1e-4, mean over test samples.
    InequalitiesViolated,
    /// Largest violation of an equality.
    EqualityMax,
    /// Mean objective of the test samples.
    Objective,
    /// Training seconds an epoch, without validation.
    EpochSeconds,
    /// Seconds of one forward pass over all test samples.
    TestSeconds,
}

impl Column {
    /// All columns, in the order of the table. Less is better in each.
    pub const ALL: [Self; 8] = [
        Self::GapMax,
        Self::GapGmean,
        Self::InequalityMax,
        Self::InequalitiesViolated,
        Self::EqualityMax,
        Self::Objective,
        Self::EpochSeconds,
        Self::TestSeconds,
    ];

    /// Its name in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::GapMax => "gap_max",
            Self::GapGmean => "gap_gmean",
            Self::InequalityMax => "inequality_max",
            Self::InequalitiesViolated => "inequalities_violated",
            Self::EqualityMax => "equality_max",
            Self::Objective => "objective",
            Self::EpochSeconds => "epoch_seconds",
            Self::TestSeconds => "test_seconds",
        }
    }

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::GapMax => "gap max",
            Self::GapGmean => "gap gmean",
            Self::InequalityMax => "ineq max",
            Self::InequalitiesViolated => "# ineq viol",
            Self::EqualityMax => "eq max",
            Self::Objective => "objective",
            Self::EpochSeconds => "s / epoch",
            Self::TestSeconds => "test s",
        }
    }

    pub(super) fn of(self, metrics: &[Metric]) -> Option<f64> {
        let test = |name: &str| last(metrics, name).map(|observed| observed.value);
        match self {
            Self::GapMax => test("test.gap_max"),
            Self::GapGmean => test("test.gap_gmean"),
            Self::InequalityMax => test("test.inequality_max"),
            Self::InequalitiesViolated => test("test.inequalities_violated"),
            Self::EqualityMax => test("test.equality_max"),
            Self::Objective => test("test.objective"),
            Self::TestSeconds => test("test.seconds"),
            Self::EpochSeconds => {
                let seconds: Vec<f64> = metrics
                    .iter()
                    .filter_map(|metric| metric.value("epoch.seconds"))
                    .collect();
                (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
            }
        }
    }

    /// An infeasible prediction may have any objective, so only feasible methods compete for it.
    pub(super) fn needs_feasibility(self) -> bool {
        matches!(self, Self::GapMax | Self::GapGmean | Self::Objective)
    }
}
