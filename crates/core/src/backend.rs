//! The one place that names concrete backends.
//!
//! [`HostOps`] extends every enabled Burn backend with a single operation, [`HostOps::attach`]:
//! it returns its first argument unchanged and, under autodiff, records the others as parents whose
//! gradients a host computation supplies. Attaching the inputs of a host computation to its output,
//! ten at a time, makes a differentiable operation with any number of inputs of any rank, without
//! packing them into one tensor first.

#![allow(deprecated)] // burn-ndarray is deprecated upstream and still supported here.
#![allow(missing_docs)] // the macro writes items of its own

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "flex")]
use std::{any::Any, ops::Range};

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensorKind,
    ExtensionType, TensorMetadata, backend_extension, tensor::FloatTensor,
};
use burn::tensor::{DType, DispatchTensor, Shape, TensorData};
use burn_std::reader::try_read_sync;

use crate::host::HostAdjoint;

/// Inputs that one operation attaches at most: all of a quadratic program with quadratic rows. Burn's
/// operations have a fixed number of parents, and each operation costs time of its own.
pub(crate) const INPUTS: usize = 10;

/// The backward pass shared by all inputs attached to one output.
///
/// The operation attached last is the first whose backward step runs; it computes the gradients of
/// all inputs at once and leaves the others' here.
#[derive(Debug)]
pub struct SharedAdjoint {
    adjoint: Arc<dyn HostAdjoint>,
    pending: Mutex<Vec<Option<Vec<f64>>>>,
}

impl SharedAdjoint {
    /// Wraps a host adjoint for the inputs that will be attached.
    pub fn new(adjoint: Arc<dyn HostAdjoint>) -> Arc<Self> {
        Arc::new(Self {
            adjoint,
            pending: Mutex::new(Vec::new()),
        })
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Option<Vec<f64>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn differentiate(&self, cotangent: &[f64]) {
        *self.pending() = self.adjoint.vjp(cotangent).into_iter().map(Some).collect();
    }

    fn take(&self, slot: &Slot) -> Vec<f64> {
        let gradient = self
            .pending()
            .get_mut(slot.input)
            .and_then(Option::take)
            .expect("the outermost operation runs first and fills one gradient per input");
        assert_eq!(
            gradient.len(),
            slot.shape.num_elements(),
            "a host adjoint must return one number per entry of its input"
        );
        gradient
    }
}

/// One input's place in a host operation.
#[derive(Debug, Clone)]
pub struct Slot {
    pub(crate) input: usize,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
}

/// How the inputs of one attaching operation get their gradients.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) shared: Arc<SharedAdjoint>,
    pub(crate) outermost: bool,
    pub(crate) slots: Vec<Slot>,
}

/// Between one and ten tensors.
#[derive(Debug)]
pub struct Inputs<B: Backend>(pub(crate) Vec<FloatTensor<B>>);

// Burn derives this for structs with a fixed number of tensors only.
impl<B: Backend> ExtensionType<B> for Inputs<B> {
    type Target = Inputs<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let map = |tensor| DispatchTensor {
            kind: map_kind(BackendTensor::Float(tensor)),
            autodiff,
        };
        Inputs(self.0.into_iter().map(map).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        let unwrap = |tensor| unwrap_kind(tensor).float();
        Self(target.0.into_iter().map(unwrap).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        let contexts = target.0.iter().map(|tensor| tensor.autodiff);
        contexts.fold(DispatchAutodiffContext::Disabled, |all, one| all.merge(one))
    }
}

#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    Autodiff,
)]
pub trait HostOps: Backend {
    /// `output` unchanged; under autodiff the inputs become its parents through `link`, which has a
    /// slot for each.
    #[fusion(default)]
    fn attach(
        output: FloatTensor<Self>,
        #[extension_type] _inputs: Inputs<Self>,
        _link: Link,
    ) -> FloatTensor<Self> {
        output
    }
}

#[cfg(feature = "flex")]
impl HostOps for burn::backend::Flex {}
#[cfg(feature = "ndarray")]
impl HostOps for burn::backend::NdArray {}
#[cfg(feature = "cube")]
impl HostOps for burn_cubecl::CubeBackend {}

/// An f64 tensor whose numbers lie in this process, contiguous and row-major.
#[derive(Debug)]
pub struct InPlace {
    #[cfg(feature = "flex")]
    tensor: FlexTensor,
    /// Where in the tensor's storage; found once, since it takes the shape and the strides.
    #[cfg(feature = "flex")]
    range: Range<usize>,
}

