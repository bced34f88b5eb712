//! `lwproc`: one command, each of whose verbs is a library of its own.
//!
//! A verb is a type that clap reads from the command line; its doc comment is the help. It
//! has a method `run`, which gives the exit code, or an error: that is printed, and the exit
//! code is then 2, as it is for a command line that cannot be read.

use clap::{Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Bad input and usage errors.
const BAD_INPUT: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "lwproc",
    version,
    about = "Worlds of processes: checked against real ones, and served"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// The enum of the verbs, and what runs the one that was asked for.
macro_rules! verbs {
    ($($verb:ident($options:ty),)*) => {
        #[derive(Debug, Subcommand)]
        enum Verb {
            $($verb($options),)*
        }

        impl Verb {
            fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
                match self {
                    $(Self::$verb(options) => options.run(),)*
                }
            }
        }
    };
}

// One line for each.
verbs! {
    Replay(lwproc_replay::command::Replay),
    Serve(lwproc_sysproxy::command::Serve),
    Ps(lwproc_sysproxy::command::Ps),
}

fn main() -> ExitCode {
    Cli::parse().verb.run().unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "lwproc: {error}");
        ExitCode::from(BAD_INPUT)
    })
}
