//! What a transaction offers for its gas (EIP-1559), and how the offer grows with time.

/// Limits on what transactions offer, in wei per unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The maximum in total, while no deadline is near.
    pub cap: u128,
    /// The first offer to the block's builder.
    pub tip: u128,
}

impl Default for Fees {
    fn default() -> Self {
        Self { cap: 200 * GWEI, tip: GWEI }
    }
}

/// 10^9 wei.
pub const GWEI: u128 = 1_000_000_000;

/// An offer, in wei per unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bid {
    /// The maximum in total.
    pub max_fee: u128,
    /// The part of it for the block's builder.
    pub tip: u128,
}

/// The offer of a transaction with this much gas. An urgent one (with less than half of its time left) may
/// exceed the cap, up to the stake: a move that comes too late loses the bond.
#[must_use]
pub fn bid(fees: &Fees, base_fee: u128, gas: u64, stake: u128, urgent: bool) -> Bid {
    let worth = stake / u128::from(gas.max(1));
    let cap = if urgent { fees.cap.max(worth) } else { fees.cap };
    let tip = if urgent { fees.tip.saturating_mul(2) } else { fees.tip };
    // Twice the base fee is enough for five full blocks in a row.
    let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(cap);
    Bid { max_fee, tip: tip.min(max_fee) }
}

/// The offer that replaces another: nodes want both parts to grow by a tenth or more. `None` if it would
/// exceed the cap.
#[must_use]
pub fn raise(old: Bid, new: Bid, cap: u128) -> Option<Bid> {
    let more = |wei: u128| wei.saturating_add(wei / 8).saturating_add(1);
    let raised = Bid { max_fee: new.max_fee.max(more(old.max_fee)), tip: new.tip.max(more(old.tip)) };
    (raised.max_fee <= cap).then_some(raised)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_follows_the_base_fee_up_to_the_cap() {
        let fees = Fees { cap: 50 * GWEI, tip: GWEI };
        let of = |base, stake, urgent| bid(&fees, base * GWEI, 100_000, stake, urgent);
        assert_eq!(of(10, 0, false), Bid { max_fee: 21 * GWEI, tip: GWEI });
        assert_eq!(of(40, 0, false), Bid { max_fee: 50 * GWEI, tip: GWEI });
        // A bond of 0.1 ether is worth 1,000 gwei for each of 100,000 units of gas, but only when time runs
        // out.
        let bond = 100_000_000 * GWEI;
        assert_eq!(of(400, bond, false).max_fee, 50 * GWEI);
        assert_eq!(of(400, bond, true), Bid { max_fee: 802 * GWEI, tip: 2 * GWEI });
        assert_eq!(of(4000, bond, true).max_fee, 1000 * GWEI);
        assert_eq!(bid(&Fees { cap: 1, tip: 5 }, 0, 0, 0, false), Bid { max_fee: 1, tip: 1 });
    }

    #[test]
    fn a_replacement_is_a_tenth_more_or_nothing() {
        let old = Bid { max_fee: 1000, tip: 10 };
        let raised = raise(old, old, 2000).expect("a raise");
        assert!(raised.max_fee * 10 >= old.max_fee * 11 && raised.tip * 10 >= old.tip * 11);
        assert_eq!(raise(old, Bid { max_fee: 5000, tip: 7 }, 9000), Some(Bid { max_fee: 5000, tip: 12 }));
        assert_eq!(raise(old, old, 1100), None);
        assert!(raise(Bid { max_fee: u128::MAX, tip: 0 }, old, u128::MAX).is_some());
    }
}
