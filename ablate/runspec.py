"""RunSpec: everything that determines one run; canonical JSON, identity, and differences."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

INFINITY = "Infinity"

LARGEST_EXACT = 2**53  # every integer up to here is a float of its own


@dataclass(frozen=True)
class RunSpec:
    """One run, fully resolved, and how to build its agent again.

    Attributes:
        agent: The assembled agent, as `Parts.describe` gives it.
        agent_version: The version of the code's results.
        game: Canonical name.
        seed: Seed of every random stream.
        protocol: Every field of the protocol.
        budget: Every field of the budget.
        precision: Arithmetic of the training, as `agents.precision` names it.
        config: Every field of the base agent's configuration.
        modifications: Name and settings, in installation order. Together with `config` it says how
            the agent was spelled: it takes no part in the identity.
        proofs: By modification, the curve that shows that it acted, and the value that the curve
            has all along if it did not. Takes no part in the identity either.
    """

    agent: Mapping[str, object]
    agent_version: int
    game: str
    seed: int
    protocol: Mapping[str, object]
    budget: Mapping[str, object]
    precision: str
    config: Mapping[str, object]
    modifications: tuple[tuple[str, Mapping[str, object]], ...]
    proofs: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def determinants(self) -> dict[str, object]:
        """What decides the results: everything except how the agent was spelled."""
        return {
            "agent": self.agent,
            "agent_version": self.agent_version,
            "game": self.game,
            "seed": self.seed,
            "protocol": self.protocol,
            "budget": self.budget,
            "precision": self.precision,
        }

    @property
    def spelling(self) -> dict[str, object]:
        """What builds the agent again, and tells whether it acted: no part of the identity."""
        spelled = [{"name": name, "settings": values} for name, values in self.modifications]
        return {"config": self.config, "modifications": spelled, "proofs": self.proofs}

    @property
    def identity(self) -> str:
        """sha256 of what decides the results: one identity is one run."""
        return sha256(self.determinants)

    @property
    def arm_identity(self) -> str:
        """sha256 of what the runs of one arm share: everything but game and seed."""
        shared = {
            key: value for key, value in self.determinants.items() if key not in ("game", "seed")
        }
        return sha256(shared)

    def to_json(self) -> str:
        """The specification as canonical JSON, from which `from_json` makes an equal one."""
        return canonical_json({**self.determinants, **self.spelling})

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is no specification.
        """
        try:
            values = read_json(text)
            spelled, proofs = values.pop("modifications"), values.pop("proofs", {})
            return cls(
                modifications=tuple((item["name"], item["settings"]) for item in spelled),
                proofs={name: (metric, float(idle)) for name, (metric, idle) in proofs.items()},
                **values,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is not a run specification: {error!r}") from error


@dataclass(frozen=True)
class ArmTexts:
    """The texts of an arm's runs, which differ in game and seed alone.

    The rest is put into words once: a study of 10,000 runs has a few dozen arms.

    Attributes:
        determinants: Canonical JSON of what decides the results: before the game, between game
            and seed, and after that.
        everything: The same of the specification.
    """

    determinants: tuple[str, str, str]
    everything: tuple[str, str, str]

    @classmethod
    def of(cls, spec: RunSpec) -> "ArmTexts":
        """The texts of an arm, from the specification of any of its runs."""
        everything = {**spec.determinants, **spec.spelling}
        return cls(_around(spec.determinants), _around(everything))

    def identity(self, game: str, seed: int) -> str:
        """What `RunSpec.identity` of a run would be."""
        return _digest(_filled(self.determinants, game, seed))

    def specification(self, game: str, seed: int) -> str:
        """What `RunSpec.to_json` of a run would be."""
        return _filled(self.everything, game, seed)


_GAME, _SEED = "\0", "\1"  # JSON texts hold no such characters: they write them as \u0000


def _around(members: Mapping[str, object]) -> tuple[str, str, str]:
    """The canonical JSON of an object before its game, between game and seed, and after that."""
    texts = {key: canonical_json(value) for key, value in members.items()}
    texts |= {"game": _GAME, "seed": _SEED}
    listed = ",".join(f"{json.dumps(key)}:{texts[key]}" for key in sorted(texts))
    before, _, rest = listed.partition(_GAME)
    between, _, after = rest.partition(_SEED)
    return f"{{{before}", between, f"{after}}}"


def _filled(around: tuple[str, str, str], game: str, seed: int) -> str:
    before, between, after = around
    return f"{before}{json.dumps(game)}{between}{seed}{after}"


def plain(value: object) -> Any:
    """The value as JSON knows it: 16.0 becomes 16, infinity a word, a tuple a list.

    Raises:
        ValueError: If a number is not a number.
        TypeError: If something is no plain value.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return _plain_number(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    raise TypeError(f"{value!r} cannot be part of a specification")


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, 16 and 16.0 alike, infinity written out.

    Raises:
        ValueError: If a number is not a number.
        TypeError: If something is no plain value.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_json(text: str) -> Any:
    """Reads canonical JSON, infinities included."""
    return _restored(json.loads(text))


def sha256(value: object) -> str:
    """Hexadecimal sha256 of a value's canonical JSON."""
    return _digest(canonical_json(value))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Difference:
    """One place where two specifications differ; None on the side that lacks it."""

    path: str
    left: str | None
    right: str | None


def differences(left: object, right: object) -> tuple[Difference, ...]:
    """Where two values differ, in the order of the paths."""
    lefts, rights = dict(_leaves(plain(left))), dict(_leaves(plain(right)))
    return tuple(
        Difference(path, lefts.get(path), rights.get(path))
        for path in sorted(lefts.keys() | rights.keys())
        if lefts.get(path) != rights.get(path)
    )


def _plain_number(value: float) -> float | int | str:
    if math.isnan(value):
        raise ValueError("nan cannot be part of a specification")
    if math.isinf(value):
        return INFINITY if value > 0 else f"-{INFINITY}"
    return int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT else value


def _restored(value: Any) -> Any:
    match value:
        case dict():
            return {key: _restored(item) for key, item in value.items()}
        case list():
            return [_restored(item) for item in value]
        case "Infinity" | "-Infinity":
            return float(value)
    return value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and JSON text of every scalar and every empty container."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, json.dumps(value)
