//! Planes and lines through parameter space.

use serde::{Deserialize, Serialize};

use crate::directions::orthonormalise;
use crate::error::{Error, finite, length};
use crate::linalg::{axpy, difference, dot, norm};

/// Where a plane comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlaneKind {
    /// Random, filter-normalised directions.
    Random,
    /// Principal directions of a trajectory.
    Pca,
    /// Eigenvectors of the Hessian.
    Hessian,
    /// Through other parameter vectors.
    Points,
    /// Directions given.
    Given,
}

/// The points `origin + a u + b v`. A line is a plane whose `v` is never used.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    origin: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    kind: PlaneKind,
    labels: [String; 2],
    explained: Option<[f64; 2]>,
}

/// A point seen from a plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InPlane {
    /// First coordinate of the nearest point of the plane.
    pub a: f64,
    /// Second coordinate.
    pub b: f64,
    /// Distance to it.
    pub off_plane: f64,
}

impl Plane {
    /// The plane through `origin` along two directions, which keep their lengths: a coordinate of 1
    /// is one direction's length away. They need not be orthogonal.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Entry`]; [`Error::Argument`] if the directions depend on each other.
    pub fn new(origin: Vec<f64>, u: Vec<f64>, v: Vec<f64>, kind: PlaneKind) -> Result<Self, Error> {
        length("u", u.len(), origin.len(), "numbers, as the origin")?;
        length("v", v.len(), origin.len(), "numbers, as the origin")?;
        finite("origin", &origin)?;
        let both = [u, v];
        orthonormalise(&both)?;
        let [u, v] = both;
        let labels = match kind {
            PlaneKind::Random => ["random direction 1", "random direction 2"],
            PlaneKind::Pca => ["principal direction 1", "principal direction 2"],
            PlaneKind::Hessian => ["Hessian eigenvector 1", "Hessian eigenvector 2"],
            PlaneKind::Points => ["towards point 1", "towards point 2, orthogonal"],
            PlaneKind::Given => ["direction 1", "direction 2"],
        };
        Ok(Self {
            origin,
            u,
            v,
            kind,
            labels: labels.map(str::to_owned),
            explained: None,
        })
    }

    /// As [`Plane::new`], with orthonormal directions of the same span: coordinates are distances.
    ///
    /// # Errors
    /// As [`Plane::new`].
    pub fn orthonormal(
        origin: Vec<f64>,
        u: Vec<f64>,
        v: Vec<f64>,
        kind: PlaneKind,
    ) -> Result<Self, Error> {
        length("u", u.len(), origin.len(), "numbers, as the origin")?;
        let mut both = orthonormalise(&[u, v])?.into_iter();
        match (both.next(), both.next()) {
            (Some(u), Some(v)) => Self::new(origin, u, v, kind),
            _ => Err(Error::argument("directions", "are fewer than two")),
        }
    }

    /// The plane through three points: the origin, `first` at (1, 0), and `second` somewhere above
    /// the first axis. The directions are orthogonal and both as long as `first` is far, so that the
    /// picture is not sheared (Garipov et al., NeurIPS 2018, appendix).
    ///
    /// # Errors
    /// As [`Plane::new`]; [`Error::Argument`] if the points lie on a line.
    pub fn through(origin: Vec<f64>, first: &[f64], second: &[f64]) -> Result<Self, Error> {
        length("first", first.len(), origin.len(), "numbers, as the origin")?;
        length(
            "second",
            second.len(),
            origin.len(),
            "numbers, as the origin",
        )?;
        let u = difference(first, &origin);
        let far = norm(&u);
        let directions = orthonormalise(&[u.clone(), difference(second, &origin)])?;
        let v = directions[1].iter().map(|x| far * x).collect();
        Self::new(origin, u, v, PlaneKind::Points)
    }

    /// The line from `origin`, at 0, to `end`, at 1.
    ///
    /// # Errors
    /// As [`Plane::new`]; [`Error::Argument`] if the two are the same.
    pub fn line(origin: Vec<f64>, end: &[f64]) -> Result<Self, Error> {
        length("end", end.len(), origin.len(), "numbers, as the origin")?;
        finite("origin", &origin)?;
        let u = difference(end, &origin);
        orthonormalise(std::slice::from_ref(&u))?;
        let v = vec![0.0; u.len()];
        Ok(Self {
            origin,
            u,
            v,
            kind: PlaneKind::Points,
            labels: ["position between the two".to_owned(), String::new()],
            explained: None,
        })
    }

