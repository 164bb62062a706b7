"""The manual cannot go stale: pages written from the code say what it says, and every command that is shown runs.

A page's blocks run one after the other in one empty folder: `sh` by line, `python` in one namespace, `toml` and `csv`
with a title as a file of that name. Real datasets become phantoms of few images, networks train for one epoch with
one seed, and what was trained for one page is copied for the next. A comment before a block says what else is
different here:

    <!-- run: add --set model.weights=random -->   words that are added to each command; several with "; " between
    <!-- run: exit 1, none is on disk -->          the exit code that each command ends with, and why
    <!-- in full: it builds a MobileNet -->        run in the full tests alone, otherwise as the next
    <!-- not run: needs two machines -->           its words are checked: there is such a command with such options

and `<!-- files: films -->` at the head of a page, which of `FILES` lie there before.

Pages in `LEADING` run in every test. The others run in the full tests; elsewhere their commands are looked up with
their options, their code is compiled and their files are read.
"""

import functools
import importlib.util
import json
import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import typer
from PIL import Image

from penlight import __version__
from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.cli.app import app
from penlight.data import store
from penlight.experiments import opened
from penlight.models.backbones import BACKBONES
from penlight.models.pretrained import APPLICATIONS
from penlight.recipes import plan
from penlight.serve import running
from penlight.tasks import TASKS
from tests.cli.conftest import penlight  # noqa: F401
from tests.data.test_dicom import dicom as dicom_bytes
from tests.remembered import audit_once, draw_once, is_drawn, leave_reports_out
from tests.stubs import stub_fit

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.M | re.S,
)
_INLINE = re.compile(r"`(penlight [^`\n]+)`")

STAND_INS = {"retinamnist": "retina-phantom", "chestmnist": "chest-phantom", "nih1000": "chest-phantom"}
IMAGES = {"train": 160, "val": 60, "test": 80}
LEADING = ("README.md",)


def name_of(page):
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str
    note: str
    line: int

    @property
    def lines(self):
        """The commands of a shell block, continued lines joined."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for line in map(str.strip, joined) if line and not line.startswith("#")]

    def said(self, word):
        """What the comment says after a word, as texts; empty if it does not say it."""
        _, _, rest = self.note.partition(": ")
        return [part.removeprefix(f"{word} ") for part in rest.split("; ") if part.startswith(f"{word} ")]

    def runs(self, *, full):
        kind = self.note.partition(": ")[0]
        return kind != "not run" and (full or kind != "in full")


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["language"], m["title"] or "", m["text"], m["note"] or "", text.count("\n", 0, m.start("text")))
        for m in _FENCE.finditer(text)
    ]


def films(folder):
    """Class folders of small pictures that differ in brightness, and a table that names patients."""
    rows = ["file,finding,patient,age,sex"]
    random = np.random.default_rng(0)
    for label, light in (("normal", 50), ("effusion", 110)):
        (folder / "films" / label).mkdir(parents=True)
        for i in range(40):
            pixels = random.integers(0, 90, (32, 40), np.uint8) + light
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "films" / label / f"{label}-{i}.png")
            rows.append(f"films/{label}/{label}-{i}.png,{label},p{label}{i // 2},{20 + i},{'FM'[i % 2]}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n")


def dicom(folder):
    """The same, as DICOM files without an ending."""
    for label, light in (("normal", 200), ("effusion", 900)):
        (folder / "dicom" / label).mkdir(parents=True)
        for i in range(30):
            pixels = np.random.default_rng(i).integers(0, 900, (32, 32), np.uint16) + light
            (folder / "dicom" / label / f"IM{i:03}").write_bytes(dicom_bytes(pixels.astype(np.uint16)))


def official(folder):
    """Probabilities of val and test of retina-phantom in the official format, as somebody else's code wrote them."""
    dataset = store.open_dataset("retina-phantom", 28)
    random = np.random.default_rng(0)
    for split in ("val", "test"):
        y = dataset.info.task.encode(dataset.splits[split].labels)
        prob = y + random.uniform(0.1, 1, y.shape)
        rows = np.column_stack([np.arange(len(y)), prob / prob.sum(axis=1, keepdims=True)])
        np.savetxt(folder / f"theirs_{split}.csv", rows, delimiter=",")


