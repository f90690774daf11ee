"""Theories whose scaling exponents are known: they make data on which a fit can be checked."""
