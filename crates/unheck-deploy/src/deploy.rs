//! `unheck deploy`: files in place on every host, checked there; what serves is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

use crate::archive::{Delta, Wanted, write_blobs, write_links};
use crate::artifact::{Artifact, Node};
use crate::audit::Outcome;
use crate::delta::{self, Part};
use crate::error::{DeployError, HostError, Refusal};
use crate::host::{Context, Opened, State, all, failed, on_all};
use crate::lists::{Difference, Listing, blob_name};
use crate::remote::{Call, Session};
use crate::status::ReleaseInfo;
use crate::transport::Transport;

/// Names that are asked for at once: less than a pipe holds, in both directions.
const ASKED: usize = 300;

/// Files whose blocks are asked for at once: the requests must be less than a pipe holds, the answers are more.
const BLOCKS: usize = 40;

/// Bytes of an archive up to which it goes through the session that is there: the host reads it byte by byte. One that
/// is larger gets a session of its own.
const SMALL: usize = 32 << 10;

/// A deployment to all hosts of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// The target.
    pub target: String,
    /// The release, the same on every host.
    pub release: String,
    /// What was done where.
    pub hosts: Vec<DeployReport>,
}

/// A deployment to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployReport {
    /// The host, as it is configured.
    pub host: String,
    /// Whether it had the release already.
    pub already: bool,
    /// Files that were sent.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes that were sent, protocol included.
    pub sent: u64,
    /// Bytes that were received.
    pub received: u64,
    /// Times that an answer of the host was waited for, besides those of ssh itself; none of a registry.
    #[serde(default)]
    pub round_trips: u64,
    /// Platforms of an image on which `smoke` was not run, because the machine that deploys does not run them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

impl DeployReport {
    /// Adds what went through a session.
    const fn count(&mut self, session: &Session) {
        self.sent += session.sent;
        self.received += session.received;
        self.round_trips += session.round_trips;
    }
}

/// Puts an artifact in place on every host of the target, at once.
///
/// # Errors
/// [`DeployError`]; hosts that did not fail have the release.
pub fn deploy(context: &Context<'_>, artifact: &Artifact) -> Result<Deployed, DeployError> {
    artifact.validate()?;
    let listing = Listing::of(artifact);
    let release = artifact.release_id(&listing.content());
    let job = Job {
        context,
        artifact,
        listing: &listing,
        release: &release,
    };
    let answers = on_all(context.ways, |way| job.host(&**way));
    let hosts = all(context, answers).map_err(|failures| {
        failed(
            context,
            "deploy to",
            "what serves was not touched",
            failures,
        )
    })?;
    Ok(Deployed {
        target: context.target.name.clone(),
        release,
        hosts,
    })
}

/// One deployment, for every host the same.
#[derive(Clone, Copy)]
struct Job<'a> {
    context: &'a Context<'a>,
    artifact: &'a Artifact,
    listing: &'a Listing,
    release: &'a str,
}

