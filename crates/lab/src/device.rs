use burn::tensor::{DType, Device};

use crate::Error;
use crate::config::{DeviceKind, Precision};

/// The device a study names, without automatic differentiation, and its floating-point type.
///
/// # Errors
/// [`Error::Backend`] if the backend is not compiled in, [`Error::Value`] if the device lacks the
/// floating-point type.
pub fn device(kind: DeviceKind, precision: Precision) -> Result<(Device, DType), Error> {
    let device = open(kind)?;
    let dtype = match precision {
        Precision::F64 => DType::F64,
        Precision::F32 => DType::F32,
    };
    if !device.supports_dtype(dtype) {
        return Err(Error::value(
            "training.dtype",
            format!("\"f64\" on device {:?}", kind.name()),
            "\"f32\": this device has no f64",
        ));
    }
    Ok((device, dtype))
}

fn open(kind: DeviceKind) -> Result<Device, Error> {
    match kind {
        #[cfg(feature = "flex")]
        DeviceKind::FlexCpu => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)] // deprecated upstream and still supported here
        DeviceKind::NdarrayCpu => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        DeviceKind::Wgpu => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "vulkan")]
        DeviceKind::Vulkan => Ok(Device::vulkan(Default::default())),
        #[cfg(feature = "cuda")]
        DeviceKind::Cuda => Ok(Device::cuda(0)),
        #[allow(unreachable_patterns)] // reached unless every backend is compiled in
        missing => Err(Error::Backend {
            device: missing.name(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let message = device(DeviceKind::Cuda, Precision::F32)
            .unwrap_err()
            .to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
