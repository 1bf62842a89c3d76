use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Error, Violations, host};
use serde::{Deserialize, Serialize};

/// How the relaxation shrinks with s, the epochs since it began, over T = `decay_epochs`.
///
/// All are zero from s = T on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// ε₀ (1 − s/T).
    #[default]
    Linear,
    /// ε₀ / (s + 1). It jumps to zero at s = T.
    Harmonic,
    /// ε₀ (1 − s/(2T)) for s < T/2, then (ε₀/2) / (s − T/2 + 1). As published it jumps at s = T/2, from
    /// towards ¾ε₀ down to ½ε₀, and at s = T to zero.
    LinearHarmonic,
}

/// When the relaxation begins and how it shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelaxationSettings {
    /// The form of the decay. Default linear.
    pub schedule: Schedule,
    /// T: epochs until the relaxation is zero. Default 500, as in the published runs.
    pub decay_epochs: usize,
    /// The epoch at which it begins. Before, training goes without repair. Default 0.
    pub start_epoch: usize,
}

impl Default for RelaxationSettings {
    fn default() -> Self {
        Self {
            schedule: Schedule::Linear,
            decay_epochs: 500,
            start_epoch: 0,
        }
    }
}

impl RelaxationSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// If `decay_epochs` is 0.
    pub fn validate(&self) -> Result<(), Error> {
        if self.decay_epochs > 0 {
            return Ok(());
        }
        Err(Error::Setting {
            setting: "decay_epochs",
            got: "0".into(),
            expected: "at least 1",
        })
    }

    /// ε/ε₀ at an epoch, in [0, 1]; zero before the start.
    pub fn factor(&self, epoch: usize) -> f64 {
        let Some(s) = epoch
            .checked_sub(self.start_epoch)
            .filter(|s| *s < self.decay_epochs)
        else {
            return 0.0;
        };
        let (s, total) = (s as f64, self.decay_epochs as f64);
        match self.schedule {
            Schedule::Linear => 1.0 - s / total,
            Schedule::Harmonic => 1.0 / (s + 1.0),
            Schedule::LinearHarmonic if s < total / 2.0 => 1.0 - s / (2.0 * total),
            Schedule::LinearHarmonic => 0.5 / (s - total / 2.0 + 1.0),
        }
    }
}

/// SnareNet's adaptive relaxation: training begins with the box widened, row by row, until it holds
/// what the network gives for every training input, and the widening shrinks to zero.
///
/// ε₀ is observed once, at the start epoch, over the training set with the repair off:
///
/// 1. for every batch, [`AdaptiveRelaxation::observe`] the violations of the raw output;
/// 2. in every epoch, give [`AdaptiveRelaxation::epsilon`] to [`crate::SnareNet::forward`], also in
///    validation, where the published numbers are those of the relaxed box.
///
/// The value is its own state: written and read back by serde, a resumed run goes on as it was.
///
/// Reference: Chu, Boukas and Udell, SnareNet, arXiv 2602.09317, adaptive relaxation as in the
/// published code, `AdaptiveRelaxation` of `utils/utils.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveRelaxation {
    settings: RelaxationSettings,
    initial: Vec<f64>,
    observed: bool,
}

impl AdaptiveRelaxation {
    /// A relaxation of `rows` rows that has observed nothing: ε is zero until it has.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: RelaxationSettings, rows: usize) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            initial: vec![0.0; rows],
            observed: false,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &RelaxationSettings {
        &self.settings
    }

    /// ε₀ as observed so far, `[m]`.
    pub fn initial(&self) -> &[f64] {
        &self.initial
    }

    /// Whether ε₀ is still to be observed at the beginning of this epoch.
    pub fn is_due(&self, epoch: usize) -> bool {
        !self.observed && epoch >= self.settings.start_epoch && self.settings.factor(epoch) > 0.0
    }

    /// Raises ε₀ to the violations of one more batch, row by row.
    ///
    /// # Errors
    /// If the number of rows differs, a violation is not finite, or the device cannot be read.
    pub fn observe(&mut self, violations: &Violations) -> Result<(), Error> {
        let rows = violations.rows();
        let [batch, m] = rows.dims();
        if m != self.initial.len() {
            return Err(Error::shape(
                "violations",
                &[batch, m],
                format!("[batch, {}]", self.initial.len()),
            ));
        }
        let values = host::read_finite("violations", &rows)?;
        if m > 0 {
            for sample in values.chunks_exact(m) {
                for (initial, value) in self.initial.iter_mut().zip(sample) {
                    *initial = initial.max(*value);
                }
            }
        }
        self.observed = true;
        Ok(())
    }

    /// Sets ε₀ outright, in place of what was observed.
    ///
    /// # Errors
    /// If it has another length than the rows, or an entry is negative or not finite.
    pub fn initialise(&mut self, initial: Vec<f64>) -> Result<(), Error> {
        let rows = self.initial.len();
        if initial.len() != rows {
            return Err(Error::shape(
                "initial",
                &[initial.len()],
                format!("[{rows}], one entry a row"),
            ));
        }
        host::check_finite("initial", &initial, &[rows])?;
        if let Some(negative) = initial.iter().find(|e| **e < 0.0) {
            return Err(Error::Setting {
                setting: "initial",
                got: negative.to_string(),
                expected: "at least 0",
            });
        }
        self.initial = initial;
        self.observed = true;
        Ok(())
    }

    /// ε at an epoch, `[m]`; zero before the start and from the end of the decay on.
    pub fn epsilon(&self, epoch: usize) -> Vec<f64> {
        let factor = self.settings.factor(epoch);
        self.initial.iter().map(|e| e * factor).collect()
    }

