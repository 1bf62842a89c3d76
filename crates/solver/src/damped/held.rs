//! Which rows hold the output of a repair, and what that says of its implicit gradient
//! ([`super::limit`]).

/// A row within this share of the numbers it is computed from is on its bound: a hundred units of
/// rounding.
const ROUNDING: f64 = 1e-14;

/// How far the implicit gradient of one sample can be trusted. It is exact where the sample has
/// converged, `settled` and `affine` hold, and the deviation is rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitQuality {
    /// How far the output is from where the formula puts it, relative to the way from the start: 0 to
    /// rounding where the steps were those of affine rows. Where `settled`, the gradient's relative
    /// error is as a rule of its order. NaN if the sample broke down, or its held rows are too close to
    /// dependent for the formula's system to be solved.
    pub deviation: f64,
    /// Whether every row that was outside its bounds on the way ends on one, and not by chance. One that
    /// did not has moved the output, and the formula does not know of it.
    pub settled: bool,
    /// Whether every row of the last step's matrix is affine. Where rows bend, those on the way may be
    /// the same as at the output, and the deviation 0, while they are others a little beside it.
    pub affine: bool,
}

impl LimitQuality {
    /// Of a sample without a gradient.
    pub const LOST: Self = Self {
        deviation: f64::NAN,
        settled: false,
        affine: false,
    };

    /// Of a sample that is returned as it was.
    pub const UNMOVED: Self = Self {
        deviation: 0.0,
        settled: true,
        affine: true,
    };
}

/// When a row was outside its box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Contact {
    /// Its residual before the last step that it was outside at; 0 if there was none.
    pub residual: f64,
    /// Whether that was the last step of all.
    pub is_last: bool,
}

impl Contact {
    /// Takes note of a step from where the row has this residual.
    pub fn step(&mut self, residual: f64) {
        self.is_last = residual != 0.0;
        if self.is_last {
            self.residual = residual;
        }
    }

    /// How far inside of the bound that it was beyond the row ends, and that bound.
    fn slack(self, end: f64, [lower, upper]: [f64; 2]) -> (f64, f64) {
        match self.residual > 0.0 {
            true => (upper - end, upper),
            false => (end - lower, lower),
        }
    }

    /// Whether a row that was outside its box ends on its bound because the steps led there. A row that
    /// was left long before the end and is inside by less than the tolerance is near its bound by
    /// chance: the steps that led it there were those of other rows.
    pub(super) fn is_settled(self, end: f64, bounds: [f64; 2], tolerance: f64) -> bool {
        if self.residual == 0.0 {
            return true;
        }
        if Held::of(self, end, bounds, tolerance) == Held::Not {
            return false;
        }
        let (slack, bound) = self.slack(end, bounds);
        let rounding = ROUNDING * (bound.abs() + self.residual.abs());
        self.is_last || slack <= rounding || self.residual.abs() <= tolerance
    }
}

/// Where a held row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Not,
    Lower,
    Upper,
    /// On bounds that are equal; the last steps come from either side by chance.
    Both,
}

impl Held {
    /// For when a row was outside its bounds and where it ends. The last steps may leave a row inside by
    /// less than can be told from its bound.
    pub(super) fn of(contact: Contact, end: f64, bounds: [f64; 2], tolerance: f64) -> Self {
        if bounds[0] == bounds[1] {
            return Self::Both;
        }
        let (slack, bound) = contact.slack(end, bounds);
        if contact.residual == 0.0 || slack > tolerance.max(ROUNDING * bound.abs()) {
            return Self::Not;
        }
        match contact.residual > 0.0 {
            true => Self::Upper,
            false => Self::Lower,
        }
    }

    /// Adds a row's cotangent to that of its bound.
    pub(super) fn add(self, cotangent: f64, lower: &mut f64, upper: &mut f64) {
        match self {
            Self::Not => {}
            Self::Lower => *lower += cotangent,
            Self::Upper => *upper += cotangent,
            Self::Both => {
                *lower += 0.5 * cotangent;
                *upper += 0.5 * cotangent;
            }
        }
    }
}