def eye(folder):
    """Pictures of retina-phantom, one here and some in a folder."""
    (folder / "pictures").mkdir()
    images = store.open_dataset("retina-phantom", 28).splits["test"].images
    for i, place in enumerate(("eye.png", "pictures/one.png", "pictures/two.png")):
        Image.fromarray(np.asarray(images[i])).save(folder / place)


FILES = {"films": films, "dicom": dicom, "official": official, "eye": eye}


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def desk(own_folders, shared_cache, monkeypatch):
    """An empty working folder, with phantoms of few images that are drawn once for all pages."""
    draw_once(monkeypatch, IMAGES)
    monkeypatch.setenv("PENLIGHT_CACHE", str(shared_cache))
    monkeypatch.delenv("PENLIGHT_DATA", raising=False)
    # A server would wait for requests, and take this process's signals and logs.
    monkeypatch.setattr(running.Server, "run", lambda server, sockets: None)
    # Its port may be that of another process of these tests.
    monkeypatch.setattr(running, "_bound", lambda host, port: [])
    monkeypatch.setattr(running.signal, "signal", lambda *_: None)
    monkeypatch.setattr(running, "_log_to_stderr", lambda quiet: None)
    return own_folders / "work"


@functools.cache
def whole_command():
    return typer.main.get_command(app)


def leaf(words):
    """The command that words name, and what is left of them."""
    command = whole_command()
    words = list(words)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command, words


def check_words(words):
    """The command exists, and takes these arguments and options."""
    command, rest = leaf(words)
    assert not hasattr(command, "commands") or not rest or rest[0] == "--version", words
    if rest and not hasattr(command, "commands"):
        command.make_context("penlight", rest)


def check_span(span):
    """As `check_words`, in running text, where a capital letter stands for a number and arguments may be left out."""
    words = ["2" if re.fullmatch("[A-Z]", word) else word for word in shlex.split(span)[1:]]
    try:
        check_words(words)
    except Exception as error:
        if type(error).__name__ != "MissingParameter":
            raise


def as_run_here(words, block, *, full):
    """A command on phantoms and with few epochs, and with what the page's comment adds. How answers are decided is
    shown, but for the full tests, by the linear baseline, which takes less time to train."""
    for name, stand_in in STAND_INS.items():
        words = [re.sub(rf"\b{name}\b", stand_in, word) for word in words]
    if words[0] == "train":
        if not full and any(word.startswith("decide.") for word in words):
            words = ["linear" if before == "--recipe" else word for before, word in pairwise(["", *words])]
        # The demo's network learns something in a few epochs, which a file of 8 bits must keep.
        epochs = 6 if "demo" in words else 1
        words = [*_without("--seeds", _without("--set", words, "train.epochs=")), "--set", f"train.epochs={epochs}"]
    for added in block.said("add"):
        words += shlex.split(added)
    return words


class Terminal:
    """Where a page's commands are typed; `full` draws every report and trains what was trained for another page."""

    trained: ClassVar = {}

    def __init__(self, penlight, monkeypatch, kept, *, full):  # noqa: F811
        self.penlight, self.setenv, self.kept, self.full = penlight, monkeypatch.setenv, kept, full

    def runs(self, block):
        return block.runs(full=self.full)

    def run(self, block):
        for line in block.lines:
            for words in _simple_commands(line):
                self.run_one(words, block)

    def run_one(self, words, block):
        name, rest = Path(words[0]).name, words[1:]
        if name == "penlight":
            check_words(rest)
            if self.runs(block):
                self.run_penlight(as_run_here(rest, block, full=self.full), int((block.said("exit") or ["0"])[0][:1]))
        elif name == "export":
            self.setenv(*rest[0].split("=", 1))
        else:
            OTHERS[name or words[0]](rest)

    def run_penlight(self, words, expected):
        known = tuple(_without("--out", words))
        repeatable = words[0] == "train" and not words[1].endswith(".toml") and "--json" not in words
        if repeatable and known in self.trained and not self.full:
            kept, folder = self.trained[known]
            shutil.copytree(kept, words[words.index("--out") + 1] if "--out" in words else folder)
            return
        code, out, err = self.penlight(*words)
        assert code == expected, f"{shlex.join(words)}\n{err}"
        if repeatable and known not in self.trained:
            folder = Path(out.splitlines()[-1]).parent
            self.trained[known] = self.kept / f"trained-{len(self.trained)}", folder
            shutil.copytree(folder, self.trained[known][0])


