//! Work that players leave to others: jobs in a database, and what they came to.
//!
//! A job's name is the hash of its bytes, and what a job comes to depends on nothing else. So whoever has done it may
//! say so, late or twice, and several players that need the same share it. A worker that isn't heard of loses what it
//! had taken. The clock is the database's.

use crate::database::{Database, plain};
use crate::store::StoreError;
use alloy::primitives::{B256, keccak256};
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use std::time::Duration;

/// The version of the bytes of jobs and results. Workers take jobs of their own version only.
const FORMAT: i32 = 1;
/// The most bytes of a job, and of a result.
pub const MOST_JOB_BYTES: usize = 64 << 20;
/// How often a job is taken until it counts as failed: it may be what its workers die of.
const MOST_TRIES: i32 = 5;
/// For how many seconds a failed job is left to other workers before it counts as failed.
const GRACE: f64 = 3.0;
/// For how many seconds a job is worked on that nobody has asked for again, and kept when it is done.
const WANTED: f64 = 60.0;
const KEPT: f64 = 600.0;
/// How long the database may take to take or give a job.
const PATIENCE: Duration = Duration::from_secs(60);

const ORDER: &str = "
INSERT INTO opml_jobs (name, format, model, job, deadline) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET asked = clock_timestamp(), deadline = least(opml_jobs.deadline, $5),
    tries = 0, failure = NULL, failed_by = '{}'";

const ASK: &str = "UPDATE opml_jobs SET asked = clock_timestamp() WHERE name = $1";

const PRUNE: &str = "DELETE FROM opml_jobs WHERE asked < clock_timestamp() - make_interval(secs => $1)";

const LOOK: &str = "
SELECT result, octet_length(result) > $2, failure,
    lease < clock_timestamp() - make_interval(secs => $3), tries >= $4 AND lease < clock_timestamp()
FROM opml_jobs WHERE name = $1";

const DISCARD: &str = "UPDATE opml_jobs SET result = NULL, lease = '-infinity' WHERE name = $1";

/// The jobs that a worker could take; [`Queue::could_take`] gives the values.
macro_rules! open {
    () => {
        "FROM opml_jobs
        WHERE result IS NULL AND format = $1 AND model = ANY($2) AND octet_length(job) <= $3
            AND lease < clock_timestamp() AND tries < $4 AND NOT $5 = ANY(failed_by)
            AND asked > clock_timestamp() - make_interval(secs => $6)"
    };
}

const WAITING: &str = concat!("SELECT count(*) ", open!());

const TAKE: &str = concat!(
    "UPDATE opml_jobs SET worker = $5, lease = clock_timestamp() + make_interval(secs => $7), tries = tries + 1
    WHERE name = (SELECT name ",
    open!(),
    " ORDER BY deadline, asked LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING name, job"
);

const BEAT: &str = "
UPDATE opml_jobs SET lease = clock_timestamp() + make_interval(secs => $2)
WHERE worker = $1 AND name = ANY($3) AND result IS NULL";

const FINISH: &str = "
UPDATE opml_jobs SET result = $2, failure = NULL WHERE name = $1 AND format = $3 AND result IS NULL";

const FAIL: &str = "
UPDATE opml_jobs SET failure = $3, failed_by = failed_by || $2, lease = clock_timestamp()
WHERE name = $1 AND worker = $2 AND result IS NULL";

const HAND_BACK: &str = "
UPDATE opml_jobs SET lease = '-infinity', tries = greatest(tries - 1, 0)
WHERE worker = $1 AND name = ANY($2) AND result IS NULL";

/// Jobs in a database: for players, which order them, and for workers.
pub struct Queue {
    database: Database,
    /// The name of the worker, which no other one has.
    worker: String,
    /// For how many seconds it has a job if nothing is heard of it.
    lease: f64,
}

/// A job as a player orders it.
#[derive(Debug, Clone)]
pub struct Order {
    name: String,
    model: B256,
    job: Vec<u8>,
    deadline: i64,
}

impl Order {
    /// A job about a model, which is due at a time in seconds since 1970.
    #[must_use]
    pub fn new(model: B256, job: Vec<u8>, deadline: u64) -> Self {
        Self { name: name(&job), model, job, deadline: deadline.try_into().unwrap_or(i64::MAX) }
    }
}

/// The name of a job.
fn name(job: &[u8]) -> String {
    keccak256(job).to_string()
}

/// What has become of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It isn't done yet.
    Waiting,
    /// It came to this.
    Done(Vec<u8>),
    /// Nobody can do it, for this reason.
    Failed(String),
    /// The database doesn't know it.
    Unknown,
}

/// A job that a worker has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// What is to be done.
    pub job: Vec<u8>,
}

impl Queue {
    /// The jobs of a PostgreSQL database. What a worker takes is its own for the time of `lease`, and for as long again
    /// with each beat. Blocks.
    pub fn open(url: &str, lease: Duration) -> Result<Self, StoreError> {
        let worker = format!("{:032x}", rand::random::<u128>());
        Ok(Self { database: Database::open(url, PATIENCE)?, worker, lease: lease.as_secs_f64() })
    }

