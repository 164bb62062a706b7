"""How pages look: nothing is cut off on a screen, letters can be read on a phone, and paper has all there is."""

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from penlight.data.audit import audit
from penlight.data.pictures import PictureHeader
from penlight.evaluation.checks import Check
from penlight.reports import run_report
from penlight.reports.audit import write_page
from penlight.reports.dataset import film_to_image, write_show
from penlight.reports.study import study_report
from penlight.reports.study_content import StudyContent
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.browser.conftest import missing
from tests.conftest import LABELS, is_full, small_dataset
from tests.data.test_audit import drawn as audited
from tests.reports.conftest import N, make_content
from tests.reports.test_study_report import FULL, table

SMALLEST_PX = 9
LONG = (
    "Adenocarcinoma, moderately differentiated, with lymphovascular invasion",
    "Basal cell carcinoma of the skin (nodular and superficial type)",
    "Pneumonia caused by an unspecified virus, bilateral",
    "Seborrhoeic keratosis & actinic <lesion> of the face or the neck",
    "Vascular lesion",
    "Normal",
)

CUT = """() => [...document.querySelectorAll('.scroll, .frame, table, figure')]
  .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
  .map((e) => `${e.className} ${e.clientWidth} < ${e.scrollWidth}: ${e.textContent.trim().slice(0, 60)}`)"""
LETTERS = """() => [...document.querySelectorAll('svg.plot')].flatMap((svg) => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll('text')].map((text) => scale * parseFloat(getComputedStyle(text).fontSize));
})"""
PANELS = """() => [...document.querySelectorAll('figure, .strip ol, .looked ol')]
  .map((e) => getComputedStyle(e).breakInside)"""
CAPTIONS = """() => [...document.querySelectorAll('caption')].filter((e) => e.getClientRects().length)
  .map((e) => e.getBoundingClientRect().right - document.documentElement.clientWidth)"""


def runs():
    """What reports of runs show, of grades and of many findings."""
    task, findings = (
        Ordinal(("none", "mild", "severe"), referable=1),
        MultiLabel(tuple(f"finding {i}" for i in range(9))),
    )
    y = np.random.default_rng(1).integers(0, 2, (N, 9))
    return make_content(task, task.encode(np.arange(N) % 3)), make_content(findings, findings.encode(y))


def study_of(example):
    """A study with long titles, several seeds and many checks."""
    checks = tuple(Check(f"PL{i:03}", i < 4, "Seen.", "Why.", "Do.") for i in range(1, 9))
    longer = [replace(e, title=f"{e.title}, trained twice as long", checks=checks) for e in FULL.entries[2:]]
    content = StudyContent("tiny", "Tiny study", "Which?", (table(*FULL.entries[:2], *longer),), example, (), "x")
    return study_report(content)


def long_run():
    task = MultiClass(LONG)
    return make_content(task, task.encode(np.arange(N) % len(LONG)))


def write_audited(folder):
    dataset = audited()
    write_page(dataset, audit(dataset), folder)


def write_films(folder):
    dataset = small_dataset(Binary(("clear", "nodule")))
    film = np.tile(np.arange(0, 200, dtype=np.uint8), (150, 1))
    look = PictureHeader(2000, 1500, False, 16)
    films = [film_to_image(dataset, row, "a label of several words", film, look) for row in range(6)]
    write_show(dataset, folder, films=films)


def write(folder, text):
    folder.mkdir()
    (folder / "index.html").write_text(text)


PAGES = {
    "data-two": lambda folder: write_show(small_dataset(Binary(("clear", "nodule"))), folder),
    "data-films": write_films,
    "data-long": lambda folder: write_show(small_dataset(MultiClass(LONG)), folder),
    "audit": write_audited,
    "study": lambda folder: write(folder, study_of(runs()[0])),
    "run": lambda folder: write(folder, run_report(runs()[0])),
    "findings": lambda folder: write(folder, run_report(runs()[1])),
    "long": lambda folder: write(folder, run_report(long_run())),
}


@pytest.fixture(scope="module")
def loaded(browser, tmp_path_factory):
    """Each page, written and loaded when it is first asked for."""
    context, folder = browser.new_context(), tmp_path_factory.mktemp("pages")

    @cache
    def load(name):
        PAGES[name](folder / name)
        page = context.new_page()
        page.goto((folder / name / "index.html").as_uri())
        return page

    yield load
    context.close()


@pytest.fixture
def opened(loaded):
    """A page of a kind, at the width of a screen, a phone or paper."""

    def open_page(name, width):
        page = loaded(name)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media="null")
        return page

    return open_page