impl Job<'_> {
    fn host(&self, way: &dyn Transport) -> Result<DeployReport, HostError> {
        let (mut host, state) = Opened::lock(way, self.context, "deploy", true)?;
        if host.machine != self.artifact.machine {
            return Err(HostError::Machine {
                host: host.machine,
                artifact: self.artifact.machine.clone(),
            });
        }
        let mut report = DeployReport {
            host: way.label().to_owned(),
            already: false,
            files: 0,
            bytes: 0,
            sent: 0,
            received: 0,
            round_trips: 0,
            not_run: Vec::new(),
        };
        let info = self.info(&host, &state);
        let newest = state.newest();
        if state.releases.contains_key(self.release) && self.again(&mut host, &state)? {
            report.already = true;
            if newest.as_deref() != Some(self.release) {
                host.session.all(&[
                    Call::new("redate", &[self.release, &info])?,
                    self.audit(&host)?,
                ])?;
            }
        } else {
            // An update differs least from what was deployed last.
            match self.once(&mut host, newest, &info, &mut report) {
                // A base that somebody changed, or a blob that rotted: without both, once.
                Err(HostError::Refused {
                    refusal: Refusal::Differs,
                    ..
                }) => {
                    (self.context.say)(
                        way.label(),
                        "files there were changed: sending without them",
                    );
                    self.once(&mut host, None, &info, &mut report)?;
                }
                other => other?,
            }
        }
        report.count(&host.session);
        Ok(report)
    }

    fn audit(&self, host: &Opened<'_>) -> Result<Call, HostError> {
        let line = host.entry.about(self.release, Outcome::Done).line();
        Call::new("audit", &[&line])
    }

    /// The record of the release, deployed now.
    fn info(&self, host: &Opened<'_>, state: &State) -> String {
        let content = self.listing.content();
        ReleaseInfo::line(self.artifact, &content, &host.entry, state.next_order())
    }

    /// Holds a release that is there against its lists. One that is damaged is removed, where nothing
    /// needs it.
    fn again(&self, host: &mut Opened<'_>, state: &State) -> Result<bool, HostError> {
        (self.context.say)(host.way.label(), "it is there: checking its files");
        let damaged = match host.session.call("again", &[self.release]) {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        let in_use = [&state.current, &state.previous, &state.undo];
        if in_use.contains(&&Some(self.release.to_owned())) {
            return Err(damaged);
        }
        host.session.call("remove", &[self.release])?;
        Ok(false)
    }

    fn once(
        &self,
        host: &mut Opened<'_>,
        base: Option<String>,
        info: &str,
        report: &mut DeployReport,
    ) -> Result<(), HostError> {
        let say = |what: &str| (self.context.say)(host.way.label(), what);
        say("comparing");
        let (base, difference) = match base {
            Some(base) => match self.difference(host, report, &base)? {
                Some(difference) => (base, difference),
                None => ("none".to_owned(), self.whole()),
            },
            None => ("none".to_owned(), self.whole()),
        };
        let gone = list_of(&difference.gone);
        let mut lists = BTreeMap::new();
        if base == "none" {
            lists = self.listing.texts();
        } else if !difference.gone.is_empty() {
            lists.insert(gone.0, gone.1.as_slice());
        }
        let mut wanted = self.lacking(&mut host.session, &difference, lists)?;
        self.compare(&mut host.session, &difference, &mut wanted)?;
        let mut calls = Vec::new();
        if !wanted.blobs.is_empty() || !wanted.lists.is_empty() {
            say(&format!("sending {} files", wanted.blobs.len()));
            report.files += wanted.blobs.len() as u64;
            report.bytes += wanted
                .blobs
                .values()
                .map(|path| self.len(path))
                .sum::<u64>();
            self.transfer(host, report, (&mut calls, "receive"), |out| {
                write_blobs(out, self.artifact, &wanted)
            })?;
            assemble(&mut calls, &wanted)?;
        }
        calls.push(Call::new("adopt", &[])?);
        let named = if difference.gone.is_empty() {
            "none".to_owned()
        } else {
            gone.0.hex()
        };
        calls.push(Call::new("stage", &[self.release, &base, &named])?);
        if !difference.new.is_empty() {
            self.transfer(host, report, (&mut calls, "links"), |out| {
                write_links(out, self.artifact, self.release, &difference.new)
            })?;
        }
        say("checking");
        let program = self.artifact.interpreter.as_ref().map(TreePath::as_str);
        let program = program.unwrap_or_default();
        let smoke = self.context.target.smoke.as_deref().unwrap_or_default();
        calls.push(Call::new("smoke", &[self.release, program, smoke])?);
        let tree = self.listing.content().hex();
        calls.push(Call::new("finish", &[self.release, &tree, info])?);
        calls.push(self.audit(host)?);
        host.session.all(&calls)?;
        Ok(())
    }

    /// Adds an archive to calls. One that is large is sent by itself, after these are done.
    fn transfer(
        &self,
        host: &mut Opened<'_>,
        report: &mut DeployReport,
        (calls, verb): (&mut Vec<Call>, &'static str),
        write: impl Fn(&mut dyn Write) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut small = Small::default();
        match write(&mut small) {
            Err(_) if small.is_over => {}
            written => {
                written?;
                calls.push(Call::archive(verb, &host.token, &small.bytes)?);
                return Ok(());
            }
        }
        if !calls.is_empty() {
            host.session.all(&std::mem::take(calls))?;
        }
        // It belongs to the holder of the lock.
        let mut session = Session::open_stream(host.way)?;
        session.hello(&[Call::new("open", &[&self.context.target.directory, "no"])?])?;
        report.count(&session.stream(verb, &host.token, write)?);
        Ok(())
    }

    /// How the artifact differs from a release that the host has; `None` when that cannot be told. The host gets the
    /// lists of the artifact that it lacks, and tells it.
    fn difference(
        &self,
        host: &mut Opened<'_>,
        report: &mut DeployReport,
        base: &str,
    ) -> Result<Option<Difference>, HostError> {
        let content = self.listing.content();
        let tree = content.hex();
        let mut texts = self.listing.texts();
        let mut wanted = Wanted::default();
        let mut calls = Vec::new();
        wanted.lists.extend(texts.remove_entry(&content));
        self.transfer(host, report, (&mut calls, "receive"), |out| {
            write_blobs(out, self.artifact, &wanted)
        })?;
        calls.push(Call::new("lack", &[&tree])?);
        let missing = host.session.all(&calls)?.pop().unwrap_or_default();
        let missing: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
        texts.retain(|digest, _| missing.contains(digest.hex().as_str()));
        calls.clear();
        if !texts.is_empty() {
            wanted.lists = texts;
            self.transfer(host, report, (&mut calls, "receive"), |out| {
                write_blobs(out, self.artifact, &wanted)
            })?;
        }
        calls.push(Call::new("differ", &[base, &tree])?);
        match host.session.all(&calls) {
            Ok(mut answers) => {
                let lines = answers.pop().unwrap_or_default();
                Ok(Difference::parse(&lines, self.artifact))
            }
            Err(HostError::Refused {
                refusal: Refusal::Absent,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn whole(&self) -> Difference {
        Difference {
            new: self.artifact.files.keys().cloned().collect(),
            ..Difference::default()
        }
    }

    /// Of these lists and of the blobs that are new, those that the host does not have.
    fn lacking<'b>(
        &'b self,
        session: &mut Session,
        difference: &'b Difference,
        lists: BTreeMap<Digest, &'b [u8]>,
    ) -> Result<Wanted<'b>, HostError> {
        let mut wanted = Wanted {
            lists,
            ..Wanted::default()
        };
        for path in &difference.new {
            if let Some(Node::File {
                digest, executable, ..
            }) = self.artifact.files.get(path)
            {
                wanted
                    .blobs
                    .entry(blob_name(digest, *executable))
                    .or_insert(path);
            }
        }
        let lists = wanted
            .lists
            .keys()
            .map(|digest| format!("lists/{}", digest.hex()));
        let names: Vec<String> = wanted.blobs.keys().cloned().chain(lists).collect();
        let mut missing = BTreeSet::new();
        for names in names.chunks(ASKED) {
            let words: Vec<&str> = names.iter().map(String::as_str).chain([""]).collect();
            missing.extend(session.call("have", &words)?);
        }
        wanted.blobs.retain(|name, _| missing.contains(name));
        wanted
            .lists
            .retain(|digest, _| missing.contains(&format!("lists/{}", digest.hex())));
        Ok(wanted)
    }

    /// Finds out which of the wanted files are much like those that the base has under their paths.
    fn compare(
        &self,
        session: &mut Session,
        difference: &Difference,
        wanted: &mut Wanted<'_>,
    ) -> Result<(), HostError> {
        let alike = wanted.blobs.iter().filter_map(|(name, path)| {
            let old = difference.was.get(*path)?;
            let fits = delta::SIZES.contains(&self.len(path)) && !name.ends_with(".x");
            fits.then_some((name, *path, old))
        });
        let alike: Vec<_> = alike.collect();
        for alike in alike.chunks(BLOCKS) {
            let calls = alike.iter().map(|(_, _, old)| Call::new("blocks", &[old]));
            let answers = session.all(&calls.collect::<Result<Vec<_>, _>>()?)?;
            for ((name, path, old), blocks) in alike.iter().zip(answers) {
                let bytes = self.read(path)?;
                if Digest::of(&bytes).hex() != **name {
                    return Err(HostError::Damaged {
                        path: (*path).clone(),
                    });
                }
                if let Some(parts) = delta::parts(&bytes, &blocks) {
                    let old = (*old).clone();
                    let delta = Delta { old, bytes, parts };
                    wanted.deltas.insert((*name).clone(), delta);
                }
            }
        }
        Ok(())
    }

    fn read(&self, path: &TreePath) -> Result<Vec<u8>, HostError> {
        let bytes = fs_err::read(self.artifact.root.join(path.as_str()));
        bytes.map_err(|source| HostError::Read {
            path: path.clone(),
            source,
        })
    }

    fn len(&self, path: &TreePath) -> u64 {
        match self.artifact.files.get(path) {
            Some(Node::File { len, .. }) => *len,
            _ => 0,
        }
    }
}

/// What an archive is written to that may turn out to be small.
#[derive(Default)]
struct Small {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_over |= self.bytes.len() + bytes.len() > SMALL;
        if self.is_over {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the host put together what went in parts.
fn assemble(calls: &mut Vec<Call>, wanted: &Wanted<'_>) -> Result<(), HostError> {
    for (name, delta) in &wanted.deltas {
        let parts = delta.parts.iter().enumerate();
        let lines = parts.map(|(number, part)| match part {
            Part::Old(first, count) => format!("o {first} {count}"),
            Part::New(_) => format!("n {number}"),
        });
        let lines: Vec<String> = lines.chain([String::new()]).collect();
        let words = [name.as_str(), delta.old.as_str()].into_iter();
        let words: Vec<&str> = words.chain(lines.iter().map(String::as_str)).collect();
        calls.push(Call::new("assemble", &words)?);
    }
    Ok(())
}

/// Paths, a line each, with their digest.
fn list_of(paths: &BTreeSet<TreePath>) -> (Digest, Vec<u8>) {
    let lines: Vec<String> = paths.iter().map(|path| format!("{path}\n")).collect();
    let text = lines.concat().into_bytes();
    (Digest::of(&text), text)
}
