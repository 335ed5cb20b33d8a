from __future__ import annotations

import pytest
from sqlalchemy import text

from results.database import control
from results.database.attempts import AttemptWriter
from results.database.control import Selection
from results.database.engine import DatabaseError, read
from results.database.errors import LeaseLost
from results.database.queue import claim, release_dead
from results.database.reading import counts
from results.database.store import submit


def kinds(engine, run_id):
    with read(engine) as session:
        query = text("SELECT kind FROM event WHERE run_id = :run ORDER BY id")
        return list(session.scalars(query, {"run": run_id}))


def run_numbers(engine, where):
    with read(engine) as session:
        return list(session.scalars(text(f"SELECT id FROM run WHERE {where} ORDER BY id")))


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ({}, list(range(1, 13))),
        ({"arms": ("base",)}, [1, 2, 7, 8]),
        ({"games": ("Pong",)}, [1, 3, 5, 7, 9, 11]),
        ({"seeds": (1,)}, [7, 8, 9, 10, 11, 12]),
        ({"runs": (3, 5)}, [3, 5]),
        ({"arms": ("base", "full"), "games": ("Pong",), "seeds": (0,)}, [1, 5]),
        ({"study": "smoke", "runs": (3, 5), "arms": ("full",)}, [5]),
    ],
)
def test_runs_are_chosen_by_all_words_together(engine, submitted, words, chosen):
    change = control.cancel(engine, Selection(**words))
    assert list(change.changed) == chosen == run_numbers(engine, "state = 'cancelled'")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"study": "smok"}, "no study 'smok'.*nearest there: smoke"),
        ({"arms": ("bas",)}, r"no arm bas among the runs\. The nearest: base"),
        ({"study": "smoke", "games": ("Ping",)}, "no game Ping among the runs of smoke.*Pong"),
        ({"seeds": (7,)}, "no seed 7.*0, 1"),
        ({"runs": (1, 99)}, "no run 99"),
    ],
)
def test_a_word_that_describes_nothing_is_refused_with_the_nearest(engine, submitted, words, told):
    with pytest.raises(DatabaseError, match=told):
        control.cancel(engine, Selection(**words))
    assert counts(engine, "smoke")["queued"] == 12


def test_a_cancelled_run_is_taken_from_its_worker(engine, submitted, add_worker):
    writer = AttemptWriter(engine, claim(engine, add_worker()))
    writer.checkpoint(100, "100", "f" * 64, 1)
    assert control.cancel(engine, Selection(runs=(1,))).changed == (1,)
    with pytest.raises(LeaseLost, match="the run was cancelled"):
        writer.finish(1.0)
    assert counts(engine, "smoke")["cancelled"] == 1
    assert kinds(engine, 1)[-2:] == ["released", "cancelled"]
    assert control.retry(engine, Selection(runs=(1,))).changed == (1,)
    (row,) = claim(engine, add_worker()).checkpoints
    assert row.env_frames == 100


def test_what_has_ended_is_left_alone_and_counted(engine, submitted, add_worker):
    AttemptWriter(engine, claim(engine, add_worker())).finish(1.0)
    AttemptWriter(engine, claim(engine, add_worker())).fail("boom")
    change = control.cancel(engine, Selection())
    assert len(change.changed) == 10
    assert change.left == {"finished": 1, "failed": 1}


def test_a_run_that_another_study_asks_for_is_kept_unless_it_is_named(engine, make_study):
    submit(engine, *make_study("first"))
    submit(engine, *make_study("second", seeds=(1, 2)))
    change = control.cancel(engine, Selection(study="first"))
    why = "asked for by other studies too (--run cancels one all the same)"
    assert (len(change.changed), change.left) == (6, {why: 6})
    assert counts(engine, "second")["queued"] == 12
    assert control.cancel(engine, Selection(study="first", runs=(7,))).changed == (7,)


def test_a_paused_run_is_not_claimed_until_it_is_resumed(engine, submitted, add_worker):
    assert len(control.pause(engine, Selection(arms=("base",))).changed) == 4
    assert control.pause(engine, Selection(arms=("base",))).left == {"paused": 4}
    assert claim(engine, add_worker()).run_id == 3
    assert control.resume(engine, Selection(runs=(1,))).changed == (1,)
    assert claim(engine, add_worker()).run_id == 1


def test_a_worker_hears_that_its_run_shall_pause(engine, submitted, add_worker, clock):
    writer = AttemptWriter(engine, claim(engine, add_worker(), clock=clock), clock=clock)
    clock.move(3)
    writer.progress(4, 0)
    assert not writer.is_paused
    control.pause(engine, Selection(runs=(1,)))
    clock.move(3)
    writer.progress(8, 0)
    assert writer.is_paused
    writer.release("paused")
    assert run_numbers(engine, "paused AND state = 'queued'") == [1]


def test_the_higher_priority_is_claimed_first(engine, submitted, add_worker):
    control.prioritize(engine, Selection(arms=("full",), games=("CrazyClimber",)), 5)
    control.prioritize(engine, Selection(arms=("base",)), -1)
    taken = [claim(engine, add_worker()).run_id for _ in range(12)]
    assert taken == [6, 12, 3, 4, 5, 9, 10, 11, 1, 2, 7, 8]


def test_a_run_that_waits_after_losses_goes_on_at_once_when_retried(
    engine, submitted, add_worker, clock
):
    for _ in range(2):
        claim(engine, add_worker(), clock=clock)
        release_dead(
            engine, now=clock(), machine="this machine", process_is_alive=lambda *_: False
        )
    assert claim(engine, add_worker(), clock=clock).run_id == 2
    change = control.retry(engine, Selection(), clock=clock)
    assert change.changed == (1,)
    assert change.left == {"queued": 10, "running": 1}
    assert claim(engine, add_worker(), clock=clock).run_id == 1