    /// The same plane with other names of its axes.
    #[must_use]
    pub fn with_labels(mut self, first: impl Into<String>, second: impl Into<String>) -> Self {
        self.labels = [first.into(), second.into()];
        self
    }

    /// The same plane, with the share of the trajectory's variance along each axis.
    #[must_use]
    pub(crate) fn with_explained(mut self, explained: [f64; 2]) -> Self {
        self.explained = Some(explained);
        self
    }

    /// Parameters at (0, 0).
    pub fn origin(&self) -> &[f64] {
        &self.origin
    }

    /// The two directions.
    pub fn directions(&self) -> [&[f64]; 2] {
        [&self.u, &self.v]
    }

    /// Where it comes from.
    pub fn kind(&self) -> PlaneKind {
        self.kind
    }

    /// Share of a trajectory's variance along each axis, where the plane is that of a trajectory.
    pub fn explained(&self) -> Option<[f64; 2]> {
        self.explained
    }

    /// Names of the axes, with the explained variance where there is one.
    pub fn labels(&self) -> [String; 2] {
        let mut labels = self.labels.clone();
        if let Some(shares) = self.explained {
            for (label, share) in labels.iter_mut().zip(shares) {
                *label = format!("{label} ({} of variance)", percent(share));
            }
        }
        labels
    }

    /// The parameters at (a, b); at (0, 0) the origin bit for bit.
    pub fn point(&self, a: f64, b: f64) -> Vec<f64> {
        let mut out = self.origin.clone();
        // Adding 0 · u would turn −0 into 0.
        if a != 0.0 {
            axpy(a, &self.u, &mut out);
        }
        if b != 0.0 {
            axpy(b, &self.v, &mut out);
        }
        out
    }

    /// The nearest point of the plane, and how far it is.
    ///
    /// # Errors
    /// [`Error::Shape`] if `parameters` is not `[n]`, [`Error::Entry`] if one is not finite.
    pub fn project(&self, parameters: &[f64]) -> Result<InPlane, Error> {
        let n = self.origin.len();
        length(
            "parameters",
            parameters.len(),
            n,
            "numbers, as the plane's origin",
        )?;
        finite("parameters", parameters)?;
        let x = difference(parameters, &self.origin);
        let (uu, uv, vv) = (
            dot(&self.u, &self.u),
            dot(&self.u, &self.v),
            dot(&self.v, &self.v),
        );
        let (ux, vx) = (dot(&self.u, &x), dot(&self.v, &x));
        let determinant = uu * vv - uv * uv;
        // A line has no second direction.
        let (a, b) = if vv == 0.0 {
            (ux / uu, 0.0)
        } else {
            (
                (vv * ux - uv * vx) / determinant,
                (uu * vx - uv * ux) / determinant,
            )
        };
        let mut rest = x;
        axpy(-a, &self.u, &mut rest);
        axpy(-b, &self.v, &mut rest);
        Ok(InPlane {
            a,
            b,
            off_plane: norm(&rest),
        })
    }

    /// Every point of a trajectory, as [`Plane::project`].
    ///
    /// # Errors
    /// As [`Plane::project`].
    pub fn project_all(&self, trajectory: &[Vec<f64>]) -> Result<Vec<InPlane>, Error> {
        trajectory.iter().map(|p| self.project(p)).collect()
    }
}

/// A share in percent, with enough decimals that little is not called nothing, nor nearly all all.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let near = percent.abs().min((100.0 - percent).abs());
    let decimals = if near > 0.0 && near < 0.1 {
        (-near.log10()).ceil().clamp(1.0, 6.0) as usize
    } else {
        1
    };
    format!("{percent:.decimals$} %")
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn shares_near_the_ends_keep_their_digits() {
        let texts = [0.0, 1.0, 0.912, 0.99978, 0.00022, 1e-7].map(percent);
        assert_eq!(
            texts,
            [
                "0.0 %",
                "100.0 %",
                "91.2 %",
                "99.98 %",
                "0.02 %",
                "0.00001 %"
            ]
        );
    }
}
