//! Pose graphs in the text format of g2o.
//!
//! One element a line, words separated by blanks; `#` begins a comment line:
//!
//! | line | words after it |
//! |---|---|
//! | `VERTEX_SE2` | id, `x y θ` |
//! | `EDGE_SE2` | ids from and to, `x y θ`, the 6 numbers of the information's upper triangle, row by row |
//! | `VERTEX_SE3:QUAT` | id, `x y z`, quaternion `x y z w` |
//! | `EDGE_SE3:QUAT` | ids from and to, `x y z`, quaternion `x y z w`, the 21 numbers of the upper triangle |
//! | `FIX` | ids |
//!
//! Information matrices are in the tangent order of [`groups`](crate::groups): translation, then rotation. g2o
//! itself weighs the vector part of a quaternion in three dimensions, half a rotation vector at small angles; other
//! programs, and this reader, take the matrix as one of rotation vectors.
//!
//! Format: R. Kümmerle et al., *g2o: A general framework for graph optimization*, ICRA 2011, and its wiki page
//! "File Format".

use std::collections::HashMap;
use std::fmt::Debug;

use crate::groups::{LieGroup, Matrix, Se2, Se3, So3};

/// What a file holds: a graph of the plane or one of space.
#[derive(Clone, Debug)]
pub enum Graph {
    /// Poses of the plane.
    Planar(PoseGraph<Se2<f64>, 3>),
    /// Poses of space.
    Spatial(PoseGraph<Se3<f64>, 6>),
}

/// Poses, and measurements of one relative to another.
#[derive(Clone, Debug)]
pub struct PoseGraph<G, const D: usize> {
    /// The ids of the file, in its order.
    pub ids: Vec<u64>,
    /// The poses, in the same order.
    pub poses: Vec<G>,
    /// The measurements.
    pub edges: Vec<Edge<G, D>>,
    /// Indices of the poses that `FIX` names.
    pub fixed: Vec<usize>,
}

/// A measurement of pose `to` in the frame of pose `from`.
#[derive(Clone, Debug)]
pub struct Edge<G, const D: usize> {
    /// Index of the pose measured from.
    pub from: usize,
    /// Index of the pose measured.
    pub to: usize,
    /// `from⁻¹ ∘ to`, as measured.
    pub measured: G,
    /// The upper triangular `U` with `UᵀU` the information: the weight of the residual.
    pub root_information: Matrix<f64, D, D>,
}

/// Why a text is no pose graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Error {
    /// Counted from one.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// An element that this reader does not know. It is not skipped: a constraint would go missing unseen.
    #[error(
        "no element is called `{0}`; known are VERTEX_SE2, EDGE_SE2, VERTEX_SE3:QUAT, EDGE_SE3:QUAT and FIX"
    )]
    Element(String),
    /// Too few or too many words.
    #[error("{got} words follow the element's name but must be {expected}")]
    Length {
        /// Words found.
        got: usize,
        /// Words needed.
        expected: usize,
    },
    /// A word that is no finite number, or no id.
    #[error("`{0}` is no finite number")]
    Number(String),
    /// A word that is no whole number of 64 bits.
    #[error("`{0}` is no id")]
    Id(String),
    /// The quaternion of a rotation is zero.
    #[error("the quaternion is zero")]
    Quaternion,
    /// The information matrix has no Cholesky factor.
    #[error("the information matrix is not positive definite")]
    Information,
    /// Two vertices of one id.
    #[error("vertex {0} is there already")]
    Twice(u64),
    /// An edge or `FIX` of a vertex that the text does not hold.
    #[error("there is no vertex {0}")]
    Missing(u64),
    /// An edge from a vertex to itself.
    #[error("the edge joins vertex {0} with itself")]
    Loop(u64),
    /// Elements of the plane and of space.
    #[error("elements of the plane and of space do not mix")]
    Mixed,
}

/// The poses the format knows.
trait Pose<const D: usize>: LieGroup<f64, D> + Debug {
    const VERTEX: &'static str;
    const EDGE: &'static str;
    /// Numbers of a pose in the format.
    const WORDS: usize;
    fn parse(words: &[f64]) -> Result<Self, Problem>;
}

impl Pose<3> for Se2<f64> {
    const VERTEX: &'static str = "VERTEX_SE2";
    const EDGE: &'static str = "EDGE_SE2";
    const WORDS: usize = 3;

    fn parse(words: &[f64]) -> Result<Self, Problem> {
        Ok(Se2::new(words[0], words[1], words[2]))
    }
}

