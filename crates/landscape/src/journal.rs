//! The rows of a scan that is under way, on disk.
//!
//! One line a row, appended whole: a killed scan leaves at most one torn line, the last. Numbers are
//! their bits in hexadecimal, so that they come back exactly, NaN's payload included. The first line
//! says which scan it is; a file of another scan is refused, not overwritten.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::axis::Axes;
use crate::error::Error;

/// A scan's file, open for further rows.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

/// A row read back: its index and, for each quantity, its values.
pub(crate) type Row = (usize, Vec<Vec<f64>>);

const MAGIC: &str = "feasible landscape scan 1";

/// 64-bit FNV-1a: finds torn and foreign files, not forged ones.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn header(axes: &Axes, names: &[&str], key: &str) -> String {
    let mut bytes = Vec::new();
    for axis in [Some(&axes.a), axes.b.as_ref()] {
        let coordinates = axis.map_or(&[][..], |a| a.coordinates());
        bytes.extend((coordinates.len() as u64).to_le_bytes());
        bytes.extend(coordinates.iter().flat_map(|c| c.to_bits().to_le_bytes()));
    }
    for name in names {
        bytes.extend(name.as_bytes());
        bytes.push(0);
    }
    bytes.extend(key.as_bytes());
    format!("{MAGIC} {:016x}", fingerprint(&bytes))
}

impl Journal {
    /// Opens the file, or creates it, and reads the rows it has.
    pub(crate) fn open(
        path: &Path,
        axes: &Axes,
        names: &[&str],
        key: &str,
    ) -> Result<(Self, Vec<Row>), Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(Error::io("read", path))?;
        let header = header(axes, names, key);
        // What follows the last line end is torn.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let damaged = |problem: String| Error::File {
            path: path.to_owned(),
            problem,
        };
        let text = std::str::from_utf8(&bytes[..whole])
            .map_err(|e| damaged(format!("is not text ({e}); remove it to start over")))?;
        let mut lines = text.lines();
        let mut rows = Vec::new();
        match lines.next() {
            Some(found) if found == header => {}
            Some(found) if found.starts_with(MAGIC) => {
                return Err(damaged(
                    "is of a scan with other axes, quantities or parameters; remove it to start over"
                        .to_owned(),
                ));
            }
            None if bytes.len() <= header.len() && header.as_bytes().starts_with(&bytes) => {}
            _ => return Err(damaged("is not a scan's file".to_owned())),
        }
        for (index, line) in lines.enumerate() {
            let row = parse(line, axes, names.len()).ok_or_else(|| {
                damaged(format!(
                    "line {} is damaged; remove the file to start over",
                    index + 2
                ))
            })?;
            rows.push(row);
        }
        file.set_len(whole as u64)
            .map_err(Error::io("write", path))?;
        file.seek(SeekFrom::End(0))
            .map_err(Error::io("read", path))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
        };
        if whole == 0 {
            journal.line(&header)?;
        }
        Ok((journal, rows))
    }

    /// Appends a row.
    pub(crate) fn append(&mut self, row: usize, values: &[Vec<f64>]) -> Result<(), Error> {
        let mut body = format!("{row}");
        for quantity in values {
            body.push(' ');
            for v in quantity {
                body.push_str(&format!("{:016x}", v.to_bits()));
            }
        }
        let sum = fingerprint(body.as_bytes());
        self.line(&format!("{body} {sum:016x}"))
    }

    fn line(&mut self, text: &str) -> Result<(), Error> {
        // One write, so that other readers see whole lines.
        self.file
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| self.file.flush())
            .map_err(Error::io("write", &self.path))
    }

    /// Removes the file, once what it holds is elsewhere.
    pub(crate) fn remove(path: &Path) -> Result<(), Error> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(Error::io("remove", path)),
        }
    }
}

fn parse(line: &str, axes: &Axes, quantities: usize) -> Option<Row> {
    let (body, sum) = line.rsplit_once(' ')?;
    if u64::from_str_radix(sum, 16).ok()? != fingerprint(body.as_bytes()) {
        return None;
    }
    let mut words = body.split(' ');
    let row: usize = words.next()?.parse().ok()?;
    let width = if axes.b.is_some() { axes.a.points() } else { 1 };
    let values: Vec<Vec<f64>> = words
        .map(|word| {
            (0..word.len() / 16)
                .map(|i| {
                    let digits = word.get(16 * i..16 * (i + 1))?;
                    u64::from_str_radix(digits, 16).ok().map(f64::from_bits)
                })
                .collect::<Option<Vec<f64>>>()
        })
        .collect::<Option<_>>()?;
    let fits =
        row < axes.rows() && values.len() == quantities && values.iter().all(|v| v.len() == width);
    fits.then_some((row, values))
}
