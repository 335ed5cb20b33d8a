import dataclasses
import itertools
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from results import report
from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError, open_database
from results.database.queue import claim, register_worker
from results.database.records import (
    ArmRecord,
    EpisodeRow,
    NormalizationRow,
    RunRecord,
    StudyRecord,
    ToggleRecord,
)
from results.database.store import submit
from results.figures import KINDS
from results.report import contents
from results.statistics.errors import StatisticsError
from results.statistics.options import Options

NOW = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
QUICK = Options(resamples=50)
EVERY_FIGURE = dict(contents.FIGURE_TITLES)
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The tags, the ids and the visible words of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.open, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    def text(self):
        return " ".join(" ".join(self.words).replace("\u200b", "").split())


ONCE: dict[str, str] = {}  # the page takes a second to make and a dozen tests read it


@pytest.fixture(autouse=True)
def few_figures(monkeypatch):
    """Most pages are about their words: two figures are enough, nine take seconds."""
    few = {kind: EVERY_FIGURE[kind] for kind in ("interference", "curves")}
    monkeypatch.setattr(contents, "FIGURE_TITLES", few)


@pytest.fixture
def page(finished_data, monkeypatch):
    monkeypatch.setattr(contents, "FIGURE_TITLES", EVERY_FIGURE)
    if "page" not in ONCE:
        ONCE["page"] = report.page(finished_data, QUICK, written_at=NOW)
    return ONCE["page"]


