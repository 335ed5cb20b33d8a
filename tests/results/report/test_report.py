import dataclasses
import itertools
import json
import re
import shutil
import time
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
    ImportSourceRecord,
    NormalizationRow,
    RunRecord,
    StudyRecord,
    ToggleRecord,
)
from results.database.store import submit
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
        if not {"style", "title", "script"} & set(self.open):
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
        assert tag not in ("iframe", "object", "embed")
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
    assert sum(tag == "svg" for tag, _ in tags) == len(EVERY_FIGURE)
    downloads = [a["download"] for tag, a in tags if tag == "a" and "download" in a]
    assert downloads == [
        f"synthetic_{kind}.csv"
        for kind in (
            *EVERY_FIGURE,
            "scores", "hns", "aggregates", "effects", "interactions", "compute",
        )
    ]  # fmt: skip
    assert "Not made" not in Page(page).text()


def test_long_tables_are_folded_and_say_how_long_they_are(six_toggles, monkeypatch):
    monkeypatch.setattr(contents, "FIGURE_TITLES", {})
    few = {kind: contents.TABLE_TITLES[kind] for kind in ("hns", "effects", "compute")}
    monkeypatch.setattr(contents, "TABLE_TITLES", few)
    folded = Page(report.page(six_toggles, QUICK, written_at=NOW)).text()
    assert "The arms: 64 rows" in folded
    assert "Normalised scores: 64 rows" in folded
    assert "Effects of the toggles: 30 rows" not in folded
    assert "1,280 of 1,280 runs finished" in folded


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
    tags = [tag for tag, _ in Page(page).tags]
    assert tags.count("script") == 1  # ours
    assert "img" not in tags
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


def test_watching_rewrites_the_page_when_runs_move_and_stops_when_none_is_left(engine, tmp_path):
    output = tmp_path / "live.html"
    seen, told = [], []

    def sleep(seconds):
        seen.append((seconds, output.read_text("utf-8")))
        worker = register_worker(engine, device="cpu", slot=len(seen))
        if len(seen) == 2 and (left := claim(engine, worker)):
            writer = AttemptWriter(engine, left)
            writer.evaluation(8000, [EpisodeRow(0, -19.0, 900, False)], policy="argmax",
                              final=True)  # fmt: skip
            writer.finish(10.0)

    report.watch(engine, "small", output, QUICK, every_s=7, told=told.append, sleep=sleep)
    assert [seconds for seconds, _ in seen] == [7, 7]
    assert seen[0][1] == seen[1][1]  # nothing had moved: not written again
    assert '<meta http-equiv="refresh" content="7">' in seen[0][1]
    assert [counts["queued"] for counts in told] == [1, 0]
    last = output.read_text("utf-8")
    assert 'http-equiv="refresh"' not in last
    assert "3 of 4 runs finished" in Page(last).text()
    assert "Partial: 3 of 4 runs have a score" in Page(last).text()  # one failed for good


def test_where_the_numbers_come_from_is_told(page, finished_data):
    text = Page(page).text()
    assert "0" * 64 in text  # the study's contents
    assert all(arm.identity in text for arm in finished_data.study.arms)
    assert "Machines host" in text
    assert re.search(r"Analysis ablate \S+, numpy \S+", text)


def test_imported_files_are_named_with_their_sha256(finished_data):
    source = ImportSourceRecord("curves.csv", "c" * 64, "csv", "{}", "atari100k", None, False)
    data = dataclasses.replace(finished_data, sources=(source,))
    text = Page(report.page(data, QUICK, written_at=NOW)).text()
    assert "curves.csv csv atari100k raw returns cccccccccccc" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",  # of the browser's own, which is not the page's
        "no-first-run",
        "window-size=1200,900",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{flag}")  # fmt: skip
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=str(DRIVER))
    )
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page, "utf-8")
    return shown(browser, file)


def shown(browser, file):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(file.as_uri())
    WebDriverWait(browser, 60).until(_is_complete)  # a page of this size arrives in pieces
    return browser


def _is_complete(browser):
    return browser.execute_script("return document.readyState") == "complete"


in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium and its driver are not installed: the page is not opened in a browser",
)


@in_a_browser
def test_a_browser_opens_the_page_without_a_complaint_and_without_the_network(opened):
    complaints = [one for one in opened.get_log("browser") if one["level"] != "INFO"]
    assert complaints == []
    asked = [
        message["params"]["request"]["url"]
        for entry in opened.get_log("performance")
        for message in [json.loads(entry["message"])["message"]]
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("/page.html") for url in asked)
    assert [url for url in asked if url.startswith(("http", "ws"))] == []


@in_a_browser
@pytest.mark.parametrize("phone", [False, True])
def test_every_figure_is_visible_and_the_page_is_no_wider_than_the_screen(opened, phone):
    assert figures_seen(opened, phone=phone) == len(EVERY_FIGURE)


def figures_seen(opened, *, phone):
    """Counts the figures of a page, of which each is visible and none is wider than the screen."""
    if phone:
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    boxes = opened.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(e => {"
        "const box = e.getBoundingClientRect(), ink = e.getBBox();"
        "return [box.width, box.height, ink.width, ink.height]})"
    )
    assert all(min(box) > 100 for box in boxes)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.execute_script(f"return {wide}") <= 0
    return len(boxes)


COLUMN = (
    "return [...document.querySelectorAll('{table} tbody')].map(body => [...body.rows]"
    ".map(row => row.cells[{column}].textContent))"
)


def column(driver, table, place):
    return driver.execute_script(COLUMN.format(table=table, column=place))


@in_a_browser
def test_a_heading_sorts_its_column_up_then_down_and_blocks_stay_together(opened):
    before = column(opened, "table.effects", 2)
    assert len(before) == 4  # the mean and three games
    heading = opened.find_elements("css selector", "table.effects thead th")[2]

    def numbers():
        return [
            [float(text.split()[0]) for text in block]
            for block in column(opened, "table.effects", 2)
        ]

    opened.execute_script("arguments[0].click()", heading)
    assert numbers() == [sorted(block) for block in numbers()]
    assert heading.get_attribute("aria-sort") == "ascending"
    opened.execute_script("arguments[0].click()", heading)
    assert numbers() == [sorted(block, reverse=True) for block in numbers()]
    assert [set(block) for block in before] == [
        set(block) for block in column(opened, "table.effects", 2)
    ]


@in_a_browser
def test_words_sort_as_words_and_thousands_as_numbers(opened):
    headings = opened.find_elements("css selector", "#runs thead th")
    opened.execute_script("arguments[0].click()", headings[1])
    (games,) = column(opened, "#runs table", 1)
    assert games == sorted(games)
    assert games[0] == "Assault"
    opened.execute_script("arguments[0].click()", headings[5])
    (frames,) = column(opened, "#runs table", 5)
    assert [int(text.replace(",", "")) for text in frames] == [400_000] * 36


@in_a_browser
@pytest.mark.slow
def test_the_report_of_a_factorial_of_six_toggles_is_made_in_a_minute_and_seen(
    six_toggles, browser, monkeypatch, tmp_path
):
    monkeypatch.setattr(contents, "FIGURE_TITLES", EVERY_FIGURE)
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    started = time.process_time()
    file = tmp_path / "page.html"
    file.write_text(report.page(six_toggles, Options(), written_at=NOW), "utf-8")
    assert time.process_time() - started < 60
    made = set(EVERY_FIGURE) - {"setting"}  # its arms differ in no number
    for phone in (False, True):
        assert figures_seen(shown(browser, file), phone=phone) == len(made)
    assert [one for one in browser.get_log("browser") if one["level"] != "INFO"] == []
