"""What the project says about its own runs is what their database holds."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.config import Protocol
from agents.training.environments import make_environments
from results.database import reading
from results.database.engine import open_database

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
ROW = re.compile(r"\| (\w+) \| (\d+) \| (-?[\d,.]+) \|")
PAPER = re.compile(r"CrazyClimber, seed 0, ended at ([\d,]+) over 32 episodes")
STUDIES = ("cpu_small_crazy_climber", "cpu_small_assault_pong")
CLIMBER = "cpu_small_crazy_climber"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A copy of the runs at size small."""
    copy = tmp_path_factory.mktemp("reference") / "cpu_small.sqlite"
    copy.write_bytes((REFERENCE / "cpu_small.sqlite").read_bytes())
    return open_database(copy)


def final_returns(database, *studies):
    """Game and seed to the mean return of the final evaluation."""
    means = {}
    for study in studies:
        evaluations = reading.evaluations(database, study)
        final = evaluations[evaluations["final"]]
        for (game, seed), episodes in final.groupby(["game", "seed"]):
            assert len(episodes) == 32
            means[game, int(seed)] = episodes["episode_return"].mean()
    return means


def test_the_returns_in_the_page_are_those_of_the_database(database):
    page = (REFERENCE / "README.md").read_text()
    stated = {(game, int(seed)): number for game, seed, number in ROW.findall(page)}
    measured = final_returns(database, *STUDIES)
    assert len(measured) == 5
    assert stated == {(game, seed): written(game, mean) for (game, seed), mean in measured.items()}


def test_the_return_under_the_papers_settings_is_that_of_the_database(database):
    page = (REFERENCE / "README.md").read_text().replace("\n", " ")
    (mean,) = final_returns(database, "cpu_small_paper_settings").values()
    assert PAPER.findall(page) == [written("CrazyClimber", mean)]


def written(game, mean):
    """As the page writes it: the points of Pong are few."""
    return f"{mean:,.1f}" if game == "Pong" else f"{mean:,.0f}"


@pytest.mark.slow
def test_what_the_climber_has_learned_is_more_than_how_often_it_presses_which_button(database):
    shares = []
    for action in range(9):
        curve = reading.curve(database, CLIMBER, f"evaluation/action_{action}")
        last = curve[curve["env_frames"] == curve["env_frames"].max()]
        shares.append(last.sort_values("seed")["value"].to_numpy())
    for seed, policy in enumerate(np.array(shares).T):
        mean = np.mean(played_blindly(policy / policy.sum(), episodes=8))
        print(f"\nCrazyClimber, shares of seed {seed} played blindly: {mean:,.0f}")  # noqa: T201
        assert mean < 15_000


def played_blindly(shares, *, episodes):
    """The returns of episodes whose actions are drawn without looking."""
    environments = make_environments("CrazyClimber", episodes, Protocol())
    environments.reset({index: 1000 + index for index in range(episodes)})
    generator = torch.Generator().manual_seed(0)
    policy = torch.from_numpy(shares)
    returns, playing = np.zeros(episodes), np.ones(episodes, bool)
    while playing.any():
        actions = torch.multinomial(policy, episodes, replacement=True, generator=generator)
        step = environments.step(actions.numpy())
        returns += step.reward * playing
        playing &= ~step.ended
    environments.close()
    return returns
