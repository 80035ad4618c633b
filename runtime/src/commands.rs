//! One module for each subcommand.

pub mod account;
pub mod cancel;
pub mod check;
pub mod compile;
mod contract_step;
pub mod demo;
pub mod deploy;
pub mod devnet;
pub mod disasm;
pub mod dispute;
pub mod from_elf;
pub mod inspect;
pub mod play;
pub mod profile;
pub mod prove;
pub mod redeliver;
pub mod register;
pub mod request;
pub mod result;
pub mod run;
pub mod status;
pub mod trace;
pub mod verifier;
pub mod verify;
pub mod verify_deployment;
mod wait;
pub mod withdraw;
