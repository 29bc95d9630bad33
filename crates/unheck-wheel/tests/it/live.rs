//! None of the popular wheels is refused by a rule that is on for all.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use unheck_wheel::{Limits, PlanOptions, Planned, Source, Wheel, WheelName, plan};

use crate::support::{chain, scheme};

/// Distributions with odd builders, large files, `.data` directories, many files and old habits.
const POPULAR: &str = "numpy pandas scipy scikit-learn opencv-python lxml cryptography pillow \
    psycopg2-binary pydantic-core fastapi uvicorn uvloop httptools grpcio orjson pyarrow \
    setuptools pip wheel six requests urllib3 certifi idna charset-normalizer pyyaml jinja2 \
    markupsafe click rich soundfile python-magic weasyprint cffi brotli fonttools tinycss2 \
    matplotlib protobuf boto3 botocore ruff jupyterlab pywin32-ctypes google-cloud-storage \
    zope.interface debugpy tzdata babel django ansible-core sympy plotly kubernetes greenlet \
    sqlalchemy aiohttp attrs colorama pytz python-dateutil docutils pygments cmake ninja \
    virtualenv poetry-core hatchling flit-core maturin black mypy cython nltk spacy";

fn download(into: &Path) -> Vec<PathBuf> {
    fs_err::create_dir_all(into).unwrap();
    let status = Command::new("pip")
        .args([
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
        ])
        .arg(into)
        .args(POPULAR.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success());
    let entries = fs_err::read_dir(into).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "whl"));
    files.sort();
    files
}

fn check(file: &Path) -> Result<(u64, f64), Box<dyn Error>> {
    let name: WheelName = file.file_name().unwrap().to_str().unwrap().parse()?;
    let mut reader = fs_err::File::open(file)?;
    let len = reader.metadata()?.len();
    let start = Instant::now();
    let wheel = Wheel::open(&mut reader, len, &name, &Limits::default())?;
    let opened = start.elapsed();
    let start = Instant::now();
    let mut total = 0;
    let mut buffer = vec![0; 128 * 1024];
    wheel.unpack(&mut reader, &mut |_, _, content| {
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(()),
                read => total += read as u64,
            }
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let planned = plan(&wheel, &scheme(), &PlanOptions::default())?;
    install(&wheel, &planned, &mut reader)?;
    let kinds: BTreeMap<String, usize> =
        wheel
            .modules()
            .values()
            .fold(BTreeMap::new(), |mut kinds, kind| {
                *kinds.entry(format!("{kind:?}")).or_default() += 1;
                kinds
            });
    println!(
        "{name}: {} members, {} planned, {total} bytes, open {opened:?}, {:.0} MB/s, {kinds:?} {:?}",
        wheel.members().len(),
        planned.len(),
        total as f64 / seconds / 1e6,
        wheel.facts(&BTreeSet::new()),
    );
    assert!(!wheel.modules().is_empty() || wheel.entry_points().console_scripts.is_empty());
    Ok((total, seconds))
}

/// Puts the planned files on disk, and lets an independent reader compare them with RECORD.
fn install(wheel: &Wheel, planned: &[Planned], reader: &mut fs_err::File) -> io::Result<()> {
    const READER: &str = "
import base64, hashlib, importlib.metadata, os, sys
root = sys.argv[1]
library = os.path.join(root, 'usr/local/lib/python3.13/dist-packages')
[dist] = importlib.metadata.distributions(path=[library])
listed = set()
for file in dist.files:
    path = os.path.normpath(file.locate())
    listed.add(path)
    content = open(path, 'rb').read()
    if file.name != 'RECORD' or 'dist-info' not in str(file.parent):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=')
        assert file.hash.value == digest.decode() and file.size == len(content), file
shipped = {os.path.join(at, name) for at, _, names in os.walk(root) for name in names}
assert listed == shipped, listed ^ shipped
for point in dist.entry_points.select(group='console_scripts'):
    text = open(os.path.join(root, 'usr/local/bin', point.name)).read()
    compile(text, point.name, 'exec')
    assert point.module in text and text.startswith('#!/usr/bin/python3.13\\n')
";
    let directory = tempfile::tempdir()?;
    let root = directory.path();
    let mut places = BTreeMap::new();
    for planned in planned {
        let path = root.join(planned.path.as_str());
        fs_err::create_dir_all(path.parent().unwrap())?;
        match &planned.source {
            Source::Member(index) => drop(places.insert(*index, path)),
            Source::Inline(bytes) => fs_err::write(path, bytes)?,
        }
    }
    let unpacked = wheel.unpack(reader, &mut |index, _, content| match places.get(&index) {
        Some(path) => io::copy(content, &mut fs_err::File::create(path)?).map(drop),
        None => Ok(()),
    });
    unpacked.map_err(io::Error::other)?;
    let mut python = Command::new("python3");
    let status = python.args(["-I", "-c", READER]).arg(root).status()?;
    assert!(status.success(), "{}", wheel.name());
    Ok(())
}

#[test]
#[ignore = "live: downloads wheels"]
fn popular_wheels_are_not_refused() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels");
    let files = download(&directory);
    assert!(files.len() >= 70, "only {} wheels", files.len());
    let mut refused = Vec::new();
    let (mut bytes, mut seconds) = (0, 0.0);
    for file in &files {
        match check(file) {
            Ok((total, time)) => {
                bytes += total;
                seconds += time;
            }
            Err(error) => refused.push(format!("{}: {}", file.display(), chain(&*error))),
        }
    }
    println!(
        "{} wheels, {bytes} bytes, {:.0} MB/s",
        files.len(),
        bytes as f64 / seconds / 1e6
    );
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
