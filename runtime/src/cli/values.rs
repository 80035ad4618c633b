//! Values on the command line: shapes, steps, sizes, inputs, amounts of money.

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

/// `NAME=DIM,DIM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    pub dims: Vec<u64>,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dims) = text.rsplit_once('=').ok_or("expected NAME=DIM,DIM, for example image=1,784")?;
        let dim = |dim: &str| dim.trim().parse().map_err(|_| format!("'{dim}' is not a dimension"));
        let dims =
            if dims.is_empty() { Vec::new() } else { dims.split(',').map(dim).collect::<Result<_, _>>()? };
        Ok(Self { name: name.to_owned(), dims })
    }
}

/// `NAME=SIZE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dim {
    pub name: String,
    pub size: u64,
}

impl FromStr for Dim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = text.rsplit_once('=').ok_or("expected NAME=SIZE, for example batch=1")?;
        let size = size.trim().parse().map_err(|_| format!("'{size}' is not a size"))?;
        Ok(Self { name: name.to_owned(), size })
    }
}

/// `INPUT=OUTPUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub input: String,
    pub output: String,
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split_once('=').filter(|(input, output)| !input.is_empty() && !output.is_empty());
        let (input, output) = names.ok_or("expected INPUT=OUTPUT, for example h=next_h")?;
        Ok(Self { input: input.to_owned(), output: output.to_owned() })
    }
}

/// `STEP`, or `FROM..TO` without `TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(pub Range<u64>);

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            scaled(text, 1)
                .map_or_else(|| Err(format!("'{text}' is not a step: expected 5, 1e6 or 5..10")), in_u64)
        };
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            // The last number has no successor, and no run has that many steps.
            None => number(text).map(|step| (step, step.saturating_add(1)))?,
        };
        if from >= to && from != u64::MAX {
            return Err(format!("{text} contains no step: a range does not include its end"));
        }
        Ok(Self(from..to))
    }
}

/// A number of steps or units of gas: `1000000`, `1_000_000`, `1,000,000` or `1e6`.
pub fn number(text: &str) -> Result<u64, String> {
    scaled(text, 1).map_or_else(
        || Err("expected a whole number, for example 1000000, 1_000_000 or 1e6".to_owned()),
        in_u64,
    )
}

/// The same, but not zero.
pub fn positive(text: &str) -> Result<u64, String> {
    match number(text)? {
        0 => Err("expected at least 1".to_owned()),
        number => Ok(number),
    }
}

/// Units of size: powers of 1000 and of 1024.
const UNITS: [(&str, u32, u32); 9] = [
    ("kib", 2, 10),
    ("mib", 2, 20),
    ("gib", 2, 30),
    ("tib", 2, 40),
    ("kb", 10, 3),
    ("mb", 10, 6),
    ("gb", 10, 9),
    ("tb", 10, 12),
    ("b", 10, 0),
];

/// A size in bytes: `67108864`, `500MB` or `64MiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(unit, base, power)| {
        lower.strip_suffix(unit).map(|number| (number.trim_end(), u128::from(*base).pow(*power)))
    });
    let (number, unit) = unit.unwrap_or((&lower, 1));
    let bad = || "expected a size in bytes, for example 67108864, 64MiB (2^20 bytes each) or 500MB (10^6 bytes each)";
    scaled(number, unit).map_or_else(|| Err(bad().to_owned()), in_u64)
}

fn in_u64(number: u128) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| "the number is too large: at most 2^64 - 1".to_owned())
}

