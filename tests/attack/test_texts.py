"""Names, labels and notes of strangers: nothing of them acts on a terminal, in a spreadsheet or in a page."""

import csv
import io
import logging
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import markdown as renderer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from penlight.cli.ending import end
from penlight.cli.show.lines import say
from penlight.cli.show.output import plain_console, plain_table
from penlight.errors import DataError
from penlight.escaping import cell, cells, markdown, markdown_code, printable
from penlight.reports import run_card
from penlight.reports.displays.confusion import ConfusionMatrix
from penlight.reports.figure import draw_svg
from penlight.serve.pages import _TAG, _with_attributes
from penlight.serve.running import _Formatter
from tests.conftest import LABELS as GRADES
from tests.reports.conftest import *  # noqa: F403
from tests.serve.test_routes import GOOD
from tests.trained import trained

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
HOSTILE = [
    "![x](http://evil.example/x.png)",
    "<img src=http://evil.example/x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x][y]\n\n[y]: http://evil.example",
    "<http://evil.example>",
    "\\[x](http://evil.example)",
    "`a` ![x](http://evil.example) `",
    "\\`![x](http://evil.example)\\`",
    "http://evil.example/`<img src=x>`",
    "http://a\\](javascript:1)",
    "www.evil.example <b>x</b>",
    "mailto:a@evil.example",
    "```\n<img src=x>\n```",
    "~~~\n<img src=x>",
    "&lt;img src=x&gt; &#60;img src=x&#62;",
    "<!-- --> <![CDATA[<img>]]>",
    "# head {: onclick=alert(1) }",
    "a | b | ![x](http://evil.example)",
    ESCAPE,
]
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
    "=cmd|' /C calc'!A0",
    "a;=1+1",
    "a,-b",
]


