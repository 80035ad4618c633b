//! How much each player logs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

tokio::task_local! {
    /// The number of the player that runs.
    pub static WHO: usize;
}

/// The bytes of each player's log.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<u64>>>);

impl Meter {
    /// The bytes that a player has logged.
    pub fn of(&self, who: usize) -> u64 {
        self.0.lock().expect("a lock").get(who).copied().unwrap_or_default()
    }
}

impl Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(who) = WHO.try_with(|who| *who) {
            let mut logged = self.0.lock().expect("a lock");
            let most = logged.len().max(who + 1);
            logged.resize(most, 0);
            logged[who] += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Meter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