class Reader(Terminal):
    """Where commands are read and not run."""

    def runs(self, block):
        return False


def _without(option, words, value=""):
    """Leave an option out where its value begins with `value`."""
    pairs = list(pairwise(["", *words, ""]))
    places = [i for i, (word, after) in enumerate(pairs[1:]) if word == option and after.startswith(value)]
    return [word for i, word in enumerate(words) if i not in places and i - 1 not in places]


def _simple_commands(line):
    words = shlex.split(line, comments=True)
    while "&&" in words:
        yield words[: words.index("&&")]
        words = words[words.index("&&") + 1 :]
    yield words


def _target_exists(words):
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{word}:", makefile, re.M) for word in words if "=" not in word), words


def _extras_exist(words):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        asked = re.fullmatch(r"(?:penlight|\.|.*/penlight-(.+)-py3-none-any\.whl)\[(.+)\]", word)
        assert asked is None or set(asked[2].split(",")) <= set(extras), word
        assert asked is None or asked[1] in (None, __version__), word


def _module_exists(words):
    if words[0] == "-m" and words[1] == "pip":
        _extras_exist(words[2:])
    elif words[0] == "-m":
        assert words[1] in {"venv", "http.server"} or importlib.util.find_spec(words[1])
    else:
        assert (ROOT / words[0]).exists()


def _nothing(words):
    """Files are moved about; nothing here depends on it."""


OTHERS = {
    "make": _target_exists,
    **dict.fromkeys(("pip", "pipx", "uv"), _extras_exist),
    "python": _module_exists,
    "python3": _module_exists,
    **dict.fromkeys(
        (
            *(".", "cd", "cp", "mkdir", "jupyter", "curl", "openssl", "chmod", "chown", "install", "adduser"),
            *("docker", "dask", "mlflow", "tensorboard"),
        ),
        _nothing,
    ),
}


