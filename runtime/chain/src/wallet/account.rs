//! What is known of an account, and for how long: from a block to its child, only its own transactions change it.

use super::Wallet;
use crate::act::{Act, WalletError};
use crate::fees::Fees;
use crate::question::{Head, Sent};
use alloy::primitives::{B256, U256};

/// After so many blocks, a node is asked all the same.
const MOST_BLOCKS: u64 = 16;

/// The last block as of which something is known, and the one at which a node was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    head: B256,
    asked: u64,
}

impl Known {
    /// Something that a node was just asked.
    pub fn at(head: &Head) -> Self {
        Self { head: head.hash, asked: head.number }
    }

    /// What is left of it at a head: nothing, unless that is the same or the next block, since others may undo what
    /// was mined.
    fn up_to(self, head: &Head) -> Option<Self> {
        let is_next = head.parent == self.head && head.number < self.asked.saturating_add(MOST_BLOCKS);
        (is_next || head.hash == self.head).then_some(Self { head: head.hash, ..self })
    }

    /// The same for what is known as well.
    fn follow(known: &mut Option<Self>, head: &Head) {
        *known = known.and_then(|known| known.up_to(head));
    }
}

/// An account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    since: Known,
    pub balance: U256,
    /// How many of its transactions were mined.
    pub count: u64,
    /// What to offer now.
    pub fees: Fees,
}

impl Wallet {
    /// What the account has as of a head, in wei, without what it has offered already. If it seems to be too little,
    /// that is what a node says now.
    pub async fn available(&mut self, needed: U256, head: &Head) -> Result<U256, WalletError> {
        Ok(self.standing(needed, head).await?.balance.saturating_sub(self.committed()))
    }

    /// The account's balance and nonce and the usual tip, as of a head. Nodes are asked for them at most once per
    /// head, and not at each of them while there is plenty: twice as much as is needed besides what is offered
    /// already.
    pub(super) async fn standing(&mut self, needed: U256, head: &Head) -> Result<Account, WalletError> {
        self.follow(head);
        let needed = needed.saturating_add(self.committed());
        if let Some(known) = self.known
            && (known.since.asked == head.number || known.balance / U256::from(2) >= needed)
        {
            return Ok(known);
        }
        let account = self.address();
        let (balance, count, tip) =
            tokio::join!(self.node.balance(account), self.node.nonce(account), self.node.tip());
        // The tip that others offer if that is more, but no more than a quarter of the cap.
        let tip = self.fees.tip.max(tip.unwrap_or_default().min(self.fees.cap / 4));
        let fees = Fees { tip, ..self.fees };
        let known = Account { since: Known::at(head), balance: balance?, count: count?, fees };
        self.known = Some(known);
        Ok(known)
    }

    /// Forgets what a head makes doubtful.
    pub(super) fn follow(&mut self, head: &Head) {
        Known::follow(&mut self.still_mined, head);
        self.known = self.known.and_then(|known| {
            let since = known.since.up_to(head)?;
            Some(Account { since, ..known })
        });
    }

    /// Notes how many transactions were mined, as a node says.
    pub(super) fn note_count(&mut self, mined: u64, head: &Head) {
        self.still_mined = Some(Known::at(head));
        if let Some(known) = &mut self.known {
            known.count = mined;
        }
    }

    /// Notes what a mined transaction has cost.
    pub(super) fn note_cost(&mut self, act: &Act, nonce: u64, sent: &Sent) {
        let value = if sent.success { act.value } else { U256::ZERO };
        if let Some(known) = &mut self.known {
            known.balance = known.balance.saturating_sub(value).saturating_sub(sent.cost);
            known.count = known.count.max(nonce.saturating_add(1));
        }
    }
}
