//! What was said once about a request and need not be said again.

use contracts::U256;
use std::collections::{HashMap, HashSet};

/// How much can be said about one request. Whoever makes it does not decide how long the log is.
const MOST: usize = 200;

/// The names of messages, by requests.
#[derive(Debug, Default)]
pub(crate) struct Notes(HashMap<U256, HashSet<String>>);

impl Notes {
    /// Whether a message is new. It isn't any more afterwards.
    pub(crate) fn is_new(&mut self, request: U256, message: &str) -> bool {
        let said = self.0.entry(request).or_default();
        said.len() < MOST && said.insert(message.to_owned())
    }

    /// About how many requests something was said.
    pub(crate) fn kept(&self) -> usize {
        self.0.len()
    }

    /// Forgets a request.
    pub(crate) fn forget(&mut self, request: U256) {
        self.0.remove(&request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_and_there_are_not_endlessly_many() {
        let (mut notes, request) = (Notes::default(), U256::from(1));
        assert!(
            notes.is_new(request, "a") && !notes.is_new(request, "a") && notes.is_new(U256::from(2), "a")
        );
        let new = (0..1000).filter(|number| notes.is_new(request, &number.to_string())).count();
        assert_eq!(new, MOST - 1);
        notes.forget(request);
        assert!(notes.is_new(request, "a"));
    }
}
