use feasible_data::{FsNetFamily, Piecewise, Recipe, Size};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// A published family of problems and the size and seed of its instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct ProblemConfig {
    /// Its name in tables; recipe and sizes when absent.
    pub name: Option<String>,
    /// The family and what its instance is drawn with.
    pub family: ProblemFamily,
}

/// A family of problems with the numbers that decide an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProblemFamily {
    /// Quadratic programs and their relatives, in many variables.
    Program {
        /// `dc3-simple`, `dc3-nonconvex`, `snare-noncvx` or `snare-qcqp`.
        recipe: Recipe,
        /// The dimensions. Default as published.
        size: Size,
        /// Seed of the instance; the published one where absent.
        seed: Option<u32>,
        /// Decades by which the units of the rows differ either way; none where absent. See
        /// [`PublishedProblem::with_row_decades`](feasible_data::PublishedProblem::with_row_decades).
        row_decades: Option<f64>,
    },
    /// HardNet's one-dimensional fits.
    Piecewise {
        /// `hardnet-pwc`, `hardnet-pwcbox` or `hardnet-pwcfull`.
        recipe: Piecewise,
        /// Training inputs. Default as published.
        samples: usize,
        /// Seed of the inputs; the published one where absent.
        seed: Option<u32>,
    },
    /// FSNet's programs, with a box around the variables.
    FsNet {
        /// `fsnet-convex-qp` and so on.
        family: FsNetFamily,
        /// The dimensions. Default as published.
        size: Size,
        /// Seed of the instance; the published one where absent.
        seed: Option<u32>,
    },
}

/// A `[problem]` table as written: one for all families, so that the parser names an unknown key and
/// its line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    recipe: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variables: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equalities: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inequalities: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    samples: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row_decades: Option<f64>,
}

/// The recipes of all families.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Dc3Simple,
    Dc3Nonconvex,
    SnareNoncvx,
    SnareQcqp,
    HardnetPwc,
    HardnetPwcbox,
    HardnetPwcfull,
    FsnetConvexQp,
    FsnetConvexQcqp,
    FsnetConvexSocp,
    FsnetNonconvexQp,
    FsnetNonconvexQcqp,
    FsnetNonconvexSocp,
}

impl Name {
    fn of(family: &ProblemFamily) -> Self {
        match family {
            ProblemFamily::Program { recipe, .. } => match recipe {
                Recipe::Dc3Simple => Self::Dc3Simple,
                Recipe::Dc3Nonconvex => Self::Dc3Nonconvex,
                Recipe::SnareNoncvx => Self::SnareNoncvx,
                Recipe::SnareQcqp => Self::SnareQcqp,
            },
            ProblemFamily::Piecewise { recipe, .. } => match recipe {
                Piecewise::HardnetPwc => Self::HardnetPwc,
                Piecewise::HardnetPwcbox => Self::HardnetPwcbox,
                Piecewise::HardnetPwcfull => Self::HardnetPwcfull,
            },
            ProblemFamily::FsNet { family, .. } => match family {
                FsNetFamily::FsnetConvexQp => Self::FsnetConvexQp,
                FsNetFamily::FsnetConvexQcqp => Self::FsnetConvexQcqp,
                FsNetFamily::FsnetConvexSocp => Self::FsnetConvexSocp,
                FsNetFamily::FsnetNonconvexQp => Self::FsnetNonconvexQp,
                FsNetFamily::FsnetNonconvexQcqp => Self::FsnetNonconvexQcqp,
                FsNetFamily::FsnetNonconvexSocp => Self::FsnetNonconvexSocp,
            },
        }
    }
}

impl TryFrom<Table> for ProblemConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let (published, seed) = (Size::default(), table.seed);
        let size = Size {
            n: table.variables.unwrap_or(published.n),
            eq: table.equalities.unwrap_or(published.eq),
            ineq: table.inequalities.unwrap_or(published.ineq),
            samples: table.samples.unwrap_or(published.samples),
        };
        let program = |recipe| {
            Ok(ProblemFamily::Program {
                recipe,
                size,
                seed,
                row_decades: table.row_decades,
            })
        };
        let fsnet = |family: FsNetFamily| match table.row_decades {
            None => Ok(ProblemFamily::FsNet { family, size, seed }),
            Some(_) => Err(format!(
                "`row_decades` does not apply to recipe \"{}\", whose settings are variables, \
                 equalities, inequalities, samples, seed",
                family.name()
            )),
        };
        let piecewise = |recipe: Piecewise| {
            let sizes = [
                ("row_decades", table.row_decades.map(|_| 0)),
                ("variables", table.variables),
                ("equalities", table.equalities),
                ("inequalities", table.inequalities),
            ];
            match sizes.iter().find(|(_, given)| given.is_some()) {
                Some((key, _)) => Err(format!(
                    "`{key}` does not apply to recipe \"{recipe}\", whose settings are samples, seed"
                )),
                None => Ok(ProblemFamily::Piecewise {
                    recipe,
                    samples: table.samples.unwrap_or(recipe.published_samples()),
                    seed: table.seed,
                }),
            }
        };
        let family = match table.recipe {
            Name::Dc3Simple => program(Recipe::Dc3Simple),
            Name::Dc3Nonconvex => program(Recipe::Dc3Nonconvex),
            Name::SnareNoncvx => program(Recipe::SnareNoncvx),
            Name::SnareQcqp => program(Recipe::SnareQcqp),
            Name::HardnetPwc => piecewise(Piecewise::HardnetPwc),
            Name::HardnetPwcbox => piecewise(Piecewise::HardnetPwcbox),
            Name::HardnetPwcfull => piecewise(Piecewise::HardnetPwcfull),
            Name::FsnetConvexQp => fsnet(FsNetFamily::FsnetConvexQp),
            Name::FsnetConvexQcqp => fsnet(FsNetFamily::FsnetConvexQcqp),
            Name::FsnetConvexSocp => fsnet(FsNetFamily::FsnetConvexSocp),
            Name::FsnetNonconvexQp => fsnet(FsNetFamily::FsnetNonconvexQp),
            Name::FsnetNonconvexQcqp => fsnet(FsNetFamily::FsnetNonconvexQcqp),
            Name::FsnetNonconvexSocp => fsnet(FsNetFamily::FsnetNonconvexSocp),
        }?;
        Ok(Self {
            name: table.name,
            family,
        })
    }
}

