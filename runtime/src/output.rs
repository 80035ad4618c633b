//! What the command prints and writes: text or JSON, whole files or none.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;

/// Where a command reports to.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or one JSON object.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints the result: the object, or the text.
    pub fn result(self, object: &Value, text: &str) -> Result<(), Failure> {
        let line = if self.json { object.to_string() } else { text.trim_end().to_owned() };
        self.raw(format!("{line}\n").as_bytes())
    }

    /// Prints progress text, which has no place in JSON.
    pub fn say(self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Prints bytes as they are. A reader who has seen enough (`opml disasm IMAGE | head`) is no error.
    pub fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::io("write to", "standard output", &error))
            }
            _ => Ok(()),
        }
    }

    /// A spinner on standard error, shown only on a terminal and only if the work takes long.
    pub fn spinner(self, message: &str) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(message.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// A bar of bytes on standard error, shown only on a terminal.
    pub fn bytes(self, message: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::new(total).with_message(message.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes} {eta}") {
            bar.set_style(style);
        }
        bar
    }

    /// A bar of steps on standard error, shown only on a terminal.
    pub fn steps(self, total: Option<u64>) -> ProgressBar {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if total.is_some() {
            "{bar:30} {human_pos} of {human_len} steps {eta}"
        } else {
            "{spinner} {human_pos} steps {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// A table for people.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// Writes a file as a whole: under another name first, then renamed.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fail = |error: &std::io::Error| Failure::io("write", &path.display().to_string(), error);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(|error| fail(&error))?;
    file.write_all(bytes).map_err(|error| fail(&error))?;
    file.persist(path).map_err(|error| fail(&error.error))?;
    Ok(())
}

/// Creates a folder with its parents.
pub fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| Failure::io("create folder", &path.display().to_string(), &error))
}

/// Reads a file of at most `limit` bytes, whatever the system says of its size.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| Failure::io("read", &path.display().to_string(), &error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::about(
            path,
            format!("holds more than the {} bytes that are expected at most", count(limit)),
        ));
    }
    Ok(bytes)
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
    fn numbers() {
        assert_eq!((count(0), count(999), count(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(hex(&[0, 255]), "0x00ff");
    }
}
