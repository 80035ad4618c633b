//! `opml work`: run models for players on other machines.

use crate::cli::Work;
use crate::commands::play::{about_store, begin, interrupted, require_models, state_file, watched};
use crate::failure::Failure;
use crate::network::block_on;
use crate::output::{Output, create_private_folder};
use chain::{Queue, Store};
use players::{Health, Worker, WorkerConfig};
use std::sync::Arc;
use std::time::Duration;

pub fn run(args: &Work, output: Output) -> Result<(), Failure> {
    require_models(&args.running)?;
    let models = begin(&args.running, output)?;
    let store = checked(args)?;
    block_on(async {
        let health = watched(&args.running, Health::of_worker(args.lease)).await?;
        let lease = Duration::from_secs(args.lease);
        let queue = Queue::open(&args.database, lease).map_err(|error| about_store(&error))?;
        let (most, max_memory) = (args.jobs as usize, args.running.limits.max_memory);
        let config = WorkerConfig { most, max_memory, beat: lease / 3, health };
        let mut worker = Worker::new(Arc::new(queue), store, models, config).map_err(Failure::from_error)?;
        tracing::info!(jobs = most, "ready");
        worker.run(interrupted()).await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// What it knows of images that were checked.
fn checked(args: &Work) -> Result<Store, Failure> {
    match &args.state {
        Some(folder) => {
            create_private_folder(folder)?;
            state_file(&folder.join("worker.redb"))
        }
        None => Store::in_memory().map_err(|error| about_store(&error)),
    }
}
