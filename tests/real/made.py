"""Models that a script makes: the functions that write them, by name."""

MADE = {}
