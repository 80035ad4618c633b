//! What a player has in a database that several machines share.
//!
//! One store at a time has the lease of a player. It writes on the condition that it has it still, in the same statement:
//! a machine that was away and comes back when another one has gone on in its place changes nothing any more. The clock
//! is the database's.

use super::{Backing, Entry, StoreError};
use crate::database::{Connection, Database, plain};
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long a player waits for the database. It does nothing else meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const TAKE: &str = "
INSERT INTO opml_leases (player, holder, place, connection, until)
VALUES ($1, $2, $3, 0, clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (player) DO UPDATE SET holder = $2, place = $3, connection = 0, until = excluded.until
WHERE opml_leases.until < clock_timestamp()
RETURNING true";

const HOLDER: &str = "
SELECT place, extract(epoch FROM until - clock_timestamp())::float8 FROM opml_leases WHERE player = $1";

/// A statement of an earlier connection may arrive late: nothing comes of it.
const BEAT: &str = "
UPDATE opml_leases SET connection = $3, until = clock_timestamp() + make_interval(secs => $4)
WHERE player = $1 AND holder = $2 AND connection <= $3
RETURNING true";

/// A beat that comes later finds another holder.
const RELEASE: &str =
    "UPDATE opml_leases SET until = clock_timestamp(), holder = '' WHERE player = $1 AND holder = $2";

const WRITE: &str = "
WITH mine AS (
    UPDATE opml_leases SET connection = $3, until = clock_timestamp() + make_interval(secs => $4)
    WHERE player = $1 AND holder = $2 AND connection <= $3
    RETURNING player
), kept AS (
    INSERT INTO opml_entries (player, name, bytes)
    SELECT mine.player, new.name, new.bytes FROM mine, UNNEST($5::text[], $6::bytea[]) AS new (name, bytes)
    ON CONFLICT (player, name) DO UPDATE SET bytes = excluded.bytes
), removed AS (
    DELETE FROM opml_entries USING mine WHERE opml_entries.player = mine.player AND name = ANY($7)
)
SELECT EXISTS (SELECT FROM mine)";

const GET: &str = "SELECT bytes FROM opml_entries WHERE player = $1 AND name = $2";
const SCAN: &str =
    "SELECT name, bytes FROM opml_entries WHERE player = $1 AND name >= $2 AND name < $3 ORDER BY name";
const NAMES: &str =
    "SELECT name FROM opml_entries WHERE player = $1 AND name >= $2 AND name < $3 ORDER BY name";

/// A player's part of the database.
pub(super) struct Shared {
    lease: Arc<Lease>,
    /// Its end stops the thread that prolongs the lease.
    _beats: Sender<()>,
}

/// The right to be a player.
struct Lease {
    database: Database,
    player: String,
    holder: String,
    /// For how many seconds it is prolonged.
    seconds: f64,
    /// Whether somebody else has it now. This process has an old view of the player's state, so it stays lost.
    lost: AtomicBool,
}

impl Shared {
    /// Takes a player's lease, unless another store has it.
    pub fn take(database: Database, player: &str, time: Duration) -> Result<Self, StoreError> {
        let holder = format!("{:032x}", rand::random::<u128>());
        let (player, seconds, lost) = (player.to_owned(), time.as_secs_f64(), AtomicBool::new(false));
        let lease = Arc::new(Lease { database, player, holder, seconds, lost });
        lease.take()?;
        let (beats, over) = channel();
        let (kept, pause) = (Arc::clone(&lease), time / 3);
        let beat = move || {
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = kept.beat() {
                    tracing::warn!(%error, "cannot prolong the lease of the player's state");
                }
            }
        };
        thread::Builder::new().name("lease".to_owned()).spawn(beat).map_err(StoreError::Io)?;
        Ok(Self { lease, _beats: beats })
    }

    /// Reads what is asked for with the player's name and these two words.
    fn read<T: Send + 'static>(
        &self,
        statement: &'static str,
        words: [String; 2],
        row: impl Fn(sqlx::postgres::PgRow) -> sqlx::Result<T> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let player = self.lease.player.clone();
        self.lease.call(async move |connection| {
            let [first, second] = words;
            let rows = sqlx::query(statement).bind(player).bind(first).bind(second);
            rows.fetch_all(&mut connection.wire).await?.into_iter().map(row).collect()
        })
    }
}

