//! What a process frees stays its own.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::hint::black_box;

use feasible_kernels::map_runs;

/// Pages of this process touched for the first time so far.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a process");
    // After the name in parentheses, which may hold anything: the state, six numbers, then the faults.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let field = fields.split(' ').nth(7).expect("faults");
    field.parse().expect("a count")
}

/// Four gradients of five megabytes each, 5,000 pages together.
fn gradients() {
    let gradient = || vec![1.0; 5 << 17];
    black_box([gradient(), gradient(), gradient(), gradient()]);
}

#[test]
fn gradients_of_one_size_touch_their_pages_once() {
    if std::env::vars_os().any(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES"
    }) {
        return;
    }
    // As every batch does.
    map_runs(vec![()], 1, || (), |(), _, ()| ());
    gradients();
    gradients();
    let before = faults();
    (0..20).for_each(|_| gradients());
    let each = (faults() - before) / 20;
    assert!(each < 50, "{each} pages a round");
}
