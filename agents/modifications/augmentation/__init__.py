"""Modifications of what the agent sees in training (seam V)."""