@pytest.fixture
def tables_kept():
    """Take back what a page adds to the tables of the package."""
    from penlight.evaluation import METRICS

    kept = [(table, dict(table)) for table in (METRICS, TASKS, BACKBONES)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


@pytest.fixture
def quick(monkeypatch):
    """Reports are not drawn, planned networks are small and compared in two folds, and what is fitted to a phantom
    besides the model is fitted once for all pages."""
    leave_reports_out(monkeypatch)
    audit_once(monkeypatch)
    monkeypatch.setattr(plan, "_WIDTHS", (8,))
    monkeypatch.setattr("penlight.experiments.ladder.FOLDS", 2)
    make = opened.Baselines

    def baselines(view, listener, accesses):
        key, made = (id(view.dataset), view.view), make(view, listener, accesses)
        made = _BASELINES.setdefault(key, made) if is_drawn(view.dataset) else made
        made.accesses = accesses
        return made

    monkeypatch.setattr(opened, "Baselines", baselines)


_BASELINES = {}


def run_page(page, desk, terminal):
    text = page.read_text(encoding="utf-8")
    for kind in re.findall(r"<!-- files: (.+) -->", text):
        FILES[kind](desk)
    scope = {"__name__": page.stem}
    for block in blocks(page):
        if block.language == "sh":
            terminal.run(block)
        elif block.language == "python":
            code = compile("\n" * block.line + block.text, name_of(page), "exec")
            if terminal.runs(block):
                exec(code, scope)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        if block.title:
            Path(block.title).write_text(block.text)
    for span in _INLINE.findall(text):
        check_span(span)


SHOWING = [page for page in PAGES if re.search(r"^```(sh|python)|`penlight ", page.read_text(), re.M)]


FOLLOWED = [pytest.param(page, marks=() if name_of(page) in LEADING else pytest.mark.full) for page in SHOWING]


@pytest.mark.parametrize("page", [page for page in SHOWING if name_of(page) not in LEADING], ids=name_of)
def test_what_a_page_shows_is_there(page, desk, penlight, monkeypatch, shared_cache):  # noqa: F811
    run_page(page, desk, Reader(penlight, monkeypatch, shared_cache, full=False))


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_what_a_page_shows_runs(page, desk, quick, penlight, monkeypatch, tables_kept, shared_cache):  # noqa: F811
    # The step of training is run once, by README; in the full tests by all.
    if page != PAGES[0]:
        stub_fit(monkeypatch)
    run_page(page, desk, Terminal(penlight, monkeypatch, shared_cache, full=False))


@pytest.mark.full
@pytest.mark.drawn
@pytest.mark.mapped
@pytest.mark.parametrize("page", SHOWING, ids=name_of)
def test_what_a_page_shows_runs_in_full(page, desk, penlight, monkeypatch, tables_kept, shared_cache):  # noqa: F811
    run_page(page, desk, Terminal(penlight, monkeypatch, shared_cache, full=True))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_says_why_a_block_is_not_run(page):
    for block in blocks(page):
        kind, _, reason = block.note.partition(": ")
        assert not block.note or (kind in ("run", "in full", "not run") and reason), block.note
        assert block.language in {"sh", "python", "toml", "json", "csv", "text", "ini", "nginx", "pycon"}, (
            block.language
        )


def reference():
    spec = importlib.util.spec_from_file_location("docs_reference", ROOT / "docs" / "_reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", ["commands", "recipe", "presets", "datasets", "metrics", "python"])
def test_a_page_of_the_reference_says_what_the_code_says(name):
    pages = reference()
    assert name in pages
    assert (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8") == pages[name](), "run: make docs"


@pytest.mark.mapped
def test_every_file_of_a_run_is_described(desk, quick, monkeypatch):
    stub_fit(monkeypatch)
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    small = ["train.epochs=1", "model.filters=[4]", "model.dense=4"]
    recipe = resolve_recipe("retina-phantom", "demo", small)
    run = train_recipe(recipe, out=Path("run")).folder
    for file in run.iterdir():
        kind = re.sub(r"-(majority|linear)-", "-NAME-", re.sub(r"-(val|test)\.", "-SPLIT.", file.name))
        assert f"`{kind}`" in text, kind
        if file.suffix == ".json":
            missing = [key for key in json.loads(file.read_text()) if f"`{key}`" not in text]
            assert missing == [], file.name


def test_weights_that_have_to_be_fetched_by_hand_are_named():
    text = (ROOT / "docs" / "how-to" / "air-gapped.md").read_text(encoding="utf-8")
    for application in APPLICATIONS.values():
        assert application.file.split("{")[0] in text


def test_the_manual_is_built_from_what_lies_here():
    """No page is left out of the navigation, and nothing is loaded from elsewhere."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r": ([\w/-]+\.md)$", config, re.M))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}
    assert "https://" not in config
    for page in PAGES[1:]:
        assert not re.search(r"!\[[^]]*\]\(https?:|<(img|script|iframe)\b[^>]*https?:", page.read_text()), page


@pytest.mark.parametrize("words", ["pandas", "confusion matrix", "heat map", "F1", "Docker"])
def test_the_manual_has_the_words_that_people_search(words):
    assert any(re.search(rf"\b{words}\b", page.read_text(encoding="utf-8"), re.I) for page in PAGES[1:])


def test_every_command_is_shown():
    words = [shlex.split(span) for page in PAGES for span in _INLINE.findall(page.read_text(encoding="utf-8"))]
    words += [
        [Path(first).name, *rest]
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for line in block.lines
        for first, *rest in _simple_commands(line)
    ]
    shown = {leaf(rest)[0].name for first, *rest in words if first == "penlight"}
    groups = [whole_command()]
    for group in groups:
        groups += [command for command in group.commands.values() if hasattr(command, "commands")]
    assert {name for group in groups for name in group.commands} - shown <= {"data", "encoders"}


TAGS = {"a", "br", "div", "img", "p", "span", "sub", "sup"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_placeholder_is_read_as_a_tag_and_vanishes(page):
    text = re.sub(r"<!--.*?-->|^```.*?^```$|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert set(re.findall(r"<(\w[\w-]*)[^<>]*>", text)) <= TAGS
    # What Python says of an absent value is no default.
    assert "<class" not in page.read_text(encoding="utf-8")
