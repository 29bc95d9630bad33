//! Takes Python deployment out of heck: arguments → settings → one engine call → rendering.
//!
//! The only crate that knows a terminal, the environment, the current directory and the clock
//! ([`surroundings`]). Decides nothing about images. One verb, one file, under [`verbs`]; exit
//! codes are in [`exit`].

mod apt;
mod cli;
mod exit;
mod failure;
mod memory;
mod open;
mod settings;
mod surroundings;
mod ui;
mod verbs;
mod whole;

use std::process::ExitCode;

use clap::FromArgMatches as _;

fn main() -> ExitCode {
    unheck_sandbox::helper_main_if_asked();
    memory::settle();
    exit::panics_are_bugs();
    let cli = match cli::command()
        .try_get_matches()
        .and_then(|matches| cli::Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout; a closed pipe there is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() {
                exit::USAGE.into()
            } else {
                exit::DONE.into()
            };
        }
    };
    let surroundings = surroundings::Surroundings::read();
    let ui = ui::Ui::new(&cli.common);
    let code = match verbs::dispatch(&cli, &surroundings, &ui) {
        Ok(code) => code,
        Err(failure) => {
            ui.failure(&failure);
            exit::of(failure.class)
        }
    };
    code.into()
}