/// The value of a decimal number times `unit`; `None` if it isn't a whole number. `_` and `,` may separate digits before
/// the point.
fn scaled(text: &str, unit: u128) -> Option<u128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent)),
        None => (text, "0"),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let separated = |text: &str| {
        text.split(['_', ','])
            .all(|group| !group.is_empty() && group.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let plain = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !separated(whole) || !plain(part) || !plain(exponent) {
        return None;
    }
    let digits: String = whole.chars().filter(char::is_ascii_digit).chain(part.chars()).collect();
    let factor = 10u128.checked_pow(exponent.parse().ok()?)?.checked_mul(unit)?;
    let scaled = digits.parse::<u128>().ok()?.checked_mul(factor)?;
    let divisor = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    scaled.is_multiple_of(divisor).then(|| scaled / divisor)
}

/// `NAME=FILE`, or `FILE` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: Option<String>,
    pub file: PathBuf,
}

impl Input {
    /// The input of an argument; `None` if it names no file or its name isn't text.
    fn of(argument: &OsStr) -> Option<Self> {
        let bytes = argument.as_encoded_bytes();
        let (name, file) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (Some(&bytes[..at]), split_at(argument, at + 1)?),
            None => (None, argument.to_owned()),
        };
        let name = name.map(|name| String::from_utf8(name.to_vec())).transpose().ok()?;
        (!file.is_empty()).then(|| Self { name, file: file.into() })
    }
}

/// What follows the first bytes of an argument. File names need not be text.
#[cfg(unix)]
fn split_at(argument: &OsStr, at: usize) -> Option<OsString> {
    use std::os::unix::ffi::OsStrExt;
    argument.as_bytes().get(at..).map(|rest| OsStr::from_bytes(rest).to_owned())
}

/// What follows the first bytes of an argument.
#[cfg(not(unix))]
fn split_at(argument: &OsStr, at: usize) -> Option<OsString> {
    argument.to_str()?.get(at..).map(OsString::from)
}

/// `NAME=0xROOT`: an input by its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootOf {
    pub name: String,
    pub root: contracts::B256,
}

impl FromStr for RootOf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, root) = text.split_once('=')?;
            Some(Self { name: name.to_owned(), root: root.parse().ok()? })
        };
        read().ok_or("expected NAME=ROOT, where ROOT is 0x and 64 hexadecimal digits")
    }
}

/// `NAME=REQUEST/OUTPUT`: an input that is an output of an earlier request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierResult {
    pub name: String,
    pub request: u64,
    pub output: usize,
}

impl FromStr for EarlierResult {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, place) = text.split_once('=')?;
            let (request, output) = place.split_once('/')?;
            Some(Self { name: name.to_owned(), request: request.parse().ok()?, output: output.parse().ok()? })
        };
        read().ok_or("expected NAME=REQUEST/OUTPUT, such as weights=7/1 for the second output of request 7")
    }
}

/// Reads an [`Input`].
#[derive(Debug, Clone)]
pub struct InputParser;

impl TypedValueParser for InputParser {
    type Value = Input;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Input, clap::Error> {
        Input::of(value).ok_or_else(|| {
            let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
            let text = |text: String| ContextValue::String(text);
            let option = argument.map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, text(option));
            let shown = format!("{}: expected NAME=FILE", value.to_string_lossy());
            error.insert(ContextKind::InvalidValue, text(shown));
            error
        })
    }
}

/// An amount of money: `0.1eth`, `50gwei`, `7wei`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wei(pub u128);

