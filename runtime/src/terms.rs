//! The terms of a service and their defaults, which `opml deploy` and a package's deploy script share.

use crate::cli::{self, Wei};
use crate::failure::Failure;
use contracts::cost::{Bonds, Shape};
use contracts::{Terms, U256};

/// How long an answer can be challenged: a day, in seconds.
pub const WINDOW: u32 = 86_400;
/// The time of each side of a game for all its moves together: half a day, in seconds.
pub const CLOCK: u32 = 43_200;
/// How long windows and clocks may be: the contract has the same limits.
pub const TIMES: std::ops::RangeInclusive<i64> = 10..=365 * 86_400;
/// The least bond: 0.001 ether.
const MIN_BOND: u128 = 1_000_000_000_000_000;
/// How many parts a move cuts the disputed segment into; 20 is the cheapest (docs/protocol.md).
pub const ARITY: u16 = 20;
/// The gas price up to which the default bonds cover a whole game: 50 gwei.
const GAS_PRICE: Wei = Wei(50_000_000_000);

/// The default terms.
pub fn defaults() -> Result<Terms, Failure> {
    terms(&cli::Terms {
        window: WINDOW,
        clock: CLOCK,
        arity: ARITY,
        gas_price: GAS_PRICE,
        asserter_bond: None,
        challenger_bond: None,
        burned: None,
    })
}

/// The chosen terms in the contract's types, if the contract accepts them.
pub fn terms(terms: &cli::Terms) -> Result<Terms, Failure> {
    // The contract has 96 bits for an amount.
    let amount = |wei: u128| {
        let most = (1 << 96) - 1;
        if wei > most {
            Err(Failure::usage("a bond is too large").hint("at most 79228162514eth"))
        } else {
            Ok(U256::from(wei).to())
        }
    };
    let shape = Shape { arity: terms.arity.into(), ..Shape::LARGE };
    let bonds = Bonds::at(&shape, terms.gas_price.0);
    let asserter = terms.asserter_bond.map_or(bonds.asserter, |wei| wei.0);
    let challenger = terms.challenger_bond.map_or(bonds.challenger, |wei| wei.0);
    let burned = terms.burned.map_or(asserter / 3, |wei| wei.0);
    if asserter < MIN_BOND || challenger < MIN_BOND {
        return Err(Failure::usage("a bond is too low").hint("the least that deters anyone is 0.001eth"));
    }
    if !(asserter / 10..=asserter / 10 * 9).contains(&burned) {
        return Err(Failure::usage("too much or too little of the asserter's bond would be burned")
            .hint("--burned must be a tenth to nine tenths of it: the rest pays whoever proves a lie"));
    }
    Ok(Terms {
        window: terms.window,
        clock: terms.clock,
        arity: terms.arity,
        asserterBond: amount(asserter)?,
        challengerBond: amount(challenger)?,
        burned: amount(burned)?,
    })
}
