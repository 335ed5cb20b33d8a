"""Scores, aggregates and contrasts of a study: pure functions of frames and an explicit seed."""
