//! What only the running machine tells: kernel, processor, page size. Start at [`host`].

use unheck_elf::IsaLevel;

use super::capture::Host;

/// The machine that this program runs on.
pub fn host() -> Host {
    let kernel = rustix::system::uname();
    Host {
        kernel: Some(kernel.release().to_string_lossy().into_owned()),
        cpu: cpu(),
        page_size: u64::try_from(rustix::param::page_size()).ok(),
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu() -> Option<IsaLevel> {
    macro_rules! has {
        ($($name:tt),+) => { $(std::is_x86_feature_detected!($name))&&+ };
    }
    // x86-64 psABI 1.1, table 3.1; LAHF and OSXSAVE are not asked for by name, and every processor
    // of these levels has them.
    let v2 = has!("cmpxchg16b", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3");
    let v3 = v2
        && has!(
            "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"
        );
    let v4 = v3 && has!("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl");
    Some(match (v4, v3, v2) {
        (true, ..) => IsaLevel::V4,
        (_, true, _) => IsaLevel::V3,
        (_, _, true) => IsaLevel::V2,
        _ => IsaLevel::Baseline,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu() -> Option<IsaLevel> {
    None
}
