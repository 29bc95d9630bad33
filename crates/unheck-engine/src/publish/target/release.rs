//! The tag that serves moves: `unheck release` and `unheck rollback`.
//!
//! The record says first what is to serve and what served, then the tag moves by one request, then the health check
//! is asked, then the record says that it is done. Whatever ends in between leaves a record by which the next call
//! brings back what served.

use std::time::{Duration, Instant};

use unheck_base::Digest;
use unheck_deploy::{Entry, Outcome, ReleaseReport, Switched, Wanted, named};
use unheck_registry::{Document, Purpose, Removal};

use super::deploy::keep_newest;
use super::record::{NotWritten, Record, Served, State, Switching};
use super::{Shop, TargetContext, TargetFault};
use crate::publish::PublishError;

const UNTOUCHED: &str = "what serves was not touched";
const BACK: &str = "what served before serves again";
/// How long a lock counts besides the health check, in seconds.
const LOCKED: u64 = 300;

/// Makes a release serve. `check` asks for the health check.
///
/// # Errors
/// [`TargetFault`]; what served before serves again, or the error says that it does not.
pub fn release(
    context: TargetContext<'_>,
    wanted: Wanted<'_>,
    check: bool,
) -> Result<ReleaseReport, TargetFault> {
    let (doing, what) = wanted.words();
    let shop = Shop::open(context, what, Purpose::Push);
    let shop = shop.map_err(|source| TargetFault::Publish {
        doing,
        target: context.target.name.clone(),
        after: UNTOUCHED.to_owned(),
        source: Box::new(source),
    })?;
    let mut record = Record::read(&shop, doing)?;
    shop.unlocked(&record.state, doing)?;
    repair(&shop, &mut record, doing)?;
    let choice = choose(&record.state, wanted);
    let (id, to) = choice.map_err(|problem| TargetFault::Choose {
        target: context.target.name.clone(),
        problem,
    })?;
    let mut turn = Turn {
        shop: &shop,
        record,
        doing,
        id,
        to,
        before: None,
        switch_ms: 0,
        health_ms: 0,
    };
    let already = turn.run(check)?;
    let state = &turn.record.state;
    let before = turn.before.as_ref();
    Ok(ReleaseReport {
        target: context.target.name.clone(),
        hosts: vec![Switched {
            host: context.target.repository.to_string(),
            before: before
                .map(|document| state.name_of(&document.descriptor.digest))
                .filter(|before| *before != turn.id),
            already,
            switch_ms: turn.switch_ms,
            health_ms: turn.health_ms,
        }],
        release: turn.id,
    })
}

/// One switch.
struct Turn<'a> {
    shop: &'a Shop<'a>,
    record: Record,
    doing: &'static str,
    id: String,
    to: Digest,
    /// What the tag named.
    before: Option<Document>,
    switch_ms: u64,
    health_ms: u64,
}

