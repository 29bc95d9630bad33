//! Compiles the launcher's own program (`stub/`) for every architecture that this toolchain can compile for, and hands
//! the bytes to `stub`. Start at [`main`].
//!
//! The nested build sees nothing of the outer one's flags, features or profile, so the same sources and toolchain give
//! the same bytes in a debug build, a release build and in any checkout. Its lock is a part of the outer lock, so what
//! it needs was downloaded before; only if that is not so (a lone `cargo build -p`, a new target) it asks for the rest.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script's input is its environment"
)]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// An architecture: the name of its constant, cargo's target, the C compiler when it is not the host's.
const ARCHITECTURES: [(&str, &str, &str); 2] = [
    ("AMD64", "x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
    (
        "ARM64",
        "aarch64-unknown-linux-gnu",
        "aarch64-linux-gnu-gcc",
    ),
];

fn main() -> Outcome<()> {
    for path in [
        "stub/src",
        "stub/Cargo.toml",
        "stub/Cargo.lock",
        "src/wire",
        "build.rs",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["CC", "CARGO_HOME"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let toolchain = Toolchain::find()?;
    let mut constants = String::new();
    for (name, target, compiler) in ARCHITECTURES {
        let native = env::var("HOST")? == target;
        let compiler = (!native).then_some(compiler);
        let possible = toolchain.has(target)? && compiler.is_none_or(exists);
        let compiled = possible.then(|| toolchain.compile(target, compiler));
        let value = match compiled {
            None => "None".to_owned(),
            Some(Ok(stub)) => format!("Some(include_bytes!({stub:?}))"),
            Some(Err(error)) if native => return Err(error),
            Some(Err(error)) => {
                let first = error.to_string();
                let first = first.lines().next().unwrap_or_default();
                println!("cargo::warning=no launcher for {target}: {first}");
                "None".to_owned()
            }
        };
        writeln!(
            constants,
            "pub(super) const {name}: Option<&[u8]> = {value};"
        )?;
    }
    fs_err::write(toolchain.out.join("stubs.rs"), constants)?;
    Ok(())
}

fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

struct Toolchain {
    cargo: String,
    rustc: String,
    out: PathBuf,
    package: PathBuf,
}

impl Toolchain {
    fn find() -> Outcome<Self> {
        Ok(Self {
            cargo: env::var("CARGO")?,
            rustc: env::var("RUSTC")?,
            out: env::var("OUT_DIR")?.into(),
            package: env::var("CARGO_MANIFEST_DIR")?.into(),
        })
    }

    fn ask(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.rustc).args(arguments).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Whether the toolchain has the core library for a target.
    fn has(&self, target: &str) -> Outcome<bool> {
        let libraries = self.ask(&["--print", "target-libdir", "--target", target])?;
        Ok(!libraries.is_empty() && Path::new(&libraries).is_dir())
    }

    /// Compiles the program and returns where it is.
    fn compile(&self, target: &str, compiler: Option<&str>) -> Outcome<PathBuf> {
        let flags = self.flags(target)?.join("\x1f");
        let mut problem = String::new();
        for offline in [true, false] {
            let mut command = self.cargo(target, &flags);
            if let Some(compiler) = compiler {
                let target = target.replace('-', "_");
                command.env(format!("CC_{target}"), compiler);
                let target = target.to_uppercase();
                command.env(format!("CARGO_TARGET_{target}_LINKER"), compiler);
            }
            if offline {
                command.arg("--offline");
            }
            let output = command.output()?;
            if output.status.success() {
                let built = self
                    .out
                    .join("stub")
                    .join(target)
                    .join("release/unheck-stub");
                let kept = self.out.join(format!("stub-{target}"));
                fs_err::copy(built, &kept)?;
                return Ok(kept);
            }
            problem = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        Err(format!("the launcher does not compile for {target}:\n{problem}").into())
    }

    fn cargo(&self, target: &str, flags: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if is_of_outer_build(&name) {
                command.env_remove(name);
            }
        }
        command
            .args([
                "build",
                "--release",
                "--locked",
                "--quiet",
                "--target",
                target,
            ])
            .arg("--target-dir")
            .arg(self.out.join("stub"))
            .current_dir(self.package.join("stub"))
            .env("RUSTC", &self.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .env("CARGO_INCREMENTAL", "0")
            .env(
                format!("CFLAGS_{}", target.replace('-', "_")),
                c_flags(target),
            );
        command
    }

    /// Linked without libc at a fixed address, so that nothing has to be relocated before the first instruction; no
    /// path of this machine.
    fn flags(&self, target: &str) -> Outcome<Vec<String>> {
        let mut flags: Vec<String> = ["relocation-model=static", "target-feature=+crt-static"]
            .iter()
            .map(|option| format!("-C{option}"))
            .collect();
        for argument in [
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
        ] {
            flags.push(format!("-Clink-arg={argument}"));
        }
        if target.starts_with("aarch64") {
            // Asking for the processor's abilities would take libc's `getauxval`, and with it libc.
            flags.push("--cfg=sha2_backend=\"soft\"".to_owned());
        }
        let sysroot = self.ask(&["--print", "sysroot"])?;
        let version = self.ask(&["-vV"])?;
        let commit = version
            .lines()
            .find_map(|line| line.strip_prefix("commit-hash: "))
            .unwrap_or_default();
        let home =
            env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| home + "/.cargo"));
        let outer = self.package.ancestors().nth(2).unwrap_or(&self.package);
        for (path, name) in [
            (outer.display().to_string(), "unheck".to_owned()),
            (self.out.display().to_string(), "out".to_owned()),
            (home.unwrap_or_default(), "cargo".to_owned()),
            (
                format!("{sysroot}/lib/rustlib/src/rust"),
                format!("/rustc/{commit}"),
            ),
        ] {
            if !path.is_empty() {
                flags.push(format!("--remap-path-prefix={path}={name}"));
            }
        }
        Ok(flags)
    }
}

/// Whether a variable speaks of the outer build and must not reach the nested one.
fn is_of_outer_build(name: &str) -> bool {
    let kept = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    let others = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "OUT_DIR",
        "TARGET",
    ];
    let c_compiler = ["CFLAGS", "CPPFLAGS", "LDFLAGS"];
    let is_cargo = name.starts_with("CARGO") && !kept.iter().any(|prefix| name.starts_with(prefix));
    is_cargo || others.contains(&name) || c_compiler.iter().any(|part| name.contains(part))
}

/// There is no libc: nothing that distributions' compilers add by default may call it or expect what it sets up.
fn c_flags(target: &str) -> String {
    let mut flags =
        "-fno-stack-protector -U_FORTIFY_SOURCE -fno-asynchronous-unwind-tables -fno-pic"
            .to_owned();
    if target.starts_with("x86_64") {
        flags.push_str(" -fcf-protection=none");
    }
    flags
}
