"""Modifications of the training recipe (seam R)."""
