"""Processes that carry out what a policy decided; the only place of the search that trains."""
