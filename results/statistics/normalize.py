"""Human-normalised scores: tables of random and human returns, and how a game finds its row.

    HNS = (return − random) / (human − random)

0 is the random player of the table, 1 its human. Tables disagree with each other, so the
table's identifier travels with every number made from it.

A task that no table holds may declare its own random and reference returns, which take their
places; whatever is made with them says so. One that declares none has no score.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from results.database.records import DECLARED, NormalizationRow
from results.statistics.errors import UnknownGame, UnknownName, did_you_mean, nearest

TABLES = ("wang2016",)


@dataclass(frozen=True)
class Reference:
    """The returns of a random player and of a human on one game, and where they come from."""

    game: str
    random: float
    human: float
    source: str

    def score(self, episode_return: float) -> float:
        """Human-normalised score of a return; nothing is clipped."""
        return (episode_return - self.random) / (self.human - self.random)


@dataclass(frozen=True)
class Normalization:
    """A named table of references, found by any common spelling of a game.

    Attributes:
        id: What stands beside the numbers: the name of the table, and the games that declare
            their own returns.
        table: Name of the table.
        references: The rows of the table, by `game_key`.
        declared: What games that the table lacks declare of themselves, by their exact names.
    """

    id: str
    table: str
    references: Mapping[str, Reference]
    declared: Mapping[str, Reference] = field(default_factory=dict)

    def __contains__(self, game: str) -> bool:
        return game in self.declared or game_key(game) in self.references

    def reference(self, game: str) -> Reference:
        """The row of a game.

        Raises:
            UnknownGame: if the table has no such game.
        """
        found = self.declared.get(game) or self.references.get(game_key(game))
        if found is None:
            games = [row.game for row in self.references.values()]
            meant = did_you_mean(game, games, cutoff=0.75)  # a misspelling, no other game
            raise UnknownGame(
                f"{game!r} has no reference scores in the normalisation table {self.id!r}"
                f"{f': {meant}' if meant else ', which has no such game.'} "
                "Raw returns need no table."
            )
        return found

    def score(self, game: str, episode_return: float) -> float:
        """Human-normalised score of a return on a game.

        Raises:
            UnknownGame: if the table has no such game.
        """
        return self.reference(game).score(episode_return)


def game_key(name: str) -> str:
    """The letters that identify a game, however it is written.

    `james_bond`, `Jamesbond`, `ALE/Jamesbond-v5`, `JamesbondNoFrameskip-v4` and
    `atari_james_bond` are one game.
    """
    bare = re.sub(r"^(ale/|atari[_\-/ ])", "", name.strip().lower())
    bare = re.sub(r"(noframeskip|deterministic)?-v\d+$", "", bare)
    return re.sub(r"[^a-z]", "", bare)


@cache
def normalization(name: str = "wang2016") -> Normalization:
    """Reads a table that ships with the package.

    Raises:
        UnknownName: if there is no table of this name.
    """
    if name not in TABLES:
        raise UnknownName(f"There is no normalisation table {name!r}: {nearest(name, TABLES)}")
    text = files("results.statistics").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    rows = [
        Reference(row["game"], float(row["random"]), float(row["human"]), row["source"])
        for row in csv.DictReader(text.splitlines())
    ]
    return Normalization(name, name, {game_key(row.game): row for row in rows})


def study_normalization(
    name: str, games: Sequence[str], declared: Mapping[str, NormalizationRow]
) -> Normalization:
    """A table that ships with the package, and for the games that it lacks what they declare.

    Args:
        name: The table.
        games: The games that are compared.
        declared: What games declare of themselves, by their exact names.

    Raises:
        UnknownName: if there is no table of this name.
    """
    table = normalization(name)
    own = {
        game: Reference(game, declared[game].random, declared[game].human, DECLARED)
        for game in games
        if game in declared and game not in table
    }
    if not own:
        return table
    id = DECLARED if len(own) == len(games) else f"{name}, {DECLARED} for {', '.join(own)}"
    return Normalization(id, name, table.references, own)
