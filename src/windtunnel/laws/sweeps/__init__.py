"""Tables of tuning runs: which columns are what, and whether the optimum stays put."""
