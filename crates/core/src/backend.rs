//! The one place that names concrete backends.
//!
//! [`HostOps`] extends every enabled Burn backend with a single operation, [`HostOps::attach`]:
//! it returns its first argument unchanged and, under autodiff, records the others as parents whose
//! gradients a host computation supplies. Attaching the inputs of a host computation to its output,
//! four at a time, makes a differentiable operation with any number of inputs of any rank, without
//! packing them into one tensor first.

#![allow(deprecated)] // burn-ndarray is deprecated upstream and still supported here.
#![allow(missing_docs)] // the macro writes items of its own

#[cfg(feature = "flex")]
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{
    Autodiff, Backend, BackendTensor, DispatchTensorKind, TensorMetadata, backend_extension,
    tensor::FloatTensor,
};
use burn::tensor::{DType, DispatchTensor, Shape, TensorData};
use burn_std::reader::try_read_sync;

use crate::host::HostAdjoint;

/// Inputs that one operation attaches: Burn's operations have a fixed number of parents, and each
/// costs time of its own.
pub(crate) const SLOTS: usize = 4;

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

/// How the inputs of one attaching operation get their gradients; a slot that is not used is `None`.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) shared: Arc<SharedAdjoint>,
    pub(crate) outermost: bool,
    pub(crate) slots: [Option<Slot>; SLOTS],
}

#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    Autodiff,
)]
pub trait HostOps: Backend {
    /// `output` unchanged; under autodiff the inputs become its parents through `link`. A slot that
    /// is not used takes any constant.
    #[fusion(default)]
    fn attach(
        output: FloatTensor<Self>,
        _first: FloatTensor<Self>,
        _second: FloatTensor<Self>,
        _third: FloatTensor<Self>,
        _fourth: FloatTensor<Self>,
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
    tensor: burn::backend::flex::FlexTensor,
}

impl InPlace {
    /// The tensor where it lies, or `None` where it has to be copied.
    pub(crate) fn of(tensor: DispatchTensor) -> Option<Self> {
        Self::of_kind(tensor.kind)
    }

    #[cfg_attr(not(feature = "flex"), allow(unused_variables))]
    fn of_kind(kind: DispatchTensorKind) -> Option<Self> {
        #[cfg(feature = "flex")]
        {
            let tensor = match kind {
                DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => tensor,
                DispatchTensorKind::Flex(tensor @ BackendTensor::Autodiff(_)) => {
                    tensor.autodiff_inner()
                }
                DispatchTensorKind::Autodiff(inner) => return Self::of_kind(*inner),
                _ => return None,
            };
            tensor.as_slice::<f64>()?;
            Some(Self { tensor })
        }
        #[cfg(not(feature = "flex"))]
        None
    }

    /// A backend's own tensor where it lies, or `None` where it has to be copied.
    #[cfg_attr(not(feature = "flex"), allow(unused_variables))]
    fn of_primitive<B: Backend>(tensor: &FloatTensor<B>) -> Option<Self> {
        #[cfg(feature = "flex")]
        {
            let tensor: &burn::backend::flex::FlexTensor = (tensor as &dyn Any).downcast_ref()?;
            tensor.as_slice::<f64>()?;
            Some(Self {
                tensor: tensor.clone(),
            })
        }
        #[cfg(not(feature = "flex"))]
        None
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[f64] {
        #[cfg(feature = "flex")]
        return self
            .tensor
            .as_slice::<f64>()
            .expect("looked at when this was made");
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

impl<B: HostOps> Backward<B, { SLOTS + 1 }> for AttachBackward {
    type State = Link;

    fn backward(
        self,
        ops: Ops<Self::State, { SLOTS + 1 }>,
        grads: &mut Gradients,
        _: &mut Checkpointer,
    ) {
        let cotangent = grads.consume::<B>(&ops.node);
        let [output, inputs @ ..] = ops.parents;
        let link = ops.state;
        if link.outermost {
            match InPlace::of_primitive::<B>(&cotangent) {
                Some(numbers) => link.shared.differentiate(numbers.as_slice()),
                None => link.shared.differentiate(&read::<B>(&cotangent)),
            }
        }
        for (input, slot) in inputs.into_iter().zip(link.slots) {
            if let (Some(input), Some(slot)) = (input, slot) {
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

impl<B: HostOps, C: CheckpointStrategy> HostOps for Autodiff<B, C> {
    fn attach(
        output: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        fourth: FloatTensor<Self>,
        link: Link,
    ) -> FloatTensor<Self> {
        let (output, output_node) = output.into_parts();
        let [first, second, third, fourth] =
            [first, second, third, fourth].map(|input| input.into_parts().1);
        match AttachBackward
            .prepare::<C>([output_node, first, second, third, fourth])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(link, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
