//! A module's parameters as one flat vector.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use feasible_core::host;
use feasible_landscape::Group;

use crate::Error;
use crate::error::check_length;

/// One parameter within the flat vector.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    id: ParamId,
    group: Group,
    range: Range<usize>,
}

/// Which of a module's parameters make up a flat vector, and where each of them is in it.
///
/// The order is that in which the module shows its parameters, which its fields' order fixes.
/// Parameters are known by their identifiers, which clones, validation snapshots (`valid()`) and
/// copies ([`crate::evaluating`]) keep: a layout made of a module serves them all. Numbers are
/// row-major; a `Linear` stores its weight as `[inputs, outputs]`, so a neuron is a column, and so
/// its [`Group`] says.
///
/// Modules are values: [`Layout::assign`] returns a module with other parameters and leaves every
/// clone of the given one as it was. An f32 number is an f64 number, so [`Layout::flatten`] and
/// [`Layout::assign`] restore parameters bit for bit in either precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    n: usize,
}

impl Layout {
    /// The parameters that require a gradient: those that training changes.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are none: in a validation snapshot nothing requires a gradient,
    /// so make the layout of the module in training mode.
    pub fn of<M: Module>(module: &M) -> Result<Self, Error> {
        Self::filtered(module, |_, trainable| trainable)
    }

    /// The parameters that `keep` wants, told each parameter and whether it requires a gradient.
    ///
    /// Running statistics of normalisation layers are among them; they are the one part of a module
    /// that clones share, so [`Layout::assign`] to a layout with statistics changes every clone.
    ///
    /// # Errors
    /// [`Error::Argument`] if none are kept.
    pub fn filtered<M: Module>(
        module: &M,
        keep: impl FnMut(&Group, bool) -> bool,
    ) -> Result<Self, Error> {
        let mut collect = Collect {
            path: Vec::new(),
            keep,
            entries: Vec::new(),
            n: 0,
        };
        module.visit(&mut collect);
        let (entries, n) = (collect.entries, collect.n);
        if n == 0 {
            return Err(Error::argument(
                "module",
                "has none of the parameters wanted; it must be in training mode and have some",
            ));
        }
        Ok(Self { entries, n })
    }

    /// How many numbers.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The parameters in order, by path, shape and how their entries form filters.
    pub fn groups(&self) -> Vec<Group> {
        self.entries.iter().map(|e| e.group.clone()).collect()
    }

    /// Name and place of every parameter.
    pub fn ranges(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.entries
            .iter()
            .map(|e| (e.group.name.as_str(), e.range.clone()))
    }

    /// Where a parameter is, by its identifier.
    pub fn range_of(&self, id: ParamId) -> Option<Range<usize>> {
        self.entry(id).map(|e| e.range.clone())
    }

    /// For every number whether its parameter is one that `keep` wants.
    pub fn mask(&self, mut keep: impl FnMut(&Group) -> bool) -> Vec<bool> {
        self.entries
            .iter()
            .flat_map(|e| std::iter::repeat_n(keep(&e.group), e.range.len()))
            .collect()
    }

    /// The part of this layout whose parameters `keep` wants, as a layout of its own.
    ///
    /// # Errors
    /// [`Error::Argument`] if none are kept.
    pub fn subset(&self, mut keep: impl FnMut(&Group) -> bool) -> Result<Self, Error> {
        let mut n = 0;
        let mut entries = Vec::new();
        for entry in &self.entries {
            if keep(&entry.group) {
                let start = n;
                n += entry.range.len();
                entries.push(Entry {
                    range: start..n,
                    ..entry.clone()
                });
            }
        }
        if n == 0 {
            return Err(Error::argument("keep", "wants none of the parameters"));
        }
        Ok(Self { entries, n })
    }

    /// The parameters as one vector, `[n]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the module is not the one that the layout was made of, [`Error::Core`]
    /// if a device cannot be read.
    pub fn flatten<M: Module>(&self, module: &M) -> Result<Vec<f64>, Error> {
        let mut read = Read {
            layout: self,
            out: vec![0.0; self.n],
            seen: 0,
            error: None,
        };
        module.visit(&mut read);
        let (out, seen, error) = (read.out, read.seen, read.error);
        self.finished(seen, error)?;
        Ok(out)
    }

    /// The module with these parameters, `[n]`, in the precision and on the device of those it has.
    ///
    /// # Errors
    /// [`Error::Shape`] for the vector, [`Error::Argument`] if the module is not the one that the
    /// layout was made of.
    pub fn assign<M: Module>(&self, module: M, parameters: &[f64]) -> Result<M, Error> {
        check_length("parameters", parameters.len(), self.n)?;
        let mut write = Write {
            layout: self,
            values: parameters,
            seen: 0,
            elsewhere: Elsewhere::Keep,
        };
        let module = module.map(&mut write);
        let seen = write.seen;
        self.finished(seen, None)?;
        Ok(module)
    }

