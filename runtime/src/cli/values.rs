//! Values on the command line: shapes, steps, inputs, amounts.

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
        let dim = |dim: &str| dim.trim().parse().map_err(|_| format!("'{dim}' is no dimension"));
        let dims = if dims.is_empty() { Vec::new() } else { dims.split(',').map(dim).collect::<Result<_, _>>()? };
        Ok(Self { name: name.to_owned(), dims })
    }
}

/// `STEP`, or `FROM..TO` without `TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(pub Range<u64>);

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no step: expected 5 or 5..10"));
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            // The last of all numbers has none behind it, and no run has that many steps.
            None => number(text).map(|step| (step, step.saturating_add(1)))?,
        };
        if from >= to && from != u64::MAX {
            return Err(format!("no step is in {text}: the end of a range does not belong to it"));
        }
        Ok(Self(from..to))
    }
}

/// `NAME=FILE`, or `FILE` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: Option<String>,
    pub file: PathBuf,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (Some(name.to_owned()), file),
            None => (None, text),
        };
        if file.is_empty() {
            return Err("expected NAME=FILE".to_owned());
        }
        Ok(Self { name, file: file.into() })
    }
}

/// An amount of money: `0.1eth`, `50gwei`, `7wei`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wei(pub u128);

impl FromStr for Wei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no amount: expected for example 0.1eth, 50gwei or 7wei");
        let units = [("gwei", 9), ("wei", 0), ("eth", 18)];
        let unit = units.iter().find_map(|(name, digits)| text.strip_suffix(name).map(|number| (number, *digits)));
        let (number, digits) = unit.ok_or_else(bad)?;
        let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let plain = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > digits {
            return Err(bad());
        }
        format!("{whole}{part:0<digits$}").parse().map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let wei = |text: &str| text.parse::<Wei>().map(|wei| wei.0).ok();
        assert_eq!(wei("0.1eth"), Some(100_000_000_000_000_000));
        assert_eq!((wei("50gwei"), wei("7wei"), wei("1.5 gwei")), (Some(50_000_000_000), Some(7), Some(1_500_000_000)));
        assert_eq!((wei("0eth"), wei("1.eth")), (Some(0), Some(1_000_000_000_000_000_000)));
        for bad in ["", "1", "eth", "-1eth", "1e3wei", "0.1wei", ".5eth", "1.2.3eth", "99999999999999999999999999eth"] {
            assert_eq!(wei(bad), None, "{bad}");
        }
    }

    #[test]
    fn steps() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.0).ok();
        assert_eq!((steps("5"), steps("5..8"), steps("5..6")), (Some(5..6), Some(5..8), Some(5..6)));
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
        let input = |text: &str| text.parse::<Input>().map(|i| (i.name, i.file));
        assert_eq!(input("x=a.npy"), Ok((Some("x".to_owned()), "a.npy".into())));
        assert_eq!(input("a.npy"), Ok((None, "a.npy".into())));
        assert!(input("x=").is_err());
    }
}
