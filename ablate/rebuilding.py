"""Rebuilding: the agent of a run, made again from the run's specification."""

import json
from dataclasses import replace

from ablate.runspec import RunSpec, differences
from agents import AGENT_VERSION
from agents.assemble import AssemblyError, assemble
from agents.config import AgentConfig
from agents.modifications import REGISTRY
from agents.parts import Parts

_RESUBMIT = (
    "go back to the version of the code that submitted it, or submit the study under a new name"
)


class OutdatedRun(Exception):
    """A run that this code would train otherwise than it was submitted."""


def rebuild(spec: RunSpec, identity: str) -> Parts:
    """The parts of the agent that a specification describes.

    Args:
        spec: As it was submitted.
        identity: Of the run, which the rebuilt agent must have too.

    Raises:
        OutdatedRun: If this code makes another agent of it than the code that submitted it.
    """
    try:
        config = AgentConfig.model_validate_json(json.dumps(spec.config))
        modifications = [
            REGISTRY[name].model_validate_json(json.dumps(settings))
            for name, settings in spec.modifications
        ]
        parts = assemble(config, modifications)
    except (AssemblyError, KeyError, ValueError) as error:
        raise OutdatedRun(
            f"this code cannot build the run's agent any more ({error!r}); {_RESUBMIT}"
        ) from error
    now = replace(spec, agent=parts.describe(), agent_version=AGENT_VERSION)
    if now.identity != identity:
        changes = differences(spec.determinants, now.determinants)
        listed = "; ".join(f"{c.path}: {c.left} then, {c.right} now" for c in changes[:5])
        raise OutdatedRun(
            f"the agent has changed since the run was submitted ({listed}); {_RESUBMIT}"
        )
    return parts
