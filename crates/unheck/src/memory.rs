//! How the C library's allocator keeps memory. Start at [`settle`].

/// Memory that was freed goes back to the system, instead of staying with each of many threads.
///
/// A build has long buffers (an index, a library, a layer's frames) in many threads, one after the other. glibc gives eight
/// arenas to each core and stops mapping large buffers apart after the first one was freed (`mallopt(3)`), so that pieces of
/// many of them stay: 359 MB at the most for `examples/data` on two platforms, and 182 MB with this, in the same time. To be
/// called before there are threads.
pub(crate) fn settle() {
    #[cfg(target_env = "gnu")]
    {
        /// Buffers from this length on are mapped and unmapped, in bytes.
        const MAPPED_FROM: libc::c_int = 1 << 20;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let arenas = libc::c_int::try_from(cores.clamp(2, 8)).unwrap_or(2);
        // SAFETY: both calls set a number of the allocator; there is one thread.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, arenas);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        }
    }
}
