"""What is printed at the width of a small terminal: no digit and no letter is lost, and nothing wraps twice."""

import re
from itertools import pairwise

import pytest

from penlight.cli.show import listed
from penlight.cli.show.output import plain_console, plain_table
from penlight.recipes.presets import preset_header, preset_names

LABELS = ("atelectasis", "pleural thickening", "none of these at all")
HEADS = ("n", "auc", "average_precision", "AUC by images", "95 % interval", "specificity", "prevalence", "coverage")


def cells(row):
    return [f"{100 * row + column}.{column}47" for column in range(len(HEADS) - 1)]


def rendered(width, *, notes=False):
    table = plain_table()
    table.add_column("")
    for head in HEADS:
        table.add_column(head, justify="right")
    table.add_column("most apart")
    for row, label in enumerate(LABELS):
        interval = "fewer than 20 images or patients" if notes else "−0.055 to −0.007"
        table.add_row(label, *cells(row), interval, "sensitivity 0.90 on val")
    console = plain_console(width=width, color_system=None, force_terminal=False)
    with console.capture() as caught:
        console.print(table)
    return caught.get()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 200])
@pytest.mark.parametrize("notes", [False, True])
def test_a_table_loses_nothing_at_any_width(width, notes):
    text = rendered(width, notes=notes)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in range(len(LABELS)):
        for cell in cells(row):
            # Each number is whole, and stands once.
            assert len(re.findall(rf"(?<!\S){re.escape(cell)}(?!\S)", text)) == 1
    words = {word for label in (*LABELS, "most apart", "AUC by images") for word in label.split()}
    assert words <= set(text.split())
    assert notes or text.count("−0.055 to −0.007") == len(LABELS)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_column_of_numbers_beside_several_of_long_texts_is_whole(width):
    """As of `penlight explain`: one text has a longer word than its share of the width would be."""
    table = plain_table()
    texts = (
        "pics/lesions/Adenocarcinoma,_moderate/000.png",
        "moderately differentiated, with invasion",
        "by a virus",
    )
    for head in ("image", "answer", "label"):
        table.add_column(head)
    for head in ("probability", "peak (row, column)"):
        table.add_column(head, justify="right")
    table.add_row(*texts, "0.962", "16, 21")
    console = plain_console(width=width, color_system=None, force_terminal=False)
    with console.capture() as caught:
        console.print(table)
    text = caught.get()
    assert "0.962" in text
    assert "16, 21" in text
    assert {word for part in (*texts, "probability", "column)") for word in part.split()} <= set(text.split())


def test_a_table_that_fits_is_in_one_part():
    assert len(rendered(200).rstrip("\n").splitlines()) == 1 + len(LABELS)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_recipes_are_wrapped_once(width, monkeypatch, capsys):
    monkeypatch.setattr(listed, "console", lambda: plain_console(width=width))
    listed.print_recipes([{"name": name, "about": preset_header(name)} for name in preset_names()])
    out = capsys.readouterr().out
    lines = out.splitlines()
    # A command may be longer than a line, but is not cut inside a word.
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    for name in preset_names():
        assert " ".join(preset_header(name).split()) in " ".join(out.split())
    # A line ends only where the next word would not fit, or a paragraph ends.
    for line, after in pairwise(lines):
        if line and after and not re.match(r"(Command|Cost|Expected) ", after) and line not in preset_names():
            assert len(line) + 1 + len(after.split()[0]) > width, line
