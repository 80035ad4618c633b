//! `opml work`: run models for players on other machines.

use crate::cli::{LogFormat, Work};
use crate::commands::play::{about_store, interrupted, load_models};
use crate::failure::Failure;
use crate::log;
use crate::network::block_on;
use crate::output::Output;
use chain::Queue;
use players::Worker;
use std::sync::Arc;
use std::time::Duration;

pub fn run(args: &Work, output: Output) -> Result<(), Failure> {
    log::start(args.log_format.unwrap_or(if output.is_json() { LogFormat::Json } else { LogFormat::Human }))?;
    let models = load_models(&args.models, args.threads, &args.limits)?;
    block_on(async {
        let lease = Duration::from_secs(args.lease);
        let queue = Queue::open(&args.database, lease).map_err(|error| about_store(&error))?;
        let (most, memory) = (args.jobs as usize, args.limits.max_memory);
        let mut worker =
            Worker::new(Arc::new(queue), models, most, memory, lease / 3).map_err(Failure::from_error)?;
        tracing::info!(jobs = most, "ready");
        worker.run(interrupted()).await;
        tracing::info!("stopped");
        Ok(())
    })
}
