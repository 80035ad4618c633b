//! The state file: a redb database.

use super::{Backing, Entry, StoreError};
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use std::any::Any;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("opml");

/// A database in a file. Only one process at a time can have it open. After an I/O error, the next call opens it again.
pub(super) struct File {
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

impl File {
    /// Opens a state file, or creates it. Only its owner can read it from then on.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
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

    /// A database on anything that keeps bytes.
    pub(super) fn on<B: redb::StorageBackend>(
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

    /// The entries whose names begin with `prefix`, each as `f` makes it.
    fn range<T>(&self, prefix: &str, f: impl Fn(&str, &[u8]) -> T) -> Result<Vec<T>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut found = Vec::new();
            for entry in table.range(prefix..)? {
                let (name, bytes) = entry?;
                if !name.value().starts_with(prefix) {
                    break;
                }
                found.push(f(name.value(), bytes.value()));
            }
            Ok(found)
        })
    }
}

impl Backing for File {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(table.get(name)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.range(prefix, |name, bytes| (name.to_owned(), bytes.to_vec()))
    }

    fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.range(prefix, |name, _| name.to_owned())
    }

    fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
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

    fn compact(&self) -> Result<(), StoreError> {
        self.with(|database| {
            database.compact()?;
            Ok(())
        })
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

#[cfg(test)]
mod tests {
    use super::super::error::START_AGAIN;
    use super::*;
    use crate::Store;
    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;
    use std::io::ErrorKind;
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
        let store = File::opened_by(move || {
            if opened.swap(true, Ordering::Relaxed) {
                return Err(redb::Error::DatabaseAlreadyOpen);
            }
            Ok(Database::builder().create_with_backend(backend.clone())?)
        });
        let store = Store::over(store.expect("a database")).expect("a store");
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
        let store = File::opened_by(move || Ok(Database::builder().create_with_backend(backend.clone())?));
        let store = Store::over(store.expect("a database")).expect("a store");
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
