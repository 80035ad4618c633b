//! A PostgreSQL database that several machines share.
//!
//! Players also run where nothing may block an executor for long, and their store is not asynchronous. So the connection
//! belongs to a thread of its own, to which work is sent.

use crate::secrets;
use crate::store::StoreError;
use alloy::transports::http::reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _};
use std::str::FromStr as _;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long nothing is tried after a connection has failed. A look at the chain makes many calls, and none shall wait
/// for a database that the one before has found to be away.
const REST: Duration = Duration::from_secs(1);

/// The tables. Names are ordered by their bytes, as they are in a state file.
const TABLES: &str = r#"
SELECT pg_advisory_xact_lock(7161021);
CREATE TABLE IF NOT EXISTS opml_leases (
    player text PRIMARY KEY,
    holder text NOT NULL,       -- the store that has it
    place text NOT NULL,        -- where that runs, for people
    connection bigint NOT NULL, -- the number of its last connection
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS opml_entries (
    player text NOT NULL,
    name text COLLATE "C" NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (player, name)
);
CREATE TABLE IF NOT EXISTS opml_jobs (
    name text COLLATE "C" PRIMARY KEY,
    format integer NOT NULL,     -- the version of what is in the bytes
    model bytea NOT NULL,
    job bytea NOT NULL,
    deadline bigint NOT NULL,    -- seconds since 1970, by the chain
    asked timestamptz NOT NULL DEFAULT clock_timestamp(),
    worker text,                 -- who has it, or had it last
    lease timestamptz NOT NULL DEFAULT '-infinity',
    tries integer NOT NULL DEFAULT 0,
    failure text,                -- why it failed last
    failed_by text[] NOT NULL DEFAULT '{}',
    result bytea
);
CREATE INDEX IF NOT EXISTS opml_jobs_open ON opml_jobs (deadline) WHERE result IS NULL;
"#;

/// A database, with one connection to it that is made when it is needed.
pub(crate) struct Database {
    work: Sender<Work>,
}

/// Something to do with the connection.
type Work = Box<dyn FnOnce(&mut Link) + Send>;

/// A connection, and its number in this process: what an earlier one has sent may arrive later.
pub(crate) struct Connection {
    pub wire: PgConnection,
    pub number: i64,
}

/// What a database's thread has.
struct Link {
    runtime: Runtime,
    options: PgConnectOptions,
    /// The longest time that anything may take.
    patience: Duration,
    open: Option<Connection>,
    /// How many connections there were.
    count: i64,
    /// When it may connect again, and why not before.
    rest: Option<(Instant, String)>,
}

impl Database {
    /// The database with this URL, in which everything is given up that takes longer than `patience`. Makes the tables
    /// if there are none. Blocks.
    pub fn open(url: &str, patience: Duration) -> Result<Self, StoreError> {
        let options = options(url)?;
        let (work, waiting) = channel::<Work>();
        let serve = move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            let mut link = Link { runtime, options, patience, open: None, count: 0, rest: None };
            waiting.into_iter().for_each(|work| work(&mut link));
        };
        thread::Builder::new().name("database".to_owned()).spawn(serve).map_err(StoreError::Io)?;
        let new = Self { work };
        new.call(async |connection| {
            let there = sqlx::query_scalar("SELECT to_regclass('opml_jobs') IS NOT NULL");
            if !there.fetch_one(&mut connection.wire).await? {
                connection.wire.execute(sqlx::raw_sql(TABLES)).await?;
            }
            Ok(())
        })?;
        Ok(new)
    }

    /// Does something with the connection. Blocks until it is done, or the time is over.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> sqlx::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (give, got) = channel();
        self.send(work, move |done| drop(give.send(done)));
        got.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// The same without blocking.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> sqlx::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (give, got) = oneshot::channel();
        self.send(work, move |done| drop(give.send(done)));
        got.await.unwrap_or_else(|_| Err(ended()))
    }

    fn send<T>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> sqlx::Result<T> + Send + 'static,
        give: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        // If the thread has ended, `give` is dropped, which tells the one who waits.
        let _ = self.work.send(Box::new(move |link| give(link.run(work))));
    }
}

fn ended() -> StoreError {
    StoreError::Unreachable("its thread has ended".to_owned())
}

impl Link {
    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        if let Some((_, reason)) = self.rest.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(StoreError::Unreachable(reason.clone()));
        }
        let Self { runtime, options, patience, open, count, rest } = self;
        let limit = *patience;
        let done = runtime.block_on(async {
            let connection = match open {
                Some(connection) => connection,
                None => {
                    *count += 1;
                    let wire = in_time(limit, connect(options, limit)).await.inspect_err(|error| {
                        if let StoreError::Unreachable(reason) = error {
                            *rest = Some((Instant::now() + REST, reason.clone()));
                        }
                    })?;
                    open.insert(Connection { wire, number: *count })
                }
            };
            in_time(limit, work(connection)).await
        });
        // Whatever failed, a new connection is in a known state.
        if done.is_err() {
            metrics::counter!("opml_database_errors_total").increment(1);
            *open = None;
        }
        done
    }
}

/// What comes of some work in time.
async fn in_time<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    match timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(StoreError::Unreachable(format!("no answer within {} s", limit.as_secs()))),
    }
}

async fn connect(options: &PgConnectOptions, limit: Duration) -> sqlx::Result<PgConnection> {
    let mut wire = options.connect().await?;
    // What nobody waits for any more need not be done either, and nobody reads notices.
    let settings =
        format!("SET statement_timeout = {}; SET client_min_messages = warning", limit.as_millis());
    wire.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(settings))).await?;
    Ok(wire)
}

/// A text from the database as it may be shown: not endless, and in one line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What a URL says, and the variables of the environment that PostgreSQL's own programs read.
fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let wrong = |reason: String| StoreError::Url(reason);
    let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if !["postgres", "postgresql"].contains(&parsed.scheme()) {
        return Err(wrong("it does not begin with postgres://".to_owned()));
    }
    secrets::note(&parsed);
    let options = PgConnectOptions::from_str(url)?;
    Ok(options.application_name("opml").disable_statement_logging())
}
