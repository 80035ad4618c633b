//! The sets of vector instructions.

use std::fmt;

/// A set of vector instructions that this computer has. Values are made only here, after a look at the
/// processor, so a value is the proof that its instructions can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every processor of its kind has.
    Portable,
    /// AVX2 and FMA: registers of eight f32.
    Avx2,
    /// AVX-512 with F, BW, DQ and VL: registers of sixteen f32.
    Avx512,
    /// The same, and VNNI, which adds products of bytes.
    Vnni,
}

/// Every set, from the narrowest to the widest.
const LEVELS: [Level; 4] = [Level::Portable, Level::Avx2, Level::Avx512, Level::Vnni];

/// The environment variable that names the set to use.
pub const VARIABLE: &str = "OPML_ISA";

/// A set that was asked for can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}={asked}: this computer has {}", names(available))]
pub struct Unavailable {
    asked: String,
    available: Vec<Isa>,
}

impl Isa {
    /// The sets of this computer, from the narrowest to the widest.
    #[must_use]
    pub fn available() -> Vec<Self> {
        LEVELS.into_iter().filter(|&level| has(level)).map(Self).collect()
    }

    /// The widest set, or the one that the environment variable [`VARIABLE`] names.
    pub fn chosen() -> Result<Self, Unavailable> {
        let asked = std::env::var(VARIABLE).ok();
        Self::named(asked.as_deref())
    }

    /// The set of a name; the widest one without a name.
    fn named(asked: Option<&str>) -> Result<Self, Unavailable> {
        let available = Self::available();
        let wanted = |isa: &&Self| asked.is_none_or(|name| name == isa.name());
        let found = available.iter().rev().find(wanted).copied();
        found.ok_or_else(|| Unavailable { asked: asked.unwrap_or_default().to_owned(), available })
    }

    /// Its name, as [`VARIABLE`] gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Vnni => "avx512vnni",
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn names(available: &[Isa]) -> String {
    available.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    let avx2 = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c");
    let avx512 = std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl");
    match level {
        Level::Portable => true,
        Level::Avx2 => avx2,
        Level::Avx512 => avx2 && avx512,
        Level::Vnni => avx2 && avx512 && std::arch::is_x86_feature_detected!("avx512vnni"),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(level: Level) -> bool {
    level == Level::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_chosen_by_name_or_by_width() {
        let available = Isa::available();
        assert_eq!(Isa::named(None).as_ref(), Ok(available.last().unwrap()));
        for isa in &available {
            assert_eq!(Isa::named(Some(isa.name())).as_ref(), Ok(isa));
        }
        let error = Isa::named(Some("mmx")).unwrap_err();
        assert!(error.to_string().starts_with("OPML_ISA=mmx: this computer has portable"), "{error}");
    }
}