    /// ε at an epoch as a tensor `[m]`; `None` where it is zero.
    pub fn epsilon_tensor(&self, epoch: usize, device: &Device, dtype: DType) -> Option<Tensor<1>> {
        let epsilon = self.epsilon(epoch);
        let relaxes = epsilon.iter().any(|e| *e > 0.0);
        relaxes.then(|| host::write(epsilon, [self.initial.len()], device, dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feasible_core::Bounds;

    fn with(schedule: Schedule, decay_epochs: usize, start_epoch: usize) -> AdaptiveRelaxation {
        let settings = RelaxationSettings {
            schedule,
            decay_epochs,
            start_epoch,
        };
        let mut relaxation = AdaptiveRelaxation::new(settings, 2).unwrap();
        relaxation.initialise(vec![2.0, 0.0]).unwrap();
        relaxation
    }

    fn first(relaxation: &AdaptiveRelaxation, epochs: &[usize]) -> Vec<f64> {
        epochs.iter().map(|e| relaxation.epsilon(*e)[0]).collect()
    }

    #[test]
    fn schedules_have_their_published_values() {
        let linear = with(Schedule::Linear, 8, 3);
        assert_eq!(
            first(&linear, &[0, 2, 3, 5, 10, 11, 500]),
            [0.0, 0.0, 2.0, 1.5, 0.25, 0.0, 0.0]
        );
        let harmonic = with(Schedule::Harmonic, 8, 0);
        assert_eq!(
            first(&harmonic, &[0, 1, 3, 7, 8]),
            [2.0, 1.0, 0.5, 0.25, 0.0]
        );
        // T = 8: left of s = 4 towards 1.5, from there 1/(s − 3).
        let both = with(Schedule::LinearHarmonic, 8, 0);
        assert_eq!(
            first(&both, &[0, 2, 3, 4, 5, 7, 8]),
            [2.0, 1.75, 1.625, 1.0, 0.5, 0.25, 0.0]
        );
        // T = 5: the middle is 2.5, so s = 3 is half an epoch past it.
        let odd = with(Schedule::LinearHarmonic, 5, 0);
        assert_eq!(first(&odd, &[2, 3]), [1.6, 1.0 / 1.5]);
        assert!(linear.epsilon(5)[1] == 0.0);
    }

    #[test]
    fn observations_are_maxima_over_batches_and_both_sides() {
        let device = Device::flex();
        let bounds = Bounds::shared(
            Tensor::from_data([1.0, 0.0, f64::NEG_INFINITY], &device),
            Tensor::from_data([1.0, 2.0, 3.0], &device),
        );
        let bounds = bounds.unwrap();
        let violations = |values: [[f64; 3]; 2]| {
            Violations::of_values(Tensor::from_data(values, &device), &bounds)
        };
        let mut relaxation = AdaptiveRelaxation::new(RelaxationSettings::default(), 3).unwrap();
        assert!(relaxation.is_due(0) && relaxation.epsilon(0) == [0.0; 3]);
        relaxation
            .observe(&violations([[0.25, 1.0, 5.0], [1.5, -4.0, 0.0]]))
            .unwrap();
        assert!(!relaxation.is_due(0));
        relaxation
            .observe(&violations([[1.0, 3.0, 4.0], [3.0, 0.0, 0.0]]))
            .unwrap();
        assert_eq!(relaxation.initial(), [2.0, 4.0, 2.0]);
        let bad = relaxation
            .observe(&violations([[f64::NAN, 0.0, 0.0], [0.0; 3]]))
            .unwrap_err();
        assert!(
            bad.to_string()
                .contains("`violations` is NaN at index [0, 0]"),
            "{bad}"
        );
        assert_eq!(
            relaxation.initial(),
            [2.0, 4.0, 2.0],
            "a refused batch changes nothing"
        );
    }

    #[test]
    fn a_resumed_relaxation_goes_on() {
        let relaxation = with(Schedule::LinearHarmonic, 9, 2);
        let text = serde_json::to_string(&relaxation).unwrap();
        let resumed: AdaptiveRelaxation = serde_json::from_str(&text).unwrap();
        assert_eq!(resumed, relaxation);
        assert!(!resumed.is_due(2));
        assert_eq!(resumed.epsilon(4), relaxation.epsilon(4));
    }

    #[test]
    fn wrong_input_is_named() {
        let settings = RelaxationSettings {
            decay_epochs: 0,
            ..RelaxationSettings::default()
        };
        assert!(
            AdaptiveRelaxation::new(settings, 1)
                .unwrap_err()
                .to_string()
                .contains("`decay_epochs`")
        );
        let mut relaxation = AdaptiveRelaxation::new(RelaxationSettings::default(), 2).unwrap();
        assert!(
            relaxation
                .initialise(vec![1.0])
                .unwrap_err()
                .to_string()
                .contains("`initial` has shape [1]")
        );
        assert!(relaxation.initialise(vec![1.0, -1.0]).is_err());
        assert!(relaxation.initialise(vec![1.0, f64::INFINITY]).is_err());
        assert!(
            relaxation
                .epsilon_tensor(0, &Device::flex(), DType::F64)
                .is_none()
        );
        relaxation.initialise(vec![0.5, 0.0]).unwrap();
        let epsilon = relaxation
            .epsilon_tensor(0, &Device::flex(), DType::F64)
            .unwrap();
        assert_eq!(host::read("e", &epsilon).unwrap(), [0.5, 0.0]);
    }
}