impl Pose<6> for Se3<f64> {
    const VERTEX: &'static str = "VERTEX_SE3:QUAT";
    const EDGE: &'static str = "EDGE_SE3:QUAT";
    const WORDS: usize = 7;

    fn parse(words: &[f64]) -> Result<Self, Problem> {
        let largest = words[3..].iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if largest == 0.0 {
            return Err(Problem::Quaternion);
        }
        // Scaled first: the square of a tiny or huge quaternion would leave the range of numbers.
        let q = |i: usize| words[3 + i] / largest;
        let rotation = So3 {
            w: q(3),
            v: [q(0), q(1), q(2)],
        };
        Ok(Se3 {
            rotation: rotation.normalised(),
            translation: [words[0], words[1], words[2]],
        })
    }
}

/// Reads a graph.
///
/// # Errors
/// The first line that is wrong, and how. Vertices may follow the edges that name them.
pub fn parse(text: &str) -> Result<Graph, Error> {
    let planar = |name: &str| name == Se2::VERTEX || name == Se2::EDGE;
    let names = elements(text).map(|(_, name, _)| name);
    if names
        .into_iter()
        .find(|name| *name != "FIX")
        .is_some_and(planar)
    {
        read::<Se2<f64>, 3>(text, &[Se3::VERTEX, Se3::EDGE]).map(Graph::Planar)
    } else {
        read::<Se3<f64>, 6>(text, &[Se2::VERTEX, Se2::EDGE]).map(Graph::Spatial)
    }
}

/// Line numbers, names and words of the lines that hold elements.
fn elements(text: &str) -> impl Iterator<Item = (usize, &str, Vec<&str>)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| !name.starts_with('#'))?;
        Some((index + 1, name, words.collect()))
    })
}

fn id(word: &str) -> Result<u64, Problem> {
    word.parse().map_err(|_| Problem::Id(word.to_owned()))
}

fn numbers(words: &[&str]) -> Result<Vec<f64>, Problem> {
    let number = |word: &&str| match word.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Problem::Number((*word).to_owned())),
    };
    words.iter().map(number).collect()
}

fn expect(words: &[&str], expected: usize) -> Result<(), Problem> {
    let got = words.len();
    if got == expected {
        Ok(())
    } else {
        Err(Problem::Length { got, expected })
    }
}

/// An edge whose vertices are ids still.
type Pending<G, const D: usize> = (usize, [u64; 2], G, Matrix<f64, D, D>);

fn parse_edge<G: Pose<D>, const D: usize>(
    line: usize,
    words: &[&str],
) -> Result<Pending<G, D>, Problem> {
    expect(words, 2 + G::WORDS + D * (D + 1) / 2)?;
    let ends = [id(words[0])?, id(words[1])?];
    if ends[0] == ends[1] {
        return Err(Problem::Loop(ends[0]));
    }
    let values = numbers(&words[2..])?;
    let (pose, triangle) = values.split_at(G::WORDS);
    let root = root(triangle).ok_or(Problem::Information)?;
    Ok((line, ends, G::parse(pose)?, root))
}

/// `U` with `UᵀU` the matrix of the upper triangle `triangle`.
fn root<const D: usize>(triangle: &[f64]) -> Option<Matrix<f64, D, D>> {
    let mut u = [[0.0; D]; D];
    let mut entries = triangle.iter();
    for i in 0..D {
        for j in i..D {
            let above: f64 = (0..i).map(|k| u[k][i] * u[k][j]).sum();
            let rest = entries.next()? - above;
            if i == j {
                // A NaN is not positive either.
                if !(rest > 0.0) {
                    return None;
                }
                u[i][i] = rest.sqrt();
            } else {
                u[i][j] = rest / u[i][i];
            }
        }
    }
    Some(u)
}

