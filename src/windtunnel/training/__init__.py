"""One run: built, trained, checkpointed, resumed and validated by one plain-torch loop."""
