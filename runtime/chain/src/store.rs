//! What is kept on disk: names and bytes, in a database that survives a crash at any moment.

use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::path::Path;
use thiserror::Error;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("opml");

/// A database. One process at a time can have it open.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// Why something can't be read or kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database.
    #[error("the database fails: {0}")]
    Database(Box<redb::Error>),
    /// An entry that this program did not write.
    #[error("the entry '{name}' of the database can't be read: {reason}")]
    Entry {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

impl Store {
    /// Opens a database, or makes one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(failed)?;
        let new = Self { database };
        // So that reading finds a table.
        new.write(&[])?;
        Ok(new)
    }

    /// One that is gone when it is dropped: for a transaction that is waited for.
    pub fn in_memory() -> Result<Self, StoreError> {
        let database =
            Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).map_err(failed)?;
        let new = Self { database };
        new.write(&[])?;
        Ok(new)
    }

    /// The bytes under a name.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.database.begin_read().map_err(failed)?.open_table(TABLE).map_err(failed)?;
        Ok(table.get(name).map_err(failed)?.map(|bytes| bytes.value().to_vec()))
    }

    /// The value under a name.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.get(name)?.map(|bytes| decode(name, &bytes)).transpose()
    }

    /// All whose names begin like this, in the order of their names.
    pub fn scan<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let table = self.database.begin_read().map_err(failed)?.open_table(TABLE).map_err(failed)?;
        let mut found = Vec::new();
        for entry in table.range(prefix..).map_err(failed)? {
            let (name, bytes) = entry.map_err(failed)?;
            if !name.value().starts_with(prefix) {
                break;
            }
            found.push((name.value().to_owned(), decode(name.value(), bytes.value())?));
        }
        Ok(found)
    }

    /// Keeps bytes under names, all or none; no bytes remove what is there. They are on disk when this returns.
    pub fn write(&self, entries: &[(String, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(TABLE).map_err(failed)?;
            for (name, bytes) in entries {
                match bytes {
                    Some(bytes) => table.insert(name.as_str(), bytes.as_slice()).map_err(failed)?,
                    None => table.remove(name.as_str()).map_err(failed)?,
                };
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Keeps a value under a name.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        self.write(&[(name.to_owned(), Some(encode(name, value)?))])
    }
}

/// The bytes of a value.
pub(crate) fn encode<T: Serialize>(name: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Entry { name: name.to_owned(), reason: error.to_string() })
}

fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Entry { name: name.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let store = Store::open(&path).expect("a database");
        store.save("a/2", &2).expect("a write");
        store.save("a/1", &1).expect("a write");
        store.save("b", &"x").expect("a write");
        assert!(Store::open(&path).is_err(), "a second process may not open it");
        drop(store);
        let store = Store::open(&path).expect("a database");
        assert_eq!(store.scan::<u32>("a/").expect("a scan"), [("a/1".to_owned(), 1), ("a/2".to_owned(), 2)]);
        assert_eq!(store.load::<String>("b").expect("a read").as_deref(), Some("x"));
        assert!(matches!(store.load::<u32>("b"), Err(StoreError::Entry { .. })));
        store.write(&[("b".to_owned(), None)]).expect("a write");
        assert_eq!(store.get("b").expect("a read"), None);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        std::fs::write(&path, "not a database at all".repeat(100)).expect("a file");
        assert!(matches!(Store::open(&path), Err(StoreError::Database(_))));
    }
}
