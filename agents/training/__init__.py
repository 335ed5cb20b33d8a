"""The life of a run: environments, replay, recipe, loop, evaluation."""
