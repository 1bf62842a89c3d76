//! Equilibration: scaling the rows and columns of a matrix to lengths that are nearly equal.

/// Factors of the rows and of the columns.
#[derive(Debug)]
pub(super) struct Scaling {
    pub(super) rows: Vec<f64>,
    pub(super) columns: Vec<f64>,
}

impl Scaling {
    pub(super) fn none(rows: usize, columns: usize) -> Self {
        Self {
            rows: vec![1.0; rows],
            columns: vec![1.0; columns],
        }
    }

    /// Of the row-major `matrix`, `[rows, columns]`: rows, then columns are divided by the root of their
    /// length, in at most `passes` passes or until lengths differ by no more than the share `tolerance`
    /// of the longest (Ruiz, A scaling algorithm to equilibrate both rows and columns norms in matrices,
    /// RAL-TR-2001-034). The best pass counts.
    pub(super) fn ruiz(
        matrix: &[f64],
        rows: usize,
        columns: usize,
        passes: usize,
        tolerance: f64,
    ) -> Self {
        let mut best = Self::none(rows, columns);
        let mut now = Self::none(rows, columns);
        let mut scaled = matrix.to_vec();
        let mut spread = 1.0;
        for _ in 0..passes {
            let of_rows = roots(&row_lengths(&scaled, columns));
            for (row, factor) in scaled.chunks_exact_mut(columns).zip(&of_rows) {
                row.iter_mut().for_each(|v| *v /= factor);
            }
            let of_columns = roots(&column_lengths(&scaled, columns));
            for row in scaled.chunks_exact_mut(columns) {
                row.iter_mut().zip(&of_columns).for_each(|(v, f)| *v /= f);
            }
            now.rows.iter_mut().zip(&of_rows).for_each(|(d, f)| *d /= f);
            let divided = now.columns.iter_mut().zip(&of_columns);
            divided.for_each(|(d, f)| *d /= f);
            let differ = difference(&row_lengths(&scaled, columns))
                .max(difference(&column_lengths(&scaled, columns)));
            if differ < spread {
                spread = differ;
                best.rows.clone_from(&now.rows);
                best.columns.clone_from(&now.columns);
            }
            if differ < tolerance {
                break;
            }
        }
        best
    }

    /// The same lengths to each other, with a geometric mean of one of the first `count` columns: with
    /// fewer rows than columns the passes enlarge all columns without end, and with them the pull of the
    /// input on the iteration, σd².
    pub(super) fn with_unit_mean(mut self, count: usize) -> Self {
        let logarithms: f64 = self.columns[..count].iter().map(|d| d.ln()).sum();
        let mean = (logarithms / count as f64).exp();
        self.columns.iter_mut().for_each(|d| *d /= mean);
        self.rows.iter_mut().for_each(|d| *d *= mean);
        self
    }
}

fn row_lengths(matrix: &[f64], columns: usize) -> Vec<f64> {
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    matrix.chunks_exact(columns).map(length).collect()
}

fn column_lengths(matrix: &[f64], columns: usize) -> Vec<f64> {
    let mut squares = vec![0.0; columns];
    for row in matrix.chunks_exact(columns) {
        squares.iter_mut().zip(row).for_each(|(s, v)| *s += v * v);
    }
    squares.iter().map(|s: &f64| s.sqrt()).collect()
}

/// One for what vanishes.
fn roots(lengths: &[f64]) -> Vec<f64> {
    let root = |length: &f64| if *length > 0.0 { length.sqrt() } else { 1.0 };
    lengths.iter().map(root).collect()
}

/// 1 − shortest/longest of those that do not vanish: what vanishes stays as it is, and must not count against
/// the others.
fn difference(lengths: &[f64]) -> f64 {
    let present = || lengths.iter().copied().filter(|length| *length > 0.0);
    let shortest = present().fold(f64::INFINITY, f64::min);
    let longest = present().fold(0.0, f64::max);
    if longest == 0.0 {
        return 0.0;
    }
    1.0 - shortest / longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_matrix_is_scaled_back() {
        // Rows and columns of the same length, then in other units.
        let plain = [1.0, 1.0, 1.0, -1.0];
        let (rows, columns) = ([1e-2, 1e3], [10.0, 1e-1]);
        let matrix: Vec<f64> = (0..4)
            .map(|at| plain[at] * rows[at / 2] * columns[at % 2])
            .collect();
        let scaling = Scaling::ruiz(&matrix, 2, 2, 25, 1e-3);
        for at in 0..4 {
            let back = matrix[at] * scaling.rows[at / 2] * scaling.columns[at % 2];
            assert!(
                (back.abs() - back_of(&matrix, &scaling)).abs() < 1e-3,
                "{back}"
            );
        }
    }

    fn back_of(matrix: &[f64], scaling: &Scaling) -> f64 {
        (matrix[0] * scaling.rows[0] * scaling.columns[0]).abs()
    }

    /// A variable that is in no row.
    #[test]
    fn a_column_of_zeros_does_not_keep_the_others_from_being_scaled() {
        let scaling = Scaling::ruiz(&[1e-3, 0.0, 0.0, 0.0, 0.0, 1e3], 2, 3, 25, 1e-3);
        let scaled = [
            1e-3 * scaling.rows[0] * scaling.columns[0],
            1e3 * scaling.rows[1] * scaling.columns[2],
        ];
        // The tolerance of the lengths.
        assert!((scaled[0] / scaled[1] - 1.0).abs() < 1e-3, "{scaling:?}");
        assert_eq!(scaling.columns[1], 1.0);
    }

    #[test]
    fn no_pass_and_rows_of_zeros_change_nothing() {
        let scaling = Scaling::ruiz(&[1.0, 100.0], 1, 2, 0, 1e-3);
        assert_eq!((scaling.rows[0], scaling.columns[1]), (1.0, 1.0));
        let scaling = Scaling::ruiz(&[0.0; 4], 2, 2, 5, 1e-3);
        assert!(
            scaling
                .rows
                .iter()
                .chain(&scaling.columns)
                .all(|d| *d == 1.0)
        );
    }
}
