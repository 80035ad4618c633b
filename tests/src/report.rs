//! The parts of pages with measurements.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// A table in Markdown. The first row is the head. All rows have its length.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} ")).collect();
        let _ = writeln!(text, "|{}|", cells.join("|"));
        if index == 0 {
            let rules: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            let _ = writeln!(text, "|{}|", rules.join("|"));
        }
    }
    text
}

/// A number with only the significant digits.
#[must_use]
pub fn number(value: f64) -> String {
    match value {
        value if value >= 1000.0 => grouped(value.round() as u64),
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

/// Groups of three digits: 1,234,567.
#[must_use]
pub fn grouped(value: u64) -> String {
    if value < 1000 { value.to_string() } else { format!("{},{:03}", grouped(value / 1000), value % 1000) }
}

/// Today's date on this computer.
#[must_use]
pub fn today() -> String {
    said_by("date", &["+%F"])
}

/// This computer and its compiler.
#[must_use]
pub fn computer() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (processor, system) = (processor(), std::env::consts::OS);
    format!("{processor} with {cores} cores, {system}, {}", said_by("rustc", &["--version"]))
}

/// The first line of a command's output.
#[must_use]
pub fn said_by(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or("unknown", str::trim).to_owned()
}

/// The processor's name.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    name.map_or("an unknown processor", |(_, name)| name.trim()).to_owned()
}
