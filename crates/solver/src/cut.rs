//! A piece of a vector that many samples share, so that not every one of them allocates.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// Numbers that are kept as long as any piece of their vector is.
#[derive(Clone, Debug)]
pub(crate) struct Cut<T> {
    /// `None` is empty, without memory.
    store: Option<Arc<Vec<T>>>,
    range: Range<usize>,
}

impl<T> Cut<T> {
    /// A piece of `store`.
    pub(crate) fn of(store: &Arc<Vec<T>>, range: Range<usize>) -> Cut<T> {
        Cut {
            store: Some(Arc::clone(store)),
            range,
        }
    }
}

impl<T> Default for Cut<T> {
    fn default() -> Self {
        Cut {
            store: None,
            range: 0..0,
        }
    }
}

impl<T> Deref for Cut<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.store
            .as_ref()
            .map_or(&[], |store| &store[self.range.clone()])
    }
}

impl<T> From<Vec<T>> for Cut<T> {
    /// All of a vector of its own.
    fn from(values: Vec<T>) -> Self {
        if values.is_empty() {
            return Cut::default();
        }
        let range = 0..values.len();
        Cut::of(&Arc::new(values), range)
    }
}

impl<T> FromIterator<T> for Cut<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        iter.into_iter().collect::<Vec<T>>().into()
    }
}
