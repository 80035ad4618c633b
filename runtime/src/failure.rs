//! How a command fails: what went wrong, and how to fix it.

use std::fmt::{Display, Formatter};
use std::process::ExitCode;

use crate::output::{self, printable};

/// An error for people, with an optional hint.
#[derive(Debug)]
pub struct Failure {
    /// The kind of failure, which determines the exit status.
    pub kind: Kind,
    /// What went wrong, where, and what would be right.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Whether the command's report has said so already.
    pub reported: bool,
}

/// The kinds of failures that scripts may need to distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command could not do what was asked.
    Failed,
    /// The command line is wrong.
    Usage,
    /// What the command waited for has not happened yet, but may happen later.
    Pending,
    /// Another process has the player's state.
    InUse,
    /// The player's state is damaged: somebody has to decide what becomes of it.
    Damaged,
}

impl Kind {
    /// The name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Pending => "pending",
            Self::InUse => "in use",
            Self::Damaged => "damaged",
        }
    }
}

impl Failure {
    /// A failure without a hint. Of a URL, the message keeps the scheme and the host: the rest may be a key.
    pub fn new(message: impl Into<String>) -> Self {
        let message = printable(&chain::without_keys(&message.into()));
        Self { kind: Kind::Failed, message, hint: None, reported: false }
    }

    /// A failure that is the result of the command: its report says it.
    pub fn reported() -> Self {
        Self { reported: true, ..Self::new("") }
    }

    /// An error in the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(message) }
    }

    /// Something that has not happened yet.
    pub fn pending(message: impl Into<String>) -> Self {
        Self { kind: Kind::Pending, ..Self::new(message) }
    }

    /// An error whose message is complete.
    pub fn from_error(error: impl Display) -> Self {
        Self::new(error.to_string())
    }

    /// The same with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(printable(&chain::without_keys(&hint.into()))), ..self }
    }

    /// The same as another kind.
    pub fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// An error from clap: its message, with its advice as the hint.
    pub fn from_clap(text: &str) -> Self {
        let text = text.strip_prefix("error: ").unwrap_or(text).trim_end();
        match text.split_once("\n\n") {
            Some((message, hint)) => Self::usage(message).hint(hint.trim()),
            None => Self::usage(text),
        }
    }

    /// An operating-system error: "cannot read x.npy: no such file".
    pub fn io(action: &str, path: &str, error: &std::io::Error) -> Self {
        let reason = error.to_string();
        // Errors about temporary files end with a name that the user has never seen.
        let reason = reason.split_once(" at path ").map_or(&*reason, |(reason, _)| reason);
        Self::new(format!("cannot {action} {path}: {reason}"))
    }

    /// An error of one of our crates, with the file that it is about. Some errors name the file themselves.
    pub fn about(path: &std::path::Path, error: impl Display) -> Self {
        let (file, error) = (path.display(), error.to_string());
        let named = error.starts_with(&format!("{file} ")) || error.contains(&format!("{file}: "));
        Self::new(if named { error } else { format!("{file}: {error}") })
    }

    /// Reports the failure: as text on standard error, or as the JSON object on standard output.
    pub fn print(&self, json: bool) {
        if self.reported {
            // There is nothing to add.
        } else if json {
            let object = serde_json::json!({
                "error": { "kind": self.kind.name(), "message": self.message, "hint": self.hint },
            });
            output::print_error(&object);
        } else {
            eprintln!("{self}");
        }
    }

    /// The exit status of the command.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Pending => 3,
            Kind::InUse => 4,
            Kind::Damaged => 5,
        })
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