def some(*always, among=PAGES):
    """Pages that are looked at in every test, and the others among some in the full tests."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=() if name in always else pytest.mark.full) for name in among]
    )


MOST = ("data-two", "audit", "study", "run")


@some(*MOST)
def test_nothing_is_cut_off_on_a_screen(opened, name):
    assert opened(name, 1280).evaluate(CUT) == []


@some(*MOST)
def test_a_phone_shows_captions_whole_and_letters_large_enough(opened, name):
    page = opened(name, 390)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert all(beyond <= 0 for beyond in page.evaluate(CAPTIONS))
    # A table that is scrolled to its end still has its caption in sight.
    page.evaluate("() => document.querySelectorAll('.scroll').forEach((e) => e.scrollTo(e.scrollWidth, 0))")
    assert all(beyond <= 0 for beyond in page.evaluate(CAPTIONS))
    assert min(page.evaluate(LETTERS), default=SMALLEST_PX) >= SMALLEST_PX


TITLES = """() => [...document.querySelectorAll('svg.plot')].flatMap((svg) => {
  const level = (text) => Math.abs(text.transform.baseVal.consolidate()?.matrix.b ?? 0) < 0.02;
  const boxes = [...svg.querySelectorAll('text')].filter(level)
    .map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) => a.width && b.width
    && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5).map(([other]) => `${one} | ${other}`));
})"""


@some("run", among=("run", "findings", "long"))
def test_no_text_of_a_figure_lies_over_another(opened, name):
    assert opened(name, 1280).evaluate(TITLES) == []


def test_samples_are_wide_enough_on_a_phone_for_their_letters(opened):
    page = opened("data-two", 390)
    width, least = page.evaluate(
        "() => { const image = document.querySelector('.mosaic img');"
        " return [image.clientWidth, parseFloat(getComputedStyle(image).getPropertyValue('--least'))]; }"
    )
    assert width >= least


NUMBERS = """() => [...document.querySelectorAll('td.n .range')].filter((e) => e.getClientRects().length > 1)
  .map((e) => e.textContent)"""


@some("run", among=("run", "long"))
def test_no_interval_is_broken_on_a_phone_and_on_paper(opened, name):
    page = opened(name, 390)
    page.emulate_media(media="print")
    assert page.evaluate("() => document.querySelectorAll('td.n .range').length") > 0
    assert page.evaluate(NUMBERS) == []


def test_paper_has_what_is_folded_away(opened):
    for name in ("study", "run", *(["findings"] if is_full() else [])):
        page = opened(name, 1280)
        visible = "() => [...document.querySelectorAll('details > :not(summary)')].map((e) => e.checkVisibility())"
        assert set(page.evaluate(visible)) == {False}
        page.emulate_media(media="print")
        assert set(page.evaluate(visible)) == {True}


@some("run", among=("run", "data-two", "audit"))
def test_paper_has_page_numbers_and_no_panel_in_two_parts(opened, tmp_path, name):
    if not shutil.which("pdftotext"):
        missing("pdftotext is not installed: apt-get install poppler-utils.")
    page = opened(name, 1280)
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    words = ["pdftotext", tmp_path / "page.pdf", "-"]
    sheets = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\f")[:-1]
    for number, sheet in enumerate(sheets, 1):
        assert re.search(rf"^{number} ?/ ?{len(sheets)}$", sheet, re.M)
    page.emulate_media(media="print")
    assert set(page.evaluate(PANELS)) <= {"avoid"}


def test_the_panels_of_few_labels_do_not_lie_over_each_other():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from penlight.data.summary import describe
    from penlight.reports.displays import AlongTheFile
    from penlight.reports.displays.data import PANELS as ACROSS

    for labels in (*(LABELS[:n] for n in (2, 3, 4)), LONG):
        display = AlongTheFile(describe(small_dataset(Ordinal(labels))).positions)
        layout = display.layout
        figure = Figure(figsize=(layout.width / 72, layout.height / 72), dpi=72)
        FigureCanvasAgg(figure)
        ax = figure.add_axes(layout.box)
        display.plot(ax)
        figure.draw_without_rendering()
        (legend,) = [child for child in ax.get_children() if type(child).__name__ == "Legend"]
        boxes = [panel.get_tightbbox() for panel in ax.child_axes]
        row = boxes[:ACROSS]
        # Titles may stand above the scale of the next panel, but not in it.
        next_ones = boxes if labels is not LONG else [panel.get_window_extent() for panel in ax.child_axes]
        assert all(one.x1 < other.x0 for one, other in zip(row, next_ones[1 : len(row)], strict=False))
        key = legend.get_window_extent()
        assert figure.bbox.x0 <= key.x0 < key.x1 <= figure.bbox.x1
        assert all(key.y0 > box.y1 for box in row)