    /// A copy of the module whose parameters are a direction in parameter space: the vector where
    /// the layout has parameters, 0 elsewhere, and no gradients. See [`crate::ExactHessian`].
    ///
    /// # Errors
    /// As [`Layout::assign`].
    pub fn direction<M: Module>(&self, module: &M, vector: &[f64]) -> Result<M, Error> {
        check_length("vector", vector.len(), self.n)?;
        let mut write = Write {
            layout: self,
            values: vector,
            seen: 0,
            elsewhere: Elsewhere::Zero,
        };
        let module = crate::copies::independent(module).map(&mut write);
        let seen = write.seen;
        self.finished(seen, None)?;
        Ok(module)
    }

    /// Gradients as one vector, `[n]`; 0 where a parameter has no part in the loss.
    ///
    /// # Errors
    /// As [`Layout::flatten`].
    pub fn gradients<M: Module>(
        &self,
        module: &M,
        gradients: &GradientsParams,
    ) -> Result<Vec<f64>, Error> {
        let mut read = ReadGradients {
            layout: self,
            gradients,
            out: vec![0.0; self.n],
            seen: 0,
            error: None,
        };
        module.visit(&mut read);
        let (out, seen, error) = (read.out, read.seen, read.error);
        self.finished(seen, error)?;
        Ok(out)
    }

    /// As [`Layout::gradients`], of what a backward pass returned.
    ///
    /// # Errors
    /// As [`Layout::flatten`].
    pub fn backward<M: Module>(&self, module: &M, gradients: Gradients) -> Result<Vec<f64>, Error> {
        self.gradients(module, &GradientsParams::from_grads(gradients, module))
    }

    fn entry(&self, id: ParamId) -> Option<&Entry> {
        self.entries.iter().find(|e| e.id == id)
    }

    fn finished(&self, seen: usize, error: Option<Error>) -> Result<(), Error> {
        match error {
            Some(error) => Err(error),
            None if seen == self.entries.len() => Ok(()),
            None => Err(Error::argument(
                "module",
                format!(
                    "has {seen} of the layout's {} parameters; it must be the module that the layout \
                     was made of, or a copy of it",
                    self.entries.len()
                ),
            )),
        }
    }
}

struct Collect<K> {
    path: Vec<String>,
    keep: K,
    entries: Vec<Entry>,
    n: usize,
}

impl<K: FnMut(&Group, bool) -> bool> ModuleVisitor for Collect<K> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let group = Group::of_shape(self.path.join("."), &param.lazy_shape());
        // A parameter that is used in two places is shown twice and counted once.
        let known = self.entries.iter().any(|e| e.id == param.id);
        if !known && (self.keep)(&group, param.is_require_grad()) {
            let start = self.n;
            self.n += group.len();
            self.entries.push(Entry {
                id: param.id,
                group,
                range: start..self.n,
            });
        }
    }
}

struct Read<'a> {
    layout: &'a Layout,
    out: Vec<f64>,
    seen: usize,
    error: Option<Error>,
}

impl ModuleVisitor for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(entry) = self.layout.entry(param.id) else {
            return;
        };
        match host::read("parameter", &param.base()) {
            Ok(values) => {
                self.seen += 1;
                place(&mut self.out, entry, &values, &mut self.error);
            }
            Err(error) => self.error = Some(error.into()),
        }
    }
}

struct ReadGradients<'a> {
    layout: &'a Layout,
    gradients: &'a GradientsParams,
    out: Vec<f64>,
    seen: usize,
    error: Option<Error>,
}

impl ModuleVisitor for ReadGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(entry) = self.layout.entry(param.id) else {
            return;
        };
        self.seen += 1;
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        match host::read("gradient", &gradient) {
            Ok(values) => place(&mut self.out, entry, &values, &mut self.error),
            Err(error) => self.error = Some(error.into()),
        }
    }
}

fn place(out: &mut [f64], entry: &Entry, values: &[f64], error: &mut Option<Error>) {
    if values.len() == entry.range.len() {
        out[entry.range.clone()].copy_from_slice(values);
    } else {
        *error = Some(Error::Shape {
            argument: "module",
            got: format!("{} numbers in `{}`", values.len(), entry.group.name),
            expected: entry.range.len().to_string(),
        });
    }
}

/// What becomes of parameters that the layout does not have.
#[derive(Clone, Copy)]
enum Elsewhere {
    Keep,
    Zero,
}

struct Write<'a> {
    layout: &'a Layout,
    values: &'a [f64],
    seen: usize,
    elsewhere: Elsewhere,
}

impl ModuleMapper for Write<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let entry = self.layout.entry(param.id);
        let numbers = match (entry, self.elsewhere) {
            (None, Elsewhere::Keep) => return param,
            (None, Elsewhere::Zero) => vec![0.0; param.lazy_shape().num_elements()],
            (Some(entry), _) if entry.range.len() == param.lazy_shape().num_elements() => {
                self.seen += 1;
                self.values[entry.range.clone()].to_vec()
            }
            (Some(_), _) => return param,
        };
        let (id, old, mapper) = param.consume();
        let tracked = old.is_require_grad() && matches!(self.elsewhere, Elsewhere::Keep);
        let new = host::write(numbers, old.dims(), &old.device(), old.dtype());
        Param::from_mapped_value(id, new.set_require_grad(tracked), mapper)
    }
}
