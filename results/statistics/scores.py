"""The score of every run that a study asks for; what is missing is named, never left out.

A run's return is the mean over the episodes of its final evaluation. At a stated number of
env frames it is its last evaluation at or before them, provided that lies at most one
evaluation interval back; otherwise the run is missing there. Nothing is clipped.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from results.statistics.errors import (
    IncompleteStudy,
    StatisticsError,
    UnknownGame,
    UnknownName,
    listed,
    nearest,
)
from results.statistics.game_sets import SETS
from results.statistics.intervals import MEANS_ONLY, ONE_SEED
from results.statistics.normalize import (
    Normalization,
    Reference,
    game_key,
    study_normalization,
)
from results.statistics.options import Measure, Options
from results.statistics.study_data import StudyData


@dataclass(frozen=True)
class Missing:
    """A run that was asked for and has no score, and the state it is in."""

    arm: str
    game: str
    seed: int
    state: str

    def __str__(self) -> str:
        return f"{self.arm} on {self.game}, seed {self.seed} ({self.state})"


@dataclass(frozen=True)
class Matrices:
    """Scores as full runs x games matrices: what a mean over games can be taken of.

    Attributes:
        games: The games that every compared arm has at least one run of, in order.
        dropped_games: The games left out because a compared arm has no run of them.
        seeds: Per arm, the seeds that have a score on every one of `games`.
        dropped_seeds: Per arm, the seeds left out because a game is missing.
        values: Per arm, [runs, games] HNS, rows in the order of `seeds`; an arm without any
            run has no rows.
    """

    games: tuple[str, ...]
    dropped_games: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    dropped_seeds: Mapping[str, tuple[int, ...]]
    values: Mapping[str, np.ndarray]

    def seed_means(self, arm: str) -> np.ndarray:
        """[runs], one value per seed of an arm: its mean over the games."""
        values = self.values[arm]
        return np.asarray(values.mean(axis=1) if len(values) else np.empty(0))


@dataclass(frozen=True)
class Scores:
    """One row per run that the study asks for.

    Attributes:
        arms: Arms compared, in order.
        games: Games compared, in order.
        seeds: Seeds of the study, in order.
        env_frames: Where the arms are compared.
        normalization: The table that `score` was made with, and what games declare themselves.
        frame: arm, game, seed, env_frames, mean_return, score (HNS), episodes, truncated (how
            many of the episodes were cut); NaN where a run is missing, and in `score` where
            the game has raw returns only.
        missing: The runs without a score.
        without_returns: Whether the study was imported as scores: `mean_return` then holds
            those, and nothing may show it as a return.
        measure: What scored the runs.
        means: Whether each "run" is a mean over an unknown number of runs, as papers print them.
    """

    arms: tuple[str, ...]
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    env_frames: int
    normalization: Normalization
    frame: pd.DataFrame
    missing: tuple[Missing, ...]
    without_returns: bool = False
    measure: Measure = "end"
    means: bool = False

    @property
    def alone(self) -> str:
        """Why a cell with one value has no interval."""
        return MEANS_ONLY if self.means else ONE_SEED

    def refuse_means(self, what: str) -> None:
        """Makes sure that the values are of single runs.

        Args:
            what: What counts runs, for the message: `the probability of improvement`.

        Raises:
            StatisticsError: if each is a mean over an unknown number of runs.
        """
        if self.means:
            raise StatisticsError(
                f"This study holds means over unknown numbers of runs, and {what} counts single "
                "runs: it cannot be made of means."
            )

    def returns(self, arm: str, game: str) -> np.ndarray:
        """[runs], the mean returns of one cell, in order of seed; missing runs are absent.

        Raises:
            StatisticsError: if the study was imported as scores.
        """
        if self.without_returns:
            raise StatisticsError(
                "The runs of this study were imported as human-normalised scores (table "
                f"{self.normalization.id}): their raw returns are not known. `ablate table STUDY "
                "--kind hns` shows the scores."
            )
        return self._column("mean_return", arm, game)

    def hns(self, arm: str, game: str) -> np.ndarray:
        """[runs], the human-normalised scores of one cell; missing runs are absent.

        Raises:
            UnknownGame: if the game has raw returns only.
        """
        if game not in self.normalization:
            self._refuse_raw_only()
        return self._column("score", arm, game)

    def _column(self, column: str, arm: str, game: str) -> np.ndarray:
        cell = self._cells.get((arm, game))
        return np.empty(0) if cell is None else cell[column].dropna().to_numpy(dtype=float)

    @cached_property
    def _cells(self) -> dict[Hashable, pd.DataFrame]:
        """The rows of every cell, by (arm, game)."""
        return dict(iter(self.frame.groupby(["arm", "game"], sort=False)))

    def runs_per_cell(self) -> tuple[int, int]:
        """The fewest and the most runs with a score among the cells arm x game."""
        counts = self.frame.groupby(["arm", "game"])["mean_return"].count()
        return int(counts.min()), int(counts.max())

    def matrices(self) -> Matrices:
        """The HNS as full matrices, restricted to what all compared arms share.

        Arms without a single run take no part in choosing the games.

        Raises:
            UnknownGame: if one of the games has raw returns only.
            IncompleteStudy: if no game has a run of every compared arm.
        """
        self._refuse_raw_only()
        wide = self._wide()
        compared = [arm for arm in self.arms if wide[arm].notna().to_numpy().any()]
        games = [g for g in self.games if all(wide[arm][g].notna().any() for arm in compared)]
        if not games:
            raise IncompleteStudy(
                "No game has a run of every arm, so there is no mean over games to compare: "
                "let the study go on, or choose arms or games that have runs."
            )
        complete = {arm: wide[arm][games].dropna() for arm in self.arms}
        begun = {arm: wide[arm].dropna(how="all") for arm in self.arms}
        return Matrices(
            games=tuple(games),
            dropped_games=tuple(game for game in self.games if game not in games),
            seeds={arm: tuple(complete[arm].index) for arm in self.arms},
            dropped_seeds={
                arm: tuple(begun[arm].index.difference(complete[arm].index)) for arm in self.arms
            },
            values={arm: complete[arm].to_numpy(dtype=float) for arm in self.arms},
        )

    def _refuse_raw_only(self) -> None:
        """Makes sure that every game has a scale.

        Raises:
            UnknownGame: if one has raw returns only.
        """
        without = [game for game in self.games if game not in self.normalization]
        if without:
            rest = len(without) < len(self.games)
            raise UnknownGame(
                f"No random and human returns are known for {listed(without)}: not in the table "
                f"{self.normalization.id}, and not declared by the game itself. So there are raw "
                "returns only, no normalised score and no mean over games: `ablate table STUDY "
                "--kind scores` shows them."
                f"{' The other games can be compared alone, with --games.' if rest else ''}"
            )

    def _wide(self) -> dict[str, pd.DataFrame]:
        """Per arm, [seeds, games], NaN where a run is missing; one pivot for all arms."""
        table = self.frame.pivot(index=["arm", "seed"], columns="game", values="score")
        every = pd.MultiIndex.from_product([self.arms, self.seeds], names=["arm", "seed"])
        table = table.reindex(index=every, columns=list(self.games))
        return {arm: pd.DataFrame(table.loc[arm]) for arm in self.arms}


def collect(data: StudyData, options: Options) -> Scores:
    """Scores every run of a study.

    Raises:
        IncompleteStudy: if runs are missing and the options do not ask for a partial answer, or
            if there is no score at all.
        UnknownName: if the options name an arm, a game or a table that the study has not.
        StatisticsError: if the options compare beyond the budget, or a return is not a number.
    """
    study = data.study
    if options.at is not None and options.at > study.env_frames:
        raise StatisticsError(
            f"Study {study.name!r} ends at {study.env_frames:,} env frames and cannot be compared "
            f"at {options.at:,}: choose an earlier point."
        )
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    games = chosen_games(options.games, study.games, partial=options.partial)
    table = _table(data, options, games)
    points = _points(data, options)
    frame = asked_runs(data, arms, games).merge(
        points, on=["arm", "game", "seed"], how="left", validate="1:1"
    )
    if data.imported is not None:
        frame["score"] = frame["mean_return"]
    else:
        frame["score"] = [
            table.score(game, value) if game in table else np.nan
            for game, value in zip(frame["game"], frame["mean_return"], strict=True)
        ]
    missing = _missing(frame, data)
    scores = Scores(
        arms=arms,
        games=games,
        seeds=tuple(study.seeds),
        env_frames=study.env_frames if options.at is None else options.at,
        normalization=table,
        frame=frame,
        missing=missing,
        without_returns=data.imported is not None,
        measure=options.measure,
        means=data.means,
    )
    if missing and (not options.partial or len(missing) == len(frame)):
        raise IncompleteStudy(_incomplete(data, options, scores))
    return scores


def asked_runs(data: StudyData, arms: Sequence[str], games: Sequence[str]) -> pd.DataFrame:
    """The runs that a study asks for: every seed of every arm on every game.

    Files from elsewhere may hold more runs of one game than of another. Of an imported study the
    runs that the files hold are asked for; only an arm without any run of a game lacks them all.

    Returns:
        arm, game, seed: one row per run, arms and games in the order given.
    """
    names = ["arm", "game", "seed"]
    every = pd.MultiIndex.from_product([arms, games, data.study.seeds], names=names)
    if not data.sources:
        return every.to_frame(index=False)
    held = every.isin(pd.MultiIndex.from_frame(data.runs[names]))
    asked = every.to_frame(index=False).assign(held=held)
    runs = asked.groupby(["arm", "game"])["held"].transform("sum")
    return asked.loc[asked["held"] | (runs == 0), names].reset_index(drop=True)


def evaluation_intervals(evaluations: pd.DataFrame) -> pd.Series:
    """Env frames between two evaluations of each run, as recorded: the median of its gaps.

    Of a run that was evaluated once, the median of all gaps; 0 where no run was evaluated twice:
    such a run has a score where it was evaluated, and nowhere else.

    Returns:
        By run_id.
    """
    points = evaluations[["run_id", "env_frames"]].drop_duplicates()
    points = points.sort_values(["run_id", "env_frames"])
    gaps = points.groupby("run_id")["env_frames"].diff()
    usual = gaps.median() if gaps.notna().any() else 0.0
    return gaps.groupby(points["run_id"]).median().fillna(usual)


def _table(data: StudyData, options: Options, games: tuple[str, ...]) -> Normalization:
    """The table that is asked for; of imported scores only the one that they were made with.

    Raises:
        UnknownName: if there is no such table.
        StatisticsError: if the scores were made with another one.
    """
    if data.imported is None:
        return study_normalization(options.norm, games, data.declared)
    if options.norm != data.imported.table:
        raise StatisticsError(
            f"Study {data.study.name!r} was imported as scores of the normalisation table "
            f"{data.imported.table}, which cannot be turned into those of {options.norm}: its raw "
            f"returns are not known. Ask for the table {data.imported.table}, with --norm."
        )
    unknown = Reference("", np.nan, np.nan, "imported")
    return Normalization(
        data.imported.table, data.imported.table, {game_key(game): unknown for game in games}
    )


def _evaluations(data: StudyData) -> pd.DataFrame:
    """What scores the runs."""
    return data.evaluations if data.imported is None else data.imported.evaluations


def _points(data: StudyData, options: Options) -> pd.DataFrame:
    """What scores each run: arm, game, seed, env_frames, mean_return, episodes, truncated."""
    rows = _evaluations(data)
    end = data.study.env_frames if options.at is None else options.at
    final = rows[rows["final"].astype(bool)]
    if end == data.study.env_frames:
        reached = set(final["run_id"])
    else:
        intervals = rows["run_id"].map(evaluation_intervals(rows))
        late = rows["env_frames"].between(end - intervals, end)
        reached = set(rows.loc[late, "run_id"])
    if end == data.study.env_frames and options.measure == "end":
        rows = final
    rows = rows[rows["run_id"].isin(reached) & (rows["env_frames"] <= end)]
    if options.measure == "end":
        last = rows.groupby("run_id")["env_frames"].transform("max")
        rows = rows[rows["env_frames"] == last]
    _refuse_what_is_no_number(rows)
    points = rows.groupby(["arm", "game", "seed", "env_frames"], as_index=False).agg(
        mean_return=("episode_return", "mean"),
        episodes=("episode_return", "size"),
        truncated=("truncated", "sum"),
    )
    if options.measure == "auc":
        points = mean_heights(points, start=data.study.prefill_frames, end=end)
    return points.astype({"seed": "int64", "env_frames": "float64", "mean_return": "float64"})


def mean_heights(points: pd.DataFrame, *, start: int, end: int) -> pd.DataFrame:
    """The mean height of every run's curve: trapezoids from start to end, over their width.

    The curve is straight between its points, and level before the first and after the last. A
    run with fewer than two points from start to end has none.

    Args:
        points: arm, game, seed, env_frames, mean_return, episodes, truncated; at most one per
            run and env_frames.
        start: Env frames at which the curve is taken up: the end of the prefill.
        end: Env frames at which it ends.

    Returns:
        The same columns, one row per run, at `end`.
    """
    rows = []
    for (arm, game, seed), run in points.groupby(["arm", "game", "seed"]):
        curve = run.sort_values("env_frames")
        x, y = curve["env_frames"].to_numpy(float), curve["mean_return"].to_numpy(float)
        inside = (x > start) & (x < end)
        if ((x >= start) & (x <= end)).sum() < 2:
            continue
        grid = np.concatenate([[start], x[inside], [end]])
        area = float(np.trapezoid(np.interp(grid, x, y), grid))
        rows.append(
            {
                "arm": arm,
                "game": game,
                "seed": seed,
                "env_frames": end,
                "mean_return": area / (end - start),
                "episodes": int(curve["episodes"].sum()),
                "truncated": int(curve["truncated"].sum()),
            }
        )
    return pd.DataFrame(rows, columns=list(points.columns))


def _refuse_what_is_no_number(rows: pd.DataFrame) -> None:
    """Makes sure that every return can be averaged.

    Raises:
        StatisticsError: if one is not finite; its run is named.
    """
    wrong = rows[~np.isfinite(rows["episode_return"].to_numpy(dtype=float))]
    if len(wrong):
        run = wrong.iloc[0]
        raise StatisticsError(
            f"The evaluation of {run['arm']} on {run['game']}, seed {run['seed']}, holds a return "
            f"that is not a number ({run['episode_return']}): nothing can be averaged over it."
        )


def _missing(frame: pd.DataFrame, data: StudyData) -> tuple[Missing, ...]:
    runs, absent = data.runs, "in no file" if data.sources else "not submitted"
    states = {
        (arm, game, seed): "no point there" if data.sources else str(state)
        for arm, game, seed, state in zip(
            runs["arm"], runs["game"], runs["seed"], runs["state"], strict=True
        )
    }
    gone = frame[frame["mean_return"].isna()]
    return tuple(
        Missing(arm, game, int(seed), states.get((arm, game, seed), absent))
        for arm, game, seed in zip(gone["arm"], gone["game"], gone["seed"], strict=True)
    )


def _incomplete(data: StudyData, options: Options, scores: Scores) -> str:
    missing = scores.missing
    states = Counter(run.state for run in missing)
    where = (
        "final evaluation" if options.at is None else f"evaluation at {options.at:,} env frames"
    )
    if options.measure == "auc":
        where = f"curve of two evaluations that reaches {scores.env_frames:,} env frames"
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    paragraph = (
        f"{len(missing)} of {len(scores.frame)} runs of study {data.study.name!r} have no {where} "
        f"({counts}): {listed([str(run) for run in missing], most=3)}."
    )
    if options.at is not None:
        written = sorted(set(_evaluations(data)["env_frames"]))
        points = listed([f"{int(point):,}" for point in written])
        paragraph += f" Evaluations were written at {points} env frames."
    if len(missing) == len(scores.frame):
        return f"{paragraph} There is nothing to show{'' if data.sources else ' yet'}."
    remedy = "Compare at an earlier point, with --at" if data.sources else "Let the study finish"
    return f"{paragraph} {remedy}, or ask for a partial answer, with --partial."


def chosen_arms(chosen: tuple[str, ...] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The arms that are asked for; all of them where none is.

    Raises:
        UnknownName: if the study has no such arm.
        StatisticsError: if one is named twice.
    """
    if chosen is None:
        return known
    arms = _words(chosen, known)
    for arm in arms:
        if arm not in known:
            raise UnknownName(f"The study has no arm {arm!r}: {nearest(arm, known)}")
    if len(set(arms)) < len(arms):
        raise StatisticsError(f"An arm is named twice among {listed(chosen)}: name it once.")
    return arms


