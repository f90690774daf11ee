"""What runs at small scales say of the best recipe at a large one: a Bayesian linear model."""
