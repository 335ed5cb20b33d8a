"""Bad input at the command line: one paragraph, exit code 2, nothing left behind."""

import sqlite3

import pytest

BAD = [
    (('"Assault"]', '"Asault"]'), ("games", "nearest: Assault")),
    (("random_shift =", "random_shfit ="), ("toggles.augmentation", "nearest: random_shift")),
    (("pad = 3", "padd = 3"), ("random_shift.padd", "nearest: pad")),
    (("pad = 3", 'pad = "4"'), ("random_shift.pad", "valid integer")),
    (("games =", "gmes ="), ("gmes", "nearest: games")),
    (('"leave_one_out"', '"leave_one"'), ("designs", "nearest: leave_one_out")),
    (("env_frames = 2_000", 'env_frames = "2000"'), ("env_frames", "valid integer")),
    (('["Pong", "Assault"]', "[]"), ("games", "empty")),
    (("seeds = 2", "seeds = [1, 1]"), ("seeds", "1 twice")),
    (("= 32 }", "= 9_000 }"), ("toggles.ratio", "env_frames = 2,000")),
    (("seeds = 2", "seeds = = 2"), ("line 6", "not TOML")),
]


@pytest.mark.parametrize("command", ["plan", "submit", "run"])
@pytest.mark.parametrize(("change", "words"), BAD, ids=lambda case: case[0])
def test_a_bad_study_is_refused(ablate, write_study, tmp_path, command, change, words) -> None:
    changes = [change]
    if change[0] == "= 32 }":
        changes.insert(0, ("= 64", "= 8_000"))
    path = write_study(*changes)
    result = ablate(command, str(path))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {path}: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert [left.name for left in tmp_path.iterdir()] == ["mini.toml"]


@pytest.mark.parametrize("command", ["plan", "submit", "run"])
def test_a_missing_study_is_refused_with_the_nearest(ablate, tmp_path, command) -> None:
    result = ablate(command, "smok")
    assert result.exit_code == 2
    assert "nearest: smoke" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "smoke"),
        ("submit", "smoke"),
        ("run", "smoke"),
        ("work",),
        ("status",),
        ("table", "smoke"),
        ("plot", "smoke"),
        ("report", "smoke"),
        ("diff", "1", "2"),
    ],
    ids=lambda words: words[0],
)
def test_a_file_that_is_not_a_database_is_refused(ablate, tmp_path, words) -> None:
    path = tmp_path / "ablate.sqlite"
    path.write_text("precious")
    result = ablate(*words)
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert "Traceback" not in result.stderr
    assert path.read_text() == "precious"


def test_a_database_of_another_program_is_refused(ablate, tmp_path) -> None:
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    result = ablate("submit", "smoke", "--db", "other.sqlite")
    assert result.exit_code == 2
    assert "not one of ablate's" in result.stderr


def test_a_database_of_a_newer_schema_is_refused(ablate, engine, tmp_path) -> None:
    with sqlite3.connect(tmp_path / "ablate.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = ablate("submit", "smoke")
    assert result.exit_code == 2
    assert "9999" in result.stderr
    assert "newer" in result.stderr


@pytest.mark.parametrize(
    "words",
    [("work",), ("status",), ("table", "smoke"), ("plot", "smoke"), ("report", "smoke")],
    ids=lambda words: words[0],
)
def test_commands_that_need_a_database_make_none(ablate, tmp_path, words) -> None:
    result = ablate(*words)
    assert result.exit_code == 2
    assert "There is no database" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_other_contents_under_the_same_name_are_refused(ablate, write_study) -> None:
    assert ablate("submit", str(write_study())).exit_code == 0
    path = write_study(("seeds = 2", "seeds = 3"))
    for command in ("plan", "submit", "run"):
        result = ablate(command, str(path))
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: {path}: `name` is taken")
        assert result.stderr.count("taken") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table", "mini", "--kind", "score"), "scores"),
        (("table", "mini", "--format", "exel"), "format"),
        (("table", "mini", "--ci", "95"), "between 0 and 1"),
        (("plot", "mini", "--kind", "curve"), "curves"),
        (("table", "min"), "mini"),
        (("status", "min"), "mini"),
        (("work", "min"), "mini"),
    ],
)
def test_an_unknown_word_names_what_there_is(ablate, write_study, words, message) -> None:
    ablate("submit", str(write_study()))
    result = ablate(*words, *(["--partial"] if words[0] in ("table", "plot") else []))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "fault in ablate" not in result.stderr
