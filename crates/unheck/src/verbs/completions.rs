//! `unheck completions`.

use clap_complete::Shell;

use super::Context;
use crate::exit;
use crate::failure::Failure;

pub(super) fn completions(shell: Shell, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "unheck", &mut script);
    context.ui.raw(&script)?;
    Ok(exit::DONE)
}
