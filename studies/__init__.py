"""The study files that ship with the project."""
