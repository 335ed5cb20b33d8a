"""Speed: how long runs took, for those that are still to come."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from results.database import store


@dataclass(frozen=True)
class Speed:
    """Mean seconds of finished runs, by arm identity and game."""

    seconds: Mapping[tuple[str, str], float]

    @classmethod
    def measured(cls, engine: Engine) -> "Speed":
        """What the finished attempts of a database took."""
        frame = store.measured_speed(engine)
        taken: dict[tuple[str, str], list[float]] = {}
        columns = (frame[name].tolist() for name in ("arm_identity", "game", "seconds"))
        for arm, game, seconds in zip(*columns, strict=True):
            taken.setdefault((arm, game), []).append(seconds)
        return cls({key: sum(times) / len(times) for key, times in taken.items()})

    def of(self, identity: str, game: str) -> float | None:
        """Seconds of one run: of this arm on this game, else of this arm on others."""
        if (identity, game) in self.seconds:
            return self.seconds[identity, game]
        others = [value for (arm, _), value in self.seconds.items() if arm == identity]
        return sum(others) / len(others) if others else None
