//! What the command prints and writes: text or one JSON object, whole files or none.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::Value;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;

/// Where a command sends its report.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or one JSON object.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was requested.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints the result: the object, or the text.
    pub fn result(self, object: &Value, text: &str) -> Result<(), Failure> {
        if self.json { print_object(object) } else { self.raw(&format!("{}\n", text.trim_end())) }
    }

    /// Prints the object of a command that has already printed its text.
    pub fn object(self, object: &Value) -> Result<(), Failure> {
        if self.json { print_object(object) } else { Ok(()) }
    }

    /// Prints progress text. Does nothing with JSON.
    pub fn say(self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.raw(&format!("{text}\n"))
    }

    /// Prints text. The reader may stop early (`opml disasm IMAGE | head`).
    fn raw(self, text: &str) -> Result<(), Failure> {
        print(printable(text).as_bytes())
    }

    /// A spinner on standard error.
    pub fn spinner(self, message: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        late(bar.with_message(message.to_owned()), "{spinner} {msg} {elapsed}")
    }

    /// A bar of bytes on standard error.
    pub fn bytes(self, message: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        late(bar.with_message(message.to_owned()), "{msg} {bar:30} {bytes} of {total_bytes} {eta}")
    }

    /// A bar of steps on standard error.
    pub fn steps(self, total: Option<u64>) -> ProgressBar {
        let template = if total.is_some() {
            "{msg}{bar:30} {human_pos} of {human_len} steps {eta}"
        } else {
            "{spinner} {msg}{human_pos} steps {elapsed}"
        };
        late(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()), template)
    }
}

/// Notes on standard error about what a command waits for. A terminal shows one line that is replaced, and a
/// file gets a line for each change.
pub struct Notes {
    spinner: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Output {
    /// Starts writing notes.
    pub fn notes(self) -> Notes {
        let terminal = std::io::stderr().is_terminal();
        Notes { spinner: terminal.then(|| self.spinner("")), last: RefCell::default() }
    }
}

impl Notes {
    /// Shows a note. In a file, it is omitted while `topic` stays the same.
    pub fn show(&self, note: &str, topic: &str) {
        let note = printable(note);
        if let Some(spinner) = &self.spinner {
            spinner.set_message(note);
        } else if *self.last.borrow() != topic {
            eprintln!("{note}");
            topic.clone_into(&mut self.last.borrow_mut());
        }
    }
}

/// Text that is safe to show. Names in files and messages of nodes may contain anything; characters that control
/// the terminal or reorder the surrounding text become U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_printable(letter) { letter } else { '\u{fffd}' }).collect()
}

/// Whether a character neither controls the terminal nor reorders the text around it.
pub fn is_printable(letter: char) -> bool {
    let reorders =
        matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    matches!(letter, '\n' | '\t') || !(letter.is_control() || reorders)
}

/// How long work may take before its progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// A progress bar that appears after a second, and only on a terminal. It disappears when the work ends or
/// fails.
fn late(bar: ProgressBar, template: &str) -> ProgressBar {
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let weak = bar.downgrade();
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        if let Some(bar) = weak.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(250));
        }
    });
    bar
}

/// Whether the JSON object of `--json` has been printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

fn print_object(object: &Value) -> Result<(), Failure> {
    PRINTED.store(true, Ordering::Relaxed);
    print(format!("{object}\n").as_bytes())
}

/// Prints the object of an error: in place of the result, or on standard error if the command has already
/// printed its object (`opml devnet` does, and continues to run).
pub fn print_error(object: &Value) {
    if PRINTED.load(Ordering::Relaxed) || print_object(object).is_err() {
        eprintln!("{object}");
    }
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::io("write to", "standard output", &error))
        }
        _ => Ok(()),
    }
}

/// The maximum number of columns in a table: those of the terminal, or 80 in a file.
fn columns() -> u16 {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| columns)
}

/// A table for people, at most as wide as the terminal.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns());
    table.set_header(header);
    table
}

/// A path in JSON. Bytes that aren't Unicode become U+FFFD, because JSON can't represent them.
pub fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// Writes a complete file: under a temporary name first, then renamed.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_with(path, |file| file.write_all(bytes))
}

/// Likewise, so that only its owner can read it.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_mode(path, 0o600, |file| file.write_all(bytes))
}

/// Likewise, with a function that writes the bytes.
pub fn write_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Failure> {
    write_mode(path, 0o666, write)
}

fn write_mode(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Failure> {
    let fail = |error: &std::io::Error| Failure::io("write", &path.display().to_string(), error);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    let mut file = builder.tempfile_in(folder).map_err(|error| fail(&error))?;
    write(file.as_file_mut()).map_err(|error| fail(&error))?;
    file.persist(path).map_err(|error| fail(&error.error))?;
    Ok(())
}

/// Creates a folder that only its owner can enter, with its parents.
pub fn create_private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .recursive(true)
        .create(path)
        .map_err(|error| Failure::io("create folder", &path.display().to_string(), &error))
}

/// Creates a folder with its parents.
pub fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::io("create folder", &path.display().to_string(), &error))
}

/// Reads a regular file of at most `limit` bytes.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let bytes = mapped::read(path, limit)
        .map_err(|error| Failure::io("read", &path.display().to_string(), &error))?;
    bytes.ok_or_else(|| {
        Failure::about(path, format!("holds more than the {} bytes that are expected at most", count(limit)))
    })
}

/// Bytes as 0x-prefixed hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Groups of three digits: 1,234,567.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_control_the_terminal() {
        let text = "\u{1b}]0;title\u{7}\r\u{9b}2Ja\u{202e}b\u{7f}\n\tö";
        assert_eq!(printable(text), "\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}2Ja\u{fffd}b\u{fffd}\n\tö");
        assert_eq!(
            Failure::new("\u{1b}c").hint("\u{1b}c").to_string(),
            "error: \u{fffd}c\n  hint: \u{fffd}c"
        );
    }

    #[test]
    fn numbers() {
        assert_eq!((count(0), count(999), count(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(hex(&[0, 255]), "0x00ff");
    }
}
