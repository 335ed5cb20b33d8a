"""The results database: what was asked for, what ran, and what came out."""
