//! Why a store can't be read or written, and what to do about it.

use std::io::ErrorKind;
use thiserror::Error;

/// Why a state file or a shared database can't be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("the state file is already open")]
    InUse,
    /// Another player has this player's state in the database.
    #[error("the state in the database belongs to {0}")]
    Taken(String),
    /// It is damaged, or it is not a state file.
    #[error("the state file is damaged, or is not a state file of opml ({0})")]
    Damaged(String),
    /// It was written by a version with another format.
    #[error("the state has the format of another version of opml ({0})")]
    Version(String),
    /// The system refuses to read or write it.
    #[error("cannot read or write the state file: {0}")]
    Io(std::io::Error),
    /// The file's database failed for another reason.
    #[error("the database of the state file fails: {0}")]
    Database(Box<redb::Error>),
    /// This version of opml did not write the entry.
    #[error("cannot read the entry '{name}' of the state: {reason}")]
    Entry {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text is not the URL of a PostgreSQL database.
    #[error("the URL of the database can't be used: {0}")]
    Url(String),
    /// The shared database doesn't answer.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// The shared database refuses.
    #[error("the database refuses: {reason}")]
    Refused {
        /// The five characters by which PostgreSQL knows the reason.
        code: String,
        /// The reason.
        reason: String,
    },
}

/// The consequence of not having the state file.
pub(super) const START_AGAIN: &str = "move the file away and start the player again: it reads all events from the chain again. \
    Lost are moves that it decided but did not send, the nonces of transactions that are not mined yet (let them be \
    mined first), and which requests it has answered";

impl StoreError {
    /// What the operator can do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::InUse => {
                Some("is another player running with this key and this --state? Use one key per player")
            }
            Self::Taken(_) => {
                Some("one player a key: this one can wait until the other one ends, but never play beside it")
            }
            Self::Damaged(_) | Self::Entry { .. } => Some(START_AGAIN),
            Self::Version(_) => Some(
                "let the version that wrote the file finish its games, then move the file away (or name another \
                 database); or do it now, and lose moves that are decided but not sent and the nonces of transactions \
                 that are not mined yet",
            ),
            Self::Io(error) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    Some("free some space on the disk; everything written before is still there")
                }
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    Some("the player must be able to read and write the file and its folder")
                }
                ErrorKind::IsADirectory => {
                    Some("a folder lies where the state file belongs: move it away, or use another --state")
                }
                _ => None,
            },
            Self::Database(_) => None,
            Self::Url(_) => {
                Some("write it like postgres://opml@db.example/opml, with the password in PGPASSWORD")
            }
            Self::Unreachable(_) => {
                Some("is PostgreSQL running where --database says? Everything written before is still there")
            }
            // The classes and codes of PostgreSQL's manual, appendix A.
            Self::Refused { code, .. } => match code.as_str() {
                "53100" => {
                    Some("free some space on the database's disk; everything written before is still there")
                }
                "3D000" => Some("make the database first: createdb"),
                "42501" | "3F000" => Some("the database's user must be able to create and use tables"),
                code if code.starts_with("28") => {
                    Some("are user and password right? The password can be in PGPASSWORD or in ~/.pgpass")
                }
                _ => None,
            },
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(reason) => Self::Damaged(reason),
            redb::Error::Io(error) if is_about_contents(&error) => Self::Damaged(error.to_string()),
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::UpgradeRequired(_) | redb::Error::LockProtocolMismatch => {
                Self::Version(error.to_string())
            }
            redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. } => {
                Self::Damaged(error.to_string())
            }
            error => Self::Database(Box::new(error)),
        }
    }
}

/// Whether an I/O error means that the file's bytes are not a database.
fn is_about_contents(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let reason = crate::secrets::hide(error.to_string());
        match error {
            sqlx::Error::Database(refusal) => {
                Self::Refused { code: refusal.code().unwrap_or_default().into_owned(), reason }
            }
            sqlx::Error::Configuration(_) => Self::Url(reason),
            _ => Self::Unreachable(reason),
        }
    }
}
