import json

import pytest
from sqlalchemy import select

from ablate import planner
from ablate.assembly import assemble_study
from ablate.planner import existing_database, make_plan, submit
from ablate.resolution import resolve
from ablate.runspec import RunSpec
from ablate.study import StudyError, parse_study
from ablate.study_files import find_study
from agents.cost import memory_bytes
from agents.observation import Observation
from agents.parts import Parts
from results.database import queue, reading
from results.database.engine import read
from results.database.errors import DatabaseError
from results.database.schema import Normalization


def finish(engine, seconds: float) -> None:
    """Works on the next run, which takes so long."""
    worker = queue.register_worker(engine, device="cpu", slot=0)
    claim = queue.claim(engine, worker)
    assert claim is not None
    queue.AttemptWriter(engine, claim).finish(seconds)


def test_the_smoke_study_has_24_runs() -> None:
    assembled = assemble_study(find_study("smoke"))
    assert len(assembled.runs) == 24
    assert len({run.identity for run in assembled.runs}) == 24
    assert list(assembled.arms) == ["base", "full", "base+augmentation", "base+ratio"]


def test_runs_come_breadth_first(parsed) -> None:
    runs = assemble_study(parsed()).runs
    assert [run.seed for run in runs] == [0] * 8 + [1] * 8
    assert [run.arm for run in runs[:4]] == ["base", "base", "full", "full"]
    assert [run.game for run in runs[:2]] == ["Pong", "Assault"]


def test_two_spellings_of_one_agent_are_one_run(parsed) -> None:
    toggled = assemble_study(parsed())
    spelled = assemble_study(
        parsed(("env_frames_per_update = 64", "env_frames_per_update = 32.0"), ("= 32 }", "= 8 }"))
    )
    with_ratio = {run.identity for run in toggled.runs if run.arm == "base+ratio"}
    as_base = {run.identity for run in spelled.runs if run.arm == "base"}
    assert with_ratio == as_base
    assert toggled.arms["base+ratio"].record.identity == spelled.arms["base"].record.identity


def test_a_specification_tells_its_identity(parsed) -> None:
    for run in assemble_study(parsed()).runs:
        spec = RunSpec.from_json(run.specification)
        assert (spec.identity, spec.game, spec.seed) == (run.identity, run.game, run.seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("env_frames = 2_000", "env_frames = 2_004"),
        ("prefill_frames = 400", "prefill_frames = 404"),
        ("max_env_frames_per_episode = 400", "max_env_frames_per_episode = 404"),
        ('size = "micro"', 'size = "micro"\nunits = 17'),
        ("seeds = 2", "seeds = [2, 3]"),
        ('["Pong", "Assault"]', '["Hero"]'),
    ],
)
def test_a_change_of_the_study_that_counts_makes_other_runs(parsed, old: str, new: str) -> None:
    before = {run.identity for run in assemble_study(parsed()).runs}
    assert before.isdisjoint({run.identity for run in assemble_study(parsed((old, new))).runs})


def test_a_toggle_that_would_never_act_is_refused(parsed) -> None:
    file = parsed(("= 64", "= 8_000"), ("= 32 }", "= 4_000 }"))
    with pytest.raises(StudyError) as error:
        assemble_study(file)
    for word in (
        "mini.toml",
        "`toggles.ratio`",
        "replay_ratio",
        "never acts",
        "env_frames = 2,000",
    ):
        assert word in str(error.value)


def test_two_arms_with_one_agent_are_refused(parsed) -> None:
    levels = "levels = { a = { random_shift = {} }, b = { random_shift = { pad = 3 } } }\n"
    with pytest.raises(StudyError, match=r"mini.toml: the arms .* are the same agent"):
        assemble_study(parsed(("random_shift = { pad = 3 }", levels + 'in_full = "a"')))


def test_an_arm_that_cannot_be_assembled_is_refused(parsed) -> None:
    file = parsed(("pad = 3", 'pad = 0\nper = "frame"'.replace("\n", ", ")))
    with pytest.raises(StudyError, match="arm full cannot be assembled: random_shift changes"):
        assemble_study(file)


def test_a_plan_tells_what_each_toggle_resolves_to(parsed) -> None:
    levels = assemble_study(parsed()).levels
    assert [level.label for level in levels] == ["augmentation", "ratio"]
    assert levels[0].modifications[0].settings == {
        "pad": 3,
        "per": "sequence",
        "probability": 1.0,
        "target": "clean",
    }
    assert levels[0].modifications[0].first_action == 400


