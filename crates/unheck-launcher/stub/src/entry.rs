//! What a libc would bring: the first instruction, memory functions, an allocator, the end on a panic.
//!
//! Nothing here knows what the program does. The allocator never gives small blocks back: the program lives for a
//! tenth of a second.

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use crate::sys;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {first}",
    "ud2",
    first = sym first,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {first}",
    "brk #1",
    first = sym first,
);

/// What the kernel handed over.
pub(crate) struct Given {
    /// The arguments, the program's name first.
    pub(crate) args: Vec<&'static CStr>,
    /// The environment.
    pub(crate) environment: Vec<&'static CStr>,
    /// The path that was executed, as the caller wrote it.
    pub(crate) executed: Option<&'static CStr>,
    /// Whether the program gained rights by being started.
    pub(crate) secure: bool,
}

const AT_SECURE: usize = 23;
const AT_EXECFN: usize = 31;

/// The list of strings that begins at `at`, and the word behind its end.
///
/// # Safety
///
/// `at` must point to a list of valid, lasting C strings that ends with a null pointer.
unsafe fn strings(mut at: *const usize) -> (Vec<&'static CStr>, *const usize) {
    let mut list = Vec::new();
    loop {
        // SAFETY: not behind the null pointer, by the loop's end.
        let word = unsafe { *at };
        at = at.wrapping_add(1);
        if word == 0 {
            return (list, at);
        }
        // SAFETY: a valid, lasting C string, by the caller's promise.
        list.push(unsafe { CStr::from_ptr(word as *const c_char) });
    }
}

unsafe extern "C" fn first(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc, argv, a null, envp, a null and the auxiliary vector there (System V ABI).
    let given = unsafe {
        let (args, after) = strings(stack.add(1));
        let (environment, mut auxiliary) = strings(after);
        let (mut executed, mut secure) = (None, false);
        while *auxiliary != 0 {
            match *auxiliary {
                AT_SECURE => secure = *auxiliary.add(1) != 0,
                AT_EXECFN => executed = Some(CStr::from_ptr(*auxiliary.add(1) as *const c_char)),
                _ => {}
            }
            auxiliary = auxiliary.add(2);
        }
        Given {
            args,
            environment,
            executed,
            secure,
        }
    };
    crate::main(&given)
}

/// Blocks from here on are mapped alone and given back.
const LARGE: usize = 1 << 18;
/// What is mapped at once for small blocks.
const CHUNK: usize = 1 << 20;

struct Bump {
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: the program has one thread; its workers are processes.
unsafe impl Sync for Bump {}

#[global_allocator]
static HEAP: Bump = Bump {
    next: Cell::new(0),
    end: Cell::new(0),
};

// SAFETY: every block is handed out once, aligned, and inside a mapping of its own or of the chunk.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            return sys::map_anonymous(layout.size(), false).unwrap_or(ptr::null_mut());
        }
        let mut at = self.next.get().next_multiple_of(layout.align());
        if at == 0 || at + layout.size() > self.end.get() {
            let Ok(chunk) = sys::map_anonymous(CHUNK, false) else {
                return ptr::null_mut();
            };
            at = (chunk as usize).next_multiple_of(layout.align());
            self.end.set(chunk as usize + CHUNK);
        }
        self.next.set(at + layout.size());
        at as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            // SAFETY: it was mapped alone with this size, and its owner gives it up.
            unsafe { sys::unmap(block, layout.size()) };
        } else if block as usize + layout.size() == self.next.get() {
            self.next.set(block as usize);
        }
    }
}

/// What stands before a block of [`malloc`]: its size. Sixteen bytes keep the alignment that C expects.
const HEAD: usize = 16;

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    let Some(Ok(layout)) = size
        .checked_add(HEAD)
        .map(|size| Layout::from_size_align(size, HEAD))
    else {
        return ptr::null_mut();
    };
    // SAFETY: the layout is not empty; the head is inside of the block.
    unsafe {
        let block = HEAP.alloc(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(layout.size());
        block.add(HEAD).cast()
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else {
        return ptr::null_mut();
    };
    // SAFETY: the block has `size` bytes. A reused small block may hold old bytes, so it is cleared.
    unsafe {
        let block = malloc(size);
        if !block.is_null() {
            memset(block.cast(), 0, size);
        }
        block
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: it came from `malloc`, which wrote the head.
    unsafe {
        let start = block.cast::<u8>().sub(HEAD);
        let size = start.cast::<usize>().read();
        HEAP.dealloc(start, Layout::from_size_align_unchecked(size, HEAD));
    }
}

// The memory functions are written in assembly (x86-64) or with volatile accesses (others), because the compiler turns
// plain loops into calls of the very function that they are the body of.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    // SAFETY: the caller's promise.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        forward(to, from, len);
    }
    to
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn forward(to: *mut u8, from: *const u8, len: usize) {
    let words = len / 8;
    // SAFETY: all accesses are inside of `len` bytes.
    unsafe {
        for word in 0..words {
            let value = from.cast::<[u8; 8]>().add(word).read_volatile();
            to.cast::<[u8; 8]>().add(word).write_volatile(value);
        }
        for byte in words * 8..len {
            to.add(byte).write_volatile(from.add(byte).read_volatile());
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: copying upwards never overwrites what is still to be read.
        return unsafe { memcpy(to, from, len) };
    }
    let mut left = len;
    // SAFETY: downwards, for the same reason; all accesses are inside of `len` bytes.
    unsafe {
        while left >= 8 {
            left -= 8;
            let value = from.add(left).cast::<u64>().read_unaligned();
            let at = to.add(left).cast::<[u8; 8]>();
            at.write_volatile(value.to_ne_bytes());
        }
        while left > 0 {
            left -= 1;
            to.add(left).write_volatile(from.add(left).read_volatile());
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "rep stosb",
            inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..len {
        // SAFETY: inside of `len` bytes.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> c_int {
    for at in 0..len {
        // SAFETY: inside of `len` bytes.
        let (a, b) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: up to the NUL.
    while unsafe { text.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::say::fail(
        crate::say::BROKEN,
        &alloc::format!("a bug in the launcher: {}", info.message()),
    )
}

/// `alloc` as it is shipped was compiled for unwinding. With panics that abort, nothing ever unwinds: these names only
/// satisfy the linker.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// See [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exit(crate::say::BROKEN)
}

/// What `compiler_builtins` for AArch64 asks of a libc. It does so in constructors, which nobody runs here: without them
/// it takes the instructions that every processor has.
#[cfg(target_arch = "aarch64")]
mod constructors {
    #[unsafe(no_mangle)]
    extern "C" fn getauxval(_kind: usize) -> usize {
        0
    }

    /// Distributions compile its C parts with stack protection.
    #[unsafe(no_mangle)]
    static __stack_chk_guard: usize = 0x7fed_cba9_8765_4300;

    #[unsafe(no_mangle)]
    extern "C" fn __stack_chk_fail() -> ! {
        crate::sys::exit(crate::say::BROKEN)
    }
}
