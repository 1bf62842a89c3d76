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
                "variant": row.variant, "finished": row.finished, "runs": row.runs, "feasible": row.feasible,
                "failed_samples": row.failed_samples, "unreferenced_samples": row.unreferenced_samples,
                "figures": cells,
            })
        };
        let differences: Vec<Value> = self
            .differences
            .iter()
            .map(|found| json!({ "rows": found.rows, "key": found.key, "values": found.values }))
            .collect();
        let unfinished: Vec<Value> = self
            .unfinished
            .iter()
            .map(|run| json!({ "study": run.study, "run": run.run, "reason": run.reason }))
            .collect();
        json!({
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "differences": differences, "unfinished": unfinished,
        })
    }

    fn csv(&self) -> String {
        let mut header: Vec<String> = [
            "study",
            "problem",
            "method",
            "backbone",
            "variant",
            "finished",
            "runs",
            "failed_samples",
            "unreferenced_samples",
        ]
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
            fields.push(
                row.variant
                    .map_or(String::new(), |variant| variant.to_string()),
            );
            fields.extend(
                [
                    row.finished,
                    row.runs,
                    row.failed_samples,
                    row.unreferenced_samples,
                ]
                .map(|count| count.to_string()),
            );
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
    use crate::table::samples::table;

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
    fn other_formats_carry_every_row() {
        let csv = table().render(Format::Csv);
        assert_eq!(csv.lines().count(), 4);
        assert!(csv.contains("\"soft, penalty\""), "{csv}");
        assert!(
            csv.lines()
                .skip(1)
                .all(|line| line.replace("soft, penalty", "").matches(',').count() == 24)
        );
        let markdown = table().render(Format::Markdown);
        assert!(markdown.contains("| a |"), "{markdown}");
        let first = csv.lines().nth(1).unwrap();
        assert!(
            first.starts_with("s,p,\"soft, penalty\",b,,2,2,0,0,"),
            "{first}"
        );
        let json: Value = serde_json::from_str(&table().render(Format::Json)).unwrap();
        assert_eq!(json["rows"][1]["figures"]["gap_max"]["mean"], 0.5);
        assert_eq!(json["rows"][2]["failed_samples"], 5);
        assert_eq!(json["unfinished"].as_array().unwrap().len(), 1);
    }
}