impl Turn<'_> {
    /// Whether it served already.
    fn run(&mut self, check: bool) -> Result<bool, TargetFault> {
        let target = self.shop.context.target;
        let untouched = |error| self.shop.failed(self.doing, UNTOUCHED, error);
        self.before = self.shop.document(&target.tag).map_err(untouched)?;
        let now = self.before.as_ref().map(|found| found.descriptor.digest);
        if now == Some(self.to) && self.says(self.to) {
            self.health(check)
                .map_err(|ill| self.ill("it serves, as it did before", ill))?;
            return Ok(true);
        }
        let document = self.shop.by_digest(self.to).map_err(untouched)?;
        let document = document.ok_or_else(|| TargetFault::Choose {
            target: target.name.clone(),
            problem: format!(
                "the registry has no `{}` any more: deploy it again",
                self.id
            ),
        })?;
        self.begin(now)?;
        if let Err(fault) = self.switch(&document) {
            return Err(self.back(fault));
        }
        if let Err(ill) = self.health(check) {
            let fault = self.ill(BACK, ill);
            return Err(self.back(fault));
        }
        let Err(error) = self.commit(now) else {
            return Ok(now == Some(self.to));
        };
        let fault = self.shop.not_written(self.doing, BACK, error);
        let line = self.line(Outcome::Undone);
        Err(match go_back(self.shop, &mut self.record, &line) {
            Ok(true) => fault,
            _ => told(
                fault,
                "whether the last word arrived is not known: `unheck status` says what serves",
            ),
        })
    }

    /// Whether the record says that it serves.
    fn says(&self, digest: Digest) -> bool {
        let released = self.record.state.released.as_ref();
        released.is_some_and(|released| released.digest == digest)
    }

    /// Takes the lock and writes down what is to be.
    fn begin(&mut self, now: Option<Digest>) -> Result<(), TargetFault> {
        let health = self.shop.context.target.health.as_ref();
        let patience = health.map_or(0, |health| health.deadline.as_secs());
        self.record.state.lock = Some(self.shop.lock(patience + LOCKED));
        self.record.state.switching = Some(Switching {
            from: now,
            to: self.to,
            release: self.id.clone(),
        });
        let line = self.line(Outcome::Started);
        let written = self.record.write(self.shop, &[line]);
        written.map_err(|error| self.shop.not_written(self.doing, UNTOUCHED, error))
    }

    /// The one request that counts, between two looks at who else is there.
    fn switch(&mut self, document: &Document) -> Result<(), TargetFault> {
        let tag = &self.shop.context.target.tag;
        let failed = |error| self.shop.failed(self.doing, BACK, error);
        if !self.record.is_ours(self.shop).map_err(failed)? {
            let changed = NotWritten::Changed;
            return Err(self.shop.not_written(self.doing, UNTOUCHED, changed));
        }
        let clock = Instant::now();
        self.shop.put(tag, document).map_err(failed)?;
        self.switch_ms = millis(clock.elapsed());
        match self.shop.digest_of(tag).map_err(failed)? {
            Some(found) if found == self.to => Ok(()),
            _ => Err(TargetFault::Changed {
                doing: self.doing,
                target: self.shop.context.target.name.clone(),
                tag: tag.clone(),
                after: BACK.to_owned(),
            }),
        }
    }

    fn health(&mut self, check: bool) -> Result<(), super::Ill> {
        let context = self.shop.context;
        let Some(health) = context.target.health.as_ref().filter(|_| check) else {
            return Ok(());
        };
        let clock = Instant::now();
        super::health::wait(context.session, health)?;
        self.health_ms = millis(clock.elapsed());
        Ok(())
    }

    fn ill(&self, after: &str, source: super::Ill) -> TargetFault {
        TargetFault::Unhealthy {
            doing: self.doing,
            target: self.shop.context.target.name.clone(),
            after: after.to_owned(),
            source,
        }
    }

    fn commit(&mut self, now: Option<Digest>) -> Result<(), NotWritten> {
        let moved = self.before.as_ref().filter(|_| now != Some(self.to));
        if !self.record.is_ours(self.shop)? {
            return Err(NotWritten::Changed);
        }
        if let Some(before) = moved {
            let tag = self.shop.context.target.previous_tag();
            self.shop.put(&tag, before)?;
        }
        let before = self.record.state.clone();
        let state = &mut self.record.state;
        if moved.is_some() {
            state.previous = now;
        }
        state.released = Some(Served {
            digest: self.to,
            since: self.shop.entry.about(&self.id, Outcome::Done),
        });
        state.lock = None;
        state.switching = None;
        let line = self.line(Outcome::Done);
        let written = self.record.write(self.shop, &[line]);
        if written.is_err() {
            self.record.state = before;
        }
        written
    }

    /// Brings back what served before, after a failure; what is said of it is told anew where that fails too.
    fn back(&mut self, fault: TargetFault) -> TargetFault {
        let line = self.line(Outcome::Undone);
        match go_back(self.shop, &mut self.record, &line) {
            Ok(true) if self.before.is_some() => fault,
            Ok(true) => told(fault, "nothing serves, as before"),
            Ok(false) => told(
                fault,
                "there is nothing to go back to that the tag could name: it serves still",
            ),
            Err(NotWritten::Changed) => told(
                fault,
                "somebody else is at it now, so nothing was brought back: see `unheck status`",
            ),
            Err(NotWritten::Publish(_)) => told(
                fault,
                "what served before could not be brought back: the next call tries again",
            ),
        }
    }

    fn line(&self, outcome: Outcome) -> Entry {
        self.shop.entry.about(&self.id, outcome)
    }
}

