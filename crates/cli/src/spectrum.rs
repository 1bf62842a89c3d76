//! `feasible spectrum`: eigenvalues of a matrix file.

use std::process::ExitCode;

use feasible_spectrum::{DensitySettings, Selection, Settings, Wanted, read_npy, report};

use crate::args::{SpectrumArguments, Which};
use crate::{FAILED, print};

pub(crate) fn run(arguments: &SpectrumArguments) -> anyhow::Result<ExitCode> {
    let mut matrix = read_npy(&arguments.matrix)?;
    let settings = Settings {
        tolerance: arguments.tolerance,
        products: arguments.products,
        seed: arguments.seed,
        ..Settings::default()
    };
    let density = arguments.density.then(|| DensitySettings {
        seed: arguments.seed,
        ..DensitySettings::default()
    });
    let report = report(
        &mut matrix,
        selection(arguments),
        &settings,
        density.as_ref(),
    )?;
    if arguments.json {
        print(&format!("{:#}\n", report.to_json()))?;
    } else {
        print(&report.to_text())?;
    }
    Ok(if report.all_converged() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn selection(arguments: &SpectrumArguments) -> Selection {
    let count = arguments.count;
    if let Some(shift) = arguments.shift {
        return Selection::Near { shift, count };
    }
    Selection::Ends(match arguments.which {
        Which::Top => Wanted::Top(count),
        Which::Bottom => Wanted::Bottom(count),
        Which::Magnitude => Wanted::Magnitude(count),
        Which::Both => Wanted::BothEnds {
            top: count,
            bottom: count,
        },
    })
}
