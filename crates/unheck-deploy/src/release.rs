//! `unheck release` and `unheck rollback`: all hosts switch, or none.
//!
//! A host switches by one rename and its reload command, and keeps the way back until it is told to
//! commit. It is told only when every host is healthy; a session that ends before, for whatever
//! reason, brings back what served. So what a client or connection that dies leaves behind is the
//! old release, on the host's own account.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::Serialize;

use crate::audit::Outcome;
use crate::error::{DeployError, HostError, HostFailure};
use crate::health;
use crate::host::{Context, Opened, State, all, failed, on_all};

/// Which release is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The one that was deployed last.
    Newest,
    /// The one with this name, or the only one whose name or digest begins or ends so.
    Named(&'a str),
    /// The one that served before.
    Previous,
    /// As `Named`, but written down as a way back.
    Back(&'a str),
}

impl Wanted<'_> {
    /// The verb for people and for the audit log.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Previous | Self::Back(_) => ("roll back", "rollback"),
            Self::Newest | Self::Named(_) => ("release to", "release"),
        }
    }
}

/// A switch of all hosts of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseReport {
    /// The target.
    pub target: String,
    /// What serves now.
    pub release: String,
    /// Each host.
    pub hosts: Vec<Switched>,
}

/// A switch of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// The host, as it is configured.
    pub host: String,
    /// What served before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Whether the release served there already.
    pub already: bool,
    /// Milliseconds of the switch, reload command included.
    pub switch_ms: u64,
    /// Milliseconds until it was healthy.
    pub health_ms: u64,
}

/// One host during a switch.
struct Turn<'a> {
    host: Opened<'a>,
    state: State,
    switched: bool,
    switch_ms: u64,
    health_ms: u64,
}

/// Makes a release serve on all hosts of the target. `check` asks for health checks.
///
/// # Errors
/// [`DeployError`]; what served before serves again on every host that was switched, or the error
/// says on which it does not.
pub fn release(
    context: &Context<'_>,
    wanted: Wanted<'_>,
    check: bool,
) -> Result<ReleaseReport, DeployError> {
    let (verb, what) = wanted.words();
    let untouched = |failures| failed(context, verb, "what serves was not touched", failures);
    let answers = on_all(context.ways, |way| {
        let (host, state) = Opened::lock(&**way, context, what, false)?;
        Ok(Turn {
            host,
            state,
            switched: false,
            switch_ms: 0,
            health_ms: 0,
        })
    });
    let mut turns = all(context, answers).map_err(untouched)?;
    let id = choose(&turns, wanted).map_err(|problem| DeployError::Choose {
        target: context.target.name.clone(),
        problem,
    })?;
    let health = context.target.health.as_ref().filter(|_| check);
    let first = if context.target.one_host_first {
        1
    } else {
        turns.len()
    };
    let (one, others) = turns.split_at_mut(first.min(context.target.hosts.len()));
    let mut failures = Vec::new();
    for group in [one, others] {
        if failures.is_empty() {
            failures = faults(on_all(group.iter_mut(), |turn| {
                turn.switch(context, &id, health)
            }));
        }
    }
    if failures.is_empty() {
        // Whoever is gone by now must not keep the others waiting for it.
        failures = faults(on_all(turns.iter_mut(), Turn::is_there));
    }
    if !failures.is_empty() {
        let back = on_all(turns.iter_mut(), |turn| turn.back(context, &id));
        let after = after_undo(back, &mut failures);
        return Err(failed(context, verb, after, failures));
    }
    let failures = faults(on_all(turns.iter_mut(), |turn| turn.commit(&id)));
    if !failures.is_empty() {
        let after = format!(
            "{id} serves, but not on the hosts below, which go back by themselves: run it again"
        );
        return Err(failed(context, verb, after, failures));
    }
    Ok(ReleaseReport {
        target: context.target.name.clone(),
        hosts: turns.iter().map(|turn| turn.report(&id)).collect(),
        release: id,
    })
}

