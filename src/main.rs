//! Parses, calls, prints the error chain, exits.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use transport_lab::cli::{self, Cli, CliError, Exit};

/// An answer to a poll is a dozen small pieces of memory, which any thread asks for and another gives back; and a
/// connection's buffers are to take as much as they hold.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A shell that asks what a word completes to gets its answer, and nothing else is done.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    cli::log::start();
    let cli = Cli::of_process();
    // Not locked: a child of the lab writes to it from a thread of its own.
    let mut out = std::io::stdout();
    let result =
        cli::run(&cli, &mut out).and_then(|exit| cli::wanted(out.flush().map_err(CliError::from)).map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::Good {
                let label = console::style("error:").for_stderr().red().bold();
                for line in error.lines() {
                    // Nothing is left to do when standard error is closed too.
                    let _ = writeln!(std::io::stderr(), "{label} {line}");
                }
            }
            exit.into()
        }
    }
}
