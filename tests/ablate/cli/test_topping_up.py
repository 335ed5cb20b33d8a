"""`ablate submit --top-up` and `ablate queue cancel --settled`: seeds as they are needed."""

import json

import numpy as np
import pandas as pd
import pytest

from results.database import looks, queue, reading
from results.database.lookup import study_names
from results.database.records import EpisodeRow
from results.report import contents
from results.statistics.study_data import load

PONG = (('["Pong", "Assault"]', '["Pong"]'), ("seeds = 2", "seeds = 8"))
ADDED = (('"full", "leave_one_out", ', ""),)


def finish(engine, returns) -> None:
    """Finishes what is queued; returns(arm, rng) is the return of a run."""
    runs = pd.concat(reading.runs(engine, name) for name in study_names(engine))
    arm_of = runs.drop_duplicates("run_id").set_index("run_id")["arm"]
    worker = queue.register_worker(engine, device="cpu", slot=0)
    while (claim := queue.claim(engine, worker)) is not None:
        writer = queue.AttemptWriter(engine, claim)
        rng = np.random.default_rng(claim.run_id)
        value = returns(arm_of[claim.run_id], rng)
        writer.evaluation(2000, [EpisodeRow(0, value, 90, False)], policy="argmax", final=True)
        writer.finish(3.0)


def augmentation_helps(arm, rng):
    return (15.0 if "augmentation" in arm else -15.0) + float(rng.normal())


def seeds_of(engine, arm):
    runs = reading.runs(engine, "mini")
    return sorted(runs.loc[runs["arm"] == arm, "seed"])


def test_claims_get_seeds_until_the_arms_are_told_apart_or_the_maximum(
    ablate, write_study, engine
) -> None:
    path = str(write_study(*PONG, *ADDED))
    words = ("submit", path, "--top-up", "claims", "--batch", "4")
    first = ablate(*words)
    assert first.exit_code == 0, first.output
    assert "any false claim is at most 0.05 over all looks and effects" in first.stdout.replace(
        "\n", " "
    )
    assert reading.runs(engine, "mini").groupby("arm").size().to_dict() == {
        "base": 4, "base+augmentation": 4, "base+ratio": 4,
    }  # fmt: skip
    waits = ablate(*words)
    assert "The next look waits for 12 runs: nothing was queued." in waits.stdout
    finish(engine, augmentation_helps)
    second = ablate(*words, "--ci", "0.8", "--json")
    told = json.loads(second.stdout)
    assert {one["name"]: one["settled"] for one in told["verdicts"]} == {
        "augmentation": True, "ratio": False,
    }  # fmt: skip
    assert (told["seeds"], told["most"], told["submission"]["new"]) == (8, 8, 8)
    assert seeds_of(engine, "base+augmentation") == [0, 1, 2, 3]
    assert seeds_of(engine, "base+ratio") == seeds_of(engine, "base") == list(range(8))
    finish(engine, augmentation_helps)
    last = ablate(*words, "--ci", "0.8").stdout
    assert "The maximum of 8 seeds is reached: what is open stays open." in last
    assert len(reading.runs(engine, "mini")) == 20


def test_a_width_stops_where_every_interval_is_narrow_enough(ablate, write_study, engine):
    path = str(write_study(*PONG, *ADDED))
    words = ("submit", path, "--batch", "3", "--top-up")
    ablate(*words, "0.5")
    finish(engine, augmentation_helps)
    narrow = ablate(*words, "0.5").stdout
    assert "coverage approximate" in narrow.replace("\n", " ")
    assert "Every question is settled: nothing was queued." in narrow
    assert len(reading.runs(engine, "mini")) == 9
    told = json.loads(ablate(*words, "0.001", "--effect", "ratio", "--json").stdout)
    assert (told["seeds"], told["runs"], told["submission"]["new"]) == (6, 12, 6)
    assert seeds_of(engine, "base+augmentation") == [0, 1, 2]