fn read<G: Pose<D>, const D: usize>(text: &str, other: &[&str]) -> Result<PoseGraph<G, D>, Error> {
    let mut graph = PoseGraph {
        ids: Vec::new(),
        poses: Vec::new(),
        edges: Vec::new(),
        fixed: Vec::new(),
    };
    let mut places = HashMap::new();
    let mut pending: Vec<Pending<G, D>> = Vec::new();
    let mut fixed = Vec::new();
    for (line, name, words) in elements(text) {
        let mut element = || {
            if name == G::VERTEX {
                expect(&words, 1 + G::WORDS)?;
                let id = id(words[0])?;
                if places.insert(id, graph.ids.len()).is_some() {
                    return Err(Problem::Twice(id));
                }
                graph.ids.push(id);
                graph.poses.push(G::parse(&numbers(&words[1..])?)?);
            } else if name == G::EDGE {
                pending.push(parse_edge(line, &words)?);
            } else if name == "FIX" {
                for word in &words {
                    fixed.push((line, id(word)?));
                }
            } else if other.contains(&name) {
                return Err(Problem::Mixed);
            } else {
                return Err(Problem::Element(name.to_owned()));
            }
            Ok(())
        };
        element().map_err(|problem| Error { line, problem })?;
    }
    let place = |line: usize, id: u64| {
        places.get(&id).copied().ok_or(Error {
            line,
            problem: Problem::Missing(id),
        })
    };
    for (line, ends, measured, root_information) in pending {
        graph.edges.push(Edge {
            from: place(line, ends[0])?,
            to: place(line, ends[1])?,
            measured,
            root_information,
        });
    }
    for (line, id) in fixed {
        graph.fixed.push(place(line, id)?);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANAR: &str = "\
# two poses
VERTEX_SE2 7 1 2 0.5
EDGE_SE2 7 9 1 0 -0.25 4 1 0 4 0 9

VERTEX_SE2 9 2 2.5 0.25
FIX 7
";

    #[test]
    fn a_planar_graph() {
        let Graph::Planar(graph) = parse(PLANAR).unwrap() else {
            panic!("it is planar")
        };
        assert_eq!((graph.ids, graph.fixed), (vec![7, 9], vec![0]));
        let edge = &graph.edges[0];
        assert_eq!((edge.from, edge.to), (0, 1));
        assert_eq!(edge.measured, Se2::new(1.0, 0.0, -0.25));
        // Information [[4, 1], [1, 4]] = UᵀU.
        let u = edge.root_information;
        assert_eq!((u[0][0], u[0][1], u[2][2]), (2.0, 0.5, 3.0));
        assert!((u[1][1] - 3.75_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_spatial_graph() {
        let information: String = (0..6)
            .flat_map(|i| (i..6).map(move |j| if i == j { " 4" } else { " 0" }))
            .collect();
        let text = format!(
            "VERTEX_SE3:QUAT 0 1 2 3 0 0 0 2\nVERTEX_SE3:QUAT 1 0 0 0 1e-200 0 0 0\n\
             EDGE_SE3:QUAT 0 1 0 0 1 0 0.6 0 0.8{information}\n"
        );
        let Graph::Spatial(graph) = parse(&text).unwrap() else {
            panic!("it is spatial")
        };
        assert_eq!(graph.poses[0].rotation.w, 1.0);
        assert_eq!(graph.poses[0].translation, [1.0, 2.0, 3.0]);
        assert_eq!(graph.poses[1].rotation.v, [1.0, 0.0, 0.0]);
        assert_eq!(graph.edges[0].root_information[5][5], 2.0);
        let rotation = graph.edges[0].measured.rotation;
        assert!((rotation.w - 0.8).abs() + (rotation.v[1] - 0.6).abs() < 1e-15);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("VERTEX_SE2 0 1 2", 1, "3 words"),
            ("\n# note\nVERTEX_SE2 0 1 2 x", 3, "`x` is no finite number"),
            ("VERTEX_SE2 0 1 2 NaN", 1, "`NaN` is no finite number"),
            ("VERTEX_SE2 -1 1 2 3", 1, "`-1` is no id"),
            (
                "VERTEX_SE2 0 1 2 3\nVERTEX_SE2 0 1 2 3",
                2,
                "vertex 0 is there already",
            ),
            (
                "VERTEX_SE2 0 1 2 3\nEDGE_SE2 0 4 1 2 3 1 0 0 1 0 1",
                2,
                "no vertex 4",
            ),
            ("EDGE_SE2 0 0 1 2 3 1 0 0 1 0 1", 1, "with itself"),
            ("EDGE_SE2 0 1 1 2 3 1 2 0 1 0 1", 1, "not positive definite"),
            ("VERTEX_SE2 0 1 2 3\nFIX 0\nFIX 3", 3, "no vertex 3"),
            ("VERTEX_XY 0 1 2", 1, "`VERTEX_XY`"),
            (
                "VERTEX_SE2 0 1 2 3\nVERTEX_SE3:QUAT 1 0 0 0 0 0 0 1",
                2,
                "do not mix",
            ),
            ("VERTEX_SE3:QUAT 1 0 0 0 0 0 0 0", 1, "quaternion is zero"),
        ];
        for (text, line, says) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn nothing_is_an_empty_graph() {
        assert!(
            matches!(parse("# nothing\n"), Ok(Graph::Spatial(graph)) if graph.poses.is_empty())
        );
    }
}
