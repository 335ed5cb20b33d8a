"""Seeds as they are needed: the runs that questions still open ask for, batch by batch.

The seeds of the study file are the most that are run. First one batch of every arm is queued;
when it is done, the next batch of those arms whose questions are open; and so on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from ablate.assembled import AssembledStudy
from ablate.planner import submit
from results.database import store
from results.database.records import (
    LookPurpose,
    LookRecord,
    RunRecord,
    RunState,
    RunStatus,
    StudyRecord,
)
from results.statistics.settled import Rule, Verdict, questions, verdicts
from results.statistics.study_data import load


@dataclass(frozen=True)
class TopUp:
    """What a study needs next.

    Attributes:
        verdicts: What is known of each question.
        runs: The runs to submit; none where there is nothing to do, or something to wait for.
        waiting: Runs under way whose results the next look needs.
        failed: Runs that failed, without which a look may never be complete.
        seeds: Seeds that the arms of open questions have reached when these are done.
        most: Seeds at most.
    """

    verdicts: tuple[Verdict, ...]
    runs: tuple[RunRecord, ...]
    waiting: int
    failed: int
    seeds: int
    most: int

    @property
    def open(self) -> tuple[Verdict, ...]:
        """The questions without an answer."""
        return tuple(one for one in self.verdicts if not one.settled)


def unneeded_arms(study: StudyRecord, found: tuple[Verdict, ...]) -> tuple[str, ...]:
    """The arms of answered questions that no other one needs; others are nobody's to drop.

    A question that was not asked is not answered either.
    """
    answered = [one.arms for one in found if one.settled]
    pairs = [(without, with_it) for _, _, without, with_it in questions(study)]
    needed = {arm for pair in pairs if pair not in answered for arm in pair}
    return tuple(dict.fromkeys(arm for pair in answered for arm in pair if arm not in needed))


def look(purpose: LookPurpose, rule: Rule, found: tuple[Verdict, ...], changed: int) -> LookRecord:
    """What the database keeps of a look: a reader must know that results decided the seeds."""
    answered = sum(one.settled for one in found)
    return LookRecord(
        purpose=purpose,
        width=rule.width,
        effects=rule.effects,
        batch=rule.batch,
        ci=rule.ci,
        answered=answered,
        unanswered=len(found) - answered,
        changed_runs=changed,
    )


def top_up(assembled: AssembledStudy, engine: Engine, rule: Rule) -> TopUp:
    """What to submit so that the open questions of a study get their next look.

    The study is written into the database, with those of its runs that are there already: what
    other studies have asked for is looked at too.

    Raises:
        StatisticsError: As `verdicts`; nothing is written where no data could keep the rule.
        StudyError: If other contents have been submitted under the same name.
        DatabaseError: If the database cannot be read or written.
    """
    study = assembled.study
    verdicts(study, None, rule)
    status = store.existing_runs(engine, [run.identity for run in assembled.runs])
    shared = tuple(run for run in assembled.runs if _is_there(run, status))
    submit(replace(assembled, runs=shared), engine)
    found = verdicts(study, load(engine, study.name, curves=()), rule)
    most = len(study.seeds)
    if rule.width is None:
        most -= most % rule.batch  # the test looks at whole batches
    begun = _reached(assembled, {arm.name for arm in study.arms}, status)
    if begun < rule.batch:
        arms, reached = {arm.name for arm in study.arms}, 0
    else:
        arms = {arm for one in found if not one.settled for arm in one.arms}
        reached = _reached(assembled, arms, status) if arms else most
    have = [
        status[run.identity].state
        for run in assembled.runs
        if run.arm in arms and run.seed in study.seeds[:reached] and run.identity in status
    ]
    waiting = sum(state in (RunState.QUEUED, RunState.RUNNING) for state in have)
    failed = sum(state is RunState.FAILED for state in have)
    if waiting or reached >= most or not arms:
        return TopUp(found, (), waiting, failed, min(reached, most), most)
    seeds = min(reached - reached % rule.batch + rule.batch, most)
    runs = tuple(
        run for run in assembled.runs if run.arm in arms and run.seed in study.seeds[:seeds]
    )
    return TopUp(found, runs, 0, failed, seeds, most)


def _reached(assembled: AssembledStudy, arms: set[str], status: Mapping[str, RunStatus]) -> int:
    """The first seeds of which every run of these arms is in the database, and not cancelled."""
    lacking = {
        run.seed for run in assembled.runs if run.arm in arms and not _is_there(run, status)
    }
    seeds = assembled.study.seeds
    return next((index for index, seed in enumerate(seeds) if seed in lacking), len(seeds))


def _is_there(run: RunRecord, status: Mapping[str, RunStatus]) -> bool:
    """Whether somebody has asked for a run, and nobody has cancelled it."""
    return run.identity in status and status[run.identity].state is not RunState.CANCELLED
