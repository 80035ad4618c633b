//! What crosses two crates: roads, oracles, fixtures.
