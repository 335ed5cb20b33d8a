"""The harness: what runs, when, and on which device."""
