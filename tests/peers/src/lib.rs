//! Nothing but the benchmark `machines`, which compares our machines with those of others.