def test_a_plan_without_a_database_makes_none(parsed, tmp_path) -> None:
    assert existing_database(str(tmp_path / "ablate.sqlite")) is None
    plan = make_plan(assemble_study(parsed()), None)
    assert plan.counts["new"] == 16
    assert plan.seconds_to_do > 0
    assert not plan.measured
    assert list(tmp_path.iterdir()) == []


def test_a_plan_counts_what_exists(parsed, engine) -> None:
    assembled = assemble_study(parsed())
    submit(assembled, engine)
    finish(engine, seconds=7.0)
    plan = make_plan(assembled, engine)
    assert plan.counts == {
        "new": 0,
        "reused": 0,
        "done": 1,
        "queued": 15,
        "running": 0,
        "failed": 0,
        "cancelled": 0,
    }


def test_runs_of_another_study_are_reused(parsed, edited, engine) -> None:
    submit(assemble_study(parsed()), engine)
    finish(engine, seconds=7.0)
    text = edited(('"mini"', '"other"'), ('["Pong", "Assault"]', '["Pong"]'))
    other = assemble_study(parse_study(text, path="other.toml", stem="other"))
    plan = make_plan(other, engine)
    assert plan.counts["reused"] == 1
    assert plan.counts["queued"] == 7
    assert submit(other, engine).reused_finished == 1


def test_measured_runs_replace_the_guess(parsed, engine) -> None:
    assembled = assemble_study(parsed())
    submit(assembled, engine)
    finish(engine, seconds=1000.0)
    plan = make_plan(assembled, engine)
    seconds = {(run.run.arm, run.run.game, run.run.seed): run for run in plan.runs}
    assert seconds["base", "Pong", 1].seconds == 1000.0
    assert seconds["base", "Assault", 0].seconds == 1000.0
    assert seconds["base", "Assault", 0].measured
    assert not seconds["full", "Pong", 0].measured
    assert not plan.measured


def test_other_contents_under_the_same_name_are_refused(parsed, engine) -> None:
    submit(assemble_study(parsed()), engine)
    changed = assemble_study(parsed(("seeds = 2", "seeds = 3")))
    with pytest.raises(StudyError, match=r"mini.toml: `name` is taken.*another name"):
        make_plan(changed, engine)
    with pytest.raises(StudyError, match=r"mini.toml: `name` is taken.*another name"):
        submit(changed, engine)
    assert reading.counts(engine, "mini")["queued"] == 16


def test_submitting_twice_adds_nothing(parsed, engine) -> None:
    assembled = assemble_study(parsed())
    assert submit(assembled, engine).new == 16
    again = submit(assembled, engine)
    assert (again.new, again.already_queued) == (0, 16)


def test_a_toggle_at_the_base_gets_no_arms(parsed, engine) -> None:
    assembled = assemble_study(parsed(("= 32 }", "= 64 }")))
    assert list(assembled.arms) == ["base", "full"]
    assert assembled.messages
    submit(assembled, engine)
    assert [t.name for t in reading.load_study(engine, "mini").toggles] == ["augmentation"]


def test_the_record_is_read_back_as_it_was_submitted(parsed, engine) -> None:
    assembled = assemble_study(parsed())
    submit(assembled, engine)
    assert reading.load_study(engine, "mini") == assembled.study
    agent = json.loads(assembled.arms["full"].record.agent)
    assert agent["config"]["env_frames_per_update"] == 32


def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    path = tmp_path / "ablate.sqlite"
    path.write_text("hello")
    with pytest.raises(DatabaseError, match="not an SQLite database"):
        planner.existing_database(str(path))


def test_toggles_that_no_arm_has_are_told(parsed) -> None:
    only_base = ('["base", "full", "leave_one_out", "add_one_in"]', '["base"]')
    messages = assemble_study(parsed(only_base)).messages
    assert messages == ("no arm has augmentation, ratio: the designs (base) leave that out",)
    assert assemble_study(parsed()).messages == ()


def test_a_game_without_reference_scores_is_told(parsed) -> None:
    [message] = assemble_study(parsed(('"Assault"', '"Casino"'))).messages
    assert message == "no reference scores in wang2016 for Casino: only raw returns will be shown"


def test_the_largest_numbers_can_be_submitted(parsed, engine) -> None:
    changes = (
        ("seeds = 2", f"seeds = [{2**63 - 1}]"),
        ("env_frames = 2_000", f"env_frames = {2**63 - 4}"),
    )
    assembled = assemble_study(parsed(*changes))
    assert planner.submit(assembled, engine).new == 8
    assert len(make_plan(assembled, engine).runs) == 8


