//! How players decide, and how they compute their roots quickly.

mod duties;
mod shortcut;