impl Lease {
    /// Does something with the database, if the lease isn't lost.
    fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> sqlx::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check()?;
        self.database.call(work)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.lost.load(Ordering::Relaxed) { Err(self.taken()) } else { Ok(()) }
    }

    fn take(&self) -> Result<(), StoreError> {
        let (player, holder, seconds, place) =
            (self.player.clone(), self.holder.clone(), self.seconds, place());
        let taken = self.call(async move |connection| {
            let taken = sqlx::query(TAKE).bind(player).bind(holder).bind(place).bind(seconds);
            Ok(taken.fetch_optional(&mut connection.wire).await?.is_some())
        });
        if taken? { Ok(()) } else { Err(self.taken()) }
    }

    fn beat(&self) -> Result<(), StoreError> {
        let (player, holder, seconds) = (self.player.clone(), self.holder.clone(), self.seconds);
        let kept = self.call(async move |connection| {
            let kept = sqlx::query(BEAT).bind(player).bind(holder).bind(connection.number).bind(seconds);
            Ok(kept.fetch_optional(&mut connection.wire).await?.is_some())
        });
        self.require(kept?)
    }

    /// Notes that the lease is lost, if it is.
    fn require(&self, kept: bool) -> Result<(), StoreError> {
        if kept {
            return Ok(());
        }
        self.lost.store(true, Ordering::Relaxed);
        Err(self.taken())
    }

    /// Who has the lease, as an error.
    fn taken(&self) -> StoreError {
        let player = self.player.clone();
        let found = self.database.call(async move |connection| {
            let found = sqlx::query(HOLDER).bind(player).fetch_optional(&mut connection.wire).await?;
            found.map(|row| Ok((row.try_get::<String, _>(0)?, row.try_get::<f64, _>(1)?))).transpose()
        });
        StoreError::Taken(match found {
            Ok(Some((place, left))) if left > 0.0 => {
                let place = plain(&place);
                format!("another player on {place}, for {left:.0} s more if nothing is heard of it")
            }
            Ok(Some((place, _))) => format!("another player on {}, which has ended", plain(&place)),
            _ => "another player".to_owned(),
        })
    }
}

impl Backing for Shared {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (player, name) = (self.lease.player.clone(), name.to_owned());
        self.lease.call(async move |connection| {
            let found = sqlx::query(GET).bind(player).bind(name).fetch_optional(&mut connection.wire).await?;
            found.map(|row| row.try_get(0)).transpose()
        })
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(SCAN, range(prefix), |row| Ok((row.try_get(0)?, row.try_get(1)?)))
    }

    fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.read(NAMES, range(prefix), |row| row.try_get(0))
    }

    fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let Lease { player, holder, seconds, .. } = &*self.lease;
        let (player, holder, seconds) = (player.clone(), holder.clone(), *seconds);
        // The last one of a name counts.
        let last: BTreeMap<String, Option<Vec<u8>>> = entries.iter().cloned().collect();
        let (mut names, mut values, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (name, bytes) in last {
            match bytes {
                Some(bytes) => {
                    names.push(name);
                    values.push(bytes);
                }
                None => gone.push(name),
            }
        }
        let kept = self.lease.call(async move |connection| {
            let write = sqlx::query_scalar(WRITE).bind(player).bind(holder).bind(connection.number);
            let write = write.bind(seconds).bind(names).bind(values).bind(gone);
            write.fetch_one(&mut connection.wire).await
        });
        self.lease.require(kept?)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.lease.check()
    }
}

impl Drop for Shared {
    /// Lets the next one have the lease at once.
    fn drop(&mut self) {
        let (player, holder) = (self.lease.player.clone(), self.lease.holder.clone());
        // If that fails, the lease is over a little later.
        let _ = self.lease.call(async move |connection| {
            sqlx::query(RELEASE).bind(player).bind(holder).execute(&mut connection.wire).await
        });
    }
}

/// The least name with a prefix, and one that is greater than all of them.
fn range(prefix: &str) -> [String; 2] {
    [prefix.to_owned(), format!("{prefix}{}", char::MAX)]
}

/// Where this process runs, for people.
fn place() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "an unknown computer" } else { host.trim() };
    format!("{host} (process {})", std::process::id())
}
