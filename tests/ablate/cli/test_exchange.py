import csv
import json
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest
from typer.testing import CliRunner

from ablate.cli.main import app
from ablate.runspec import RunSpec
from results.database import reading
from results.database.engine import open_database, read
from results.database.schema import Run
from results.database.upkeep import backup
from results.statistics.game_sets import ATARI_100K
from results.statistics.normalize import normalization

ARMS = {"base": 0.0, "base+a": 5.0, "base+b": 10.0, "base+a+b": 12.0}


def records_of_two_toggles() -> list[dict[str, object]]:
    """Two toggles on two games with three seeds, in the form of the authors of DreamerV2."""
    return [
        {
            "task": task,
            "method": method,
            "seed": str(seed),
            "xs": [2e5, 4e5],
            "ys": [low, low + 2 * seed + better],
        }
        for method, better in ARMS.items()
        for task, low in (("atari_pong", -20.0), ("atari_james_bond", 30.0))
        for seed in range(3)
    ]


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """A file of `records_of_two_toggles`."""
    path = tmp_path / "curves.json"
    path.write_text(json.dumps(records_of_two_toggles()))
    return path


@pytest.fixture(scope="module")
def imported_database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The database that an import of `records_of_two_toggles` makes, to be copied."""
    folder = tmp_path_factory.mktemp("imported")
    (folder / "curves.json").write_text(json.dumps(records_of_two_toggles()))
    path = copyfile(empty_database, folder / "ablate.sqlite")
    words = ("-f", "dreamer-json", "--study", "pub", "--protocol", "atari100k", "--db", str(path))
    done = CliRunner().invoke(app, ["import", str(folder / "curves.json"), *words])
    assert done.exit_code == 0
    assert "pub: 24 runs new in" in done.stdout
    assert "Toggles: a, b." in done.stdout
    whole = folder / "whole.sqlite"
    engine = open_database(path)
    backup(engine, whole)
    engine.dispose()
    return whole


@pytest.fixture
def imported(ablate, curves, imported_database, tmp_path) -> None:
    copyfile(imported_database, tmp_path / "ablate.sqlite")


@pytest.mark.parametrize("kind", ["scores", "hns", "aggregates", "effects", "interactions"])
def test_an_imported_study_has_every_table(kind, ablate, imported) -> None:
    few = () if kind == "scores" else ("--resamples", "50")
    done = ablate("table", "pub", "--kind", kind, *few, "--format", "csv")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = done.stdout.splitlines()
    assert len(rows) > 2
    if kind == "scores":
        assert rows[1].split(",")[:5] == ["base", "Pong", "mean", "3", "-18.0"]
    if kind == "effects":
        found = {
            (row["effect"], row["toggle"], row["scope"]): float(row["value"])
            for row in csv.DictReader(rows)
        }
        assert found["add_one_in", "a", "Pong"] == pytest.approx(5 / 35.3)


def test_status_plot_and_report_show_an_imported_study(ablate, imported, tmp_path) -> None:
    assert "24 finished" in ablate("status", "pub").stdout
    done = ablate("plot", "pub", "--kind", "curves", "--format", "svg", "--output", "figures")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (tmp_path / "figures" / "pub_curves.csv").read_text().count("evaluation,") == 48
    assert ablate("report", "pub", "--resamples", "50").exit_code == 0
    assert "base+a+b" in (tmp_path / "pub_report.html").read_text()


def test_importing_again_says_that_it_is_there(ablate, imported, curves) -> None:
    words = ("-f", "dreamer-json", "--study", "pub", "--protocol", "atari100k")
    assert "0 runs new in" in ablate("import", str(curves), *words).stdout


def test_the_identity_of_an_imported_run_is_that_of_its_specification(ablate, imported) -> None:
    engine = open_database("ablate.sqlite")
    with read(engine) as session:
        for run in session.query(Run):
            assert RunSpec.from_json(run.specification).identity == run.identity
    engine.dispose()
    done = ablate("diff", "pub/base", "pub/base+a")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "agent.imported" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("csv", ()),
        ("parquet", ()),
        ("dreamer-json", ()),
        ("tensorboard", ("--x-unit", "env_frames")),
        ("rliable-json", ("--env-frames", "400000")),
    ],
)
def test_an_export_is_imported_into_another_database(name, said, ablate, imported) -> None:
    assert ablate("export", "pub", "-f", name, "-o", "out").exit_code == 0
    done = ablate(
        *("import", "out", "-f", name, "--study", "pub", "--protocol", "atari100k"),
        *("--db", "other.sqlite", *said),
    )
    assert (done.exit_code, done.stderr) == (0, "")
    words = ("table", "pub", "--kind", "scores", "--format", "csv")
    assert sorted(ablate(*words, "--db", "other.sqlite").stdout.splitlines()) == sorted(
        ablate(*words).stdout.splitlines()
    )


def test_a_database_is_merged_and_nothing_is_doubled(ablate, imported, tmp_path) -> None:
    assert ablate("export", "pub", "-f", "sqlite", "-o", "one.sqlite").exit_code == 0
    words = ("import", "one.sqlite", "-f", "sqlite", "--db", "other.sqlite")
    assert "pub. 24 runs are new here" in ablate(*words).stdout
    assert "0 runs are new here, 0 are finished now, 24 were there" in ablate(*words).stdout
    assert "itself" in ablate("import", "one.sqlite", "-f", "sqlite", "--db", "one.sqlite").stderr


@pytest.mark.parametrize(("name", "mark"), [("latex", r"\toprule"), ("markdown", "| game |")])
def test_tables_are_exported_for_papers(name, mark, ablate, imported, tmp_path) -> None:
    done = ablate("export", "pub", "-f", name, "--kind", "scores", "-o", "table.txt")
    assert (done.exit_code, done.stdout) == (0, "table.txt\n")
    assert mark in (tmp_path / "table.txt").read_text()


def test_skipping_imports_the_rest_and_lists_what_was_left_out(ablate, curves, tmp_path) -> None:
    records = json.loads(curves.read_text())
    records[3]["ys"][1] = float("nan")
    records[4]["xs"], records[4]["ys"] = [1e5, 2e5], [1.0, 2.0]
    curves.write_text(json.dumps(records))
    words = ("import", "curves.json", "-f", "dreamer-json", "--study", "pub", "--protocol", "p")
    refused = ablate(*words)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: curves.json, record 4: y number 2 of 2 is nan, no number. Nothing was imported. "
        "--skip-bad imports the rest and lists these.\n"
    )
    assert not (tmp_path / "ablate.sqlite").exists()
    done = ablate(*words, "--skip-bad")
    assert done.exit_code == 0
    assert "Skipped 1 record:\n  curves.json, record 4: y number 2 of 2 is nan" in done.stdout
    assert "1 run ended before 400,000 env frames" in done.stdout
    assert "base on Jamesbond, seed 1." in done.stdout
    assert ablate("table", "pub").exit_code == 2
    assert ablate("table", "pub", "--partial").exit_code == 0


def test_seeds_may_be_names(ablate, tmp_path) -> None:
    records = records_of_two_toggles()
    for record in records:
        record["seed"] = f"indir1_{record['seed']}"
    (tmp_path / "names.json").write_text(json.dumps(records))
    words = ("-f", "dreamer-json", "--study", "pub", "--protocol", "p")
    done = ablate("import", "names.json", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Numbers stand for seeds that are names: indir1_0 is " in done.stdout
    rows = ablate("table", "pub", "--kind", "scores", "--format", "csv").stdout.splitlines()
    assert rows[1].split(",")[:5] == ["base", "Pong", "mean", "3", "-18.0"]


@pytest.fixture
def scores(ablate, tmp_path) -> None:
    listed = [
        {"game": game, "seed": float(seed), "HNS": 0.1 * seed, "Max HNS": 1.0}
        for game in ("Alien", "JamesBond")
        for seed in range(3)
    ]
    (tmp_path / "SPR.json").write_text(json.dumps(listed))
    words = ("import", "SPR.json", "-f", "rliable-json", "--study", "spr", "--protocol", "p")
    done = ablate(*words, "--env-frames", "400000", "--normalization", "wang2016")
    assert done.exit_code == 0


def test_scores_have_no_table_of_returns(ablate, scores, tmp_path) -> None:
    refused = ablate("table", "spr", "--kind", "scores")
    assert refused.exit_code == 2
    assert "their raw returns are not known" in refused.stderr
    shown = ablate("table", "spr", "--kind", "hns", "--resamples", "50", "--format", "csv").stdout
    assert "SPR,Jamesbond,mean,3,0.1" in shown
    drawn = ablate("plot", "spr", "--kind", "curves")
    assert drawn.exit_code == 2
    assert "its raw returns, which the curves show, are not known" in drawn.stderr
    assert ablate("report", "spr", "--resamples", "50").exit_code == 0
    page = (tmp_path / "spr_report.html").read_text()
    assert "imported as human-normalised scores of the table wang2016" in page
    assert ablate("export", "spr", "-f", "csv", "-o", "a.csv").exit_code == 2


def test_a_file_of_arms_says_what_is_on(ablate, tmp_path) -> None:
    rows = [f"{name},Pong,{seed},4,{seed}" for name in ("RR2", "RR8") for seed in range(2)]
    (tmp_path / "a.csv").write_text("\n".join(["method,game,seed,env_frames,score", *rows]))
    (tmp_path / "arms.toml").write_text('[arms]\nRR2 = []\nRR8 = ["ratio"]\n')
    words = ("import", "a.csv", "-f", "csv", "--study", "rr", "--protocol", "p")
    assert ablate(*words, "--arms", "arms.toml").exit_code == 0
    effects = ablate("table", "rr", "--kind", "effects", "--format", "csv").stdout
    assert "add_one_in,ratio" in effects


def names(folder: Path) -> set[str]:
    """What lies in a folder, SQLite's own companions of an open database aside."""
    return {entry.name for entry in folder.iterdir() if not entry.name.endswith(("wal", "shm"))}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import", "curves.json", "-f", "dreamer-json"), "--study NAME and --protocol LABEL"),
        (("import", "curves.json", "-f", "dreamer"), "There is no format 'dreamer': did you mean"),
        (("import", "curves.json", "-f", "sqlite", "--protocol", "p"), "--protocol: an sqlite"),
        (("import", "curves.json", "-f", "sqlite"), "is not an SQLite database"),
        (("export", "pub", "-o", "a", "--kind", "hns"), "--kind: only latex and markdown"),
        (("export", "pub", "-o", "a", "--at", "4"), "--at: csv holds whole curves"),
        (("export", "pub", "-o", "a", "-f", "sqlite", "--partial"), "--partial: sqlite takes"),
        (("export", "pub", "-o", "none/a"), "there is no folder none"),
        (("export", "pub", "-o", "a", "-f", "xls"), "There is no format 'xls'"),
        (("export", "none", "-o", "a"), "There is no study 'none'"),
        (("export", "pub", "-o", "a", "-f", "html"), "`ablate table pub --format html --output"),
        (("export", "pub", "-o", "a", "-f", "latex", "--kind", "compute", "--at", "4"), "--at"),
        (("table", "pub", "--format", "svg"), "A table has no format 'svg'"),
        (("table", "pub", "--format", "csv", "--json"), "--json and --format csv"),
        (("table", "pub", "--output", "."), "is a folder: name a file in it"),
        (("table", "pub", "--kind", "scores", "--seed", "1"), "--seed changes nothing in scores"),
        (("table", "pub", "--kind", "compute", "--at", "4"), "--at changes nothing in compute"),
        (("plot", "pub", "--format", "png,html"), "A figure has no format 'html'"),
        (("plot", "pub", "--output", "curves.json"), "is a file: figures need a folder"),
        (("plot", "pub", "--kind", "curves,setting", "--seed", "1"), "in curves or setting"),
        (("report", "pub", "--format", "markdown"), "A report has no format 'markdown'"),
        (("report", "pub", "--output", "."), "is a folder: name a file in it"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_paragraph(
    words, message, ablate, imported, tmp_path
) -> None:
    before = names(tmp_path)
    done = ablate(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert names(tmp_path) == before


def test_a_column_is_named_with_its_name(ablate, curves) -> None:
    words = ("import", "curves.json", "-f", "csv", "--study", "a", "--protocol", "p")
    assert "write COLUMN=NAME" in ablate(*words, "--column", "score").stderr


def test_import_and_export_need_no_torch(imported, tmp_path) -> None:
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ImportError('no torch')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from typer.testing import CliRunner\n"
        "from ablate.cli.main import app\n"
        "for words in (['export', 'pub', '-o', 'a.csv'],\n"
        "              ['import', 'a.csv', '-f', 'csv', '--study', 'b', '--protocol', 'p']):\n"
        "    done = CliRunner().invoke(app, words)\n"
        "    assert done.exit_code == 0, done.output\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    engine = open_database(tmp_path / "ablate.sqlite")
    assert reading.studies(engine)["name"].tolist() == ["pub", "b"]
    engine.dispose()


def test_means_of_unknown_numbers_of_runs_do_not_pass_for_single_runs(ablate, tmp_path) -> None:
    (tmp_path / "wide.csv").write_text("game,DQN,SPR\nPong,1,2\nAlien,100,\n")
    words = ("-f", "wide", "--study", "w", "--protocol", "p", "--env-frames", "400000")
    assert ablate("import", "wide.csv", *words).exit_code == 0
    assert "SPR on Alien, seed 0 (in no file)" in ablate("table", "w").stderr
    for kind in ("scores", "hns", "aggregates"):
        shown = " ".join(ablate("table", "w", "--partial", "--kind", kind).stdout.split())
        assert "A mean over an unknown number of runs: no interval." in shown
        assert "1 of 4 means are missing" in shown
        assert "n=1" not in shown
        assert "seed" not in shown.lower()
    drawn = ablate("plot", "w", "--partial", "--kind", "aggregates", "--format", "svg")
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    picture = " ".join((tmp_path / "w_figures/w_aggregates.svg").read_text().split())
    assert "a mean over an unknown number of runs per arm and game" in picture
    assert "DQN unknown 0.615" in " ".join(
        ablate("table", "w", "--partial", "--kind", "aggregates").stdout.split()
    )


def test_figures_of_means_of_unknown_numbers_of_runs_tell_of_no_seeds(ablate, tmp_path) -> None:
    rows = ["game,base,base+a,base+b,base+a+b", "Pong,1,2,3,4", "Alien,100,200,300,350"]
    (tmp_path / "wide.csv").write_text("\n".join(rows))
    words = ("-f", "wide", "--study", "w", "--protocol", "p", "--env-frames", "400000")
    assert ablate("import", "wide.csv", *words).exit_code == 0
    for kind in ("effects", "interactions"):
        shown = " ".join(ablate("table", "w", "--kind", kind).stdout.split())
        assert "A mean over an unknown number of runs: no interval." in shown
        assert "one seed" not in shown.lower()
        assert "per seed" not in shown
    kinds = ["curves", "effects", "interactions", "combinations", "interference", "waterfall"]
    for kind in kinds:
        drawn = ablate("plot", "w", "--kind", kind, "--format", "svg")
        assert (drawn.exit_code, drawn.stderr) == (0, "")
    for file in (tmp_path / "w_figures").iterdir():
        told = file.read_text().lower()
        assert "one seed" not in told
        assert "per seed" not in told
    for kind, name in (("improvement", "probability of improvement"), ("profiles", "profile")):
        refused = ablate("plot", "w", "--kind", kind, "--format", "svg")
        assert refused.exit_code == 2
        assert name in refused.stderr
        assert "cannot be made of means" in refused.stderr


@pytest.fixture
def ratios(ablate, tmp_path) -> None:
    """One method per ratio E, two seeds, and a budget of 100,000 E frames, 400,000 at least."""
    records = [
        {
            "task": task,
            "method": f"E = {ratio}",
            "seed": str(seed),
            "xs": [end * k / 16 for k in range(1, 17)],
            "ys": [low + (k + seed) * ratio for k in range(16)],
        }
        for ratio in (64, 8, 2)
        for end in [max(100_000 * ratio, 400_000)]
        for task, low in (("atari_pong", -21), ("atari_crazy_climber", 0), ("atari_assault", 0))
        for seed in range(2)
    ]
    (tmp_path / "ratios.json").write_text(json.dumps(records))
    words = ("-f", "dreamer-json", "--study", "ratios", "--protocol", "dreamerv2")
    assert "12 runs ended before 6,400,000" in ablate("import", "ratios.json", *words).stdout


@pytest.mark.parametrize(("at", "points"), [((), 18 * 16), (("--at", "400000"), 6 * (1 + 8 + 16))])
@pytest.mark.parametrize("columns", ["1", "2"])
def test_curves_are_drawn_for_every_ratio_up_to_its_own_budget(
    at, points, columns, ablate, ratios, tmp_path
) -> None:
    words = ("--kind", "curves", "--games", "Pong,CrazyClimber,Assault", "--format", "svg")
    done = ablate("plot", "ratios", *words, *at, "--columns", columns)
    assert (done.exit_code, done.stderr) == (0, "")
    numbers = (tmp_path / "ratios_figures/ratios_curves.csv").read_text()
    rows = list(csv.DictReader(numbers.splitlines()))
    assert len(rows) == points
    ends = {row["arm"]: int(row["env_frames"]) for row in rows}
    limit = 400_000 if at else 10**9
    assert ends == {f"E = {e}": min(max(100_000 * e, 400_000), limit) for e in (64, 8, 2)}
    drawn = (tmp_path / "ratios_figures/ratios_curves.svg").read_text()
    assert 'id="random"' in drawn


def test_an_imported_study_of_many_games_has_aggregates_at_a_point(ablate, tmp_path) -> None:
    """Also where, as in the published files, some games have more runs than others."""
    games = (*ATARI_100K, "Tennis")
    records = [
        {
            "task": f"atari_{game.lower()}",
            "method": method,
            "seed": str(int(seed)) if seed != 0.5 else "10",
            "xs": [3e6, 6e6, 9e6],
            "ys": [0.0, human + seed * better, 1e6],
        }
        for method, better in (("base", 10.0), ("base+a", 20.0))
        for number, game in enumerate(games)
        for seed in (0, 1, *((0.5,) if number % 3 == 0 else ()))
        for human in [normalization().reference(game).human]
    ]
    (tmp_path / "dv2.json").write_text(json.dumps(records))
    words = ("-f", "dreamer-json", "--study", "dv2", "--protocol", "dreamerv2")
    assert ablate("import", "dv2.json", *words).exit_code == 0
    words = ("--kind", "aggregates", "--at", "6000000", "--games", "atari100k", "--format", "csv")
    done = ablate("table", "dv2", *words, "--resamples", "20")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert list(rows[0])[:7] == ["arm", "metric", "value", "low", "high", "runs", "games"]
    assert len({(row["arm"], row["metric"]) for row in rows}) == len(rows) == 2 * 6
    found = {(row["arm"], row["metric"]): row for row in rows}
    expected = [
        1 + 5 / (reference.human - reference.random)
        for game in ATARI_100K
        for reference in [normalization().reference(game)]
    ]
    assert float(found["base", "mean"]["value"]) == pytest.approx(sum(expected) / 26)
    iqm = found["base", "iqm"]
    assert (iqm["runs"], iqm["most_runs"], iqm["games"]) == ("2", "3", "26")
    done = ablate("table", "dv2", *words, "--resamples", "20", "--norm", "nature2015")
    assert "nature2015" in done.stdout
    done = ablate("table", "dv2", "--games", "atari57")
    assert done.exit_code == 2
    assert "27 of the 57 games of atari57" in done.stderr
