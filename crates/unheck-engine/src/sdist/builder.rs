//! The resolver's way to a build: it asks from threads of its own, and a [`Compiler`] answers from those that may
//! borrow what it works with. Start at [`Compiler::serving`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt as _};
use unheck_base::Digest;
use unheck_resolve::{BuildFailure, SourceBuilder, SourceTree};

use super::compile::Compiler;
use super::error::SdistError;
use super::source::Source;
use super::workshop::Job;

/// What the resolver wants of a source tree.
#[derive(Clone, Copy)]
enum Wish {
    Metadata,
    Wheel,
}

/// One question.
struct Question {
    wish: Wish,
    path: PathBuf,
    label: Option<String>,
    out: PathBuf,
    answer: futures::channel::oneshot::Sender<Result<Option<String>, BuildFailure>>,
}

/// The resolver's end.
struct Remote {
    questions: Mutex<Sender<Question>>,
    identity: Digest,
}

impl Remote {
    fn ask<'b>(
        &'b self,
        wish: Wish,
        tree: SourceTree<'_>,
        out: &Path,
    ) -> BoxFuture<'b, Result<Option<String>, BuildFailure>> {
        let (answer, heard) = futures::channel::oneshot::channel();
        let question = Question {
            wish,
            path: tree.path.to_owned(),
            label: tree.label.map(str::to_owned),
            out: out.to_owned(),
            answer,
        };
        let sent = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(question);
        async move {
            let gone = || BuildFailure("the build was given up".to_owned());
            sent.map_err(|_| gone())?;
            heard.await.map_err(|_| gone())?
        }
        .boxed()
    }
}

impl SourceBuilder for Remote {
    fn identity(&self) -> Digest {
        self.identity
    }

    fn metadata<'b>(
        &'b self,
        tree: SourceTree<'b>,
        out: &'b Path,
    ) -> BoxFuture<'b, Result<Option<String>, BuildFailure>> {
        self.ask(Wish::Metadata, tree, out)
    }

    fn wheel<'b>(
        &'b self,
        tree: SourceTree<'b>,
        out: &'b Path,
    ) -> BoxFuture<'b, Result<String, BuildFailure>> {
        let asked = self.ask(Wish::Wheel, tree, out);
        async move { Ok(asked.await?.unwrap_or_default()) }.boxed()
    }
}

impl Compiler<'_> {
    /// Gives `work` a builder, and answers what is asked of it until the work is done.
    pub(crate) fn serving<T>(
        &self,
        waiting: &[String],
        work: impl FnOnce(Arc<dyn SourceBuilder>) -> T,
    ) -> T {
        let (questions, asked) = channel();
        let builder = Arc::new(Remote {
            questions: Mutex::new(questions),
            identity: self.builder_identity(),
        });
        std::thread::scope(|scope| {
            scope.spawn(|| self.answer_all(asked, waiting));
            work(builder)
        })
    }

    /// Ends when every copy of the builder is gone.
    fn answer_all(&self, asked: Receiver<Question>, waiting: &[String]) {
        std::thread::scope(|scope| {
            for question in asked {
                scope.spawn(move || {
                    let answer = self.answer(&question, waiting);
                    let answer = answer.map_err(|error| {
                        let told = BuildFailure(super::error::told(&error));
                        self.note_failure(error);
                        told
                    });
                    // Nobody hears it when the resolution was given up.
                    let _ = question.answer.send(answer);
                });
            }
        });
    }

    fn answer(
        &self,
        question: &Question,
        waiting: &[String],
    ) -> Result<Option<String>, SdistError> {
        let (name, version) = named(question.label.as_deref(), &question.path);
        let job = Job {
            name,
            version,
            source: Source::Tree {
                path: question.path.clone(),
                subdirectory: None,
            },
            sdist: None,
            waiting: waiting.to_vec(),
        };
        if let Wish::Metadata = question.wish {
            return self.metadata(&job, &question.out);
        }
        let (_, made) = self.passing_wheel(&job)?;
        let to = question.out.join(&made.wheel.name);
        let failed = |source| SdistError::Out {
            path: to.clone(),
            source,
        };
        let mut blob = self.store().open_verified(&made.wheel.hashes.sha256)?;
        let mut file = fs_err::File::create(&to).map_err(failed)?;
        std::io::copy(&mut blob, &mut file).map_err(failed)?;
        Ok(Some(made.wheel.name))
    }
}

/// Name and version of a label such as `docopt==0.6.2`; of an unnamed directory its last component.
fn named(label: Option<&str>, path: &Path) -> (String, Option<String>) {
    let label = label.unwrap_or_default();
    let (name, version) = match label.split_once("==") {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (label.split([' ', '@']).next().unwrap_or_default(), None),
    };
    let name = match name.is_empty() {
        true => path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        false => Some(name.to_owned()),
    };
    (
        unheck_wheel::normalize_name(&name.unwrap_or_default()),
        version,
    )
}

/// A builder that builds nothing and remembers that it was asked: for choices that are made before a build root can be.
#[derive(Default)]
pub(crate) struct NotYet {
    asked: AtomicBool,
}

impl NotYet {
    /// Whether something would have been built.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    fn refuse<'b, T: Send + 'b>(&self) -> BoxFuture<'b, Result<T, BuildFailure>> {
        self.asked.store(true, Ordering::SeqCst);
        async {
            Err(BuildFailure(
                "it is not known yet what to build with".to_owned(),
            ))
        }
        .boxed()
    }
}

impl SourceBuilder for NotYet {
    fn identity(&self) -> Digest {
        Digest::of(b"not yet")
    }

    fn metadata<'b>(
        &'b self,
        _: SourceTree<'b>,
        _: &'b Path,
    ) -> BoxFuture<'b, Result<Option<String>, BuildFailure>> {
        self.refuse()
    }

    fn wheel<'b>(
        &'b self,
        _: SourceTree<'b>,
        _: &'b Path,
    ) -> BoxFuture<'b, Result<String, BuildFailure>> {
        self.refuse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_apart() {
        let path = Path::new("/somewhere/My.Project");
        let of = |label| named(label, path);
        assert_eq!(
            of(Some("docopt==0.6.2")),
            ("docopt".to_owned(), Some("0.6.2".to_owned()))
        );
        assert_eq!(
            of(Some("Some_Name @ file:///x")),
            ("some-name".to_owned(), None)
        );
        assert_eq!(of(None), ("my-project".to_owned(), None));
    }
}
