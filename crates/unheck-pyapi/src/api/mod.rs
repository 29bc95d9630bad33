//! The public API of a distribution as a user can reach it, what changes between two versions of
//! it, and which lines of a program such a change breaks.
//!
//! Nothing is run or installed: files are parsed, names are resolved, classes are linearised and
//! values are followed by an abstract interpreter that says "unknown" where source does not tell.
//! Start at [`Tree::read`], then [`diff()`] and [`breaks`].

mod annotate;
mod behaviour;
mod body;
mod builtins;
mod calls;
mod change;
mod construct;
mod decorators;
mod deprecation;
mod diff;
mod dynamic;
mod eval;
mod fields;
mod files;
mod getattr;
mod lower;
mod members;
mod memo;
mod model;
mod mro;
mod resolve;
mod rest;
mod shape;
mod surface;
mod term;
mod tree;
mod uses;
mod value;

pub use behaviour::{Behaviour, behaviour_uses, behaviours, known_behaviours};
pub use change::{Bump, Change, ChangeKind, Location, Rule, Severity, rules};
pub use diff::{DiffOptions, Difference, diff};
pub use files::Files;
pub use shape::{BindError, Effect, Parameter, ParameterKind, Shape, Signature, compare, shapes};
pub use tree::{LeftOut, Target, Tree};
pub use uses::{Code, Tier, Use, breaks, deprecated, touched};
