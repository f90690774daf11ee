"""Roles, rules as data, the plan, and the coordinate check. No training and no search in here."""
