//! `feasible table`.

use console::Term;
use feasible_lab::{Format, Table};

use crate::args::{TableArguments, TableFormat};
use crate::print;

pub(crate) fn run(arguments: &TableArguments) -> anyhow::Result<()> {
    let format = match arguments.format {
        _ if arguments.json => Format::Json,
        TableFormat::Text => text(),
        TableFormat::Markdown => Format::Markdown,
        TableFormat::Csv => Format::Csv,
        TableFormat::Json => Format::Json,
    };
    let table = Table::read(&arguments.runs)?;
    print(&table.render(format))?;
    Ok(())
}

/// Text as wide as the terminal; unbroken lines for a file or a pipe.
pub(crate) fn text() -> Format {
    let terminal = Term::stdout().size_checked();
    Format::Text {
        width: terminal.map_or(usize::MAX, |(_, columns)| usize::from(columns)),
    }
}
