"""The memo about a table of runs: what to train, how sure that is, and what it rests on."""
