"""`ablate power`, and what `ablate plan` says of a study's power."""

import json

from ablate import planner
from ablate.assembly import assemble_study
from results.database import queue
from results.database.records import EpisodeRow


def finish_all(engine) -> None:
    worker = queue.register_worker(engine, device="cpu", slot=0)
    while (claim := queue.claim(engine, worker)) is not None:
        writer = queue.AttemptWriter(engine, claim)
        returns = [EpisodeRow(0, 10.0 * (claim.run_id % 7), 90, False)]
        writer.evaluation(2000, returns, policy="argmax", final=True)
        writer.finish(3.0)


def test_power_of_a_recorded_study_in_tables_json_and_a_plot(ablate, parsed, engine, tmp_path):
    planner.submit(assemble_study(parsed()), engine)
    finish_all(engine)
    done = ablate("power", "mini", "--effect", "0.5", "--seeds", "4", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["spread"]["df"] == 4  # four arms of two seeds
    assert "recorded runs of mini on the mean of Pong, Assault" in found["spread"]["source"]
    assert {row["seeds"] for row in found["detectable"]} == {2, 4}
    assert {row["effect"] for row in found["seeds_needed"]} == {0.5}
    assert (tmp_path / "mini_figures" / "mini_power.png").is_file()


def test_a_stated_spread_takes_the_place_of_the_runs(ablate, submitted):
    done = ablate("power", "mini", "--sd", "0.27", "--seeds", "5")
    assert done.exit_code == 0, done.output
    assert "0.55" in done.output
    assert "0.72" in done.output


def test_a_study_without_runs_asks_for_a_pilot(ablate, submitted):
    done = ablate("power", "mini")
    assert done.exit_code == 2
    assert "There is nothing to show yet" in done.output


def test_a_plan_says_what_the_study_will_see_and_from_where_it_knows(ablate, write_study):
    write_study()
    done = ablate("plan", "mini.toml")
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "Detectable with 2 seeds" in text
    assert "published DreamerV2 curves of Pong, Assault" in text


def test_a_plan_prefers_what_the_database_knows(ablate, parsed, engine, write_study):
    planner.submit(assemble_study(parsed()), engine)
    finish_all(engine)
    path = write_study(('name = "mini"', 'name = "next"'), name="next")
    done = ablate("plan", str(path), "--json")
    assert done.exit_code == 0, done.output
    assert "recorded runs of mini" in json.loads(done.output)["detectable"]["spread"]["source"]


def test_a_plan_of_one_seed_says_that_nothing_is_detectable(ablate, write_study):
    write_study(("seeds = 2", "seeds = 1"))
    assert "with one seed there is no interval" in ablate("plan", "mini.toml").output
