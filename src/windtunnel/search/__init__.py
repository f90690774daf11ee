"""Which recipe to train next, at which scale, and who trains it."""
