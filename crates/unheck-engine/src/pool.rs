//! Where work runs that others wait for. Start at [`apart`].

/// Does work that uses rayon on threads of its own, and waits for it.
///
/// Whoever holds a lock of the store must not need the threads that all share: each of them may wait for that lock, and
/// then nobody goes on. Nor may it wait as rayon does, which takes up other work meanwhile that may want the same lock.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let threads = rayon::current_num_threads();
    std::thread::scope(|scope| {
        let own = scope.spawn(move || {
            match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
                Ok(pool) => pool.install(work),
                Err(_) => work(),
            }
        });
        own.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
