"""What the README says is true: its commands, tables, files and examples."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from ablate.catalogue import with_catalogue
from ablate.cli.main import app
from ablate.resolution import resolve
from ablate.study import read_study
from agents.modifications import REGISTRY

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str, text: str = README) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without the head."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_every_command_in_the_readme_exists() -> None:
    verbs = set(typer.main.get_command(app).commands)
    named = set(re.findall(r"(?:^|`|/)ablate ([a-z]+)", README, re.MULTILINE))
    assert {"plan", "submit", "work", "run", "status", "table", "plot", "report"} <= named
    assert named <= verbs


def test_the_table_of_modifications_is_the_registry() -> None:
    said = [row[:5] for row in rows(section("Modifications"))]
    assert said == [
        [one.name, one.family, one.seam, one.summary, one.paper] for one in REGISTRY.values()
    ]
    assert with_catalogue(README) == README, "run `python -m ablate.catalogue README.md`"


def test_the_table_of_modifications_can_be_written_anew() -> None:
    lines = README.splitlines(keepends=True)
    without = "".join(line for line in lines if not line.startswith("| `replay_ratio` |"))
    assert without != README
    assert with_catalogue(without) == README
    with pytest.raises(ValueError, match="there is no table"):
        with_catalogue("No table.")


def test_the_eight_files_from_a_study_to_a_figure_exist() -> None:
    files = [row[0] for row in rows(section("Where things live"))]
    assert len(files) == 8
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [
        link for link in links if not link.startswith("http") and not (ROOT / link).exists()
    ] == []


def test_the_study_of_the_tour_resolves(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    name = tomllib.loads(example[1])["name"]
    file = tmp_path / f"{name}.toml"
    file.write_text(example[1])
    resolution = resolve(read_study(file))
    assert resolution.budget.env_frames == 400_000


def test_every_study_has_its_line_with_its_question() -> None:
    said = {row[0]: row[1] for row in rows((ROOT / "studies" / "README.md").read_text())}
    files = (ROOT / "studies").glob("*.toml")
    assert said == {file.stem: tomllib.loads(file.read_text())["question"] for file in files}


@pytest.mark.parametrize("line", ["ablate run smoke", "python -m pytest --numprocesses auto"])
def test_each_of_the_two_lines_does_all_of_its_own_set_up(line: str) -> None:
    (command,) = re.findall(rf"^python3 .*{line}$", README, re.MULTILINE)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_packages_are_the_ones_of_this_repository() -> None:
    import ablate
    import agents  # openai-agents installs a package of the same name
    import results

    for package in (ablate, agents, results):
        assert Path(str(package.__file__)).parent.parent == ROOT


WEEK = (ROOT / "ablate" / "README.md").read_text()


def commands_in(page: str) -> list[list[str]]:
    """The words after `ablate` of every command that a page shows, in a line of its own or not."""
    shown = re.findall(r"`ablate ([^`\n]+)`", page) + re.findall(r"(?m)^ablate ([^#\n]+)", page)
    return [shlex.split(words) for words in shown]


@pytest.mark.parametrize("page", [README, WEEK], ids=["README", "ablate/README"])
def test_every_command_and_option_that_a_page_shows_exists(page) -> None:
    shown = commands_in(page)
    assert len(shown) > 10
    for words in shown:
        command, rest = typer.main.get_command(app), list(words)
        while hasattr(command, "commands") and rest:
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        known = {"--help", *(option for one in command.params for option in one.opts)}
        used = {word for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known, words
