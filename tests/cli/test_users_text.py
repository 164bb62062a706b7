"""Text of a user is text: no label, title or file name is read as markup by the terminal, a page or a picture."""

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penlight.api.progress import TrainingView
from penlight.cli.show.output import console, plain_table
from penlight.reports.displays import ConfusionMatrix
from penlight.reports.figure import draw_svg
from tests.conftest import sketch_figures

LABELS = ("[/x] bad", "[nv]", r"$\frac{1$", "<i>x</i>", ":skull:", "#14161a", "_a & b")
"""As Rich's markup and emoji, a formula, HTML, a colour of the page's own, and hidden to a legend."""


class _Text(HTMLParser):
    """The text that a page shows, and the names of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.elements = "", set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pictures with such labels in a folder with such a name, and a table of them."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("texts") / "[bold] own"
    folder.mkdir()
    rows = []
    for i in range(20 * len(LABELS)):
        place = i % len(LABELS)
        pixels = random.integers(0, 90, (28, 28), np.uint8)
        pixels[4 * place : 4 * place + 4] += 120
        Image.fromarray(pixels).save(folder / f"[nv]{i}.png")
        rows.append({"path": f"[nv]{i}.png", "label": LABELS[place], "site": ("[/]", "<b>s</b>")[i // 7 % 2]})
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def shows_all(text: str) -> bool:
    return all(label in text for label in LABELS)


@pytest.mark.drawn
def test_every_command_and_page_shows_labels_as_they_are(
    penlight, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = penlight("data", "new", folder / "table.csv", "--name", "own")
    assert code == 0, err
    assert shows_all(out)
    code, out, err = penlight("data", "show", "own.toml", "--out", tmp_path / "shown")
    assert code == 0, err
    assert shows_all(out)
    page = _Text((tmp_path / "shown" / "index.html").read_text())
    assert shows_all(page.text)
    assert not {"i", "b"} & page.elements
    runs = [tmp_path / "[red] run", tmp_path / "[/] run"]
    for run, components in zip(runs, (4, 8), strict=True):
        how = ("--recipe", "linear", "--set", f"model.components={components}", "--full", "--out", run)
        code, out, err = penlight("train", "own.toml", *how)
        assert code == 0, err
        assert shows_all(out)
        sketch_figures(monkeypatch)
    page = _Text((runs[0] / "report.html").read_text())
    assert shows_all(page.text)
    assert "[red] run" in page.text
    assert not {"i", "b"} & page.elements
    code, out, err = penlight("evaluate", runs[0], "--full")
    assert code == 0, err
    assert shows_all(out)
    assert "site [/]" in out
    code, out, err = penlight("compare", *runs)
    assert code == 0, err
    assert all(run.name in out for run in runs)
    for command in ("predict", "explain"):
        code, out, err = penlight(command, runs[0], *(folder / f"[nv]{i}.png" for i in range(7)))
        assert code == 0, err
        assert "[nv]6.png" in out
    code, out, err = penlight("data", "audit", "own.toml", "--out", tmp_path / "audited")
    assert code == 0, err
    json.dumps(out)


def test_a_figure_changes_its_own_tags_and_no_text_between_them() -> None:
    labels = (*LABELS, ' id="x1"', "url(#p1)", "font-family: x;", "0.12345")
    display = ConfusionMatrix(np.eye(len(labels), dtype=int), labels, "label")
    svg = draw_svg(display, "figure")
    texts = re.findall(r"<text[^>]*>(.*?)</text>", svg)
    shown = _Text("".join(texts)).text
    assert all(label.strip() in shown for label in labels)


@pytest.mark.parametrize("text", ["[/x] bad", "[nv]", ":smile:", "[link=http://x]a[/link]"])
def test_consoles_print_text_as_it_is(capsys, text: str) -> None:
    table = plain_table()
    table.add_column(text)
    table.add_row(text, style="bold")
    console().print(table)
    console().print(text)
    with TrainingView() as view:
        view.on_step(text)
        view.on_warning(text)
    out, err = capsys.readouterr()
    assert (out.count(text), err.count(text)) == (3, 2)