class Tags(HTMLParser):
    """The tags of a page, and their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def live(page):
    """What in a page loads, links or runs something."""
    return [
        (tag, attributes)
        for tag, attributes in Tags(page).found
        if tag in ("img", "a", "script", "iframe", "b")
        or any(name.startswith(("on", "src", "href")) for name in attributes)
    ]


def rendered(text):
    """What readers of Markdown make of it; the second of them makes links of bare addresses as well."""
    strict = MarkdownIt("commonmark", {"html": True}).enable("table")
    yield renderer.markdown(text, extensions=["tables", "fenced_code", "attr_list", "footnotes", "md_in_html"])
    yield strict.render(text)


def document(text):
    said = markdown(text)
    lines = [
        f"# {said}",
        f"- {said}\n- **x** ({said}): {markdown_code(text)} and {said}",
        f"| a | b |\n| --- | --- |\n| {said} | {said} |",
        f"{said}\n",
    ]
    return "\n\n".join(lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_of_a_stranger_is_text(text):
    for page in rendered(document(text)):
        assert live(page) == []
        assert page.count("<td>") == 2


@given(
    st.lists(
        st.sampled_from([*"`[]()!<>\\&|*_#{}:~@-. \n", "http://e.x", "javascript:", "img src=x", "x"]), max_size=14
    )
)
def test_no_mixture_of_signs_becomes_live(signs):
    for page in rendered(document("".join(signs))):
        assert live(page) == []


def test_plain_words_stay_as_they_are():
    for text in (
        "Retina phantom (retina-phantom), 3 > 2, 28 × 28 px.",
        "-0.5 is less",
        "größer, 网膜, می\u200cخواهم",
    ):
        assert markdown(text) == text
        assert printable(text) == text
        assert cell(text) == text.replace("-0.5 is", "'-0.5 is")


def test_a_card_of_hostile_names_is_text(ordinal):
    labels = (*HOSTILE[:2], *ordinal.task.labels[2:])
    for text in HOSTILE:
        info = replace(ordinal.dataset, source=text, licence=text, cautions=(text,), modality=text)
        provenance = {**ordinal.provenance, "command": text}
        content = replace(ordinal, name=text, title=text, dataset=info, provenance=provenance)
        for page in rendered(run_card(content)):
            assert live(page) == [], text
    content = replace(ordinal, task=replace(ordinal.task, labels=labels))
    for page in rendered(run_card(content)):
        assert live(page) == []


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_a_formula(text):
    for delimiter in ",;":
        line = io.StringIO()
        csv.writer(line).writerow([cell(text), cells([text, text])])
        for read in next(csv.reader(io.StringIO(line.getvalue()), delimiter=delimiter)):
            assert not read.strip().strip('"').strip().startswith(tuple("=+-@\uff1d\t\r"))


@pytest.mark.parametrize("number", ["-0.5", "+1", "1e-5", "-3", "0.25"])
def test_numbers_stay_numbers(number):
    assert cell(number) == number


@pytest.mark.parametrize(
    "text", [ESCAPE, "a\r\nb", "\u202egnp.exe", "\u2066x\u2069", "\ud800", "\ufeff", "\u2028", "\x7f"]
)
def test_what_acts_on_a_terminal_is_seen_instead(text, capsys):
    say(text)
    end(DataError(f"{text} is missing.", text))
    table = plain_table()
    table.add_column("name")
    table.add_row(text)
    console = plain_console(file=sys.stdout, force_terminal=True, color_system=None, width=200)
    console.print(table)
    console.print(f"[red]{text}[/nothing] :smile:")
    said = "".join(capsys.readouterr())
    assert all(c == "\n" or c.isprintable() for c in said)
    assert "[/nothing] :smile:" in said


def test_predict_shows_names_and_its_csv_is_safe(tmp_path):
    names = ["=1+1.png", "-x.png", "esc\x1b[31m.png", "line\nend.png", "a;@b.png"]
    for name in names:
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / "\x1b[2Jbad.png").write_bytes(GOOD[:50])
    out = tmp_path / "answers.csv"
    words = [sys.executable, "-c", "from penlight.cli import main; main()", "predict", str(trained("grades")),
             ".", "--csv", str(out)]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[2Jbad.png" in done.stderr
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert sorted(row["file"] for row in rows) == sorted(
        ["'=1+1.png", "'-x.png", "esc\\x1b[31m.png", "line\\nend.png", "a;'@b.png", "\\x1b[2Jbad.png"]
    )
    assert all(0 <= float(row[label]) <= 1 for row in rows if not row["error"] for label in GRADES)


LABELS = (
    "</text><script>alert(1)</script>",
    'x" onload="alert(1)',
    ' style="onload:alert(1)"',
    "$\\frac{1}{$ $x$",
    "--><img src=x> <!-- ]]>",
    'url(#x) href="#y" id="z"',
)


def test_a_report_and_a_page_of_hostile_labels_are_text(ordinal):
    """Figures are drawn with labels, and their styles become attributes on the server's own pages."""
    task = replace(ordinal.task, labels=LABELS[: len(ordinal.task.labels)])
    for labels in (LABELS[:3], LABELS[3:]):
        task = replace(ordinal.task, labels=(*labels, *ordinal.task.labels[len(labels) :]))
        content = replace(ordinal, task=task, test=replace(ordinal.test, task=task), name=labels[0], title=labels[1])
        display = ConfusionMatrix.from_predictions(content.test, content.decided)
        svg = draw_svg(display, "x", ())
        assert len({tag for tag, _ in Tags(svg).found} & {"script", "img"}) == 0
        page = _TAG.sub(_with_attributes, svg)
        for drawn in (svg, page):
            assert not [name for _, given in Tags(drawn).found for name in given if name.startswith("on")]
            assert ElementTree.fromstring(drawn) is not None


def test_lines_of_a_log_are_lines(capsys):
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter("%(levelname)s %(message)s"))
    handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, "left out: %s", ("a\nINFO b\x1b[2J",), None))
    assert capsys.readouterr().out == "WARNING left out: a\\nINFO b\\x1b[2J\n"


def test_lines_are_printed_in_one_place():
    """Nothing in the command prints past `say` and the plain console."""
    import penlight.cli

    for file in Path(penlight.cli.__file__).parent.rglob("*.py"):
        text = file.read_text()
        if file.name not in ("lines.py", "ending.py"):
            assert " print(" not in text.replace("out.print(", "").replace("console.print(", ""), file
        if file.name != "output.py":
            assert "Console(" not in text, file
