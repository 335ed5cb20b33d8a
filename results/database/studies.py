"""The contents of a study as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from results.database.records import ArmRecord, StudyRecord, ToggleRecord
from results.database.schema import (
    Arm,
    Study,
    StudyArm,
    StudyArmToggle,
    StudyDesign,
    StudyGame,
    StudySeed,
    StudyToggle,
    StudyToggleLevel,
)


def insert_study(session: Session, study: StudyRecord, now: datetime) -> int:
    """Writes a study with its arms, and returns its row."""
    row = Study(
        name=study.name,
        question=study.question,
        source=study.source,
        contents_sha256=study.contents_sha256,
        protocol=study.protocol,
        env_frames=study.env_frames,
        prefill_frames=study.prefill_frames,
        evaluation=study.evaluation,
        created_at=now,
    )
    session.add(row)
    session.flush()
    session.add_all(
        StudyDesign(study_id=row.id, position=i, name=name) for i, name in enumerate(study.designs)
    )
    session.add_all(
        StudyGame(study_id=row.id, position=i, game=game) for i, game in enumerate(study.games)
    )
    session.add_all(
        StudySeed(study_id=row.id, position=i, seed=seed) for i, seed in enumerate(study.seeds)
    )
    _insert_toggles(session, row.id, study.toggles)
    for position, arm in enumerate(study.arms):
        _insert_arm(session, row, position, arm)
    session.flush()
    return row.id


def arm_identities(session: Session, study_id: int) -> dict[str, str]:
    """The identities of a study's arms by name."""
    query = (
        select(StudyArm.name, Arm.identity)
        .join_from(StudyArm, Arm)
        .where(StudyArm.study_id == study_id)
    )
    return dict(session.execute(query).all())


def study_record(session: Session, study: Study) -> StudyRecord:
    """The contents of a study, as they were submitted."""
    designs = select(StudyDesign.name).where(StudyDesign.study_id == study.id)
    games = select(StudyGame.game).where(StudyGame.study_id == study.id)
    seeds = select(StudySeed.seed).where(StudySeed.study_id == study.id)
    return StudyRecord(
        name=study.name,
        question=study.question,
        source=study.source,
        contents_sha256=study.contents_sha256,
        protocol=study.protocol,
        env_frames=study.env_frames,
        prefill_frames=study.prefill_frames,
        designs=tuple(session.scalars(designs.order_by(StudyDesign.position))),
        games=tuple(session.scalars(games.order_by(StudyGame.position))),
        seeds=tuple(session.scalars(seeds.order_by(StudySeed.position))),
        toggles=_toggles(session, study.id),
        arms=_arms(session, study.id),
        evaluation=study.evaluation,
    )


def _insert_toggles(session: Session, study_id: int, toggles: Sequence[ToggleRecord]) -> None:
    for position, toggle in enumerate(toggles):
        if toggle.in_full not in toggle.levels:
            raise ValueError(f"toggle {toggle.name}: {toggle.in_full!r} is not one of its levels")
        session.add(StudyToggle(study_id=study_id, name=toggle.name, position=position))
        session.flush()
        session.add_all(
            StudyToggleLevel(
                study_id=study_id,
                toggle=toggle.name,
                level=level,
                position=rank,
                in_full=level == toggle.in_full,
            )
            for rank, level in enumerate(toggle.levels)
        )
    session.flush()


def _insert_arm(session: Session, study: Study, position: int, arm: ArmRecord) -> None:
    row = session.scalar(select(Arm).where(Arm.identity == arm.identity))
    if row is None:
        row = Arm(
            identity=arm.identity,
            agent=arm.agent,
            env_frames=study.env_frames,
            prefill_frames=study.prefill_frames,
        )
        session.add(row)
        session.flush()
    session.add(StudyArm(study_id=study.id, arm_id=row.id, name=arm.name, position=position))
    session.flush()
    session.add_all(
        StudyArmToggle(study_id=study.id, arm_id=row.id, toggle=toggle, level=level)
        for toggle, level in arm.toggles.items()
    )


def _toggles(session: Session, study_id: int) -> tuple[ToggleRecord, ...]:
    levels: dict[str, list[StudyToggleLevel]] = {}
    query = (
        select(StudyToggleLevel)
        .join_from(StudyToggleLevel, StudyToggle)
        .where(StudyToggleLevel.study_id == study_id)
        .order_by(StudyToggle.position, StudyToggleLevel.position)
    )
    for level in session.scalars(query):
        levels.setdefault(level.toggle, []).append(level)
    return tuple(
        ToggleRecord(
            name=name,
            levels=tuple(level.level for level in rows),
            in_full=next(level.level for level in rows if level.in_full),
        )
        for name, rows in levels.items()
    )


def _arms(session: Session, study_id: int) -> tuple[ArmRecord, ...]:
    on: dict[int, dict[str, str]] = {}
    toggles = (
        select(StudyArmToggle.arm_id, StudyArmToggle.toggle, StudyArmToggle.level)
        .join(
            StudyToggle,
            (StudyToggle.study_id == StudyArmToggle.study_id)
            & (StudyToggle.name == StudyArmToggle.toggle),
        )
        .where(StudyArmToggle.study_id == study_id)
        .order_by(StudyToggle.position)
    )
    for arm_id, toggle, level in session.execute(toggles):
        on.setdefault(arm_id, {})[toggle] = level
    arms = (
        select(StudyArm.name, Arm.id, Arm.identity, Arm.agent)
        .join_from(StudyArm, Arm)
        .where(StudyArm.study_id == study_id)
        .order_by(StudyArm.position)
    )
    return tuple(
        ArmRecord(name=name, identity=identity, agent=agent, toggles=on.get(arm_id, {}))
        for name, arm_id, identity, agent in session.execute(arms)
    )
