"""Human-normalised scores: tables of random and human returns, and how a game finds its row.

    HNS = (return − random) / (human − random)

0 is the random player of the table, 1 its human. Tables disagree with each other, so the
table's identifier travels with every number made from it.

A task that no table holds may declare its own random and reference returns, which take their
places; whatever is made with them says so. One that declares none has no score.
"""

import csv
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from results.database.records import DECLARED, NormalizationRow
from results.statistics.errors import (
    StatisticsError,
    UnknownGame,
    UnknownName,
    did_you_mean,
    nearest,
)

TABLES = ("wang2016", "nature2015", "dreamerv2-file")
COLUMNS = ("game", "random", "human")


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

    @property
    def human(self) -> bool:
        """Whether 1 is a human on any of the games; else they all declare their own returns."""
        return self.id != DECLARED

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
    """The letters and digits that identify a game, however it is written.

    `james_bond`, `Jamesbond`, `ALE/Jamesbond-v5`, `JamesbondNoFrameskip-v4`,
    `atari_james_bond` and `atari100k_jamesbond` are one game; `Atlantis2` is not `Atlantis`.
    """
    bare = re.sub(r"^(ale/|atari(57|100k|200m)?[_\-/ ])", "", name.strip().lower())
    bare = re.sub(r"(noframeskip|deterministic)?-v\d+$", "", bare)
    return re.sub(r"[^a-z0-9]", "", bare)


def normalization(name: str = "wang2016") -> Normalization:
    """Reads a table that ships with the package, or one of the user's from a CSV file.

    A user's table has the columns game, random and human, and source if it likes. It is known by
    the name of its file and the beginning of its sha256: another content is another table.

    Args:
        name: One of TABLES, or a path that ends with `.csv`.

    Raises:
        UnknownName: if there is no table of this name.
        StatisticsError: if the file cannot be read, or a row of it is no reference.
    """
    return _of_file(Path(name)) if name.lower().endswith(".csv") else _shipped(name)


@cache
def _shipped(name: str) -> Normalization:
    if name not in TABLES:
        raise UnknownName(
            f"There is no normalisation table {name!r}: {nearest(name, TABLES)} A table of your "
            "own is a CSV file with the columns game, random and human: give its path."
        )
    text = files("results.statistics").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return Normalization(name, name, _rows(text, name))


def _of_file(path: Path) -> Normalization:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise StatisticsError(f"The table {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise StatisticsError(f"The table {path} is no text in UTF-8: {error.reason}.") from error
    name = f"{path.stem}@{hashlib.sha256(content).hexdigest()[:8]}"
    return Normalization(name, name, _rows(text, str(path)))


def _rows(text: str, name: str) -> dict[str, Reference]:
    """The references of a table in CSV, by `game_key`.

    Raises:
        StatisticsError: if a column is missing or a row is no reference; the row is named.
    """
    reader = csv.DictReader(text.splitlines())
    lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if lacking:
        raise StatisticsError(
            f"The table {name} has no column {' or '.join(lacking)}: its first line must name "
            f"{', '.join(COLUMNS)}."
        )
    found: dict[str, Reference] = {}
    for row in reader:
        where = f"The table {name}, line {reader.line_num}"
        game, source = str(row["game"] or ""), str(row.get("source") or name)
        key = game_key(game)
        try:
            random, human = float(row["random"]), float(row["human"])
        except (TypeError, ValueError) as error:
            raise StatisticsError(
                f"{where}: random and human of {game!r} are no numbers."
            ) from error
        if not key or key in found:
            raise StatisticsError(f"{where}: {game!r} is no game, or is there twice.")
        if not math.isfinite(random) or not math.isfinite(human) or random >= human:
            raise StatisticsError(
                f"{where}: random {random} and human {human} of {game!r} make no scale: the human "
                "must have the higher return."
            )
        found[key] = Reference(game, random, human, source)
    return found


def study_normalization(
    name: str, games: Sequence[str], declared: Mapping[str, NormalizationRow]
) -> Normalization:
    """A table, and for the games that it lacks what they declare.

    Args:
        name: The table, as `normalization` takes it.
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
    id = DECLARED if len(own) == len(games) else f"{table.id}, {DECLARED} for {', '.join(own)}"
    return Normalization(id, table.table, table.references, own)
