"""Optuna beside us: its samplers as policies, its storages read and written, ours as samplers."""
