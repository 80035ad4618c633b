//! Graphs: building, checking, and that no pass changes what they compute.

mod graphs;
mod narrow;
mod random;
mod text;
mod verify;
