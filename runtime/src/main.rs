//! The `opml` command: compile, run, trace, prove and verify.

mod arena;
mod claim;
mod cli;
mod commands;
mod config;
mod events;
mod failure;
mod history;
mod images;
mod kinds;
mod ledger;
mod lies;
mod limits;
mod log;
#[cfg(test)]
mod lying_node;
mod machine;
mod metrics;
mod narration;
mod network;
mod npy;
mod output;
mod package;
mod pictures;
mod profile;
mod spending;
mod tensors;
mod terms;

use clap::Parser;
use cli::{Account, AccountCommand, Cli, Command, ImageCommand};
use failure::Failure;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match config::merge(std::env::args_os().collect()) {
        Ok(args) => args,
        Err(failure) => return complain(&failure),
    };
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return answer(&error),
    };
    let output = Output::new(cli.json);
    match run(cli.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(output.is_json());
            failure.exit_code()
        }
    }
}

/// Reports what is wrong before the arguments are parsed: they themselves show whether JSON was asked for.
fn complain(failure: &Failure) -> ExitCode {
    failure.print(std::env::args_os().any(|argument| argument == "--json"));
    failure.exit_code()
}

/// Reports a message from clap. Help and the version are results; everything else is an error in the command
/// line.
fn answer(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() {
        let text = error.to_string();
        let failure = Failure::from_clap(&text);
        // The message of clap has colours, but also the arguments, which may be secrets.
        if json || chain::without_keys(&text) != text {
            failure.print(json);
        } else {
            let _ = error.print();
        }
        return failure.exit_code();
    }
    if json {
        let _ = Output::new(true).result(&serde_json::json!({ "text": error.to_string() }), "");
    } else {
        let _ = error.print();
    }
    ExitCode::SUCCESS
}

/// Runs a command.
fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Compile(args) => commands::compile::run(&args, output),
        Command::Check(args) => commands::check::run(&args, output),
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
        Command::Account(Account { command: Some(AccountCommand::New(args)), .. }) => {
            commands::account::new(&args, output)
        }
        Command::Account(Account { command: Some(AccountCommand::Address(args)), .. }) => {
            commands::account::address(&args, output)
        }
        Command::Account(args) => commands::account::show(&args, output),
        Command::Register(args) => commands::register::run(&args, output),
        Command::Request(args) => commands::request::run(&args, output),
        Command::Status(args) => commands::status::run(&args, output),
        Command::Games(args) => commands::games::run(&args, output),
        Command::Result(args) => commands::result::run(&args, output),
        Command::Redeliver(args) => commands::redeliver::run(&args, output),
        Command::Cancel(args) => commands::cancel::run(&args, output),
        Command::VerifyDeployment(args) => commands::verify_deployment::run(&args, output),
        Command::Withdraw(args) => commands::withdraw::run(&args, output),
        Command::Serve(args) => commands::play::serve(&args, output),
        Command::Watch(args) => commands::play::watch(&args, output),
        Command::Image(ImageCommand::FromElf(args)) => commands::from_elf::run(&args, output),
        Command::Demo => commands::demo::run(output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut <Cli as clap::CommandFactory>::command(),
                "opml",
                &mut script,
            );
            let script = String::from_utf8_lossy(&script);
            output.result(&serde_json::json!({ "shell": shell.to_string(), "script": script }), &script)
        }
    }
}