def chosen_games(
    chosen: tuple[str, ...] | None, known: tuple[str, ...], *, partial: bool = False
) -> tuple[str, ...]:
    """The games that are asked for, spelled as the study spells them; all where none is.

    Args:
        chosen: Games, several with commas between them, or names of SETS.
        known: The games of the study.
        partial: Of a set, takes the games that the study has; False asks for all.

    Raises:
        UnknownName: if the study has no such game.
        StatisticsError: if one is named twice, or the study lacks games of a set.
    """
    if chosen is None:
        return known
    spelled = {game_key(game): game for game in known}
    games: list[str] = []
    for word in _words(chosen, known):
        if word in SETS:
            games += _of_set(word, spelled, partial=partial)
            continue
        found = word if word in known else spelled.get(game_key(word))
        if found is None:
            raise UnknownName(f"The study has no game {word!r}: {nearest(word, (*known, *SETS))}")
        games.append(found)
    if len(set(games)) < len(games):
        raise StatisticsError(f"A game is named twice among {listed(chosen)}: name it once.")
    return tuple(games)


def _of_set(name: str, spelled: Mapping[str, str], *, partial: bool) -> list[str]:
    """The games of a set as the study spells them, in the order of the set."""
    wanted = SETS[name]
    found = [spelled[game_key(game)] for game in wanted if game_key(game) in spelled]
    if not found or (len(found) < len(wanted) and not partial):
        lacking = [game for game in wanted if game_key(game) not in spelled]
        rest = f" --partial takes the {len(found)} that are there." if found else ""
        raise StatisticsError(
            f"The study has {len(found)} of the {len(wanted)} games of {name}. It lacks "
            f"{listed(lacking)}.{rest}"
        )
    return found


def _words(chosen: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """What is named: a word that is no name itself is taken apart at its commas."""
    return tuple(
        part.strip()
        for word in chosen
        for part in ((word,) if word in known else word.split(","))
        if part.strip()
    )