impl Turn<'_> {
    fn switch(
        &mut self,
        context: &Context<'_>,
        id: &str,
        health: Option<&crate::config::Health>,
    ) -> Result<(), HostFailure> {
        let result = self.try_switch(context, id, health);
        result.map_err(|error| self.failure(error))
    }

    fn try_switch(
        &mut self,
        context: &Context<'_>,
        id: &str,
        health: Option<&crate::config::Health>,
    ) -> Result<(), HostError> {
        let label = self.host.way.label();
        if self.state.current.as_deref() != Some(id) {
            (context.say)(label, "switching");
            let entry = &self.host.entry;
            let begun = entry.about(id, Outcome::Started).line();
            let undone = entry.about(id, Outcome::Undone).line();
            // Whatever the answer is: it may have switched.
            self.switched = true;
            let clock = Instant::now();
            self.host.session.call("switch", &[id, &begun, &undone])?;
            self.switch_ms = millis(clock);
        }
        if let Some(health) = health {
            (context.say)(label, "waiting until it is healthy");
            let clock = Instant::now();
            health::wait(&mut self.host, health)?;
            self.health_ms = millis(clock);
        }
        Ok(())
    }

    /// Brings back what served before; a host that is gone does it itself.
    fn back(&mut self, context: &Context<'_>, id: &str) -> Result<bool, HostFailure> {
        if !self.switched {
            return Ok(false);
        }
        (context.say)(self.host.way.label(), "going back");
        let undone = self.host.entry.about(id, Outcome::Undone).line();
        match self.host.session.call("undo", &[&undone]) {
            Ok(_) => Ok(true),
            Err(HostError::Broken { .. }) => Ok(true),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn is_there(&mut self) -> Result<(), HostFailure> {
        let answer = self.host.session.call("state", &["0"]);
        answer.map(drop).map_err(|error| self.failure(error))
    }

    fn commit(&mut self, id: &str) -> Result<(), HostFailure> {
        if !self.switched {
            return Ok(());
        }
        let done = self.host.entry.about(id, Outcome::Done).line();
        let committed = self.host.session.call("commit", &[&done]);
        committed.map(drop).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: HostError) -> HostFailure {
        HostFailure {
            host: self.host.way.label().to_owned(),
            error,
        }
    }

    fn report(&self, id: &str) -> Switched {
        Switched {
            host: self.host.way.label().to_owned(),
            before: self.state.current.clone().filter(|before| before != id),
            already: !self.switched,
            switch_ms: self.switch_ms,
            health_ms: self.health_ms,
        }
    }
}

fn faults(answers: Vec<Result<(), HostFailure>>) -> Vec<HostFailure> {
    answers.into_iter().filter_map(Result::err).collect()
}

fn after_undo(back: Vec<Result<bool, HostFailure>>, failures: &mut Vec<HostFailure>) -> String {
    let mut went_back = false;
    let mut stuck = Vec::new();
    for answer in back {
        match answer {
            Ok(switched) => went_back |= switched,
            Err(failure) => {
                stuck.push(failure.host.clone());
                failures.push(failure);
            }
        }
    }
    if !stuck.is_empty() {
        return format!(
            "what served before could not be brought back everywhere ({}): the next call tries again",
            stuck.join(", ")
        );
    }
    if went_back {
        "what served before serves again".to_owned()
    } else {
        "what serves was not touched".to_owned()
    }
}

fn millis(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The release that is meant, which every host must have.
fn choose(turns: &[Turn<'_>], wanted: Wanted<'_>) -> Result<String, String> {
    let id = match wanted {
        Wanted::Previous => {
            let mut previous = BTreeSet::new();
            for turn in turns {
                let label = turn.host.way.label();
                let one = turn.state.previous.clone();
                previous.insert(one.ok_or_else(|| format!("nothing served on {label} before"))?);
            }
            if previous.len() > 1 {
                let names: Vec<String> = previous.into_iter().collect();
                return Err(format!(
                    "another release served before on each host ({}): say which",
                    names.join(", ")
                ));
            }
            previous.pop_first().ok_or("there is no host")?
        }
        Wanted::Newest => {
            let mut last = BTreeMap::new();
            for turn in turns {
                if let Some(id) = turn.state.newest() {
                    last.entry(id).or_insert(turn.host.way.label());
                }
            }
            if last.len() > 1 {
                let said = last.iter().map(|(id, host)| format!("{id} on {host}"));
                let said: Vec<String> = said.collect();
                return Err(format!(
                    "another release was deployed last on each host ({}): deploy again, or say which",
                    said.join(", ")
                ));
            }
            let newest = last.pop_first().ok_or("nothing is deployed")?;
            newest.0
        }
        Wanted::Named(name) | Wanted::Back(name) => {
            let ids = turns.iter().flat_map(|turn| turn.state.releases.keys());
            named(&ids.cloned().collect(), name)?
        }
    };
    let lacking: Vec<&str> = turns
        .iter()
        .filter(|turn| !turn.state.releases.contains_key(&id))
        .map(|turn| turn.host.way.label())
        .collect();
    if lacking.is_empty() {
        Ok(id)
    } else {
        Err(format!("{id} is not deployed on {}", lacking.join(", ")))
    }
}

/// The release that a text means: its name, or the begin of its name or digest.
///
/// # Errors
/// None is meant, or several; the text says which.
pub fn named(ids: &BTreeSet<String>, name: &str) -> Result<String, String> {
    if ids.contains(name) {
        return Ok(name.to_owned());
    }
    let matches = |id: &str| {
        let digest = id.rsplit('-').next().unwrap_or_default();
        !name.is_empty() && (id.starts_with(name) || digest.starts_with(name))
    };
    let found: Vec<&str> = ids
        .iter()
        .map(|id| id.as_str())
        .filter(|id| matches(id))
        .collect();
    match found[..] {
        [] => Err(format!("`{name}` is not deployed")),
        [one] => Ok(one.to_owned()),
        _ => Err(format!("`{name}` can mean {}", found.join(", "))),
    }
}
