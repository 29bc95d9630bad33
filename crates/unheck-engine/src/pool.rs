//! Where work runs that others wait for. Start at [`make_once`].

use std::error::Error;
use std::path::Path;

use unheck_store::{Derived, DerivedDir, ProduceError, StoreError};

/// Makes a directory of the store once, also when several processes ask at one moment. `find` is asked again when
/// nobody else is at it any more.
///
/// # Errors
/// Those of `find` and `write`; the store fails.
pub(crate) fn make_once<E>(
    derived: &Derived,
    find: impl FnOnce() -> Result<Option<DerivedDir>, E> + Send,
    write: impl FnOnce(&Path) -> Result<(), E> + Send,
) -> Result<DerivedDir, E>
where
    E: Error + From<StoreError> + Send + 'static,
{
    let _alone = derived.lock()?;
    apart(|| {
        if let Some(found) = find()? {
            return Ok(found);
        }
        derived.dir_with(write).map_err(|error| match error {
            ProduceError::Store(source) => source.into(),
            ProduceError::Produce(error) => error,
        })
    })
}

/// Does work that uses rayon on threads of its own, and waits for it.
///
/// Whoever holds a lock of the store must not need the threads that all share: each of them may wait for that lock, and
/// then nobody goes on. Nor may it wait as rayon does, which takes up other work meanwhile that may want the same lock.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
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