def test_settled_cells_leave_the_queue_and_open_ones_stay(ablate, write_study, engine) -> None:
    path = str(write_study(*PONG, *ADDED))
    ablate("submit", path, "--top-up", "claims", "--batch", "4")
    finish(engine, augmentation_helps)
    ablate("submit", path)
    workers = [queue.register_worker(engine, device="cpu", slot=slot) for slot in range(3)]
    held = [queue.claim(engine, worker).run_id for worker in workers]  # one of each arm
    words = ("queue", "cancel", "mini", "--batch", "4", "--ci", "0.8", "--settled", "claims")
    done = ablate(*words)
    assert done.exit_code == 0, done.output
    assert "settled  augmentation, added to base:" in done.stdout
    assert "open     ratio, added to base:" in done.stdout
    assert "3 runs cancelled" in done.stdout
    runs = reading.runs(engine, "mini").set_index("run_id")
    assert set(runs.loc[runs["state"] == "cancelled", "arm"]) == {"base+augmentation"}
    assert set(runs.loc[held, "state"]) == {"running"}
    again = json.loads(ablate(*words, "--json").stdout)
    assert again["changed"] == []


def test_an_effect_that_is_not_asked_for_keeps_the_arms_that_it_needs(
    ablate, write_study, engine
) -> None:
    path = str(write_study(*PONG, *ADDED))
    ablate("submit", path, "--top-up", "0.5", "--batch", "4")
    finish(engine, augmentation_helps)
    ablate("submit", path)
    words = ("queue", "cancel", "mini", "--batch", "4", "--settled", "0.5")
    done = ablate(*words, "--effect", "augmentation")
    assert "4 runs cancelled" in done.stdout, done.output
    runs = reading.runs(engine, "mini")
    assert set(runs.loc[runs["state"] == "cancelled", "arm"]) == {"base+augmentation"}
    assert (
        "8 runs cancelled" in ablate(*words).stdout
    )  # every effect is answered, so base goes too


OTHER = (('name = "mini"', 'name = "other"'), ("seeds = 8", "seeds = 6"))


