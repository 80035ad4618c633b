//! The log of the players, on standard error: lines for people, or JSON for machines.

use std::fmt;
use std::io::IsTerminal as _;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::LogFormat;
use crate::failure::Failure;
use crate::output::printable;

/// Starts the log. The variable `RUST_LOG` sets its level.
pub fn start(format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match format {
        LogFormat::Human => log.event_format(Human).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_target(false).try_init(),
    };
    started.map_err(|error| Failure::new(format!("cannot log: {error}")))
}

/// A line for each event: "09:30:05 request 3 (mnist): answered (0.2 ETH)".
struct Human;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N>
    for Human
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let (word, colour) = level(*event.metadata().level());
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = printable(&fields.line());
        if writer.has_ansi_escapes() {
            writeln!(writer, "\x1b[2m{}\x1b[0m {colour}{word}\x1b[0m{line}", clock(now))
        } else {
            writeln!(writer, "{} {word}{line}", clock(now))
        }
    }
}

/// How a level is shown. Ordinary messages show none.
fn level(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("error: ", "\x1b[31m"),
        Level::WARN => ("warning: ", "\x1b[33m"),
        Level::INFO => ("", ""),
        _ => ("debug: ", "\x1b[2m"),
    }
}

/// The time of day (UTC) of a time in seconds since 1970.
fn clock(seconds: u64) -> String {
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60)
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    request: String,
    model: String,
    others: Vec<String>,
}

impl Fields {
    /// The request and model, what happened, and the remaining fields.
    fn line(&self) -> String {
        let subject = match (&*self.request, &*self.model) {
            ("", "") => String::new(),
            ("", model) => format!("{model}: "),
            (request, "") => format!("request {request}: "),
            (request, model) => format!("request {request} ({model}): "),
        };
        let others =
            if self.others.is_empty() { String::new() } else { format!(" ({})", self.others.join(", ")) };
        format!("{subject}{}{others}", self.message)
    }

    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "request" => self.request = value,
            "model" => self.model = value,
            // Amounts include their unit.
            _ if value.ends_with(" ETH") => self.others.push(value),
            name => self.others.push(format!("{} {value}", name.replace('_', " "))),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn events_are_lines_that_people_can_read() {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Human);
        tracing::subscriber::with_default(log.finish(), || {
            tracing::info!(request = 3, model = "mnist", time_left = %"20 s", eth = %"0.2 ETH", "answered");
            tracing::info!(model = "mnist", "ready");
            tracing::warn!("no answer from the node");
        });
        let text = String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("text");
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        let expected = [
            "request 3 (mnist): answered (time left 20 s, 0.2 ETH)",
            "mnist: ready",
            "warning: no answer from the node",
        ];
        assert_eq!(lines, expected);
        assert_eq!(clock(1_700_000_000), "22:13:20");
    }
}
