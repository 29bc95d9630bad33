//! Measures the store: `cargo run --release -p unheck-store --example throughput DIRECTORY`.
//!
//! Prints how fast blobs are put, packs written and read, and how long it takes to open a pack of
//! 1,500 entries.
#![expect(clippy::print_stdout, reason = "a measuring program talks on stdout")]

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use unheck_base::{Digest, TreePath};
use unheck_store::{Member, Pack, PackWriter, Store};

const SIZE: usize = 256 << 20;

fn report(what: &str, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0} MB/s", SIZE as f64 / 1e6 / seconds);
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).map(PathBuf::from);
    let store = Store::open(&root.ok_or("usage: throughput DIRECTORY")?)?;
    let bytes: Vec<u8> = (0..SIZE as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect();

    let begun = Instant::now();
    Digest::of(&bytes);
    report("sha256 alone", begun);
    let begun = Instant::now();
    let digest = store.put_reader(&mut &bytes[..], None)?;
    report("put_reader", begun);
    let begun = Instant::now();
    store.open_verified(&digest)?.finish()?;
    report("open_verified", begun);

    let key = Pack::key(&digest, "bench");
    let begun = Instant::now();
    let mut writer = PackWriter::create(&store, &key)?;
    for (at, part) in bytes.chunks(SIZE / 1500).enumerate() {
        let path = TreePath::new(&format!("package/module_{:02}/file_{at}.py", at % 40))?;
        let member = Member {
            path,
            mode: 0o644,
            mtime: 0,
        };
        writer.add_file(member, Some(part.len() as u64), &mut &part[..])?;
    }
    writer.commit(&serde_json::json!({}))?;
    report("pack write", begun);

    let begun = Instant::now();
    let rounds = 100;
    for _ in 0..rounds {
        Pack::open(&store, &key)?.ok_or("the pack is gone")?;
    }
    let each = begun.elapsed() / rounds;
    let pack = Pack::open(&store, &key)?.ok_or("the pack is gone")?;
    println!("open a pack of {} entries: {each:?}", pack.entries().len());

    let mut buffer = vec![0; 128 * 1024];
    let begun = Instant::now();
    for entry in pack.entries() {
        let mut member = pack.member(entry).ok_or("not a file")?;
        while member.read(&mut buffer)? > 0 {}
    }
    report("pack read, verified", begun);
    let begun = Instant::now();
    let mut range = pack.read(0, SIZE as u64);
    while range.read(&mut buffer)? > 0 {}
    report("pack read, not verified", begun);
    Ok(())
}
