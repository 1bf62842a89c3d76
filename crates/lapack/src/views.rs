//! Pointers become matrices here.

use core::ptr::NonNull;
use core::slice;

use faer::{MatMut, MatRef};

use crate::options::{Transpose, Triangle};

/// # Safety
/// That of a matrix argument that is read.
pub(crate) unsafe fn matrix<'a, T>(
    first: *const T,
    rows: i32,
    columns: i32,
    leading: i32,
) -> MatRef<'a, T> {
    if rows <= 0 || columns <= 0 {
        let nothing = NonNull::dangling().as_ptr();
        // SAFETY: no entry exists to be read.
        return unsafe {
            MatRef::from_raw_parts(nothing, rows.max(0) as usize, columns.max(0) as usize, 1, 1)
        };
    }
    // SAFETY: by the contract all entries are within what is valid for reads.
    unsafe { MatRef::from_raw_parts(first, rows as usize, columns as usize, 1, leading as isize) }
}

/// # Safety
/// That of a matrix argument that is written.
pub(crate) unsafe fn matrix_mut<'a, T>(
    first: *mut T,
    rows: i32,
    columns: i32,
    leading: i32,
) -> MatMut<'a, T> {
    if rows <= 0 || columns <= 0 {
        let nothing = NonNull::dangling().as_ptr();
        // SAFETY: no entry exists to be read or written.
        return unsafe {
            MatMut::from_raw_parts_mut(nothing, rows.max(0) as usize, columns.max(0) as usize, 1, 1)
        };
    }
    // SAFETY: by the contract all entries are within what is valid for writes and overlap nothing.
    unsafe {
        MatMut::from_raw_parts_mut(first, rows as usize, columns as usize, 1, leading as isize)
    }
}

/// Where the first entry of a vector is: with a negative increment it is the last in memory.
pub(crate) fn start(len: i32, increment: i32) -> isize {
    if increment < 0 {
        (1 - len as isize) * increment as isize
    } else {
        0
    }
}

/// A column.
///
/// # Safety
/// That of a vector argument that is read, of at least one entry.
pub(crate) unsafe fn vector<'a, T>(first: *const T, len: i32, increment: i32) -> MatRef<'a, T> {
    // SAFETY: the first entry and those at the stride are within what is valid for reads.
    unsafe {
        MatRef::from_raw_parts(
            first.offset(start(len, increment)),
            len as usize,
            1,
            increment as isize,
            1,
        )
    }
}

/// A column.
///
/// # Safety
/// That of a vector argument that is written, of at least one entry.
pub(crate) unsafe fn vector_mut<'a, T>(first: *mut T, len: i32, increment: i32) -> MatMut<'a, T> {
    // SAFETY: the first entry and those at the stride are within what is valid for writes.
    unsafe {
        MatMut::from_raw_parts_mut(
            first.offset(start(len, increment)),
            len as usize,
            1,
            increment as isize,
            1,
        )
    }
}

/// # Safety
/// So many numbers are valid for writes, and overlap nothing.
pub(crate) unsafe fn numbers<'a, T>(first: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the contract is the same.
    unsafe { slice::from_raw_parts_mut(first, len) }
}

pub(crate) fn turned<T>(matrix: MatRef<'_, T>, transpose: Transpose) -> MatRef<'_, T> {
    match transpose {
        Transpose::No => matrix,
        Transpose::Yes => matrix.transpose(),
    }
}

/// A symmetric matrix whose lower triangle is the one given.
pub(crate) fn lower<T>(matrix: MatRef<'_, T>, triangle: Triangle) -> MatRef<'_, T> {
    match triangle {
        Triangle::Lower => matrix,
        Triangle::Upper => matrix.transpose(),
    }
}

pub(crate) fn lower_mut<T>(matrix: MatMut<'_, T>, triangle: Triangle) -> MatMut<'_, T> {
    match triangle {
        Triangle::Lower => matrix,
        Triangle::Upper => matrix.transpose_mut(),
    }
}
