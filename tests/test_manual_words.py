"""Hand-written pages use the terms of the field; generated pages take their words from the code."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FROM_CODE = ("commands", "recipe", "presets", "datasets", "metrics", "python")
_GENERATED = {"checks.md", *(f"{name}.md" for name in _FROM_CODE)}
_BY_HAND = (page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in _GENERATED)
_TABLES = re.compile(r"^\|.*\n", re.M)
"""Left out of architecture.md, whose list of moves contains the former names."""

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *_BY_HAND,
    *sorted((ROOT / "examples").glob("*.ipynb")),
]

PHRASES = (
    r"sp(?:eaks?|oke) up",
    r"of one's own",
    r"for want of",
    r"never looks",
    r"sets? of answers",
    r"majority answer",
    r"[Aa]sk (?:a run|it) about",
    r"what an answer rests on",
    r"is told (?:in|from)",
    r"told apart",
    r"by anybody|somebody else",
    r"\bso many\b",
    r"the study that Penlight grew from",
    r"\bthe study's (?:network|row)",
    r"learned as such",
)


def text_of(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        return " ".join(line for cell in json.loads(text)["cells"] for line in cell["source"])
    return _TABLES.sub("", text) if page.name == "architecture.md" else text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_the_words_of_the_field(page):
    plain = re.sub(r"\s+", " ", text_of(page))
    assert [phrase for phrase in PHRASES if re.search(phrase, plain)] == []
