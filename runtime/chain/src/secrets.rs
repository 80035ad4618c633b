//! Keep secrets out of texts: nodes' access keys are in URLs, and some nodes repeat them in their errors.

use std::sync::{Mutex, PoisonError};

use alloy::transports::http::reqwest::Url;

/// The parts of URLs that may be keys, as far as this process was given any.
static NOTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// No key is shorter than this, and hardly a word of a URL longer.
const SHORTEST: usize = 12;

/// Notes what may be a key in the URL of a node.
pub(crate) fn note(url: &Url) {
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let login = [url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
    let parts = path.chain(query).chain(login).filter(|part| part.len() >= SHORTEST);
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    for part in parts {
        if !noted.contains(&part) {
            noted.push(part);
        }
    }
}

/// Whether the URL of a node or of a database may hold a key or a password.
#[must_use]
pub fn may_hold_key(url: &str) -> bool {
    match Url::parse(url) {
        Ok(url) if url.scheme().starts_with("postgres") => {
            url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
        }
        _ => crate::Deployment::public(url).is_none(),
    }
}

/// A text without what was noted.
pub(crate) fn hide(mut text: String) -> String {
    for secret in NOTED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret) {
            text = text.replace(secret, "***");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_a_database_is_a_key() {
        for (url, may) in [
            ("http://127.0.0.1:8545", false),
            ("https://rpc.example/v3/secret", true),
            ("postgres://opml@db.example/opml?sslmode=require", false),
            ("postgres:///opml?host=/run/postgresql", false),
            ("postgres://opml:secret@db.example/opml", true),
            ("postgresql://db.example/opml?password=secret", true),
        ] {
            assert_eq!(may_hold_key(url), may, "{url}");
        }
    }

    #[test]
    fn keys_are_hidden_wherever_a_text_has_them() {
        let url =
            "https://name:password-of-mine@rpc.example/v3/0123456789abcdef/eth?token=fedcba9876543210&id=1";
        note(&url.parse().expect("a URL"));
        let text = "401: 0123456789abcdef is no key, nor are fedcba9876543210 and password-of-mine; see v3, eth or 1";
        assert_eq!(hide(text.to_owned()), "401: *** is no key, nor are *** and ***; see v3, eth or 1");
    }
}