/// Brings to an end what an earlier call left half done: a release without its tag, and a switch that is not confirmed,
/// after which what served before serves again.
pub(super) fn repair(
    shop: &Shop<'_>,
    record: &mut Record,
    doing: &'static str,
) -> Result<(), TargetFault> {
    keep_newest(shop, &record.state).map_err(|error| shop.failed(doing, UNTOUCHED, error))?;
    let Some(switching) = &record.state.switching else {
        return Ok(());
    };
    let after = "what served before an interrupted call could not be brought back";
    let line = shop.entry.about(&switching.release, Outcome::Undone);
    record.state.lock = Some(shop.lock(LOCKED));
    record
        .write(shop, &[])
        .and_then(|()| go_back(shop, record, &line))
        .map(drop)
        .map_err(|error| shop.not_written(doing, after, error))
}

/// Makes the tags say what the record says that served, and the record that nobody is at it. Whether that could be
/// done: a tag that was not there before may have to stay.
fn go_back(shop: &Shop<'_>, record: &mut Record, line: &Entry) -> Result<bool, NotWritten> {
    let target = shop.context.target;
    let Some(switching) = record.state.switching.clone() else {
        return Ok(true);
    };
    if !record.is_ours(shop)? {
        return Err(NotWritten::Changed);
    }
    let mut done = true;
    // A tag that somebody moved elsewhere meanwhile is not ours to move.
    if shop.digest_of(&target.tag)? == Some(switching.to) {
        match switching.from {
            Some(from) => done = restore(shop, &target.tag, &from)?,
            None => done = remove_tag(shop)?,
        }
    }
    if let Some(previous) = record.state.previous {
        restore(shop, &target.previous_tag(), &previous)?;
    }
    record.state.switching = None;
    record.state.lock = None;
    record.write(shop, std::slice::from_ref(line))?;
    Ok(done)
}

/// Makes a tag name a manifest again; whether that is still there.
fn restore(shop: &Shop<'_>, tag: &str, digest: &Digest) -> Result<bool, PublishError> {
    if shop.digest_of(tag)? == Some(*digest) {
        return Ok(true);
    }
    match shop.by_digest(*digest)? {
        Some(document) => shop.put(tag, &document).map(|()| true),
        None => Ok(false),
    }
}

fn remove_tag(shop: &Shop<'_>) -> Result<bool, PublishError> {
    let tag = &shop.context.target.tag;
    let removal = shop.wait(async |heard| shop.client.remove_manifest(tag, heard).await)?;
    Ok(removal != Removal::Refused)
}

/// The same fault with another word on what is the case now.
fn told(mut fault: TargetFault, now: &str) -> TargetFault {
    match &mut fault {
        TargetFault::Publish { after, .. }
        | TargetFault::Changed { after, .. }
        | TargetFault::Unhealthy { after, .. } => now.clone_into(after),
        _ => {}
    }
    fault
}

/// The release that is meant, and its digest.
fn choose(state: &State, wanted: Wanted<'_>) -> Result<(String, Digest), String> {
    let id = match wanted {
        Wanted::Previous => {
            let digest = state.previous.ok_or("nothing served before")?;
            return Ok((state.name_of(&digest), digest));
        }
        Wanted::Newest => {
            let newest = state.newest().ok_or("nothing is deployed")?;
            newest.to_owned()
        }
        Wanted::Named(name) | Wanted::Back(name) => {
            named(&state.releases.keys().cloned().collect(), name)?
        }
    };
    let digest = state.releases[&id].info.content;
    Ok((id, digest))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
