"""Modifications that replace parameters on the way (seams R and X)."""