def topped_up(ablate, path, *words):
    """What `submit --top-up 0.001 --batch 3` says, as plain values."""
    done = ablate("submit", path, "--top-up", "0.001", "--batch", "3", *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_runs_that_another_study_has_queued_are_waited_for(ablate, write_study, engine) -> None:
    write_study(*PONG, *ADDED, ("seeds = 8", "seeds = 3"))
    path = str(write_study(*PONG, *ADDED, *OTHER, name="other"))
    assert ablate("submit", "mini.toml").exit_code == 0
    told = topped_up(ablate, path)
    assert (told["waiting"], told["submission"]) == (9, None)
    assert len(reading.runs(engine, "other")) == 9  # so that `ablate work other` takes them
    assert looks.looks_at(engine, "other") == ()
    plain = ablate("submit", path, "--top-up", "0.001", "--batch", "3")
    assert plain.exit_code == 0, plain.output
    assert "The next look waits for 9 runs: nothing was queued." in plain.stdout


def test_runs_that_another_study_has_finished_are_looked_at(ablate, write_study, engine) -> None:
    write_study(*PONG, *ADDED, ("seeds = 8", "seeds = 3"))
    path = str(write_study(*PONG, *ADDED, *OTHER, name="other"))
    ablate("submit", "mini.toml")
    finish(engine, augmentation_helps)
    words = ("submit", path, "--batch", "3", "--top-up", "9.0")
    assert "Every question is settled: nothing was queued." in ablate(*words).stdout
    [look] = looks.looks_at(engine, "other")
    assert (look.finished_runs, look.answered, look.unanswered) == (9, 2, 0)
    assert len(reading.runs(engine, "other")) == 9
    told = topped_up(ablate, path)
    assert [one["why"].endswith("wide at 3 seeds") for one in told["verdicts"]] == [True, True]
    assert (told["seeds"], told["submission"]["new"]) == (6, 9)


def test_a_study_all_of_whose_runs_are_there_is_written_down(ablate, write_study, engine) -> None:
    write_study(*PONG, *ADDED, ("seeds = 8", "seeds = 6"))
    path = str(write_study(*PONG, *ADDED, *OTHER, name="other"))
    ablate("submit", "mini.toml")
    finish(engine, augmentation_helps)
    told = topped_up(ablate, path)
    assert (told["seeds"], told["most"], told["submission"]) == (6, 6, None)
    assert len(reading.runs(engine, "other")) == 18


def test_what_another_study_finished_between_two_looks_is_looked_at_too(
    ablate, write_study, engine
) -> None:
    path = str(write_study(*PONG, *ADDED, *OTHER, name="other"))
    assert topped_up(ablate, path)["submission"]["new"] == 9
    write_study(*PONG, *ADDED, ("seeds = 8", "seeds = 6"))
    ablate("submit", "mini.toml")
    finish(engine, augmentation_helps)
    told = topped_up(ablate, path)
    assert [one["why"].endswith("wide at 6 seeds") for one in told["verdicts"]] == [True, True]


def test_runs_that_were_cancelled_are_not_queued_by_a_look(ablate, write_study, engine) -> None:
    path = str(write_study(*PONG, *ADDED))
    assert topped_up(ablate, path)["submission"]["new"] == 9
    ablate("queue", "cancel", "mini", "--seed", "2")
    told = topped_up(ablate, path)
    assert told["submission"]["retried"] == 3  # by what it submits, and says so


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit", "mini.toml", "--top-up", "narrow"), "or the word claims"),
        (("submit", "mini.toml", "--top-up", "-1"), "a positive number"),
        (("submit", "mini.toml", "--top-up", "0.3", "--batch", "9"), "fewer than one look needs"),
        (("queue", "cancel", "--settled", "0.3"), "goes with the name of one study"),
        (("queue", "cancel", "mini", "--arm", "base", "--settled", "0.3"), "chooses its runs"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_and_nothing_is_queued(
    ablate, write_study, engine, words, told
) -> None:
    write_study(*PONG)
    result = ablate(*words)
    assert result.exit_code == 2
    assert told in result.stderr.replace("\n", " ")
    assert reading.studies(engine).empty


def test_who_reads_the_results_is_told_that_they_decided_the_seeds(
    ablate, write_study, engine
) -> None:
    path = str(write_study(*PONG, *ADDED))
    words = ("submit", path, "--top-up", "claims", "--batch", "4", "--ci", "0.8")
    assert ablate(*words).exit_code == 0
    assert "depends on the results" not in ablate("status", "mini").stdout  # nothing was seen
    finish(engine, augmentation_helps)
    for _ in range(2):  # the second one waits, and looks at nothing
        told = " ".join(ablate(*words).stdout.split())
    assert "they were looked at once" in told
    [first, second] = looks.looks_at(engine, "mini")
    assert (first.finished_runs, first.answered, first.unanswered, first.changed_runs) == (
        0, 0, 2, 12,
    )  # fmt: skip
    assert (second.finished_runs, second.answered, second.unanswered) == (12, 1, 1)
    assert second.rule == (None, (), 4, 0.8)
    shown = " ".join(ablate("status", "mini").stdout.split())
    assert "a group-sequential permutation test tells the arms of an effect apart" in shown
    assert "not valid for arms that stopped early" in shown
    finish(engine, augmentation_helps)
    assert ablate(*words).exit_code == 0
    on_the_page = dict(contents.provenance(load(engine, "mini", curves=())))
    assert "The number of seeds depends on the results" in on_the_page["Number of seeds"]


def test_a_rule_that_changed_between_looks_is_called_so(ablate, write_study, engine) -> None:
    path = str(write_study(*PONG, *ADDED))
    ablate("submit", path, "--top-up", "claims", "--batch", "4")
    finish(engine, augmentation_helps)
    ablate("submit", path, "--top-up", "claims", "--batch", "4")
    finish(engine, augmentation_helps)
    ablate("submit", path, "--top-up", "0.5", "--batch", "4")
    shown = " ".join(ablate("status", "mini").stdout.split())
    assert "The rule changed between looks, so it promises nothing" in shown


def test_dropping_what_is_settled_is_a_look_too(ablate, write_study, engine) -> None:
    path = str(write_study(*PONG, *ADDED))
    assert ablate("submit", path).exit_code == 0
    finish(engine, augmentation_helps)
    done = ablate("queue", "cancel", "mini", "--settled", "claims", "--batch", "4")
    assert done.exit_code == 0, done.output
    [look] = looks.looks_at(engine, "mini")
    assert (look.purpose, look.finished_runs, look.changed_runs) == ("cancel_settled", 24, 0)
