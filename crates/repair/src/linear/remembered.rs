use std::sync::{Arc, Mutex, PoisonError};

use feasible_core::HostBlock;

/// The rows and what was computed from them.
type Kept<V> = (Vec<Arc<HostBlock>>, Arc<V>);

/// What was computed from some rows, kept until other rows come: a training loop hands the same
/// blocks to every batch.
#[derive(Debug)]
pub(crate) struct Remembered<V>(Mutex<Option<Kept<V>>>);

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<V> Clone for Remembered<V> {
    fn clone(&self) -> Self {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self(Mutex::new(kept.clone()))
    }
}

impl<V> Remembered<V> {
    /// The value for these blocks; made where the last ones were others.
    pub(crate) fn get<E>(
        &self,
        blocks: &[Arc<HostBlock>],
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, value)) = kept.as_ref() {
            // The blocks are kept alive, so that no other can have their addresses.
            let same =
                of.len() == blocks.len() && of.iter().zip(blocks).all(|(a, b)| Arc::ptr_eq(a, b));
            if same {
                return Ok(value.clone());
            }
        }
        let value = Arc::new(make()?);
        *kept = Some((blocks.to_vec(), value.clone()));
        Ok(value)
    }
}
