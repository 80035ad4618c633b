//! A program, its data and its roots in one file.
