//! Answers that are remembered, also where questions meet themselves: what a name is may depend
//! on what it is. Start at [`Memo::ask`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ruff_python_ast::name::Name;

use super::value::{FunctionId, Lookup, Receiver, Value};

/// How often a question is answered anew that met another one on its way; the last answer stays.
/// With it the work is bounded by the number of questions, however they hang together.
const MAX_TRIES: u8 = 3;

/// What is asked of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// A name of a module; the flag is set for annotations.
    Member(u32, Name, bool),
    /// An attribute, from so many classes of the order on.
    Attribute(Receiver, Name, usize),
    /// What a function gives.
    Result(FunctionId, Option<Receiver>),
}

#[derive(Debug, Clone)]
enum State {
    /// Being answered: its place among the open questions.
    Asked(usize),
    /// Answered so often while something it depends on was not.
    Tried(u8),
    Known(Lookup),
}

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    answers: RefCell<BTreeMap<Question, State>>,
    /// How many questions are open.
    open: Cell<usize>,
    /// The first open question that the present one met; `usize::MAX` for none.
    met: Cell<usize>,
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self {
            met: Cell::new(usize::MAX),
            ..Self::default()
        }
    }

    /// The answer to a question. `circular` is answered where it is open already.
    pub(crate) fn ask(
        &self,
        question: Question,
        circular: impl FnOnce() -> Lookup,
        answer: impl FnOnce() -> Lookup,
    ) -> Lookup {
        let tried = match self.answers.borrow().get(&question) {
            Some(State::Known(known)) => return known.clone(),
            Some(State::Asked(place)) => {
                self.meet(*place);
                return circular();
            }
            Some(State::Tried(times)) => *times,
            None => 0,
        };
        let place = self.open.get();
        self.open.set(place + 1);
        let before = self.met.replace(usize::MAX);
        let asked = State::Asked(place);
        self.answers.borrow_mut().insert(question.clone(), asked);
        let answer = answer();
        self.open.set(place);
        let met = self.met.replace(before);
        let hangs = met < place;
        if hangs {
            self.meet(met);
        }
        let state = match hangs && !is_sure(&answer) && tried + 1 < MAX_TRIES {
            true => State::Tried(tried + 1),
            false => State::Known(answer.clone()),
        };
        self.answers.borrow_mut().insert(question, state);
        answer
    }

    /// The open questions were cut short: too many stood in one another.
    pub(crate) fn cut(&self) {
        self.meet(0);
    }

    fn meet(&self, place: usize) {
        self.met.set(self.met.get().min(place));
    }
}

/// Whether more knowledge would not change an answer.
fn is_sure(answer: &Lookup) -> bool {
    match answer {
        Lookup::Found(values) => !values.contains(&Value::Unknown),
        _ => false,
    }
}
