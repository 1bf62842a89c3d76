//! How a routine is given its Fortran names.

/// Exports a routine in both precisions.
macro_rules! export {
    ($(#[$doc:meta])* $routine:ident: $single:ident, $double:ident;
     $($name:ident: $kind:tt $of:tt),*; $($info:ident)?) => {
        export!(@one ($(#[$doc])*) $routine f32 $single; $($name: $kind $of),*; $($info)?);
        export!(@one ($(#[$doc])*) $routine f64 $double; $($name: $kind $of),*; $($info)?);
    };
    (@one ($(#[$doc:meta])*) $routine:ident $T:ident $symbol:ident; $($name:ident: $kind:tt $of:tt),*;) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// That of every routine: see the module.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($name: export!(@type $T $kind $of)),*) {
            // SAFETY: the contract is the same.
            unsafe { $routine::<$T>($($name),*) }
        }
    };
    (@one ($(#[$doc:meta])*) $routine:ident $T:ident $symbol:ident; $($name:ident: $kind:tt $of:tt),*; $info:ident) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// That of every routine: see the module.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(
            $($name: export!(@type $T $kind $of),)* $info: *mut c_int
        ) {
            // SAFETY: the contract is the same, and `info` is valid for writes.
            unsafe { *$info = $routine::<$T>($($name),*) }
        }
    };
    (@type $T:ident in letter) => { *const c_char };
    (@type $T:ident in integer) => { *const c_int };
    (@type $T:ident out integer) => { *mut c_int };
    (@type $T:ident in number) => { *const $T };
    (@type $T:ident out number) => { *mut $T };
}

pub(crate) use export;
