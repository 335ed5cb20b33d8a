"""The shared options stand at every command that shows numbers, and mean the same."""

import re

import pytest
import typer
from typer.testing import CliRunner

from ablate.cli.asking import NAMES, asks, options_of
from ablate.cli.main import app
from ablate.cli.output import CommandError
from results.statistics.options import Options


@pytest.mark.parametrize("command", ["table", "plot", "report", "export"])
def test_every_command_that_shows_numbers_has_the_shared_options(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).stdout
    assert {f"--{name}" for name in NAMES} <= set(re.findall(r"--[a-z]+", shown))


def test_a_command_gets_the_shared_options_as_one_value() -> None:
    seen = []

    def show(study: str, options: Options) -> None:
        seen.append((study, options))

    program = typer.Typer()
    program.command()(asks(show))
    words = "s --at 5 --games Pong,Alien --arms base --norm nature2015 --measure auc --ci 0.9"
    done = CliRunner().invoke(program, f"{words} --resamples 7 --seed 3 --partial".split())
    assert done.exit_code == 0, done.output
    asked = Options(5, "nature2015", ("Pong,Alien",), ("base",), 0.9, 7, 3, True, "auc")
    assert seen == [("s", asked)]
    CliRunner().invoke(program, ["s"])
    assert seen[1] == ("s", Options())


def test_options_out_of_their_bounds_are_one_clear_error() -> None:
    words = dict.fromkeys(("games", "arms"))
    with pytest.raises(CommandError, match="between 0 and 1, not 95"):
        options_of(ci=95.0, **words)
    with pytest.raises(CommandError, match="not by 'area'"):
        options_of(measure="area", **words)
