"""Modifications that add a loss to that of the world model (seam L)."""
