"""Assembly: base parts and a tuple of modifications make the parts of one agent."""

from collections.abc import Sequence

from agents.config import AgentConfig
from agents.modification import Modification
from agents.parts import AssemblyError, Parts

__all__ = ["AssemblyError", "assemble"]


def assemble(config: AgentConfig, modifications: Sequence[Modification]) -> Parts:
    """Installs the modifications one after the other into the base agent of `config`.

    Args:
        config: The base agent.
        modifications: In installation order (that of the registry); empty for the base itself.

    Raises:
        AssemblyError: If one is there twice, excludes another, misses what it requires, edits
            what another has edited, or changes nothing.
    """
    names = [modification.name for modification in modifications]
    for name in names:
        if names.count(name) > 1:
            raise AssemblyError(f"{name} is there twice; an arm can have it once")
    parts = Parts(config)
    for modification in modifications:
        _check_prerequisites(modification, config, names)
        edited = modification.install(parts)
        if edited.describe() == parts.describe():
            raise AssemblyError(
                f"{modification.name} changes nothing with the settings "
                f"{modification.model_dump()}: the agent is the same without it"
            )
        parts = edited
    return parts


def _check_prerequisites(
    modification: Modification, config: AgentConfig, names: Sequence[str]
) -> None:
    for other in sorted(modification.excludes.intersection(names)):
        raise AssemblyError(f"{modification.name} and {other} exclude each other")
    settings = config.model_dump()
    for setting, value in modification.requires.items():
        if settings[setting] != value:
            raise AssemblyError(f"{modification.name} requires {setting} = {value} in [agent]")
    if modification.requires_validation and not config.validation_fraction:
        raise AssemblyError(
            f"{modification.name} needs validation episodes: set validation_fraction, 0.15 say, "
            "in [agent]"
        )
