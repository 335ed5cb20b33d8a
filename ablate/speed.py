"""Speed: how long runs took, for those that are still to come."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """Mean seconds of finished runs, by arm identity and game, as `measured_seconds` has them."""

    seconds: Mapping[tuple[str, str], float]

    def of(self, identity: str, game: str) -> float | None:
        """Seconds of one run: of this arm on this game, else of this arm on others."""
        if (identity, game) in self.seconds:
            return self.seconds[identity, game]
        others = [value for (arm, _), value in self.seconds.items() if arm == identity]
        return sum(others) / len(others) if others else None
