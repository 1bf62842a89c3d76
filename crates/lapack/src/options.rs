//! The letters and sizes that routines take, and the arguments they are illegal in.

/// A matrix as it is, or transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transpose {
    No,
    Yes,
}

/// The triangle of a symmetric matrix that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Triangle {
    Lower,
    Upper,
}

/// Which eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Range {
    All,
    /// In the half-open interval given.
    Values,
    /// By their place in ascending order.
    Indices,
}

/// What becomes of one side's singular vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// A full orthogonal matrix.
    All,
    /// As many as there are singular values.
    Some,
    /// The same, in place of the matrix.
    Overwrite,
    /// Not computed.
    None,
}

impl Transpose {
    /// Real matrices are their own conjugates.
    pub(crate) fn read(letter: u8) -> Option<Self> {
        match letter.to_ascii_uppercase() {
            b'N' => Some(Transpose::No),
            b'T' | b'C' => Some(Transpose::Yes),
            _ => None,
        }
    }

    /// Rows and columns of the matrix in memory whose product side has these.
    pub(crate) fn stored(self, rows: i32, columns: i32) -> (i32, i32) {
        match self {
            Transpose::No => (rows, columns),
            Transpose::Yes => (columns, rows),
        }
    }
}

impl Triangle {
    pub(crate) fn read(letter: u8) -> Option<Self> {
        match letter.to_ascii_uppercase() {
            b'L' => Some(Triangle::Lower),
            b'U' => Some(Triangle::Upper),
            _ => None,
        }
    }
}

impl Range {
    pub(crate) fn read(letter: u8) -> Option<Self> {
        match letter.to_ascii_uppercase() {
            b'A' => Some(Range::All),
            b'V' => Some(Range::Values),
            b'I' => Some(Range::Indices),
            _ => None,
        }
    }
}

impl Job {
    pub(crate) fn read(letter: u8) -> Option<Self> {
        match letter.to_ascii_uppercase() {
            b'A' => Some(Job::All),
            b'S' => Some(Job::Some),
            b'O' => Some(Job::Overwrite),
            b'N' => Some(Job::None),
            _ => None,
        }
    }

    /// Vectors it asks for.
    pub(crate) fn count(self, all: i32, some: i32) -> i32 {
        match self {
            Job::All => all,
            Job::Some | Job::Overwrite => some,
            Job::None => 0,
        }
    }
}

/// The first illegal argument, as `info` counts them, from conditions that must hold.
pub(crate) fn first_illegal(conditions: &[(i32, bool)]) -> Option<i32> {
    conditions
        .iter()
        .find(|(_, holds)| !holds)
        .map(|(place, _)| -place)
}

/// Whether a leading dimension spans so many rows.
pub(crate) fn spans(leading: i32, rows: i32) -> bool {
    leading >= rows.max(1)
}
