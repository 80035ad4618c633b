//! The `opml` command: compile, run, trace, prove and verify.

mod arena;
mod claim;
mod cli;
mod commands;
mod failure;
mod history;
mod images;
mod lies;
mod limits;
mod machine;
mod narration;
mod network;
mod npy;
mod output;
mod package;
mod pictures;
mod profile;
mod tensors;

use clap::Parser;
use cli::{Cli, Command, ImageCommand};
use failure::Failure;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are answers, everything else is a mistake in the command line.
        Err(error) if error.use_stderr() => {
            // Nothing is parsed yet, so whether JSON was asked for is seen in the arguments themselves.
            if std::env::args_os().any(|argument| argument == "--json") {
                Failure::usage(&error.to_string()).print(true);
            } else {
                let _ = error.print();
            }
            return ExitCode::FAILURE;
        }
        Err(answer) => {
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
    };
    let output = Output::new(cli.json);
    match run(cli.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(output.is_json());
            ExitCode::FAILURE
        }
    }
}

/// Hands a command to its module.
fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Compile(args) => commands::compile::run(&args, output),
        Command::Inspect(args) => commands::inspect::run(&args, output),
        Command::Disasm(args) => commands::disasm::run(&args, output),
        Command::Run(args) => commands::run::run(&args, output),
        Command::Profile(args) => commands::profile::run(&args, output),
        Command::Trace(args) => commands::trace::run(&args, output),
        Command::Prove(args) => commands::prove::run(&args, output),
        Command::Verify(args) => commands::verify::run(&args, output),
        Command::Verifier(args) => commands::verifier::run(&args, output),
        Command::Dispute(args) => commands::dispute::run(&args, output),
        Command::Devnet(args) => commands::devnet::run(&args, output),
        Command::Deploy(args) => commands::deploy::run(&args, output),
        Command::Register(args) => commands::register::run(&args, output),
        Command::Request(args) => commands::request::run(&args, output),
        Command::Status(args) => commands::status::run(&args, output),
        Command::Result(args) => commands::result::run(&args, output),
        Command::Cancel(args) => commands::cancel::run(&args, output),
        Command::Withdraw(args) => commands::withdraw::run(&args, output),
        Command::Serve(args) => commands::play::serve(&args, output),
        Command::Watch(args) => commands::play::watch(&args, output),
        Command::Image(ImageCommand::FromElf(args)) => commands::from_elf::run(&args, output),
        Command::Demo => commands::demo::run(output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "opml", &mut script);
            output.raw(&script)
        }
    }
}
