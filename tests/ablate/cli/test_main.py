import os
import subprocess
import sys

import pytest

from ablate.cli.main import app

COMMANDS = {"studies", "mods", "plan", "submit", "work", "run"} | {
    "status",
    "table",
    "plot",
    "report",
    "diff",
    "import",
    "export",
    "bench",
    "power",
    "games",
    "logs",
    "doctor",
    "queue",
    "db",
}


def test_every_command_is_in_the_help(ablate) -> None:
    result = ablate("--help")
    assert result.exit_code == 0
    listed = {line.split()[0] for line in result.output.split("Commands:")[1].splitlines() if line}
    registered = {one.name for one in (*app.registered_commands, *app.registered_groups)}
    assert listed == COMMANDS == registered


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(ablate, command: str) -> None:
    result = ablate(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from ablate.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'pandas', 'sqlalchemy', 'pydantic', 'matplotlib',\n"
        "                         'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_python_m_ablate_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ablate", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: python -m ablate" in done.stdout


def test_a_fault_of_ours_is_one_paragraph_and_debug_shows_it(ablate, monkeypatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr("ablate.study_files.listed_studies", broken)
    result = ablate("studies")
    assert result.exit_code == 2
    assert "ZeroDivisionError: oh no" in result.stderr
    assert "Traceback" not in result.stderr
    for words in (("--debug", "studies"), ("studies", "--debug")):
        result = ablate(*words)
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert "in broken" in result.stderr


def test_an_error_of_the_operating_system_names_the_file(ablate, monkeypatch) -> None:
    def unreadable() -> None:
        raise PermissionError(13, "Permission denied", "/secret/x.toml")

    monkeypatch.setattr("ablate.study_files.listed_studies", unreadable)
    result = ablate("studies")
    assert result.exit_code == 2
    assert result.stderr.strip() == "Error: /secret/x.toml: Permission denied."


def test_an_interruption_is_told(ablate, monkeypatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ablate.study_files.listed_studies", interrupted)
    result = ablate("studies")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


def test_a_terminal_without_a_character_gets_a_question_mark() -> None:
    code = (
        "import sys, typer\n"
        "from ablate.cli import main\n"
        "main.app = lambda prog_name: [typer.echo('\u0394', err=err) for err in (False, True)]\n"
        "main.run()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == (b"?\n", b"?\n")


def test_an_unknown_command_is_an_error(ablate) -> None:
    assert ablate("plann").exit_code == 2


LONG_WORK = """
import sys
from ablate.cli.output import Screen, show, though_nobody_reads
with though_nobody_reads():
    Screen().print("finished " * 2_000)
show("the report")
sys.exit(143)
"""


def test_work_that_nobody_reads_about_ends_with_its_own_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", LONG_WORK], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (143, b"")
