//! A sparse lower triangle by columns, taken a few columns at a time.
//!
//! Columns whose patterns below are the same, as those of one variable are, go together: what is read and
//! written by a row's number is then read and written once for all of them.

/// Columns taken at a time.
pub(super) const WIDEST: usize = 3;

/// Where the panels of a pattern begin, and where the last ends.
#[derive(Debug)]
pub(crate) struct Panels(Vec<usize>);

impl Panels {
    /// Of columns that begin at their diagonal, and whose rows ascend.
    pub(super) fn new(pointers: &[usize], rows: &[usize]) -> Self {
        let pattern = |j: usize| &rows[pointers[j]..pointers[j + 1]];
        let count = pointers.len() - 1;
        let mut begins = vec![0];
        let mut begin = 0;
        for j in 1..count {
            if j - begin == WIDEST || pattern(j - 1)[1..] != *pattern(j) {
                begins.push(j);
                begin = j;
            }
        }
        if count > 0 {
            begins.push(count);
        }
        Self(begins)
    }

    /// The first column and the width of each.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        self.0.windows(2).map(|ends| (ends[0], ends[1] - ends[0]))
    }
}

/// The numbers of a pattern.
pub(super) struct Columns<'f, T> {
    pub(super) pointers: &'f [usize],
    pub(super) rows: &'f [usize],
    pub(super) entries: &'f [T],
}

/// `W` columns: their triangle, and the rows and entries below it.
pub(super) struct Panel<'f, T, const W: usize> {
    pub(super) begin: usize,
    pub(super) triangle: [[f64; W]; W],
    rows: &'f [usize],
    below: [&'f [T]; W],
}

impl<'f, T: Copy + Into<f64>> Columns<'f, T> {
    #[inline(always)]
    pub(super) fn panel<const W: usize>(&self, begin: usize) -> Panel<'f, T, W> {
        let mut triangle = [[0.0; W]; W];
        let mut below = [&self.entries[..0]; W];
        for c in 0..W {
            let column = &self.entries[self.pointers[begin + c]..self.pointers[begin + c + 1]];
            let (head, tail) = column.split_at(W - c);
            (c..W).for_each(|r| triangle[r][c] = head[r - c].into());
            below[c] = tail;
        }
        let rows = &self.rows[self.pointers[begin] + W..self.pointers[begin + 1]];
        Panel {
            begin,
            triangle,
            rows,
            below,
        }
    }
}

impl<T: Copy + Into<f64>, const W: usize> Panel<'_, T, W> {
    /// The rows below the triangle and their entries.
    #[inline(always)]
    pub(super) fn below(&self) -> impl Iterator<Item = (usize, [f64; W])> {
        let mut below = self.below;
        for column in &mut below {
            *column = &column[..self.rows.len()];
        }
        let rows = self.rows.iter().enumerate();
        rows.map(
            #[inline(always)]
            move |(i, row)| {
                let mut entries = [0.0; W];
                for c in 0..W {
                    entries[c] = below[c][i].into();
                }
                (*row, entries)
            },
        )
    }
}
