//! Runs images and records steps.