def test_tags_are_closed_and_no_id_is_used_twice(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attributes in Page(page).tags:
        assert tag not in ("script", "iframe", "object", "embed")
        for key, value in attributes.items():
            if key in ("src", "srcset", "href", "xlink:href", "action", "poster", "data"):
                assert value.startswith(("#", "data:")), (tag, key, value[:60])
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_links_within_the_page_lead_somewhere(page):
    parsed = Page(page)
    targets = [
        attributes["href"][1:]
        for tag, attributes in parsed.tags
        if tag == "a" and attributes["href"].startswith("#")
    ]
    assert targets
    assert set(targets) <= set(parsed.ids)


def test_question_design_protocol_and_progress_are_told(page):
    text = Page(page).text()
    for words in (
        "synthetic",
        "Do two known effects add up?",
        "4 arms × 3 games × 3 seeds = 36 runs",
        "base, full, leave_one_out, add_one_in",
        "400,000 env frames per run; before the first update at least 20,000 of them are "
        "collected, and at least one whole episode",
        "atari100k",
        "32 episodes, argmax",
        "36 of 36 runs finished.",
        "config.env_frames_per_update 16.0 → 4.0",
        "50 resamples, seed 0",
        "Written 2030-01-02 03:04 UTC",
    ):
        assert words in text, words


def test_all_figures_and_tables_are_there_with_their_numbers(page):
    tags = Page(page).tags
    assert sum(tag == "svg" for tag, _ in tags) == len(KINDS) == 9
    downloads = [a["download"] for tag, a in tags if tag == "a" and "download" in a]
    assert downloads == [
        f"synthetic_{kind}.csv"
        for kind in (
            "interference", "interactions", "pairs", "combinations", "effects", "waterfall",
            "one_at_a_time", "aggregates", "curves",
            "scores", "hns", "aggregates", "effects", "interactions",
        )
    ]  # fmt: skip
    assert "Not made" not in Page(page).text()


def test_every_run_is_listed_with_its_state(page, finished_data):
    runs = page[page.index('id="runs"') :]
    assert runs.count('<span class="state finished">') == len(finished_data.runs)


def test_what_cannot_be_made_is_replaced_by_the_reason(unfinished_data):
    page = report.page(unfinished_data, QUICK, written_at=NOW)
    text = Page(page).text()
    assert "33 of 36 runs finished: this is not the end of the study" in text
    assert (
        "Scores and effects come when all runs are finished, or before that with --partial" in text
    )
    assert text.count("3 of 36 runs of study 'synthetic' have no final evaluation") == 1 + 1
    assert sum(tag == "svg" for tag, _ in Page(page).tags) == 1  # the learning curves


def test_a_partial_answer_shows_everything_and_counts(unfinished_data):
    options = dataclasses.replace(QUICK, partial=True)
    page = report.page(unfinished_data, options, written_at=NOW)
    assert sum(tag == "svg" for tag, _ in Page(page).tags) == 2
    assert "Partial: 33 of 36 runs have a score" in Page(page).text()
    assert "What is shown is partial" in Page(page).text()


def test_failures_are_told_by_their_last_line_and_cannot_inject_markup(unfinished_data):
    page = report.page(unfinished_data, QUICK, written_at=NOW)
    assert "RuntimeError: <b>out of memory</b>" in Page(page).text()
    assert "<b>out of memory" not in page
    assert "worker.py" not in page  # paths stay on the machine


def test_long_protocols_break_between_settings_and_numbers_nowhere(finished_data):
    protocol = "atari100k(evaluate_every=4000,max_env_frames_per_episode=6000)"
    study = dataclasses.replace(finished_data.study, protocol=protocol)
    page = report.page(dataclasses.replace(finished_data, study=study), QUICK, written_at=NOW)
    captions = re.findall(r'<figcaption>(.*?)</figcaption>|<p class="caption">(.*?)</p>', page)
    texts = ["".join(one) for one in captions]
    broken = [text for text in texts if "atari100k" in text]
    assert len(broken) == 2 + 5
    assert all("=\u200b4000,\u200bmax_\u200benv" in text for text in broken)
    assert any("400,000 env frames" in text for text in texts)


def test_one_of_a_thing_is_no_plural(make_data, make_study, additive_score):
    study = make_study({}, designs=("base",), games=("Pong",), seeds=(0,))
    text = Page(report.page(make_data(study, additive_score({})), QUICK, written_at=NOW)).text()
    assert "1 arm × 1 game × 1 seed = 1 run " in text
    assert "1 of 1 run finished." in text
    assert not re.search(r"\b1 (arms|games|seeds|runs)\b", text)


def test_words_of_the_study_cannot_inject_markup(finished_data):
    study = dataclasses.replace(
        finished_data.study, question="<script>alert(1)</script>", evaluation='"><img src=x>'
    )
    page = report.page(dataclasses.replace(finished_data, study=study), QUICK, written_at=NOW)
    assert not {"script", "img"} & {tag for tag, _ in Page(page).tags}
    assert "<script>alert(1)</script>" in Page(page).text()


def test_one_seed_says_so(one_seed_data):
    text = Page(report.page(one_seed_data, QUICK, written_at=NOW)).text()
    assert "one seed: no interval" in text.lower()


def test_a_study_without_any_result_still_has_a_report(make_data, make_study, additive_score):
    study = make_study()
    missing = [(a.name, g, s) for a in study.arms for g in study.games for s in study.seeds]
    data = make_data(study, additive_score({"augmentation": 0, "ratio": 0}), missing=missing)
    page = report.page(data, QUICK, written_at=NOW)
    assert "0 of 36 runs finished" in Page(page).text()
    assert sum(tag == "svg" for tag, _ in Page(page).tags) == 0
    assert Page(page).text().count("Not made.") == 2


def test_a_study_of_raw_returns_only_has_a_report_with_curves_and_returns(make_data, make_study):
    data = make_data(make_study(games=("gymnasium:CartPole-v1",)), lambda *_: 0.5)
    text = Page(report.page(data, QUICK, written_at=NOW)).text()
    assert "No score can be made on gymnasium:CartPole-v1: the returns are raw." in text
    assert "human-normalised with the table" not in text
    assert "Mean return of the episodes of each evaluation" in text
    assert "so without a score: gymnasium:CartPole-v1." in text
    assert "raw returns only, no normalised score and no mean over games" in text


def test_declared_returns_are_told_from_a_table(make_data, make_study):
    declared = {"Catch": NormalizationRow("Catch", -0.6, 1.0)}
    data = make_data(make_study(games=("Pong", "Catch")), lambda *_: 0.5, declared=declared)
    text = Page(report.page(data, QUICK, written_at=NOW)).text()
    assert "human-normalised with the table wang2016: (return" in text
    assert "The score on Catch is made of returns that the game declares of itself" in text


def test_the_same_study_gives_the_same_page(finished_data, page):
    assert report.page(finished_data, QUICK, written_at=NOW) == page


@pytest.fixture
def engine(tmp_path):
    """A database with a study of four runs, of which two are finished and one has failed."""
    agents = {"base": "{}", "base+ratio": '{"ratio": 4}'}
    study = StudyRecord(
        name="small", question="Does it work?", source="", contents_sha256="0" * 64,
        protocol="atari100k", env_frames=8000, prefill_frames=1000, designs=("add_one_in",),
        games=("Pong", "Assault"), seeds=(0,), toggles=(ToggleRecord("ratio", ("on",), "on"),),
        arms=(
            ArmRecord("base", "a" * 64, agents["base"], {}),
            ArmRecord("base+ratio", "b" * 64, agents["base+ratio"], {"ratio": "on"}),
        ),
        evaluation="1 episode",
    )  # fmt: skip
    runs = [
        RunRecord(f"{number:064x}", arm, game, 0, "{}")
        for number, (arm, game) in enumerate(itertools.product(agents, study.games))
    ]
    engine = open_database(tmp_path / "a.sqlite", create=True)
    submit(engine, study, runs)
    worker = register_worker(engine, device="cpu", slot=0)
    for number in range(3):
        claimed = claim(engine, worker)
        writer = AttemptWriter(engine, claimed)
        if number == 2:
            writer.fail("Traceback\nValueError: the third run breaks")
            continue
        writer.episode(2000, -21.0, 500)
        writer.evaluation(8000, [EpisodeRow(0, -20.0, 900, False)], policy="argmax", final=True)
        writer.finish(12.0)
    yield engine
    engine.dispose()


def test_a_report_is_written_whole_from_the_database(engine, tmp_path):
    output = tmp_path / "page" / "report.html"
    output.parent.mkdir()
    options = dataclasses.replace(QUICK, partial=True)
    assert report.write(engine, "small", output, options) == output
    text = Page(output.read_text("utf-8")).text()
    assert "2 of 4 runs finished" in text
    assert "ValueError: the third run breaks" in text
    assert "ratio absent → 4" in text
    assert [file.name for file in output.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_one_clear_error(engine, tmp_path):
    with pytest.raises(StatisticsError, match="cannot be written"):
        report.write(engine, "small", tmp_path, QUICK)


def test_an_unknown_study_is_refused_and_nothing_written(engine, tmp_path):
    with pytest.raises(DatabaseError, match="smal"):
        report.write(engine, "smal", tmp_path / "report.html", QUICK)
    assert not (tmp_path / "report.html").exists()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not rendered")
def test_a_browser_draws_every_figure_within_a_phones_width(page, tmp_path):
    probe = """<script>
    window.onload = () => {
      const page = document.documentElement;
      const drawn = [...document.querySelectorAll('svg')].filter(e => e.getBBox().width > 100);
      document.title = `drawn ${drawn.length} too wide ${page.scrollWidth - page.clientWidth}`;
    };</script></body>"""
    inner, outer = tmp_path / "page.html", tmp_path / "phone.html"
    inner.write_text(page.replace("</body>", probe), "utf-8")
    outer.write_text(
        f"<iframe id=p src='{inner.name}' width=400 height=800></iframe><script>"
        "onload = () => document.title = document.getElementById('p').contentDocument.title"
        "</script>",
        "utf-8",
    )
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000", "--dump-dom", outer.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None, done.stderr[-2000:]
    assert title.group(1).startswith("drawn 9 too wide 0"), title.group(1)
