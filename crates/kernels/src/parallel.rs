//! Spreads the runs of a batch over threads, the calling thread among them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread::yield_now;

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use crate::memory::keep_freed_memory;

/// How often the caller looks whether the last runs of others are done before it lets the operating
/// system wake it: some tens of microseconds.
const LOOKS: usize = 1 << 7;

/// Runs a thread, so that one that wakes late finds less to do.
const RUNS: usize = 4;

/// Samples below which a run is only cut further to give every thread one.
const SHORT: usize = 16;

/// Products of numbers below which a batch is not worth a second thread: some 200 microseconds of one,
/// where another needs 20 to 100 to wake.
const WORTH: usize = 1 << 18;

/// Threads for a batch that takes so many products of numbers.
pub fn threads(products: usize) -> usize {
    if products < WORTH {
        1
    } else {
        rayon::current_num_threads()
    }
}

/// Samples a run for so many threads, at most `longest`.
pub fn run_length(batch: usize, threads: usize, longest: usize) -> usize {
    if threads == 1 {
        return batch.clamp(1, longest);
    }
    let even = batch.div_ceil(threads);
    let cut = batch.div_ceil(threads * RUNS).max(SHORT);
    cut.min(even).clamp(1, longest)
}

/// As [`run_length`], where a run costs something of its own, so that each thread takes as few as may be.
pub fn longest_even_run(batch: usize, threads: usize, longest: usize) -> usize {
    let rounds = batch.div_ceil(threads * longest).max(1);
    batch.div_ceil(threads * rounds).max(1)
}

/// One run's input until a thread takes it, its output when that is done.
enum Slot<T, R> {
    Waiting(T),
    Taken,
    Done(R),
}

/// `task(memory, index, run)` for every run on so many threads, in order of the runs. Each thread makes
/// its memory once.
///
/// A rayon iterator called from a thread outside its pool only waits there: two changes of thread a
/// call, some tens of microseconds, in which a batch of small problems is solved. Here the caller
/// takes runs as the pool's threads do, so that one that wakes late finds less to do, or nothing. It
/// is waited for all the same: what it was given is borrowed.
pub fn map_runs<T: Send, M, R: Send>(
    runs: Vec<T>,
    threads: usize,
    memory: impl Fn() -> M + Sync,
    task: impl Fn(&mut M, usize, T) -> R + Sync,
) -> Vec<R> {
    keep_freed_memory();
    let count = runs.len();
    let helpers = threads.min(count).saturating_sub(1);
    if helpers == 0 {
        let memory = &mut memory();
        let runs = runs.into_iter().enumerate();
        return runs.map(|(i, run)| task(memory, i, run)).collect();
    }
    let slots: Vec<_> = runs
        .into_iter()
        .map(|run| Mutex::new(Slot::Waiting(run)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut own = None;
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(i) else { return };
            let taken = std::mem::replace(&mut *lock(slot), Slot::Taken);
            if let Slot::Waiting(run) = taken {
                let result = task(own.get_or_insert_with(&memory), i, run);
                *lock(slot) = Slot::Done(result);
            }
            done.fetch_add(1, Ordering::Release);
        }
    };
    scoped(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| work());
        }
        work();
        for _ in 0..LOOKS {
            if done.load(Ordering::Acquire) == count {
                break;
            }
            yield_now();
        }
    });
    let slots = slots.into_iter().map(|slot| slot.into_inner());
    slots
        .map(|slot| match slot {
            Ok(Slot::Done(result)) => result,
            _ => unreachable!("the scope ends when every run is done, and passes panics on"),
        })
        .collect()
}

/// Rayon's scope on threads beside the calling one: those of its pool if it is in one, else a pool of
/// one thread fewer than rayon's own, whose threads would outnumber the processors with the caller.
fn scoped<'scope>(work: impl FnOnce(&Scope<'scope>)) {
    static BESIDE: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
        ThreadPoolBuilder::new()
            .num_threads((rayon::current_num_threads() - 1).max(1))
            .thread_name(|i| format!("feasible-{i}"))
            .build()
            .ok()
    });
    if rayon::current_thread_index().is_some() {
        return rayon::in_place_scope(work);
    }
    match &*BESIDE {
        Some(beside) => beside.in_place_scope(work),
        None => rayon::in_place_scope(work),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_memory_is_reused() {
        for count in [0, 1, 2, 7, 100] {
            let made = AtomicUsize::new(0);
            let results = map_runs(
                (0..count).collect(),
                rayon::current_num_threads(),
                || made.fetch_add(1, Ordering::Relaxed),
                |_, i, run: usize| (i, run * run),
            );
            let expected: Vec<_> = (0..count).map(|i| (i, i * i)).collect();
            assert_eq!(results, expected);
            assert!(made.into_inner() <= rayon::current_num_threads());
        }
    }

    #[test]
    fn even_runs_are_as_few_as_their_longest_allows() {
        assert_eq!(
            [0, 1, 64, 128, 129, 200].map(|batch| longest_even_run(batch, 2, 64)),
            [1, 1, 32, 64, 33, 50]
        );
        for threads in [1, 2, 3, 16] {
            for batch in 1..500 {
                let run = longest_even_run(batch, threads, 64);
                assert!(run <= 64);
                // Each thread has as many runs, but for the last, as there must be.
                let rounds = batch.div_ceil(64 * threads);
                assert!(batch.div_ceil(run) <= rounds * threads);
            }
        }
    }

    #[test]
    fn runs_are_several_a_thread_unless_they_were_short() {
        assert_eq!(
            [0, 1, 50, 500].map(|batch| run_length(batch, 1, 64)),
            [1, 1, 50, 64]
        );
        for threads in [2, 3, 16] {
            // Enough for every thread's runs, and more.
            for times in [1, 2, 10] {
                let length = times * SHORT;
                let batch = threads * RUNS * length;
                assert_eq!(run_length(batch, threads, 1 << 20), length);
                assert_eq!(run_length(batch, threads, 64), length.min(64));
            }
            // Too few for that: one a thread, or runs that are not too short.
            for batch in [1, threads, threads * SHORT] {
                assert_eq!(run_length(batch, threads, 64), batch.div_ceil(threads));
            }
            assert_eq!(run_length(2 * threads * SHORT, threads, 64), SHORT);
        }
    }

    #[test]
    fn inside_a_pool_of_one_thread_and_of_many() {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads can be started");
            let sum: usize = pool.install(|| {
                let inner = |_: &mut (), _, run: usize| {
                    let parts = map_runs((0..run).collect(), threads, || (), |_, i, _: usize| i);
                    parts.into_iter().sum::<usize>()
                };
                map_runs((0..20).collect(), threads, || (), inner)
                    .into_iter()
                    .sum()
            });
            let expected: usize = (0..20).map(|n: usize| n * n.saturating_sub(1) / 2).sum();
            assert_eq!(sum, expected);
        }
    }

    #[test]
    #[should_panic(expected = "run 3")]
    fn a_panic_reaches_the_caller() {
        map_runs(
            (0..8).collect(),
            2,
            || (),
            |_, i, _: usize| assert_ne!(i, 3, "run 3"),
        );
    }
}
