//! Contains only the benchmark `machines`, which compares opml's machines with others.