    /// Orders a job. If it has failed before, it is tried again.
    pub async fn order(&self, order: &Order) -> Result<(), StoreError> {
        let Order { name, model, job, deadline } = order.clone();
        self.database
            .ask(async move |connection| {
                sqlx::query(PRUNE).bind(KEPT).execute(&mut connection.wire).await?;
                let order = sqlx::query(ORDER).bind(name).bind(FORMAT).bind(model.to_vec()).bind(job);
                order.bind(deadline).execute(&mut connection.wire).await.map(drop)
            })
            .await
    }

    /// Says that a job is still wanted. Nobody works on one that wasn't asked for within the last minute.
    pub async fn ask_again(&self, order: &Order) -> Result<(), StoreError> {
        self.with_name(ASK, &order.name).await
    }

    /// What has become of a job.
    pub async fn look(&self, order: &Order) -> Result<Progress, StoreError> {
        let name = order.name.clone();
        self.database
            .ask(async move |connection| {
                let look = sqlx::query(LOOK).bind(name).bind(most_bytes()).bind(GRACE).bind(MOST_TRIES);
                let Some(row) = look.fetch_optional(&mut connection.wire).await? else {
                    return Ok(Progress::Unknown);
                };
                let (result, too_large): (Option<Vec<u8>>, Option<bool>) = (row.try_get(0)?, row.try_get(1)?);
                let (failure, left, spent): (Option<String>, bool, bool) =
                    (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
                Ok(match (result, failure) {
                    (Some(_), _) if too_large == Some(true) => {
                        Progress::Failed("what it came to is too large for the database".to_owned())
                    }
                    (Some(result), _) => Progress::Done(result),
                    (None, Some(failure)) if left || spent => Progress::Failed(plain(&failure)),
                    (None, None) if spent => {
                        Progress::Failed(format!("{MOST_TRIES} workers took it, and none was heard of again"))
                    }
                    (None, _) => Progress::Waiting,
                })
            })
            .await
    }

    /// Forgets what a job came to, since it can't be that.
    pub async fn discard(&self, order: &Order) -> Result<(), StoreError> {
        self.with_name(DISCARD, &order.name).await
    }

    async fn with_name(&self, statement: &'static str, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.database
            .ask(async move |connection| {
                sqlx::query(statement).bind(name).execute(&mut connection.wire).await.map(drop)
            })
            .await
    }

    /// Takes the most urgent job about one of these models, if there is any.
    pub async fn take(&self, models: &[B256]) -> Result<Option<Taken>, StoreError> {
        let take = self.could_take(TAKE, models).bind(self.lease);
        self.database
            .ask(async move |connection| {
                let row = take.fetch_optional(&mut connection.wire).await?;
                row.map(|row| Ok(Taken { name: row.try_get(0)?, job: row.try_get(1)? })).transpose()
            })
            .await
    }

    /// How many jobs about these models nobody has yet.
    pub async fn waiting(&self, models: &[B256]) -> Result<u64, StoreError> {
        let count = self.could_take(WAITING, models);
        let count = self
            .database
            .ask(async move |connection| count.fetch_one(&mut connection.wire).await?.try_get::<i64, _>(0));
        count.await.map(|count| count.try_into().unwrap_or(0))
    }

    /// A statement about the jobs that this worker could take.
    fn could_take(&self, statement: &'static str, models: &[B256]) -> Query<'static, Postgres, PgArguments> {
        let models: Vec<Vec<u8>> = models.iter().map(|id| id.to_vec()).collect();
        let query = sqlx::query(statement).bind(FORMAT).bind(models).bind(most_bytes());
        query.bind(MOST_TRIES).bind(self.worker.clone()).bind(WANTED)
    }

    /// Says that this worker is still busy with these jobs.
    pub async fn beat(&self, names: Vec<String>) -> Result<(), StoreError> {
        let (worker, lease) = (self.worker.clone(), self.lease);
        self.database
            .ask(async move |connection| {
                let beat = sqlx::query(BEAT).bind(worker).bind(lease).bind(names);
                beat.execute(&mut connection.wire).await.map(drop)
            })
            .await
    }

    /// Says what a job came to. It counts if nobody has said so before, whoever has the job now.
    pub async fn finish(&self, name: String, result: Vec<u8>) -> Result<(), StoreError> {
        self.database
            .ask(async move |connection| {
                let finish = sqlx::query(FINISH).bind(name).bind(result).bind(FORMAT);
                finish.execute(&mut connection.wire).await.map(drop)
            })
            .await
    }

    /// Says why this worker can't do a job. Others may try.
    pub async fn fail(&self, name: String, reason: String) -> Result<(), StoreError> {
        let worker = self.worker.clone();
        self.database
            .ask(async move |connection| {
                // The database takes no such characters.
                let fail = sqlx::query(FAIL).bind(name).bind(worker).bind(reason.replace('\0', ""));
                fail.execute(&mut connection.wire).await.map(drop)
            })
            .await
    }

    /// Gives jobs back that this worker has not done.
    pub async fn hand_back(&self, names: Vec<String>) -> Result<(), StoreError> {
        let worker = self.worker.clone();
        self.database
            .ask(async move |connection| {
                sqlx::query(HAND_BACK).bind(worker).bind(names).execute(&mut connection.wire).await.map(drop)
            })
            .await
    }
}

impl Taken {
    /// Whether the name is that of the job. If not, somebody has changed it in the database.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.name == name(&self.job)
    }
}

fn most_bytes() -> i32 {
    i32::try_from(MOST_JOB_BYTES).unwrap_or(i32::MAX)
}
