//! From model to image: importing, passes, plans, linking, and how hostile models are refused.

mod compile;
mod composed;
mod constants;
mod control;
mod fuse;
mod hostile;
mod import;
mod machine;
mod mutation;
mod operators;
mod plan;
mod recurrent;
mod single;
mod sized;
mod states;
mod training;
mod wide;
