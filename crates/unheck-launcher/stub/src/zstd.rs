//! The decoder: the C library's, one frame at a time.

use alloc::vec::Vec;

/// Decodes one whole frame into exactly `len` bytes.
pub(crate) fn decode(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    // SAFETY: the decoder writes at most `len` bytes into the reserved room and says how many they are.
    unsafe {
        let got = zstd_sys::ZSTD_decompress(
            bytes.as_mut_ptr() as *mut _,
            len,
            packed.as_ptr().cast(),
            packed.len(),
        );
        if zstd_sys::ZSTD_isError(got) != 0 || got != len {
            return None;
        }
        bytes.set_len(len);
    }
    Some(bytes)
}

/// A decoder whose memory serves for many frames.
pub(crate) struct Decoder {
    context: *mut zstd_sys::ZSTD_DCtx,
    bytes: Vec<u8>,
}

impl Decoder {
    /// With room for frames of up to `longest` bytes; `None` when there is no memory.
    pub(crate) fn new(longest: usize) -> Option<Self> {
        // SAFETY: no precondition.
        let context = unsafe { zstd_sys::ZSTD_createDCtx() };
        (!context.is_null()).then(|| Self {
            context,
            bytes: Vec::with_capacity(longest),
        })
    }

    /// Decodes one whole frame of exactly `len` bytes.
    pub(crate) fn frame(&mut self, packed: &[u8], len: usize) -> Option<&mut [u8]> {
        self.bytes.clear();
        self.bytes.reserve_exact(len);
        // SAFETY: as in `decode`; the context is whole, whatever happened to earlier frames.
        unsafe {
            let got = zstd_sys::ZSTD_decompressDCtx(
                self.context,
                self.bytes.as_mut_ptr() as *mut _,
                len,
                packed.as_ptr().cast(),
                packed.len(),
            );
            if zstd_sys::ZSTD_isError(got) != 0 || got != len {
                return None;
            }
            self.bytes.set_len(len);
        }
        Some(&mut self.bytes)
    }

    /// As much of a damaged frame as can be decoded.
    pub(crate) fn salvage(&mut self, packed: &[u8], len: usize) -> &mut [u8] {
        self.bytes.clear();
        self.bytes.reserve_exact(len);
        let mut output = zstd_sys::ZSTD_outBuffer_s {
            dst: self.bytes.as_mut_ptr() as *mut _,
            size: len,
            pos: 0,
        };
        let mut input = zstd_sys::ZSTD_inBuffer_s {
            src: packed.as_ptr().cast(),
            size: packed.len(),
            pos: 0,
        };
        // SAFETY: both buffers are as long as they say; the decoder moves `pos` and stays below `size`.
        unsafe {
            zstd_sys::ZSTD_initDStream(self.context);
            loop {
                let before = (input.pos, output.pos);
                let left =
                    zstd_sys::ZSTD_decompressStream(self.context, &raw mut output, &raw mut input);
                let stuck = (input.pos, output.pos) == before;
                if zstd_sys::ZSTD_isError(left) != 0 || left == 0 || stuck {
                    break;
                }
            }
            self.bytes.set_len(output.pos);
        }
        &mut self.bytes
    }
}
