//! The table for people: aligned text and Markdown.

use std::fmt::Write;

use super::{Cell, Column, Row, Table};

/// A kind of label: its heading, and how a row has it.
type Label = (&'static str, fn(&Row) -> String);

const BEST: &str = "best (gap, objective: among rows feasible to 1e-4 in every seed)";

impl Table {
    /// The labels that tell rows apart.
    fn labels(&self) -> Vec<Label> {
        let all: [Label; 4] = [
            ("study", |row| printable(&row.study)),
            ("problem", |row| printable(&row.problem)),
            ("backbone", |row| printable(&row.backbone)),
            ("method", |row| match row.variant {
                Some(variant) => format!("{} ({variant})", printable(&row.method)),
                None => printable(&row.method),
            }),
        ];
        let several =
            |of: fn(&Row) -> String| self.rows.iter().any(|row| of(row) != of(&self.rows[0]));
        all.into_iter()
            .filter(|(name, of)| *name == "method" || several(*of))
            .collect()
    }

    fn name(&self, row: &Row) -> String {
        let labels: Vec<String> = self.labels().iter().map(|(_, of)| of(row)).collect();
        labels.join(", ")
    }

    fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let labels = self.labels();
        let mut header: Vec<String> = labels.iter().map(|(name, _)| (*name).to_owned()).collect();
        header.push("seeds".to_owned());
        header.extend(Column::ALL.iter().map(|column| column.heading().to_owned()));
        let rows = self.rows.iter().map(|row| {
            let mut cells: Vec<String> = labels.iter().map(|(_, of)| of(row)).collect();
            cells.push(if row.finished == row.runs {
                row.runs.to_string()
            } else {
                format!("{} of {}", row.finished, row.runs)
            });
            cells.extend(row.cells.iter().map(words));
            cells
        });
        (header, rows.collect())
    }

    pub(super) fn text(&self, width: usize) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            let (header, rows) = self.cells();
            let labels = header.len() - Column::ALL.len() - 1;
            let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(&rows).collect();
            let widths: Vec<usize> = (0..header.len())
                .map(|column| {
                    lines
                        .iter()
                        .map(|line| line[column].chars().count())
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            for block in blocks(&widths, labels, width) {
                for (index, line) in lines.iter().enumerate() {
                    let padded = block.iter().map(|&column| {
                        let missing = " ".repeat(widths[column] - line[column].chars().count());
                        // Words to the left, figures to the right.
                        if column < labels {
                            format!("{}{missing}", line[column])
                        } else {
                            format!("{missing}{}", line[column])
                        }
                    });
                    let padded: Vec<String> = padded.collect();
                    let _ = writeln!(text, "{}", padded.join("  ").trim_end());
                    if index == 0 {
                        let rules: Vec<String> = block
                            .iter()
                            .map(|&column| "-".repeat(widths[column]))
                            .collect();
                        let _ = writeln!(text, "{}", rules.join("  "));
                    }
                }
                text.push('\n');
            }
            let _ = writeln!(text, "mean ± standard deviation over seeds; * {BEST}");
            for note in self.notes() {
                let _ = writeln!(text, "{note}");
            }
        }
        self.list_unfinished(&mut text);
        text
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            let (header, rows) = self.cells();
            let line = |cells: &[String]| {
                let cells: Vec<String> =
                    cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                format!("| {} |\n", cells.join(" | "))
            };
            text.push_str(&line(&header));
            let labels = header.len() - Column::ALL.len() - 1;
            let rules: Vec<String> = (0..header.len())
                .map(|column| if column < labels { "---" } else { "---:" }.to_owned())
                .collect();
            text.push_str(&line(&rules));
            for row in &rows {
                text.push_str(&line(row));
            }
            let _ = writeln!(text, "\nMean ± standard deviation over seeds; \\* {BEST}.");
            for note in self.notes() {
                let _ = writeln!(text, "\n{note}");
            }
        }
        self.list_unfinished(&mut text);
        text
    }

    /// What the figures do not show.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for found in &self.differences {
            let rows = found.rows.iter().filter_map(|&row| self.rows.get(row));
            let names: Vec<String> = rows.map(|row| self.name(row)).collect();
            notes.push(format!(
                "{} differ in {}: {}",
                names.join(" / "),
                printable(&found.key),
                printable(&found.values.join(" / "))
            ));
        }
        for row in &self.rows {
            if row.failed_samples > 0 {
                notes.push(format!(
                    "{}: the layer did not converge for {} test samples, over all seeds",
                    self.name(row),
                    row.failed_samples
                ));
            }
            if row.unreferenced_samples > 0 {
                notes.push(format!(
                    "{}: gaps leave out {} test samples, which have no reference optimum",
                    self.name(row),
                    row.unreferenced_samples
                ));
            }
        }
        notes
    }

    fn list_unfinished(&self, text: &mut String) {
        if self.unfinished.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\nNot finished; a run that diverged or failed makes its row undefined:\n"
        );
        for run in &self.unfinished {
            let name = [run.study.as_str(), run.run.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/");
            let separator = if name.is_empty() { "" } else { ": " };
            let _ = writeln!(
                text,
                "- {}{separator}{}",
                printable(&name),
                printable(&run.reason)
            );
        }
    }
}