impl InPlace {
    /// The tensor where it lies, or `None` where it has to be copied.
    pub(crate) fn of(tensor: &DispatchTensor) -> Option<Self> {
        Self::of_kind(&tensor.kind)
    }

    #[cfg_attr(not(feature = "flex"), allow(unused_variables))]
    fn of_kind(kind: &DispatchTensorKind) -> Option<Self> {
        #[cfg(feature = "flex")]
        return match kind {
            DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => Self::of_flex(tensor),
            DispatchTensorKind::Flex(BackendTensor::Autodiff(tensor)) => {
                Self::of_flex(tensor.primitive())
            }
            DispatchTensorKind::Autodiff(inner) => Self::of_kind(inner),
            _ => None,
        };
        #[cfg(not(feature = "flex"))]
        None
    }

    /// A backend's own tensor where it lies, or `None` where it has to be copied.
    #[cfg_attr(not(feature = "flex"), allow(unused_variables))]
    fn of_primitive<B: Backend>(tensor: &FloatTensor<B>) -> Option<Self> {
        #[cfg(feature = "flex")]
        return Self::of_flex((tensor as &dyn Any).downcast_ref()?);
        #[cfg(not(feature = "flex"))]
        None
    }

    #[cfg(feature = "flex")]
    fn of_flex(tensor: &FlexTensor) -> Option<Self> {
        if tensor.dtype() != DType::F64 {
            return None;
        }
        let (start, end) = tensor.layout().contiguous_offsets()?;
        Some(Self {
            tensor: tensor.clone(),
            range: start..end,
        })
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[f64] {
        #[cfg(feature = "flex")]
        return &self.tensor.storage()[self.range.clone()];
        #[cfg(not(feature = "flex"))]
        unreachable!("never made")
    }
}

/// A tensor's numbers, copied to the host.
fn read<B: Backend>(tensor: &FloatTensor<B>) -> Vec<f64> {
    let data = try_read_sync(B::float_into_data(tensor.clone()))
        .expect("host operations need a backend that can be read synchronously")
        .expect("the cotangent can be read");
    data.convert::<f64>()
        .try_into_vec::<f64>()
        .expect("converted to f64 above")
}

#[derive(Debug)]
struct AttachBackward;

impl<B: HostOps, const N: usize> Backward<B, N> for AttachBackward {
    type State = Link;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let cotangent = grads.consume::<B>(&ops.node);
        let mut parents = ops.parents.into_iter();
        let output = parents.next().flatten();
        let link = ops.state;
        if link.outermost {
            match InPlace::of_primitive::<B>(&cotangent) {
                Some(numbers) => link.shared.differentiate(numbers.as_slice()),
                None => link.shared.differentiate(&read::<B>(&cotangent)),
            }
        }
        for (input, slot) in parents.zip(link.slots) {
            if let Some(input) = input {
                let gradient = link.shared.take(&slot);
                let data = TensorData::new(gradient, slot.shape).convert_dtype(slot.dtype);
                let gradient = B::float_from_data(data, &cotangent.device());
                grads.register::<B>(input.id, gradient);
            }
        }
        if let Some(output) = output {
            grads.register::<B>(output.id, cotangent);
        }
    }
}

/// `output` with `N` parents: where it comes from, and the inputs.
fn track<B: HostOps, C: CheckpointStrategy, const N: usize>(
    output: FloatTensor<B>,
    parents: Vec<NodeGuard>,
    link: Link,
) -> FloatTensor<Autodiff<B, C>> {
    let parents: [NodeGuard; N] = parents.try_into().expect("asked for by their number");
    match Backward::<B, N>::prepare::<C>(AttachBackward, parents)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(link, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

impl<B: HostOps, C: CheckpointStrategy> HostOps for Autodiff<B, C> {
    fn attach(output: FloatTensor<Self>, inputs: Inputs<Self>, link: Link) -> FloatTensor<Self> {
        let (output, node) = output.into_parts();
        let mut parents = Vec::with_capacity(1 + inputs.0.len());
        parents.push(node);
        parents.extend(inputs.0.into_iter().map(|input| input.into_parts().1));
        let track = match parents.len() {
            2 => track::<B, C, 2>,
            3 => track::<B, C, 3>,
            4 => track::<B, C, 4>,
            5 => track::<B, C, 5>,
            6 => track::<B, C, 6>,
            7 => track::<B, C, 7>,
            8 => track::<B, C, 8>,
            9 => track::<B, C, 9>,
            10 => track::<B, C, 10>,
            11 => track::<B, C, { INPUTS + 1 }>,
            other => unreachable!("{other} parents: an output and 1 to {INPUTS} inputs"),
        };
        track(output, parents, link)
    }
}
