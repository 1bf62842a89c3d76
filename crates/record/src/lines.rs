//! Files of one JSON object a line, appended to by a process that may be killed at any moment.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records::Stepped;
use crate::{Error, files};

/// Appends whole lines.
#[derive(Debug)]
pub(crate) struct LineWriter {
    path: PathBuf,
    file: File,
    /// Length of the whole lines.
    length: u64,
    /// A failed write left part of a line that could not be taken back.
    torn: bool,
}

impl LineWriter {
    /// Opens a file that ends in a whole line, or makes an empty one.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok(Self {
            path,
            file,
            length,
            torn: false,
        })
    }

    /// Appends one record. After an error the file is as it was before.
    pub(crate) fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        if self.torn {
            return Err(Error::Torn {
                path: self.path.clone(),
            });
        }
        let mut line = serde_json::to_vec(record).map_err(|error| Error::Argument {
            argument: "record",
            got: error.to_string(),
            expected: "convertible to JSON".to_owned(),
        })?;
        line.push(b'\n');
        // No buffer in between: what `write_all` returned from survives the end of this process.
        if let Err(error) = self.file.write_all(&line) {
            // A full disk may have taken part of the line; the next line must not be glued to it.
            self.torn = self.file.set_len(self.length).is_err();
            return Err(Error::io("append to", &self.path)(error));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Waits until the lines would survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(Error::io("write", &self.path))
    }
}

/// The records of a file, in order; made by [`RunReader`](crate::RunReader).
///
/// A last line without its line end is what a killed writer, or one at work just now, leaves: it is
/// skipped. Any other line that is not a record is an error, and the last item.
#[derive(Debug)]
pub struct Records<T> {
    path: PathBuf,
    file: BufReader<File>,
    line: usize,
    bytes: Vec<u8>,
    done: bool,
    record: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Records<T> {
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        Ok(Self {
            path,
            file: BufReader::new(file),
            line: 0,
            bytes: Vec::new(),
            done: false,
            record: PhantomData,
        })
    }

    /// The next record, whose text is then in `self.bytes`.
    fn advance(&mut self) -> Result<Option<T>, Error> {
        self.bytes.clear();
        self.file
            .read_until(b'\n', &mut self.bytes)
            .map_err(Error::io("read", &self.path))?;
        if self.bytes.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.line += 1;
        serde_json::from_slice(&self.bytes)
            .map(Some)
            .map_err(|error| Error::Line {
                path: self.path.clone(),
                line: self.line,
                reason: error.to_string(),
            })
    }
}

impl<T: DeserializeOwned> Iterator for Records<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.advance().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Errors at the first damaged line.
pub(crate) fn check<T: DeserializeOwned>(path: &Path) -> Result<(), Error> {
    Records::<T>::open(path.to_path_buf())?.try_for_each(|record| record.map(drop))
}

/// What [`keep`] found.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// The last record kept.
    pub(crate) last: Option<T>,
    /// Lines dropped, a torn one included.
    pub(crate) dropped: usize,
}

/// Drops the records after step `until` (all of them when `None`) and a torn last line, in one
/// replacement of the file. Lines that stay keep their bytes.
pub(crate) fn keep<T: DeserializeOwned + Stepped>(
    path: &Path,
    until: Option<u64>,
) -> Result<Kept<T>, Error> {
    let mut records = Records::<T>::open(path.to_path_buf())?;
    let mut text = Vec::new();
    let mut kept = Kept {
        last: None,
        dropped: 0,
    };
    while let Some(record) = records.advance()? {
        if until.is_some_and(|until| record.step() <= until) {
            text.extend_from_slice(&records.bytes);
            kept.last = Some(record);
        } else {
            kept.dropped += 1;
        }
    }
    kept.dropped += usize::from(!records.bytes.is_empty());
    if kept.dropped > 0 {
        files::replace(path, &text)?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;
    use std::fs;

    fn metric(step: u64) -> String {
        format!(
            "{{\"step\":{step},\"epoch\":0,\"wall_seconds\":0.5,\"values\":{{\"loss\":0.1,\"é\\n\":\"NaN\"}}}}\n"
        )
    }

    fn read(path: &Path) -> Result<Vec<u64>, Error> {
        Records::<Metric>::open(path.to_path_buf())?
            .map(|r| r.map(|m| m.step))
            .collect()
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_the_whole_lines_before_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text: String = (0..6).map(metric).collect();
        for cut in 0..=text.len() {
            let bytes = &text.as_bytes()[..cut];
            fs::write(&path, bytes).unwrap();
            let whole = bytes.iter().filter(|b| **b == b'\n').count() as u64;
            assert_eq!(
                read(&path).unwrap(),
                (0..whole).collect::<Vec<_>>(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_changed_byte_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text: String = (0..2).map(metric).collect();
        for at in 0..text.len() {
            for byte in [0u8, b'\n', b'"', b'}', b'9', 0xff] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = byte;
                fs::write(&path, bytes).unwrap();
                if let Err(error) = read(&path) {
                    assert!(matches!(error, Error::Line { line: 1..=3, .. }), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_torn_line_in_the_middle_is_an_error_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(
            &path,
            format!("{}{{\"step\":2,\"ep{}", metric(1), metric(3)),
        )
        .unwrap();
        let mut records = Records::<Metric>::open(path.clone()).unwrap();
        assert_eq!(records.next().unwrap().unwrap().step, 1);
        let error = records.next().unwrap().unwrap_err();
        assert!(
            matches!(&error, Error::Line { line: 2, path: p, .. } if *p == path),
            "{error}"
        );
        assert!(records.next().is_none(), "nothing follows an error");
        assert!(matches!(
            keep::<Metric>(&path, Some(9)),
            Err(Error::Line { line: 2, .. })
        ));
    }

    #[test]
    fn keeping_drops_later_steps_and_the_torn_line_and_changes_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let text: String = [1, 2, 2, 3, 4].map(metric).concat();
        // What another program would write for the same record must survive as it is.
        let text = text.replacen("0.1", "1e-1", 1);
        fs::write(&path, format!("{text}{{\"step\":5")).unwrap();
        let kept = keep::<Metric>(&path, Some(2)).unwrap();
        assert_eq!((kept.last.unwrap().step, kept.dropped), (2, 3));
        assert_eq!(read(&path).unwrap(), [1, 2, 2]);
        assert!(text.as_bytes().starts_with(&fs::read(&path).unwrap()));
        assert_eq!(keep::<Metric>(&path, Some(2)).unwrap().dropped, 0);
        assert_eq!(keep::<Metric>(&path, None).unwrap().dropped, 3);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    /// `/dev/full` refuses every write as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_failed_write_is_an_error_and_an_unmendable_one_stops_the_writer() {
        let mut writer = LineWriter::open(PathBuf::from("/dev/full")).unwrap();
        assert!(matches!(writer.append(&1), Err(Error::Io { .. })));
        assert!(matches!(writer.append(&1), Err(Error::Torn { .. })));
    }
}
