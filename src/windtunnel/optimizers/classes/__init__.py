"""Optimizer classes of our own, on torch: `windtunnel.optimizers` imports them when it builds."""
