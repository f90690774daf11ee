"""What to do with a law: how to spend a budget, which run to add, which of two methods to take."""
