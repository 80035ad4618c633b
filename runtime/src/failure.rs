//! How a command fails: what went wrong, and what to do about it.

use std::fmt::{Display, Formatter};

/// An error for people, with an optional hint.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, where, and what would be right.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// An error that says everything itself.
    pub fn from_error(error: impl Display) -> Self {
        Self::new(error.to_string())
    }

    /// The same with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What clap says of a command line: the message, and below it how to do better.
    pub fn usage(text: &str) -> Self {
        let text = text.strip_prefix("error: ").unwrap_or(text).trim_end();
        match text.split_once("\n\n") {
            Some((message, hint)) => Self::new(message).hint(hint.trim()),
            None => Self::new(text),
        }
    }

    /// Prints the failure on standard error; as JSON if that was asked for.
    pub fn print(&self, json: bool) {
        if json {
            eprintln!("{}", serde_json::json!({ "error": self.message, "hint": self.hint }));
        } else {
            eprintln!("{self}");
        }
    }

    /// An operating-system error: "cannot read x.npy: no such file".
    pub fn io(action: &str, path: &str, error: &std::io::Error) -> Self {
        let reason = error.to_string();
        // Errors of temporary files end with a name that the user never chose.
        let reason = reason.split_once(" at path ").map_or(&*reason, |(reason, _)| reason);
        Self::new(format!("cannot {action} {path}: {reason}"))
    }

    /// An error of one of our crates, with the file it is about.
    pub fn about(path: &std::path::Path, error: impl Display) -> Self {
        Self::new(format!("{}: {error}", path.display()))
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
