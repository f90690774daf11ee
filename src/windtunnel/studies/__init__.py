"""The workflow of a study, step by step."""
