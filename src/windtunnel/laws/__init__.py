"""Fit losses and optima over the ladder, forecast the target, say when it can't be said."""
