"""The subject: DreamerV2 and its modifications. Knows no study and no database."""

AGENT_VERSION = 1
"""Part of every run's identity; bumped when the same settings would give other results."""
