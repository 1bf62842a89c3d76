//! An epoch cut into batches.

/// Consecutive batches; a last one of a single sample joins the one before it.
pub(crate) fn batches(order: &[usize], size: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
    if batches.len() > 1 && batches.last().is_some_and(|last| last.len() == 1) {
        let last = batches.pop().unwrap_or_default();
        if let Some(previous) = batches.last_mut() {
            previous.extend(last);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_sample_once_and_never_end_in_a_single_one() {
        for samples in 2..40 {
            let order: Vec<usize> = (0..samples).rev().collect();
            for size in 2..12 {
                let batches = batches(&order, size);
                assert_eq!(batches.concat(), order);
                assert!(
                    batches
                        .iter()
                        .all(|batch| batch.len() >= 2 && batch.len() <= size + 1)
                );
            }
        }
    }
}
