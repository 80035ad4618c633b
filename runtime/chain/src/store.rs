//! A player's state file: names and bytes, in a database that survives a crash at any time.

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::any::Any;
use std::fmt::{Debug, Formatter};
use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("opml");

/// A database. Only one process at a time can have it open.
///
/// After an I/O error such as a full disk, the next call opens the database again. A player therefore
/// continues once the cause is gone.
pub struct Store {
    open: Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>,
    database: Mutex<State>,
}

/// What became of the database.
enum State {
    /// It has to be opened, and why, if it was open before.
    Closed(Option<String>),
    Open(Database),
    /// It panicked, and may keep its lock as long as this process lives.
    Damaged(String),
}

impl Debug for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Why a state file can't be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the state file is already open")]
    InUse,
    /// It is damaged, or it is not a state file.
    #[error("the state file is damaged, or is not a state file of opml ({0})")]
    Damaged(String),
    /// It was written by a version with another file format.
    #[error("the state file has the format of another version of opml ({0})")]
    Version(String),
    /// The system refuses to read or write it.
    #[error("cannot read or write the state file: {0}")]
    Io(std::io::Error),
    /// The database failed for another reason.
    #[error("the database of the state file fails: {0}")]
    Database(Box<redb::Error>),
    /// This version of opml did not write the entry.
    #[error("cannot read the entry '{name}' of the state file: {reason}")]
    Entry {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The consequence of not having the state file.
const START_AGAIN: &str = "move the file away and start the player again: it reads all events from the chain again. \
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
            Self::Damaged(_) | Self::Entry { .. } => Some(START_AGAIN),
            Self::Version(_) => Some(
                "let the version that wrote the file finish its games, then move the file away; or move it away now, \
                 and lose moves that are decided but not sent and the nonces of transactions that are not mined yet",
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

impl Store {
    /// Opens a state file, or creates it. Only its owner can read it from then on.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::opened_by(move || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = mapped::open_with(&options, &path)?;
            if file.metadata()?.permissions().mode() & 0o077 != 0 {
                file.set_permissions(Permissions::from_mode(0o600)).map_err(exposed)?;
            }
            // Without the check, a damaged file is found out only later, and by a panic.
            Ok(Database::builder()
                .set_check_integrity_on_open(true)
                .create_with_backend(FileBackend::new(file)?)?)
        })
    }

    /// A store in memory, for a process that waits for its own transactions.
    pub fn in_memory() -> Result<Self, StoreError> {
        let backend = redb::backends::InMemoryBackend::new;
        Self::opened_by(move || Ok(Database::builder().create_with_backend(backend())?))
    }

    /// A store on anything that keeps bytes, for tests: `backend` is asked again after an I/O error.
    pub fn on<B: redb::StorageBackend>(
        backend: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::opened_by(move || Ok(Database::builder().create_with_backend(backend())?))
    }

    fn opened_by(
        open: impl Fn() -> Result<Database, redb::Error> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let new = Self { open: Box::new(open), database: Mutex::new(State::Closed(None)) };
        // Creates the table, so that a read finds one.
        new.write(&[])?;
        Ok(new)
    }

    /// Runs `f` on the database. Opens it first if it is closed.
    fn with<T>(&self, f: impl FnOnce(&mut Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let mut state = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Damaged(reason) = &*state {
            return Err(StoreError::Damaged(reason.clone()));
        }
        // The database panics when it meets bytes that it can't have written.
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut open = match std::mem::replace(&mut *state, State::Closed(None)) {
                State::Open(open) => open,
                State::Closed(Some(reason)) => self.reopen(&mut state, reason)?,
                _ => (self.open)()?,
            };
            let done = f(&mut open);
            // After an I/O error, redb refuses everything until it is opened again.
            *state = match &done {
                Err(error @ (redb::Error::Io(_) | redb::Error::PreviousIo)) => {
                    State::Closed(Some(error.to_string()))
                }
                _ => State::Open(open),
            };
            Ok(done?)
        }));
        attempt.unwrap_or_else(|panic| {
            let reason = panic_text(&*panic);
            *state = State::Damaged(reason.clone());
            Err(StoreError::Damaged(reason))
        })
    }

    /// Opens the database once more, after it had to be closed. It may not have let go of its own lock, which must not
    /// be taken for another player's.
    fn reopen(&self, state: &mut State, reason: String) -> Result<Database, StoreError> {
        (self.open)().map_err(|error| {
            let own = matches!(error, redb::Error::DatabaseAlreadyOpen);
            *state = State::Closed(Some(reason.clone()));
            if own { StoreError::Io(std::io::Error::other(reason)) } else { error.into() }
        })
    }

    /// The bytes under a name.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(table.get(name)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// The value under a name.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.get(name)?.map(|bytes| decode(name, &bytes)).transpose()
    }

    /// All values whose names begin with `prefix`, in the order of their names.
    pub fn scan<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let found = self.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut found = Vec::new();
            for entry in table.range(prefix..)? {
                let (name, bytes) = entry?;
                if !name.value().starts_with(prefix) {
                    break;
                }
                found.push((name.value().to_owned(), bytes.value().to_vec()));
            }
            Ok(found)
        })?;
        let decoded = |(name, bytes): (String, Vec<u8>)| {
            let value = decode(&name, &bytes)?;
            Ok((name, value))
        };
        found.into_iter().map(decoded).collect()
    }

    /// The names that begin with `prefix`, in their order.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut found = Vec::new();
            for entry in table.range(prefix..)? {
                let (name, _) = entry?;
                if !name.value().starts_with(prefix) {
                    break;
                }
                found.push(name.value().to_owned());
            }
            Ok(found)
        })
    }

    /// Writes all entries or none: bytes under a name, or `None` to remove the name. They are on disk when
    /// this returns.
    pub fn write(&self, entries: &[(String, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for (name, bytes) in entries {
                    match bytes {
                        Some(bytes) => table.insert(name.as_str(), bytes.as_slice())?,
                        None => table.remove(name.as_str())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Gives the disk back what removed entries took. That takes as long as writing all others.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.with(|database| {
            database.compact()?;
            Ok(())
        })
    }

    /// Writes a value under a name.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        self.write(&[(name.to_owned(), Some(encode(name, value)?))])
    }
}

/// Why a file that others can read could not be closed to them.
fn exposed(error: std::io::Error) -> std::io::Error {
    let what =
        format!("others can read it, and this can't be changed ({error}): it must be the player's own");
    std::io::Error::new(error.kind(), what)
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The bytes of a value.
pub(crate) fn encode<T: Serialize>(name: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value)
        .map_err(|error| StoreError::Entry { name: name.to_owned(), reason: error.to_string() })
}

fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Entry { name: name.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn what_is_written_is_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let store = Store::open(&path).expect("a database");
        store.save("a/2", &2).expect("a write");
        store.save("a/1", &1).expect("a write");
        store.save("b", &"x").expect("a write");
        let error = Store::open(&path).expect_err("a second process may not open it");
        assert!(matches!(error, StoreError::InUse), "{error:?}");
        assert!(error.advice().expect("advice").contains("another player"));
        drop(store);
        let store = Store::open(&path).expect("a database");
        assert_eq!(store.scan::<u32>("a/").expect("a scan"), [("a/1".to_owned(), 1), ("a/2".to_owned(), 2)]);
        assert_eq!(store.load::<String>("b").expect("a read").as_deref(), Some("x"));
        let error = store.load::<u32>("b").expect_err("not a number");
        assert!(error.to_string().contains("'b'"), "{error}");
        assert_eq!(error.advice(), Some(START_AGAIN));
        store.write(&[("b".to_owned(), None)]).expect("a write");
        assert_eq!(store.get("b").expect("a read"), None);
    }

    /// The error for a file that is not a complete state file. The file stays unchanged.
    fn refused(bytes: &[u8]) -> StoreError {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        std::fs::write(&path, bytes).expect("a file");
        let error = Store::open(&path).expect_err("not a database");
        assert_eq!(std::fs::read(&path).expect("a file"), bytes, "the file was changed");
        error
    }

    #[test]
    fn a_damaged_file_and_another_file_are_told_from_one_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        Store::open(&path).and_then(|store| store.save("a", &"x".repeat(100_000))).expect("a database");
        let whole = std::fs::read(&path).expect("a file");
        for length in [1, 100, 2000, whole.len() / 2] {
            let error = refused(&whole[..length]);
            assert!(matches!(error, StoreError::Damaged(_)), "{length} bytes: {error:?}");
            assert_eq!(error.advice(), Some(START_AGAIN));
        }
        let error = refused("not a database at all".repeat(100).as_bytes());
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        let error = StoreError::from(redb::Error::UpgradeRequired(2));
        assert!(
            error.advice().is_some_and(|advice| advice.contains("the version that wrote the file")),
            "{error:?}"
        );
    }

    #[test]
    fn no_damage_is_called_another_player() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let store = Store::open(&path).expect("a database");
        for number in 0..200 {
            store.save(&format!("a/{number}"), &"x".repeat(100)).expect("a write");
        }
        drop(store);
        let whole = std::fs::read(&path).expect("a file");
        let mut damaged = 0;
        // Zeroed stretches, as a disk that lost writes leaves them, and single bits.
        for at in (0..whole.len()).step_by(whole.len() / 60) {
            for length in [1, 512] {
                let mut bytes = whole.clone();
                for byte in bytes.iter_mut().skip(at).take(length) {
                    *byte = if length == 1 { *byte ^ 4 } else { 0 };
                }
                std::fs::write(&path, bytes).expect("a file");
                let opened = Store::open(&path).and_then(|store| {
                    let read = store.scan::<String>("a/").map(|_| ());
                    let written = store.save("a/7", &"y".repeat(5000));
                    // What was damaged before is damaged still.
                    let again = store.save("a/8", &"y".repeat(5000));
                    assert_eq!(written.is_ok(), again.is_ok());
                    read.and(written).and(again)
                });
                if let Err(error) = opened {
                    damaged += 1;
                    let named = matches!(
                        error,
                        StoreError::Damaged(_) | StoreError::Entry { .. } | StoreError::Version(_)
                    );
                    assert!(named, "{length} bytes at {at}: {error:?}");
                }
            }
        }
        assert!(damaged > 10, "{damaged}");
    }

    #[test]
    fn its_own_lock_is_not_taken_for_another_player() {
        let disk = Disk { memory: Arc::new(InMemoryBackend::new()), full: Arc::default() };
        let (backend, opened) = (disk.clone(), AtomicBool::new(false));
        let store = Store::opened_by(move || {
            if opened.swap(true, Ordering::Relaxed) {
                return Err(redb::Error::DatabaseAlreadyOpen);
            }
            Ok(Database::builder().create_with_backend(backend.clone())?)
        });
        let store = store.expect("a database");
        disk.full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            let error = store.save("a", &1).expect_err("the disk is full");
            assert!(matches!(error, StoreError::Io(_)), "{error:?}");
        }
    }

    #[test]
    fn only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let mode = || std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        Store::open(&path).expect("a database");
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a mode");
        Store::open(&path).expect("a database");
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_pipe_in_its_place_does_not_stop_the_player() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
        let error = Store::open(&path).expect_err("a pipe");
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_folder_in_its_place_is_named_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Store::open(folder.path()).expect_err("a folder");
        assert!(error.advice().is_some_and(|advice| advice.contains("a folder")), "{error:?}");
        let of = |kind: ErrorKind| StoreError::Io(kind.into()).advice();
        assert!(of(ErrorKind::PermissionDenied).is_some_and(|advice| advice.contains("read and write")));
        assert!(of(ErrorKind::StorageFull).is_some_and(|advice| advice.contains("space")));
    }

    /// A disk that can be full.
    #[derive(Debug, Clone)]
    struct Disk {
        memory: Arc<InMemoryBackend>,
        full: Arc<AtomicBool>,
    }

    impl StorageBackend for Disk {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.memory.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.memory.read(offset, out)
        }
        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.memory.set_len(len)
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.memory.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            if self.full.load(Ordering::Relaxed) {
                return Err(ErrorKind::StorageFull.into());
            }
            self.memory.write(offset, data)
        }
    }

    #[test]
    fn a_full_disk_loses_nothing_and_is_forgotten_once_there_is_room() {
        let disk = Disk { memory: Arc::new(InMemoryBackend::new()), full: Arc::default() };
        let backend = disk.clone();
        let store = Store::opened_by(move || Ok(Database::builder().create_with_backend(backend.clone())?));
        let store = store.expect("a database");
        store.save("a", &1).expect("a write");
        disk.full.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let error = store.save("a", &2).expect_err("the disk is full");
            assert!(error.advice().is_some_and(|advice| advice.contains("space")), "{error:?}");
        }
        disk.full.store(false, Ordering::Relaxed);
        assert_eq!(store.load("a").expect("a read"), Some(1));
        store.save("a", &2).expect("a write");
        assert_eq!(store.load("a").expect("a read"), Some(2));
    }
}
