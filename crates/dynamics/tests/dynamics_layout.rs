//! Parameters as one vector, and back.

mod support;

use burn::tensor::{DType, Device};
use feasible_dynamics::*;
use support::*;

#[test]
fn a_module_is_flattened_in_order_and_restored_bit_for_bit() {
    for device in devices() {
        for dtype in [DType::F32, DType::F64] {
            let network = in_precision(&Network::new([2, 3, 1], 1, &device), dtype);
            let layout = Layout::of(&network).unwrap();
            let groups = layout.groups();
            let names: Vec<&str> = groups.iter().map(|g| g.name.as_str()).collect();
            assert_eq!(
                names,
                ["first.weight", "first.bias", "second.weight", "second.bias"]
            );
            assert_eq!(groups[0].shape, [2, 3]);
            assert_eq!(groups[0].filters, feasible_landscape::Filters::Columns);
            assert_eq!(groups[1].filters, feasible_landscape::Filters::None);
            let before = layout.flatten(&network).unwrap();
            assert_eq!(before.len(), 2 * 3 + 3 + 3 + 1);
            let mut values = vec![-0.0, f64::MIN_POSITIVE, 0.1, 1.0 / 3.0];
            values.resize(13, 2.5);
            let other = layout.assign(network.clone(), &values).unwrap();
            let kept = layout.flatten(&other).unwrap();
            for (kept, value) in kept.iter().zip(&values) {
                let expected = if dtype == DType::F32 {
                    f64::from(*value as f32)
                } else {
                    *value
                };
                assert_eq!(kept.to_bits(), expected.to_bits());
            }
            // The given module is as it was, and so is the changed one with the old parameters.
            let restored = layout.assign(other, &before).unwrap();
            for again in [&network, &restored] {
                let again = layout.flatten(again).unwrap();
                assert!(
                    again
                        .iter()
                        .zip(&before)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
            }
            assert!(restored.first.weight.is_require_grad());
        }
    }
}

#[test]
fn an_entry_of_the_vector_is_the_entry_of_the_weight() {
    let device = device();
    let network = Network::new([2, 3, 1], 1, &device);
    let layout = Layout::of(&network).unwrap();
    let x = tensor(&[10.0, 100.0], [1, 2], &device);
    // Row 1, column 2 of `[inputs, outputs]`: from the second input to the third neuron.
    let mut values = vec![0.0; layout.n()];
    values[3 + 2] = 1.0;
    let other = layout.assign(network, &values).unwrap();
    let hidden = other.first.forward(x);
    assert_eq!(
        feasible_core::host::read("hidden", &hidden).unwrap(),
        [0.0, 0.0, 100.0]
    );
}

#[test]
fn subsets_and_masks_agree() {
    let network = Network::new([2, 3, 1], 1, &device());
    let layout = Layout::of(&network).unwrap();
    let mask = layout.mask(|g| g.name.ends_with("bias"));
    let biases = layout.subset(|g| g.name.ends_with("bias")).unwrap();
    let all = layout.flatten(&network).unwrap();
    let masked: Vec<f64> = all
        .iter()
        .zip(&mask)
        .filter(|(_, keep)| **keep)
        .map(|(v, _)| *v)
        .collect();
    assert_eq!(biases.flatten(&network).unwrap(), masked);
    let changed = biases.assign(network, &[7.0; 4]).unwrap();
    let now = layout.flatten(&changed).unwrap();
    for ((now, before), is_bias) in now.iter().zip(&all).zip(&mask) {
        assert_eq!(*now, if *is_bias { 7.0 } else { *before });
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let device = device();
    let network = Network::new([2, 3, 1], 1, &device);
    let layout = Layout::of(&network).unwrap();
    let error = layout.assign(network.clone(), &[1.0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`parameters` has 1 numbers but must have 13"
    );
    let other = Network::new([2, 3, 1], 1, &device);
    assert!(
        layout
            .flatten(&other)
            .unwrap_err()
            .to_string()
            .contains("0 of the layout's 4")
    );
    assert!(Layout::of(&burn::module::Module::valid(&network)).is_err());
    let constant = whole(|_: &Network| Ok(tensor(&[1.0], [1], &Device::flex().autodiff())));
    let mut constant = constant;
    assert!(
        constant
            .gradient(&network, &layout)
            .unwrap_err()
            .to_string()
            .contains("`loss`")
    );
}
