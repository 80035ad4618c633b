//! Prints the one-step verifier from the semantics.