CATCH = (
    ('["Pong", "Assault"]', '["Catch", "gymnasium:CartPole-v1"]'),
    ("[toggles.augmentation]\nrandom_shift = { pad = 3 }\n", ""),
)


def test_declared_returns_come_with_the_study(parsed, engine) -> None:
    assembled = assemble_study(parsed(*CATCH))
    [declared] = assembled.declared
    assert (declared.game, declared.human) == ("Catch", 1.0)
    assert -1 < declared.random < 0
    about_catch, about_cartpole = assembled.messages
    assert about_catch == (
        "scores on Catch are made with the returns that it declares itself: random "
        f"{declared.random:g}, reference 1"
    )
    assert "for gymnasium:CartPole-v1: only raw returns" in about_cartpole
    submit(assembled, engine)
    submit(assembled, engine)
    with read(engine) as session:
        rows = session.scalars(select(Normalization).where(Normalization.table_id == "declared"))
        assert [(row.game, row.human_return) for row in rows] == [("Catch", 1.0)]


def test_a_game_with_human_scores_declares_nothing(parsed) -> None:
    assert assemble_study(parsed()).declared == ()


def test_a_plan_knows_the_memory_of_every_game(parsed) -> None:
    plan = make_plan(assemble_study(parsed(*CATCH)), None)
    resolution = resolve(parsed(*CATCH))
    config, budget = resolution.config, resolution.budget
    assert plan.memory_bytes == {
        "Catch": memory_bytes(Parts(config), budget, Observation((1, 32, 32))),
        "gymnasium:CartPole-v1": memory_bytes(Parts(config), budget, Observation((4,))),
    }
    assert {run.run.memory_bytes for run in plan.runs} == set(plan.memory_bytes.values())


def test_the_numbers_of_a_scaled_budget_are_recorded(parsed, engine) -> None:
    scaled = assemble_study(parsed(("= 2_000", '= "scaled"'), ("= 400", '= "scaled"')))
    submit(scaled, engine)
    record = reading.load_study(engine, "mini")
    assert (record.env_frames, record.prefill_frames) == (6_400_000, 192_000)
    written = assemble_study(parsed(("= 2_000", "= 6_400_000"), ("= 400", "= 192_000")))
    assert {run.identity for run in scaled.runs} == {run.identity for run in written.runs}


def test_a_fraction_is_assembled_cell_by_cell(six_toggles) -> None:
    assembled = assemble_study(six_toggles('["fractional"]'))
    assert len(assembled.arms) == 32
    assert len(assembled.runs) == 32 * 2 * 2
    assert assembled.undefined == ()
    assert assembled.study.designs == ("fractional",)
    assert {"base", "full", "full-gamma-kl_scale"} < assembled.arms.keys()


def test_named_arms_are_runs_like_others(parsed, engine) -> None:
    designs = ('["base", "full", "leave_one_out", "add_one_in"]', "[]")
    arms = ("= 32 }", '= 32 }\n[[arms]]\non = ["ratio"]\n[[arms]]\non = []\n')
    assembled = assemble_study(parsed(designs, arms))
    assert list(assembled.arms) == ["base+ratio", "base"]
    designed = assemble_study(parsed())
    named = {run.identity for run in assembled.runs}
    assert named < {run.identity for run in designed.runs}
    submit(assembled, engine)
    assert reading.load_study(engine, "mini") == assembled.study


def test_a_named_arm_loses_what_is_the_base_agent(parsed) -> None:
    arms = ("= 32 }", '= 64 }\n[[arms]]\non = ["ratio", "augmentation"]\n')
    assert list(assemble_study(parsed(arms)).arms) == ["base", "full"]


def test_precision_is_part_of_the_identity_and_fp32_is_what_a_study_without_it_means(
    parsed,
) -> None:
    plain, said, other = (
        assemble_study(parsed(("seeds = 2", f"seeds = 2\n{line}")))
        for line in ("", 'precision = "fp32"', 'precision = "bf16"')
    )
    assert [run.identity for run in said.runs] == [run.identity for run in plain.runs]
    assert said.study.contents_sha256 == plain.study.contents_sha256
    assert not {run.identity for run in other.runs} & {run.identity for run in plain.runs}
    assert other.study.contents_sha256 != plain.study.contents_sha256
    assert RunSpec.from_json(other.runs[0].specification).precision == "bf16"
    with pytest.raises(StudyError, match="nearest: bf16"):
        parsed(("seeds = 2", 'seeds = 2\nprecision = "fp16"'))
