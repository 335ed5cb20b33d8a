import json

import pytest

from ablate import planner
from ablate.assembly import assemble_study
from results.database import reading


@pytest.fixture
def queued(parsed, engine):
    """The small study, sixteen runs in the queue."""
    planner.submit(assemble_study(parsed()), engine)
    return engine


def test_the_life_of_a_queue_on_the_command_line(queued, ablate) -> None:
    assert ablate("queue", "pause", "mini", "--arm", "full").stdout == "4 runs paused.\n"
    said = ablate("status", "mini").stdout
    assert "16 runs: 16 queued (of the queued: 4 paused)\nNobody works on it now.\n" in said
    cancelled = ablate("queue", "cancel", "--game", "Pong", "--seed", "1", "--json")
    assert len(json.loads(cancelled.stdout)["changed"]) == 4
    assert ablate("queue", "resume", "--all").stdout == (
        "3 runs free to go on; left as they are: 9 not paused, 4 cancelled.\n"
    )
    assert ablate("queue", "retry", "mini", "--seed", "1").stdout == (
        "4 runs queued again; left as they are: 4 queued.\n"
    )
    assert ablate("queue", "prioritize", "--run", "3", "-p", "7").stdout == (
        "1 run given priority 7.\n"
    )
    runs = reading.runs(queued, "mini")
    assert set(runs["state"]) == {"queued"}
    assert not runs["paused"].any()
    assert runs.set_index("run_id")["priority"].loc[3] == 7


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("queue", "cancel"), "Which runs? Name a study"),
        (("queue", "cancel", "mini", "--all"), "--all goes with no other choice."),
        (("queue", "pause", "mimi"), "The nearest there: mini"),
        (("queue", "retry", "--arm", "ful"), "The nearest: full"),
        (("logs", "99"), "There is no run 99"),
        (("work", "--slots", "0:1"), "there is no cuda:0"),
        (("work", "--until", "soon"), "give a time of day"),
    ],
)
def test_a_wrong_word_is_refused_with_the_remedy(queued, ablate, words, told) -> None:
    result = ablate(*words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert set(reading.runs(queued, "mini")["state"]) == {"queued"}
