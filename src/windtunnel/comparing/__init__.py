"""Which of several methods is better, by how much, how sure, and does it hold as models grow?

Pure functions of tables of finished runs, with NumPy and SciPy only.
"""
