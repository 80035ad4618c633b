//! From model to image: importing, passes, plans, linking, and what hostile models get.

mod compile;
mod hostile;
mod import;
mod machine;
mod mutation;
mod operators;
mod plan;
mod wide;
