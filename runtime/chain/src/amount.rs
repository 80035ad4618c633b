//! Amounts of money, for people.

use alloy::primitives::U256;
use std::fmt::{Display, Formatter, Result};

/// An amount in wei, shown in ether and exact to the wei: `1.5`. The caller writes the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ether(pub U256);

impl Display for Ether {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let digits = format!("{:0>19}", self.0);
        let (whole, part) = digits.split_at(digits.len() - 18);
        match part.trim_end_matches('0') {
            "" => f.write_str(whole),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (wei, expected) in [
            (U256::ZERO, "0"),
            (U256::from(1), "0.000000000000000001"),
            (U256::from(1_500_000_000_000_000_000u64), "1.5"),
            (U256::from(10).pow(U256::from(20)), "100"),
        ] {
            assert_eq!(Ether(wei).to_string(), expected);
        }
    }
}
