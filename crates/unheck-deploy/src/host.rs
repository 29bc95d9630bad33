//! What all verbs do with hosts: open a session ([`Opened::lock`]), act on all at once ([`on_all`]).

use std::collections::BTreeMap;

use crate::audit::{By, Entry, Outcome};
use crate::config::Target;
use crate::error::{DeployError, HostError, HostFailure};
use crate::remote::{Call, Session};
use crate::status::{Rank, ReleaseInfo, next_order};
use crate::transport::Transport;

/// Hears what happens: the host, and what is done there now.
pub type Say<'a> = &'a (dyn Fn(&str, &str) + Sync);

/// What every verb works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The target.
    pub target: &'a Target,
    /// A way to each of its hosts, in their order.
    pub ways: &'a [Box<dyn Transport>],
    /// Who acts, and when.
    pub by: &'a By,
    /// Takes the lock away from a session that is still there.
    pub steal: bool,
    /// Hears what happens.
    pub say: Say<'a>,
}

/// A host with an open session.
pub(crate) struct Opened<'a> {
    pub(crate) way: &'a dyn Transport,
    pub(crate) session: Session,
    /// What names the holder of the lock to further sessions.
    pub(crate) token: String,
    /// What `uname -m` says.
    pub(crate) machine: String,
    /// Who acts here, for the audit log.
    pub(crate) entry: Entry,
    /// A release that an earlier session left unconfirmed, and that does not serve any more.
    pub(crate) undone: Option<String>,
}

/// What a host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) current: Option<String>,
    pub(crate) previous: Option<String>,
    pub(crate) undo: Option<String>,
    pub(crate) locked: Option<String>,
    /// Names of releases with their records.
    pub(crate) releases: BTreeMap<String, String>,
    /// The last lines of the audit log.
    pub(crate) audit: Vec<Entry>,
}

impl State {
    /// What `state` answers.
    fn parse(lines: &[String]) -> Self {
        let mut state = Self::default();
        for line in lines {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let named = (value != "none").then(|| value.to_owned());
            match key {
                "current" => state.current = named,
                "previous" => state.previous = named,
                "undo" => state.undo = Some(value.to_owned()),
                "locked" => state.locked = Some(crate::error::holder(value)),
                "release" => {
                    let (id, info) = value.split_once(' ').unwrap_or((value, ""));
                    state.releases.insert(id.to_owned(), info.to_owned());
                }
                // A line that was cut by a crash says nothing.
                "audit" => state.audit.extend(Entry::parse(value)),
                _ => {}
            }
        }
        state
    }

    /// Releases by name, each with where it stands; one whose record is lost stands before all others.
    pub(crate) fn ranked(&self) -> Vec<(Option<Rank>, String)> {
        let rank = |info: &String| ReleaseInfo::parse(info).map(|info| info.rank());
        let releases = self.releases.iter();
        releases
            .map(|(id, info)| (rank(info), id.clone()))
            .collect()
    }

    /// The release that was deployed last.
    pub(crate) fn newest(&self) -> Option<String> {
        self.ranked().into_iter().max().map(|(_, id)| id)
    }

    /// The place of the next deployment.
    pub(crate) fn next_order(&self) -> u64 {
        let ranks = self.ranked().into_iter().filter_map(|(rank, _)| rank);
        next_order(ranks.map(|(order, _)| order))
    }
}

impl<'a> Opened<'a> {
    /// What a host has, with so many of the last lines of its audit log. Changes nothing.
    pub(crate) fn look(
        way: &'a dyn Transport,
        context: &Context<'_>,
        history: u32,
    ) -> Result<State, HostError> {
        (context.say)(way.label(), "connecting");
        let (_, answers) = Session::open(way)?.hello(&[
            Call::new("open", &[&context.target.directory, "no"])?,
            Call::new("state", &[&history.to_string()])?,
        ])?;
        Ok(State::parse(answers.last().map_or(&[], Vec::as_slice)))
    }

    /// Greets a host. Nothing is looked at yet: who acts is known only when it says from where.
    fn greet(way: &'a dyn Transport, context: &Context<'_>, what: &str) -> Result<Self, HostError> {
        (context.say)(way.label(), "connecting");
        let mut session = Session::open(way)?;
        let (facts, _) = session.hello(&[])?;
        let fact = |name: &str| {
            let found = facts.iter().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().trim().to_owned()
        };
        let from = fact("from ");
        let from = from.split(' ').next().unwrap_or_default();
        let machine = fact("machine ");
        Ok(Self {
            way,
            session,
            token: String::new(),
            machine,
            entry: context.by.entry(from, what),
            undone: None,
        })
    }

    /// Enters a host's directory of releases, which is made where `make` says so; then nobody else changes anything, and
    /// what an earlier session left half done is brought to an end. With what the host has then.
    pub(crate) fn lock(
        way: &'a dyn Transport,
        context: &Context<'_>,
        what: &str,
        make: bool,
    ) -> Result<(Self, State), HostError> {
        let mut opened = Self::greet(way, context, what)?;
        let owner = opened.entry.line();
        let reload = context.target.reload.as_deref().unwrap_or_default();
        let undone = Entry {
            outcome: Some(Outcome::Undone),
            ..opened.entry.clone()
        };
        let answers = opened.session.all(&[
            Call::new("open", &[&context.target.directory, yes_no(make)])?,
            Call::new("lock", &[&owner, yes_no(context.steal)])?,
            Call::new("reload", &[reload])?,
            Call::new("repair", &[&undone.line()])?,
            Call::new("state", &["0"])?,
        ])?;
        let [_, token, _, repaired, state] = &answers[..] else {
            unreachable!("an answer to each call");
        };
        opened.token = token.first().cloned().unwrap_or_default();
        opened.undone = repaired
            .iter()
            .find_map(|line| line.strip_prefix("undone "))
            .map(str::to_owned);
        if opened.undone.is_some() {
            (context.say)(
                way.label(),
                "an unconfirmed switch of an earlier call was undone",
            );
        }
        Ok((opened, State::parse(state)))
    }
}

const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Does the same with all of a list at once; the answers stand in its order.
pub(crate) fn on_all<T: Send, R: Send>(
    list: impl IntoIterator<Item = T>,
    act: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let act = &act;
    std::thread::scope(|scope| {
        let threads: Vec<_> = list
            .into_iter()
            .map(|one| scope.spawn(move || act(one)))
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// All answers, or all failures with their hosts.
pub(crate) fn all<T>(
    context: &Context<'_>,
    answers: Vec<Result<T, HostError>>,
) -> Result<Vec<T>, Vec<HostFailure>> {
    let mut good = Vec::new();
    let mut failures = Vec::new();
    for (answer, host) in answers.into_iter().zip(&context.target.hosts) {
        match answer {
            Ok(one) => good.push(one),
            Err(error) => failures.push(HostFailure {
                host: host.label.clone(),
                error,
            }),
        }
    }
    if failures.is_empty() {
        Ok(good)
    } else {
        Err(failures)
    }
}

/// The error of a verb, with what is the case now.
pub(crate) fn failed(
    context: &Context<'_>,
    doing: &'static str,
    after: impl Into<String>,
    failures: Vec<HostFailure>,
) -> DeployError {
    DeployError::Hosts {
        doing,
        target: context.target.name.clone(),
        after: after.into(),
        failures,
    }
}
