//! What a player must not lose: names and bytes that survive a crash at any time, in a file of its own or in a database
//! that several machines share.

mod error;
mod file;
mod postgres;

use crate::database::Database;
use file::File;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{Debug, Formatter};
use std::path::Path;
use std::time::Duration;

pub use error::StoreError;

/// The version of names and values. One that reads them in another way gets another number.
const VERSION: u32 = 1;
/// The name under which a store has its version.
const VERSION_ENTRY: &str = "version";

/// What is to be written: bytes under a name, or `None` to remove the name.
pub type Entry = (String, Option<Vec<u8>>);

/// A player's names and bytes. Only one player at a time can have it open.
///
/// After an error such as a full disk or a lost connection, the next call tries again. A player therefore continues
/// once the cause is gone.
pub struct Store(Box<dyn Backing>);

/// Where entries are kept.
trait Backing: Send + Sync {
    /// The bytes under a name.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// All entries whose names begin with `prefix`, in the order of their names' bytes.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
    /// Their names.
    fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
    /// Writes all entries or none. Of several with one name, the last one counts.
    fn write(&self, entries: &[Entry]) -> Result<(), StoreError>;
    /// Refuses if somebody else has the entries now.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Gives back what removed entries took, if that doesn't happen by itself.
    fn compact(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Debug for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a state file, or creates it. Only its owner can read it from then on.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::over(File::open(path)?)
    }

    /// A store in memory, for a process that waits for its own transactions.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::on(redb::backends::InMemoryBackend::new)
    }

    /// A store on anything that keeps bytes, for tests: `backend` is asked again after an I/O error.
    pub fn on<B: redb::StorageBackend>(
        backend: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::over(File::on(backend)?)
    }

    /// What a player of this name has in a PostgreSQL database. Nobody else has it from then on, until this store is
    /// dropped, or the database hasn't heard of it for the time of `lease`. Blocks while the database is asked.
    pub fn shared(url: &str, player: &str, lease: Duration) -> Result<Self, StoreError> {
        Self::over(postgres::Shared::take(Database::open(url, postgres::PATIENCE)?, player, lease)?)
    }

    /// A store whose entries are those of this version.
    fn over(backing: impl Backing + 'static) -> Result<Self, StoreError> {
        let new = Self(Box::new(backing));
        match new.load::<u32>(VERSION_ENTRY)? {
            Some(VERSION) => {}
            Some(other) => {
                return Err(StoreError::Version(format!("version {other}; this one has version {VERSION}")));
            }
            // It is new, or from a time when there was only one version.
            None => new.save(VERSION_ENTRY, &VERSION)?,
        }
        Ok(new)
    }

    /// Refuses if another player is known to have taken over, with no other call to find that out.
    pub fn check(&self) -> Result<(), StoreError> {
        self.0.check()
    }

    /// The bytes under a name.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(name)
    }

    /// The value under a name.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.get(name)?.map(|bytes| decode(name, &bytes)).transpose()
    }

    /// All values whose names begin with `prefix`, in the order of their names.
    pub fn scan<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let decoded = |(name, bytes): (String, Vec<u8>)| {
            let value = decode(&name, &bytes)?;
            Ok((name, value))
        };
        self.0.scan(prefix)?.into_iter().map(decoded).collect()
    }

    /// The names that begin with `prefix`, in their order.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.names(prefix)
    }

    /// Writes all entries or none: bytes under a name, or `None` to remove the name. They are on disk when
    /// this returns.
    pub fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.0.write(entries)
    }

    /// Gives the disk back what removed entries took. That takes as long as writing all others.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.0.compact()
    }

    /// Writes a value under a name.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        self.write(&[(name.to_owned(), Some(encode(name, value)?))])
    }
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
