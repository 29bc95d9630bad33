//! How deep the syntax tree of a source can be, counted on its tokens before a tree exists.
//!
//! A tree of any depth can be written in one line (`-----1`, `a.b.c`, `[[[[`), and both visiting
//! and dropping it recurse. The count is an upper bound: operators of one expression are added
//! up whether or not they nest. Read [`bound`].

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// What is open: a bracket, an f-string or, at the bottom, the logical line.
#[derive(Default)]
struct Level {
    /// What nests until the next comma.
    until_comma: usize,
    /// What nests until the level ends: a lambda has commas of its own.
    until_end: usize,
}

impl Level {
    fn count(&self) -> usize {
        self.until_comma + self.until_end
    }
}

/// An upper bound of the depth, `None` when it is over `maximum`.
pub(crate) fn bound(source: &str, maximum: usize) -> Option<usize> {
    let mut lexer = lexer::lex(source, Mode::Module);
    let mut levels = vec![Level::default()];
    let (mut total, mut deepest, mut indents) = (0_usize, 0_usize, 0_usize);
    loop {
        let token = lexer.next_token();
        match token {
            TokenKind::EndOfFile => return Some(deepest),
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline => {
                levels.truncate(1);
                levels[0] = Level::default();
                total = 0;
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                top(&mut levels).until_comma += 1;
                total += 1;
                levels.push(Level::default());
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd
                if levels.len() > 1 =>
            {
                total -= levels.pop().map_or(0, |level| level.count());
            }
            TokenKind::Comma => {
                let level = top(&mut levels);
                total -= std::mem::take(&mut level.until_comma);
            }
            TokenKind::Lambda => {
                top(&mut levels).until_end += 1;
                total += 1;
            }
            token if nests(token) => {
                top(&mut levels).until_comma += 1;
                total += 1;
            }
            _ => {}
        }
        // A statement and its block are two levels, a bracket or operator one or two.
        let depth = 2 * (total + levels.len() + indents);
        if depth > deepest {
            deepest = depth;
            if deepest > maximum {
                return None;
            }
        }
    }
}

fn top(levels: &mut Vec<Level>) -> &mut Level {
    if levels.is_empty() {
        levels.push(Level::default());
    }
    let last = levels.len() - 1;
    &mut levels[last]
}

/// Tokens that can put one node under another. `and`, `or` and comparisons are flat lists.
/// Compound statements are here for `if a: if b:`, which the parser accepts to go on.
fn nests(token: TokenKind) -> bool {
    matches!(
        token,
        TokenKind::Dot
            | TokenKind::Plus
            | TokenKind::Minus
            | TokenKind::Star
            | TokenKind::DoubleStar
            | TokenKind::Slash
            | TokenKind::DoubleSlash
            | TokenKind::Percent
            | TokenKind::At
            | TokenKind::Vbar
            | TokenKind::Amper
            | TokenKind::CircumFlex
            | TokenKind::LeftShift
            | TokenKind::RightShift
            | TokenKind::Tilde
            | TokenKind::ColonEqual
            | TokenKind::Not
            | TokenKind::Await
            | TokenKind::Yield
            | TokenKind::If
            | TokenKind::Elif
            | TokenKind::Else
            | TokenKind::For
            | TokenKind::While
            | TokenKind::With
            | TokenKind::Try
            | TokenKind::Except
            | TokenKind::Finally
            | TokenKind::Class
            | TokenKind::Def
            | TokenKind::Async
            | TokenKind::Match
            | TokenKind::Case
            | TokenKind::As
    )
}
