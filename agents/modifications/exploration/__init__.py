"""Modifications of how the agent acts in training (seam A)."""
