"""Environments: what a run plays. Atari games, Catch, and any discrete task of gymnasium."""

from agents.training.environments.games import GAMES, canonical_game, make_environments, task
from agents.training.environments.interface import Environments, Step, Task

__all__ = [
    "GAMES",
    "Environments",
    "Step",
    "Task",
    "canonical_game",
    "make_environments",
    "task",
]
