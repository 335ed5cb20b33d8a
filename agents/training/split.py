"""The split rule: which episodes are kept from training (seam S1)."""

from agents.config import AgentConfig
from agents.streams import Streams

STREAM = "validation/split"


def is_validation(config: AgentConfig, streams: Streams, kept: int, held_out: int) -> bool:
    """Whether the next episode validates; decided when it begins.

    The first episode always trains. After it, `random` draws with probability p from a stream of
    its own; `deterministic` keeps the share of validation episodes just above p: an episode
    validates if fewer than p (kept + 1) have.

    Args:
        config: Holds p and the rule.
        streams: Of the run.
        kept: Episodes kept so far, of both kinds.
        held_out: Validation episodes among them.
    """
    p = config.validation_fraction
    if not p or not kept:
        return False
    if config.validation_rule == "deterministic":
        return held_out < p * (kept + 1)
    return streams.integer(STREAM, kept) < p * 2**31
