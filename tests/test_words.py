"""Penlight speaks as its field does: private words of 0.1.0 are gone from names, docstrings, messages and pages."""

import ast
import io
import re
import tokenize
from pathlib import Path

import penlight

SOURCE = Path(penlight.__file__).parent
MODULES = sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")])
PAGES = sorted(path for suffix in ("html", "js", "css") for path in SOURCE.rglob(f"*.{suffix}"))

NAMES = {
    *("HOTTEST", "_cooled", "without_idle", "looked_at", "taken_for", "TakenFor", "SetCounts", "known_sets"),
    *("spoke", "spoken_up", "speak_up", "Stated", "Rival", "Shelf", "Shelved", "Watcher", "watcher"),
}
"""Names that had a meaning here alone."""

PHRASES = (
    r"sp(?:eaks?|oke) up",
    r"(?:of|for) one's own",
    r"for want of",
    r"never looks",
    r"[Ww]here answers go",
    r"[Ww]hat it looked at",
    r"sets? of answers",
    r"it is not to pass by",
    r"as sure as right",
)
"""What a docstring, a comment, a message or a page said in words that a stranger has to learn."""


def name(path):
    return path.relative_to(SOURCE).as_posix()


def phrases_in(text):
    plain = re.sub(r"\s+", " ", text)
    return {phrase for phrase in PHRASES if re.search(phrase, plain)}


def test_names_are_the_fields():
    found = {}
    for path in MODULES:
        text, used = path.read_text(), {path.stem}
        # Most files hold none of them anywhere.
        if NAMES.intersection(re.findall(r"\w+", text)):
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            used |= {token.string for token in tokens if token.type == tokenize.NAME}
        found[name(path)] = used & NAMES
    assert len(found) > 250
    assert {path: names for path, names in found.items() if names} == {}


def test_docstrings_comments_and_messages_are_plain():
    found = {}
    for path in MODULES:
        # A string that is written in several parts is one, and so is a sentence that a line end divides.
        text = path.read_text()
        constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        comments = " ".join(line.strip().removeprefix("#") for line in text.splitlines() if "#" in line)
        found[name(path)] = phrases_in("\n".join([comments, *(own for own in constants if isinstance(own, str))]))
    assert {path: said for path, said in found.items() if said} == {}


def test_pages_are_plain():
    texts = {name(path): path.read_text() for path in PAGES}
    found = {path: phrases_in(text) | set(re.findall(r"[\w-]+", text)) & NAMES for path, text in texts.items()}
    assert len(found) > 10
    assert {path: said for path, said in found.items() if said} == {}
