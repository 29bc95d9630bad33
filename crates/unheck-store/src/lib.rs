//! Content-addressed store on disk: blobs, packs and derived files, shared by concurrent
//! processes, and parallel downloads into it.
//!
//! Read [`Store::open`] first, then [`fetch::fetch_all`].
//!
//! # Layout of a store
//!
//! | path | what |
//! |---|---|
//! | `VERSION` | the layout's number; a store of another number is refused |
//! | `blobs/sha256/ab/<hex>` | blobs, named by their own digest, mode 0444 |
//! | `derived/<kind>/<hex>` | what was computed from blobs, named by a key, with a checksum |
//! | `state/` | small JSON documents that must outlive a crash, with a checksum |
//! | `locks/` | advisory locks (`flock`), one file a name while it is held |
//! | `tmp/s-*/` | a running process's unfinished files; the directory is `flock`ed by its owner |
//! | `tmp/partial-<hex>` | an unfinished download, kept to be resumed |
//!
//! # What is promised
//!
//! - Nothing appears under its final name before it is whole: all is written under `tmp/` and
//!   renamed. `kill -9` at any moment leaves only leftovers in `tmp/`, which the next
//!   [`Store::open`] removes.
//! - Content is checked at every use, not only when it is written: the readers given out
//!   here fail at the end of the content when its digest is wrong. Such an error carries a
//!   [`Corruption`] (see [`corruption`]), which names what [`Store::discard`] must remove before
//!   the work is done again.
//! - Because every use is checked, a power cut is the same as rot: what it damaged is noticed, and
//!   fetched or computed again. So nothing but state documents is synced (`fsync`): a sync of one
//!   2 MB file took 20 to 300 ms on a busy disk, a cold build writes hundreds. A killed process is no
//!   power cut: what it wrote is safe with the kernel.
//!
//! # What it refuses to do
//!
//! It never follows what stands in an archive, knows no format of Python or Debian, reads no clock
//! (the times of files are the file system's own) and works in no directory that everybody may write.

mod blob;
mod corrupt;
mod derived;
mod disk;
mod error;
pub mod fetch;
mod lock;
mod pack;
mod pack_index;
mod prune;
mod state;
mod store;

pub use blob::{BlobWriter, Expected};
pub use corrupt::{Corruption, Object, VerifyingReader, corruption};
pub use derived::{Derived, DerivedDir, DerivedFile, ProduceError};
pub use error::StoreError;
pub use lock::LockGuard;
pub use pack::{Pack, PackError, PackMember, PackRange, PackWriter};
pub use pack_index::{Added, Member, PackEntry, PackKind};
pub use prune::{PruneOptions, Pruned, Usage};
pub use store::Store;