impl From<ProblemConfig> for Table {
    fn from(problem: ProblemConfig) -> Self {
        let recipe = Name::of(&problem.family);
        let (size, samples, seed) = match problem.family {
            ProblemFamily::Program { size, seed, .. } | ProblemFamily::FsNet { size, seed, .. } => {
                (Some(size), size.samples, seed)
            }
            ProblemFamily::Piecewise { samples, seed, .. } => (None, samples, seed),
        };
        let row_decades = match problem.family {
            ProblemFamily::Program { row_decades, .. } => row_decades,
            _ => None,
        };
        Self {
            name: problem.name,
            recipe,
            variables: size.map(|size| size.n),
            equalities: size.map(|size| size.eq),
            inequalities: size.map(|size| size.ineq),
            samples: Some(samples),
            seed,
            row_decades,
        }
    }
}

/// The problem of a run, as `run.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunProblem {
    /// A published one.
    Published(ProblemConfig),
    /// One's own.
    Own(OwnProblem),
}

/// A [`Problem`](feasible_data::Problem) of one's own, as far as run folders and tables describe it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnProblem {
    /// Its name in tables and, made plain, in folder names.
    pub name: String,
    /// What decides its numbers, such as size and seed: any JSON. A run is gone on with only if
    /// this is what it was.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub settings: Value,
}

impl RunProblem {
    /// A problem of one's own.
    pub fn own(name: impl Into<String>, settings: Value) -> Self {
        Self::Own(OwnProblem {
            name: name.into(),
            settings,
        })
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> String {
        match self {
            Self::Published(problem) => problem.label(),
            Self::Own(problem) => problem.name.clone(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Published(problem) => problem.validate(),
            Self::Own(_) => Ok(()),
        }
    }
}

impl From<ProblemConfig> for RunProblem {
    fn from(problem: ProblemConfig) -> Self {
        Self::Published(problem)
    }
}

impl ProblemConfig {
    /// The instance's seed: the one given, or the published one.
    pub fn published_seed(&self) -> u32 {
        match self.family {
            ProblemFamily::Program { recipe, seed, .. } => {
                seed.unwrap_or_else(|| recipe.published_seed())
            }
            ProblemFamily::Piecewise { seed, .. } => seed.unwrap_or(Piecewise::PUBLISHED_SEED),
            ProblemFamily::FsNet { seed, .. } => seed.unwrap_or(FsNetFamily::PUBLISHED_SEED),
        }
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> String {
        let sized = |name: &str, size: Size| {
            let Size { n, eq, ineq, .. } = size;
            format!("{name} {n}/{eq}/{ineq}")
        };
        self.name.clone().unwrap_or_else(|| match self.family {
            ProblemFamily::Program {
                recipe,
                size,
                row_decades,
                ..
            } => {
                let name = sized(recipe.name(), size);
                match row_decades {
                    None => name,
                    Some(decades) => format!("{name} rows over {decades} decades"),
                }
            }
            ProblemFamily::FsNet { family, size, .. } => sized(family.name(), size),
            ProblemFamily::Piecewise { recipe, .. } => recipe.to_string(),
        })
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let in_own_words = |error| match error {
            feasible_data::Error::Size { .. } => {
                Error::value("problem", error, "a size that an instance can have")
            }
            other => other.into(),
        };
        match self.family {
            ProblemFamily::Program {
                size, row_decades, ..
            } => {
                if let Some(decades) = row_decades.filter(|d| !(*d > 0.0 && *d <= 6.0)) {
                    return Err(Error::value(
                        "problem.row_decades",
                        decades,
                        "above 0 and at most 6",
                    ));
                }
                size.validate().map_err(in_own_words)
            }
            ProblemFamily::FsNet { family, size, .. } => {
                family.validate(&size).map_err(in_own_words)
            }
            ProblemFamily::Piecewise { samples, .. } if samples < 2 => {
                Err(Error::value("problem.samples", samples, "at least 2"))
            }
            ProblemFamily::Piecewise { .. } => Ok(()),
        }
    }
}