impl FromStr for Wei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not an amount: expected for example 0.1eth, 50gwei or 7wei");
        let units = [("gwei", 9), ("wei", 0), ("eth", 18)];
        let unit =
            units.iter().find_map(|(name, digits)| text.strip_suffix(name).map(|number| (number, *digits)));
        let (number, digits) = unit.ok_or_else(bad)?;
        scaled(number.trim(), 10u128.pow(digits)).map(Self).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let wei = |text: &str| text.parse::<Wei>().map(|wei| wei.0).ok();
        assert_eq!(wei("0.1eth"), Some(100_000_000_000_000_000));
        assert_eq!(
            (wei("50gwei"), wei("7wei"), wei("1.5 gwei")),
            (Some(50_000_000_000), Some(7), Some(1_500_000_000))
        );
        assert_eq!(
            (wei("0eth"), wei("1.eth"), wei("1e3wei")),
            (Some(0), Some(1_000_000_000_000_000_000), Some(1000))
        );
        for bad in [
            "",
            "1",
            "eth",
            "-1eth",
            "0.1wei",
            ".5eth",
            "1.2.3eth",
            "99999999999999999999999999eth",
            "1e99wei",
        ] {
            assert_eq!(wei(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("1GB", 1_000_000_000),
            ("1.5 GB", 1_500_000_000),
            ("64MiB", 1 << 26),
            ("0.5KiB", 512),
            ("64mib", 1 << 26),
            ("2kB", 2000),
            ("7B", 7),
            ("1TiB", 1 << 40),
            ("1e9", 1_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "GB", "-1", "1G", "1.0001kB", "one", "18446744073709551616", "1 2MB", "1e400", "16777216TiB"]
        {
            assert!(size(bad).is_err(), "{bad}: {:?}", size(bad));
        }
    }

    #[test]
    fn numbers() {
        for text in ["1000000", "1_000_000", "1,000,000", "1e6", "1E6", "1e+6", "0.001e9", "1.0e6"] {
            assert_eq!(number(text), Ok(1_000_000), "{text}");
        }
        for bad in
            ["", "_1", "1_", "1__0", "1e-3", "0.5", "e6", "+1", "-1", "1e6e6", "0x10", "18446744073709551616"]
        {
            assert!(number(bad).is_err(), "{bad}");
        }
        assert!(positive("0").is_err() && positive("1") == Ok(1));
    }

    #[test]
    fn steps() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.0).ok();
        assert_eq!((steps("5"), steps("5..8"), steps("5..6")), (Some(5..6), Some(5..8), Some(5..6)));
        assert_eq!((steps("1e3"), steps("1_000..1,002")), (Some(1000..1001), Some(1000..1002)));
        for bad in ["", "..", "5..", "..5", "5..5", "6..5", "-1", "5..=6", "18446744073709551616", "5-6"] {
            assert_eq!(steps(bad), None, "{bad}");
        }
    }

    #[test]
    fn shapes_and_inputs() {
        let shape = |text: &str| text.parse::<Shape>().map(|s| (s.name, s.dims));
        assert_eq!(shape("x=1,784"), Ok(("x".to_owned(), vec![1, 784])));
        assert_eq!(shape("a=b="), Ok(("a=b".to_owned(), vec![])));
        assert!(shape("x").is_err() && shape("x=1,y").is_err() && shape("x=-1").is_err());
        let dim = |text: &str| text.parse::<Dim>().map(|dim| (dim.name, dim.size));
        assert_eq!(dim("batch=8"), Ok(("batch".to_owned(), 8)));
        assert_eq!(dim("a=b = 2"), Ok(("a=b ".to_owned(), 2)));
        assert!(dim("batch").is_err() && dim("batch=").is_err() && dim("batch=-1").is_err());
        let state = |text: &str| text.parse::<State>().map(|s| (s.input, s.output));
        assert_eq!(state("h=next"), Ok(("h".to_owned(), "next".to_owned())));
        assert!(state("h").is_err() && state("h=").is_err() && state("=h").is_err());
        let input = |text: &str| Input::of(OsStr::new(text)).map(|i| (i.name, i.file));
        assert_eq!(input("x=a.npy"), Some((Some("x".to_owned()), "a.npy".into())));
        assert_eq!(input("a.npy"), Some((None, "a.npy".into())));
        assert!(input("x=").is_none() && input("").is_none());
    }

    #[test]
    #[cfg(unix)]
    fn files_of_inputs_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt;
        let input = Input::of(OsStr::from_bytes(b"x=\xff.npy")).expect("an input");
        assert_eq!((input.name.as_deref(), input.file.as_os_str().as_bytes()), (Some("x"), &b"\xff.npy"[..]));
        assert_eq!(Input::of(OsStr::from_bytes(b"\xff=a.npy")), None);
    }
}