/// Which columns go side by side: the labels in every block, as many others as fit, at least one.
fn blocks(widths: &[usize], labels: usize, width: usize) -> Vec<Vec<usize>> {
    let label_width: usize = widths[..labels].iter().map(|w| w + 2).sum();
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    let mut used = 0;
    for column in labels..widths.len() {
        let fits = used + widths[column] <= width;
        match blocks.last_mut() {
            Some(block) if fits => block.push(column),
            _ => {
                blocks.push((0..labels).chain([column]).collect());
                used = label_width;
            }
        }
        used += widths[column] + 2;
    }
    blocks
}

fn words(cell: &Cell) -> String {
    let mark = if cell.best { "*" } else { "" };
    match (cell.spread.mean, cell.spread.std) {
        (None, _) => "undefined".to_owned(),
        (Some(mean), None) => format!("{}{mark}", number(mean)),
        (Some(mean), Some(std)) => format!("{} ± {}{mark}", number(mean), number(std)),
    }
}

/// At least three significant digits: what is below 10,000 and above 1,000 is written as a whole number.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !value.is_finite() {
        value.to_string()
    } else if (1e-3..1e4).contains(&size) {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

/// Names come from files: what could steer a terminal is replaced.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::table::Difference;
    use crate::table::samples::table;

    #[test]
    fn text_fits_the_width_and_repeats_the_labels() {
        for width in [20, 60, 80, 200] {
            let text = table().render(Format::Text { width });
            let body = text.split("mean ±").next().unwrap();
            let widest = body.lines().map(|line| line.chars().count()).max().unwrap();
            // At least one figure beside the labels, however narrow.
            assert!(widest <= width.max(40), "{width}: {widest}\n{text}");
            assert_eq!(
                body.matches("soft, penalty").count(),
                body.matches("method").count()
            );
            assert!(
                text.contains("s/r: diverged at step 3\u{fffd}[31m"),
                "{text}"
            );
        }
        assert_eq!(
            table()
                .render(Format::Text { width: 200 })
                .matches("method")
                .count(),
            1
        );
    }

    #[test]
    fn numbers_have_at_least_three_significant_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.12345, "0.123"),
            (-12.345, "-12.3"),
            (999.4, "999"),
            (1234.4, "1234"),
            (9999.0, "9999"),
            (12345.0, "1.23e4"),
            (1e-9, "1.00e-9"),
            (0.0016, "0.00160"),
            (123456.0, "1.23e5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn what_the_figures_do_not_show_is_said_below_them() {
        let mut table = table();
        table.rows[0].method = "b".into();
        (table.rows[0].variant, table.rows[2].variant) = (Some(1), Some(2));
        table.rows[0].unreferenced_samples = 7;
        table.differences.push(Difference {
            rows: vec![0, 2],
            key: "training.epochs".into(),
            values: vec!["1".into(), "2".into()],
        });
        for format in [Format::Text { width: 80 }, Format::Markdown] {
            let text = table.render(format);
            for expected in [
                "b (1) / b (2) differ in training.epochs: 1 / 2\n",
                "b (2): the layer did not converge for 5 test samples",
                "b (1): gaps leave out 7 test samples",
            ] {
                assert!(text.contains(expected), "{text}\nshould contain {expected}");
            }
        }
    }
}
