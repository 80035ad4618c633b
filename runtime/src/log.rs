//! The log of the players, on standard error: lines for people, or JSON for machines.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
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
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match format {
        LogFormat::Human => log.event_format(Careful::new(Human { colours }, format)).try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_target(false)
            .map_event_format(|json| Careful::new(json, format))
            .try_init(),
    };
    started.map_err(|error| Failure::new(format!("cannot log: {error}")))
}

/// Writes events in a format, but no secrets, and what is said again and again only once a minute.
struct Careful<F> {
    inner: F,
    format: LogFormat,
    said: Mutex<Said>,
}

impl<F> Careful<F> {
    fn new(inner: F, format: LogFormat) -> Self {
        Self { inner, format, said: Mutex::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for Careful<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Whoever asks for more than is logged by default gets all of it.
        let mut omitted = 0;
        if *event.metadata().level() <= Level::INFO {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(before) = said.admit(fields.line(), Instant::now()) else { return Ok(()) };
            omitted = before;
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = chain::without_keys(line.trim_end_matches('\n'));
        match (omitted, self.format) {
            (0, _) => writeln!(writer, "{line}"),
            (_, LogFormat::Human) => writeln!(writer, "{line} (and {omitted} times more in between)"),
            (_, LogFormat::Json) => {
                writeln!(writer, "{},\"omitted\":{omitted}}}", line.strip_suffix('}').unwrap_or(&line))
            }
        }
    }
}

/// How long the same message is not repeated.
const PAUSE: Duration = Duration::from_secs(60);
/// How many messages are remembered. Without a limit, a stream of different ones would fill the memory.
const MOST: usize = 1000;

/// What was said in the last minute.
#[derive(Default)]
struct Said(HashMap<String, (Instant, u64)>);

impl Said {
    /// Whether a message may be written now; if so, how often it was omitted since the last time.
    fn admit(&mut self, message: String, now: Instant) -> Option<u64> {
        if let Some((last, omitted)) = self.0.get_mut(&message) {
            if now.duration_since(*last) < PAUSE {
                *omitted += 1;
                return None;
            }
            *last = now;
            return Some(std::mem::take(omitted));
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, (last, _)| now.duration_since(*last) < PAUSE);
        }
        if self.0.len() < MOST {
            self.0.insert(message, (now, 0));
        }
        Some(0)
    }
}

/// A line for each event: "09:30:05 request 3 (mnist): answered (0.2 ETH)".
struct Human {
    colours: bool,
}

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
        if self.colours {
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

    /// What the events are written as.
    fn written(format: LogFormat, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        let log = log.with_max_level(Level::DEBUG);
        match format {
            LogFormat::Human => {
                let human = Careful::new(Human { colours: false }, format);
                tracing::subscriber::with_default(log.event_format(human).finish(), events);
            }
            LogFormat::Json => {
                let log = log.json().flatten_event(true).map_event_format(|json| Careful::new(json, format));
                tracing::subscriber::with_default(log.finish(), events);
            }
        }
        String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("text")
    }

    #[test]
    fn events_are_lines_that_people_can_read() {
        let text = written(LogFormat::Human, || {
            tracing::info!(request = 3, model = "mnist", time_left = %"20 s", eth = %"0.2 ETH", "answered");
            tracing::info!(model = "mnist", "ready");
            tracing::warn!("no answer from the node");
        });
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        let expected = [
            "request 3 (mnist): answered (time left 20 s, 0.2 ETH)",
            "mnist: ready",
            "warning: no answer from the node",
        ];
        assert_eq!(lines, expected);
        assert_eq!(clock(1_700_000_000), "22:13:20");
    }

    #[test]
    fn no_event_shows_what_may_be_a_key() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = written(format, || {
                let span = tracing::info_span!("client", url = "https://rpc.example/v3/secret");
                let _inside = span.enter();
                tracing::debug!(
                    to = "https://me:secret@rpc.example/",
                    "connecting to http://a.example/?key=secret"
                );
                tracing::warn!(error = %"request for url (https://rpc.example/v3/secret) failed", "no answer");
            });
            assert!(!text.contains("secret") && text.contains("https://rpc.example"), "{text}");
            assert_eq!(text.lines().count(), 2, "{text}");
            if format == LogFormat::Json {
                text.lines()
                    .for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).expect(line)));
            }
        }
    }

    #[test]
    fn what_is_said_again_and_again_is_written_once_a_minute_with_a_count() {
        let text = written(LogFormat::Human, || {
            for _ in 0..1000 {
                tracing::warn!(error = "no room", "cannot take a connection");
            }
            tracing::warn!(error = "another", "cannot take a connection");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        let (mut said, start) = (Said::default(), Instant::now());
        let mut at = |seconds: u64| said.admit("a".to_owned(), start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59, 60, 61, 200].map(&mut at), [Some(0), None, None, Some(2), None, Some(1)]);
        for number in 0..2 * MOST {
            assert_eq!(said.admit(number.to_string(), start), Some(0));
        }
        assert!(said.0.len() <= MOST);
        // Later there is room again.
        said.admit("b".to_owned(), start + 5 * PAUSE);
        assert_eq!(said.0.len(), 1);
    }

    #[test]
    fn a_count_in_json_is_a_field() {
        let sink = Sink::default();
        let writer = sink.clone();
        let format = LogFormat::Json;
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).json().flatten_event(true);
        let log = log.map_event_format(|json| {
            let careful = Careful::new(json, format);
            let long_ago = Instant::now().checked_sub(2 * PAUSE).expect("a time");
            careful.said.lock().expect("not poisoned").0.insert("no answer".to_owned(), (long_ago, 7));
            careful
        });
        tracing::subscriber::with_default(log.finish(), || tracing::warn!("no answer"));
        let text = String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("text");
        let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&object["message"], &object["omitted"]), (&"no answer".into(), &7.into()), "{text}");
    }
}
