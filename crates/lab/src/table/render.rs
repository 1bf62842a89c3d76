use std::fmt::Write;

use feasible_record::Number;
use serde_json::{Value, json};

use super::{Cell, Column, Row, Table};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned text; columns that do not fit `width` characters go to a further block.
    Text {
        /// Characters a line.
        width: usize,
    },
    /// A Markdown table.
    Markdown,
    /// Comma-separated values with a header line; mean and standard deviation apart.
    Csv,
    /// A JSON document.
    Json,
}

impl Table {
    /// The table as text, with a line end.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text { width } => self.text(width),
            Format::Markdown => self.markdown(),
            Format::Csv => self.csv(),
            Format::Json => format!("{:#}\n", self.to_json()),
        }
    }

    /// The table as a JSON value; undefined means and deviations are `null`.
    pub fn to_json(&self) -> Value {
        let cell = |cell: &Cell| json!({ "mean": cell.spread.mean.map(Number), "std": cell.spread.std.map(Number), "best": cell.best });
        let row = |row: &Row| {
            let cells: serde_json::Map<String, Value> = Column::ALL
                .iter()
                .map(|column| (column.key().to_owned(), cell(row.cell(*column))))
                .collect();
            json!({
                "study": row.study, "problem": row.problem, "method": row.method, "backbone": row.backbone,
                "finished": row.finished, "runs": row.runs, "figures": cells,
            })
        };
        let unfinished: Vec<Value> = self
            .unfinished
            .iter()
            .map(|run| json!({ "study": run.study, "run": run.run, "reason": run.reason }))
            .collect();
        json!({ "rows": self.rows.iter().map(row).collect::<Vec<_>>(), "unfinished": unfinished })
    }

    fn cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let several =
            |of: fn(&Row) -> &String| self.rows.iter().any(|row| of(row) != of(&self.rows[0]));
        type Label = (&'static str, fn(&Row) -> &String);
        let labels: [Label; 4] = [
            ("study", |row| &row.study),
            ("problem", |row| &row.problem),
            ("backbone", |row| &row.backbone),
            ("method", |row| &row.method),
        ];
        let labels: Vec<Label> = labels
            .into_iter()
            .filter(|(name, of)| *name == "method" || several(*of))
            .collect();
        let mut header: Vec<String> = labels.iter().map(|(name, _)| (*name).to_owned()).collect();
        header.push("seeds".to_owned());
        header.extend(Column::ALL.iter().map(|column| column.heading().to_owned()));
        let rows = self.rows.iter().map(|row| {
            let mut cells: Vec<String> = labels.iter().map(|(_, of)| printable(of(row))).collect();
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

    fn text(&self, width: usize) -> String {
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
            text.push_str("mean ± standard deviation over seeds; * best (gap, objective: among rows feasible to 1e-4)\n");
        }
        self.list_unfinished(&mut text);
        text
    }

    fn markdown(&self) -> String {
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
            text.push_str("\nMean ± standard deviation over seeds; \\* best (gap, objective: among rows feasible to 1e-4).\n");
        }
        self.list_unfinished(&mut text);
        text
    }

    fn list_unfinished(&self, text: &mut String) {
        if self.unfinished.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nNot in the table:\n");
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

    fn csv(&self) -> String {
        let mut header: Vec<String> =
            ["study", "problem", "method", "backbone", "finished", "runs"]
                .map(str::to_owned)
                .to_vec();
        for column in Column::ALL {
            header.extend([
                format!("{}_mean", column.key()),
                format!("{}_std", column.key()),
            ]);
        }
        let mut text = header.join(",") + "\n";
        for row in &self.rows {
            let mut fields: Vec<String> = [&row.study, &row.problem, &row.method, &row.backbone]
                .map(|label| quoted(label))
                .to_vec();
            fields.extend([row.finished.to_string(), row.runs.to_string()]);
            for cell in &row.cells {
                // Empty where undefined.
                fields.extend(
                    [cell.spread.mean, cell.spread.std]
                        .map(|v| v.map_or(String::new(), |v| v.to_string())),
                );
            }
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
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

/// Three significant digits.
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

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Unfinished, mark_best};
    use feasible_record::summary::Spread;

    fn row(method: &str, values: [f64; 8]) -> Row {
        let cell = |v: f64| Cell {
            spread: Spread::of(&[Some(v), Some(v + 0.5 * v.abs())]),
            best: false,
        };
        Row {
            study: "s".into(),
            problem: "p".into(),
            method: method.into(),
            backbone: "b".into(),
            finished: 2,
            runs: 2,
            cells: values.map(cell).to_vec(),
        }
    }

    fn table() -> Table {
        let mut rows = vec![
            row(
                "soft, penalty",
                [-3.0, 1e-16, 0.8, 2.0, 0.3, -20.0, 0.1, 0.01],
            ),
            row("a", [0.4, 0.1, 0.0, 0.0, 1e-9, -11.0, 1.0, 0.1]),
            row("b", [0.3, 0.2, 0.0, 0.0, 1e-7, -12.0, 2.0, 0.1]),
        ];
        mark_best(&mut rows);
        Table {
            rows,
            unfinished: vec![Unfinished {
                study: "s".into(),
                run: "r".into(),
                reason: "diverged at step 3\u{1b}[31m".into(),
            }],
        }
    }

    #[test]
    fn an_infeasible_row_never_wins_the_gap() {
        let table = table();
        let best = |column| {
            table
                .rows
                .iter()
                .filter(|row| row.cell(column).best)
                .map(|row| row.method.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(best(Column::GapMax), ["b"]);
        assert_eq!(best(Column::GapGmean), ["a"]);
        assert_eq!(best(Column::Objective), ["b"]);
        assert_eq!(best(Column::InequalityMax), ["a", "b"]);
        assert_eq!(best(Column::EpochSeconds), ["soft, penalty"]);
    }

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
    fn other_formats_carry_every_row() {
        let csv = table().render(Format::Csv);
        assert_eq!(csv.lines().count(), 4);
        assert!(csv.contains("\"soft, penalty\""), "{csv}");
        assert!(
            csv.lines()
                .skip(1)
                .all(|line| line.replace("soft, penalty", "").matches(',').count() == 21)
        );
        let markdown = table().render(Format::Markdown);
        assert!(markdown.contains("| a |"), "{markdown}");
        let json: Value = serde_json::from_str(&table().render(Format::Json)).unwrap();
        assert_eq!(json["rows"][1]["figures"]["gap_max"]["mean"], 0.5);
        assert_eq!(json["unfinished"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.12345, "0.123"),
            (-12.345, "-12.3"),
            (1234.5, "1234"),
            (1e-9, "1.00e-9"),
            (0.0016, "0.00160"),
            (123456.0, "1.23e5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
