//! What players decide, and how they come to their roots quickly.

mod duties;
mod shortcut;
