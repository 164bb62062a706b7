"""A description from a stranger: nothing outside its folder is read, and nothing beside it is written."""

import contextlib
import csv
import functools
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight import disk
from penlight.api.requests import resolve_recipe
from penlight.api.training import train_recipe
from penlight.data import apply_view, open_dataset
from penlight.data.folders import cache_folder
from penlight.errors import DataError, PenlightError, RecipeError
from penlight.recipes import load_recipe
from tests.data.tiny_dataset import DESCRIPTION, tiny_arrays
from tests.remembered import leave_reports_out

HEAD = """
name = "films"
title = "Films"
task = "binary"
labels = ["no", "yes"]
licence = "CC0"
source = "drawn"
channels = 1
"""
IMAGES = """
[images]
from = "films"
sizes = [28]
values = ["a", "b"]
"""
FOLDER = """
[split]
file = "films-splits.csv"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's folder: films.toml, and sixty pictures in films/; the working folder is another one."""
    monkeypatch.delenv("PENLIGHT_DATA", raising=False)
    folder = tmp_path / "stranger"
    draw(folder / "films")
    (folder / "films.toml").write_text(HEAD + IMAGES)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@functools.cache
def drawn(n: int) -> dict[str, bytes]:
    random, found = np.random.default_rng(0), {}
    for name, light in (("a", 0), ("b", 90)):
        for i in range(n):
            file = io.BytesIO()
            Image.fromarray((random.integers(0, 90, (30, 30)) + light).astype(np.uint8)).save(file, "PNG")
            found[f"{name}/{name}{i}.png"] = file.getvalue()
    return found


def draw(root: Path, n: int = 30) -> Path:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    for name, content in drawn(n).items():
        (root / name).write_bytes(content)
    return root


def files(root: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below a place, with its size and time of change."""
    found = {}
    for path in root.rglob("*"):
        about = path.lstat()
        found[path.relative_to(root).as_posix()] = (about.st_size if path.is_file() else 0, about.st_mtime_ns)
    return found


def described(folder: Path, old: str, new: str) -> Path:
    text = (folder / "films.toml").read_text()
    assert old in text
    (folder / "films.toml").write_text(text.replace(old, new, 1))
    return folder / "films.toml"


OUTSIDE = ["../x/keys", "/tmp/keys", "a/../../keys", "~/keys", "..\\\\keys", "C:/keys", "C:keys", "a\\u0000b", ""]
OUTSIDE += ["./k", "//k"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_split_file_elsewhere_is_neither_read_nor_written(place: Path, tmp_path: Path, name: str) -> None:
    path = described(place, IMAGES, f'{IMAGES}\n[split]\nfile = "{name}"\n')
    before = files(tmp_path)
    with pytest.raises(DataError, match=r"split\.file|control character|file has the"):
        pl.show(str(path))
    assert {**before, "cache": 0}.keys() >= {name for name in files(tmp_path) if not name.startswith("cache")}


@pytest.mark.parametrize("name", [*OUTSIDE, "..", "a/.."])
def test_pictures_elsewhere_are_not_read_and_the_option_is_named(place: Path, tmp_path: Path, name: str) -> None:
    draw(tmp_path / "x" / "keys")
    path = described(place, 'from = "films"', f'from = "{name}"')
    with pytest.raises(DataError, match=r"images\.from|control character|from has the") as caught:
        pl.show(str(path))
    assert "images=FOLDER" in str(caught.value) or "control character" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in OUTSIDE if name])
def test_an_npz_elsewhere_is_not_read(place: Path, name: str) -> None:
    (place / "tiny.toml").write_text(DESCRIPTION.replace("tiny.npz", name))
    with pytest.raises(DataError, match=r"files (must name|has the)"):
        pl.show(str(place / "tiny.toml"))


def links(folder: Path, what: str) -> None:
    """Put a link where a description names a file, to something of the same kind elsewhere."""
    elsewhere = folder.parent / "elsewhere"
    if what == "files":
        elsewhere.mkdir()
        np.savez(elsewhere / "tiny.npz", **tiny_arrays())
        (folder / "tiny.npz").symlink_to(elsewhere / "tiny.npz")
        (folder / "films.toml").unlink()
        (folder / "films.toml").write_text(DESCRIPTION.replace('"tiny"', '"films"', 1))
    elif what == "from":
        shutil.move(folder / "films", elsewhere)
        (folder / "films").symlink_to(elsewhere)
    elif what == "from, in the middle":
        elsewhere.mkdir()
        shutil.move(folder / "films", elsewhere / "films")
        (folder / "a").symlink_to(elsewhere)
        described(folder, 'from = "films"', 'from = "a/films"')
    elif what == "a table":
        elsewhere.mkdir()
        (elsewhere / "t.csv").write_text("path,label\nfilms/a/a1.png,a\n")
        (folder / "t.csv").symlink_to(elsewhere / "t.csv")
        described(folder, 'from = "films"', 'from = "t.csv"\ncolumns = { path = "path", label = "label" }')
    elif what == "a picture":
        elsewhere.mkdir()
        shutil.move(folder / "films" / "a" / "a0.png", elsewhere / "a0.png")
        (folder / "films" / "a" / "a0.png").symlink_to(elsewhere / "a0.png")
    else:
        elsewhere.mkdir()
        (elsewhere / "s.csv").write_text("path,split\n")
        (folder / "s.csv").symlink_to(elsewhere / "s.csv")
        described(folder, IMAGES, f'{IMAGES}\n[split]\nfile = "s.csv"\n')


TABLE = 'from = "t.csv"\ncolumns = { path = "path", label = "label" }\n'
ELSEWHERE = [
    ('folder = "{name}"', r"images\.from|control character|links"),
    ('tables = ["{name}"]', "cannot be read|control character|links"),
    ('join = ["{name}"]', "cannot be read|control character|links"),
    ('lists = {{ train = "{name}" }}', "cannot be read|control character|links"),
]


@pytest.mark.parametrize("name", ["../x/keys", "/tmp/keys", "a/../../keys", "~/keys", "C:/keys", "a\\u0000b", "link"])
@pytest.mark.parametrize(("line", "message"), ELSEWHERE)
def test_no_line_of_a_description_reads_elsewhere(
    place: Path, tmp_path: Path, line: str, message: str, name: str
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "keys").write_text("path,label\nfilms/a/a1.png,secret\n")
    rows = "".join(f"films/{k}/{k}{i}.png,{k}\n" for k in "ab" for i in range(30))
    (place / "t.csv").write_text(f"path,label\n{rows}")
    if name == "link":
        (place / "link").symlink_to(tmp_path / "x" / "keys")
    source = TABLE.replace("t.csv", ".") if "tables" in line else TABLE
    path = described(place, 'from = "films"\n', source + line.format(name=name) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(path)
    assert "secret" not in str(caught.value)


SLOW = "*a" * 99 + "b"
STRANGE = [
    (f'ignore = ["{SLOW}"]', ""),
    (f"ignore = {json.dumps(['x'] * 99)}", "ignore may be"),
    (f'ignore = ["{"x" * 600}"]', "may have"),
    (f'folders = "{SLOW}{{label}}"', ""),
    (f'folders = "{"x" * 600}{{label}}"', "may have"),
    ('folders = "{label}/../{split}"', "must have"),
    ('folders = "(a+)+$"', "must have"),
    (f'patient_in_name = "{SLOW}{{patient}}"', "do not show a patient"),
    ('patient_in_name = "(a+)+$"', "no name of"),
    ('patient_in_name = "\\u001b[2J{patient}"', "control character"),
]


@pytest.mark.parametrize(("line", "message"), STRANGE)
def test_patterns_of_a_stranger_cost_no_time(place: Path, line: str, message: str) -> None:
    for i in range(3):
        (place / "films" / "a" / f"{'a' * 200}{i}.png").write_bytes((place / "films" / "a" / "a0.png").read_bytes())
    path = described(place, "sizes = [28]", f"sizes = [28]\n{line}")
    begun = time.monotonic()
    if message:
        with pytest.raises(DataError, match=message):
            open_dataset(path)
    else:
        with contextlib.suppress(DataError):
            open_dataset(path)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("what", ["files", "from", "from, in the middle", "a table", "a picture", "split"])
def test_links_are_not_followed_out_of_the_folder(place: Path, what: str) -> None:
    links(place, what)
    with pytest.raises(DataError, match=r"links? "):
        pl.show(str(place / "films.toml"))


@pytest.mark.parametrize("name", ["films.toml", "films-splits.csv", "t.csv"])
def test_a_pipe_is_not_waited_for(place: Path, name: str) -> None:
    if name == "t.csv":
        described(place, 'from = "films"', 'from = "t.csv"\ncolumns = { path = "path", label = "label" }')
    (place / name).unlink(missing_ok=True)
    os.mkfifo(place / name)
    with pytest.raises(DataError, match="not a regular file"):
        pl.show(str(place / "films.toml"))


def test_a_device_is_no_description(tmp_path: Path) -> None:
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a regular file"):
        pl.show(str(tmp_path / "zero.toml"))


def test_no_command_writes_beside_a_description(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened, shown, audited, trained and reported, with the split file there and without."""
    leave_reports_out(monkeypatch)
    before, path = files(place), str(place / "films.toml")
    pl.show(path)
    pl.audit(path)
    pl.fetch(path)
    run = train_recipe(resolve_recipe(path, "majority"), out=Path("run")).folder
    pl.report(run)
    assert files(place) == before
    # The splits follow from the seed: they are the same each time.
    splits = [split.labels.tolist() for split in open_dataset(path).splits.values()]
    shutil.rmtree(cache_folder())
    assert [split.labels.tolist() for split in open_dataset(path).splits.values()] == splits


def test_what_cannot_be_read_is_listed_in_the_cache(place: Path) -> None:
    (place / "films" / "a" / "a0.png").write_bytes(b"no")
    before = files(place)
    with pytest.raises(DataError, match=r"1 picture cannot be read.*a/a0\.png") as caught:
        pl.show(str(place / "films.toml"))
    assert files(place) == before
    found = re.search(r"All are in (\S+\.csv)\.", str(caught.value))
    assert found is not None
    assert Path(found[1]).is_relative_to(cache_folder())
    assert "a/a0.png" in Path(found[1]).read_text()


def test_pictures_elsewhere_are_read_once_the_user_names_them(place: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(place / "films", elsewhere)
    path = str(place / "films.toml")
    with pytest.raises(DataError, match=r"no folder .*films.*images=FOLDER"):
        open_dataset(path)
    with pytest.raises(DataError, match="no folder"):
        pl.name_images(path, tmp_path / "none")
    pl.name_images(path, elsewhere)
    dataset = open_dataset(path)
    assert sum(len(split) for split in dataset.splits.values()) == 60
    # Correcting the description loses nothing; a copy of it elsewhere gains nothing.
    described(place, 'title = "Films"', 'title = "Films of 2025"')
    assert open_dataset(path).md5 == dataset.md5
    (tmp_path / "copy").mkdir()
    shutil.copy(path, tmp_path / "copy" / "films.toml")
    with pytest.raises(DataError, match="images=FOLDER"):
        open_dataset(tmp_path / "copy" / "films.toml")
    # Nor does one in the same place that names another folder.
    described(place, 'from = "films"', 'from = "other"')
    with pytest.raises(DataError, match="images=FOLDER"):
        open_dataset(path)


def test_data_new_names_a_folder_elsewhere_without_its_path(place: Path, tmp_path: Path) -> None:
    found = pl.new_dataset(place / "films", task="binary")
    text = found.description.read_text() + found.splits.read_text()
    assert 'from = "films"' in text
    assert str(tmp_path) not in text
    assert ".." not in text.replace("...", "")
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == 60
    # Where the cache has forgotten it, the option says where it is.
    shutil.rmtree(cache_folder())
    with pytest.raises(DataError, match="images=FOLDER"):
        open_dataset(found.description)
    pl.name_images(str(found.description), place / "films")
    open_dataset(found.description)


def test_a_table_and_an_npz_elsewhere_are_named_too(place: Path, tmp_path: Path) -> None:
    with (place / "t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        rows.writerows((f"films/{k}/{k}{i}.png", k) for k in "ab" for i in range(30))
    found = pl.new_dataset(place / "t.csv")
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == 60
    # A table of the user's own about pictures elsewhere.
    own = Path("own.csv")
    own.write_text((place / "t.csv").read_text())
    with pytest.raises(DataError, match="no such file"):
        pl.new_dataset(own)
    found = pl.new_dataset(own, images=place)
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == 60
    np.savez(place / "mine.npz", **tiny_arrays())
    found = pl.new_dataset(place / "mine.npz", task="multi-class")
    assert str(tmp_path) not in found.description.read_text()
    open_dataset(found.description)
    (cache_folder() / "remembered" / "places.json").unlink()
    with pytest.raises(DataError, match="was not found"):
        open_dataset(found.description)


def test_a_strangers_description_opens_no_arrays_of_another_dataset(place: Path, tmp_path: Path) -> None:
    """Arrays in the cache are opened when their npz is gone; not by any description of the same name."""
    own = tmp_path / "own"
    own.mkdir()
    np.savez(own / "tiny.npz", **tiny_arrays())
    (own / "tiny.toml").write_text(DESCRIPTION)
    open_dataset(own / "tiny.toml")
    (own / "tiny.npz").unlink()
    open_dataset(own / "tiny.toml")
    (place / "tiny.toml").write_text(DESCRIPTION)
    with pytest.raises(DataError, match="was not found"):
        open_dataset(place / "tiny.toml")


def test_an_old_description_with_a_path_upwards_opens_when_the_folder_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / "films.toml").write_text(HEAD + IMAGES.replace('"films"', '"../stranger/films"'))
    with pytest.raises(DataError, match="images=FOLDER"):
        open_dataset("films.toml")
    pl.name_images("films.toml", place / "films")
    assert len(open_dataset("films.toml").splits["train"]) == 42


def test_links_in_folders_of_the_environment_are_followed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PENLIGHT_DATA names the user's own folders, where large files are often links."""
    (tmp_path / "disk").mkdir()
    np.savez(tmp_path / "disk" / "big.npz", **tiny_arrays())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny.npz").symlink_to(tmp_path / "disk" / "big.npz")
    (tmp_path / "data" / "tiny.toml").write_text(DESCRIPTION)
    monkeypatch.setenv("PENLIGHT_DATA", str(tmp_path / "data"))
    assert len(open_dataset("tiny").splits["train"]) == 9
    monkeypatch.delenv("PENLIGHT_DATA")
    with pytest.raises(DataError, match="a link"):
        open_dataset(tmp_path / "data" / "tiny.toml")


BAD = [
    ('labels = ["no", "yes"]', f"labels = {json.dumps([f'{i}' for i in range(2000)])}", "labels may be 1,000"),
    ('labels = ["no", "yes"]', f'labels = ["no", "{"y" * 300}"]', "may have 200 characters"),
    ('labels = ["no", "yes"]', 'labels = ["no", "\\u001b[2Jyes"]', "control character U\\+001B"),
    ('labels = ["no", "yes"]', 'labels = ["no", "\\u202eyes"]', "control character U\\+202E"),
    ('labels = ["no", "yes"]', "labels = [" * 3000, "TOML|levels"),
    ('title = "Films"', 'title = "a\\nb"', "control character"),
    ('title = "Films"', f'title = "{"x" * 1_100_000}"', "bytes, more than"),
    ("sizes = [28]", "sizes = [60000]", "at most 4,096"),
    ("sizes = [28]", f"sizes = {list(range(1, 200))}", "sizes may be"),
    ("sizes = [28]", f"sizes = [0x{'f' * 5000}]", "sizes in pixels"),
    ("channels = 1", f"channels = 0x{'f' * 5000}", "very many digits"),
    ("channels = 1", f"channels = {'9' * 4400}", "not valid TOML"),
    ("channels = 1", f'channels = 1\ncautions = ["{"x" * 2000}"]', "cautions may have"),
    ("channels = 1", "channels = 1\n" + '"\\u001b[31mx" = 1', "Unknown key"),
    ("sizes = [28]", 'sizes = [28]\nseparator = ""\ncolumns = {path="p", label="l"}', "separator is empty"),
    ("sizes = [28]", f'sizes = [28]\nseparator = "{"|" * 99}"', "separator may have"),
    (IMAGES, f"{IMAGES}\n[split]\nseed = {10**30}", "seed must be"),
    (IMAGES, f"{IMAGES}\n[split]\nshares = {{ train = inf, val = 1, test = 1 }}", "shares must be"),
    (IMAGES, f"{IMAGES}\n[split]\nshares = {{ train = {10**400}, val = 1, test = 1 }}", "shares must be"),
    (IMAGES, f"{IMAGES}\n[split]\nshares = {{ train = nan, val = 1, test = 1 }}", "shares must be"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=range(len(BAD)))
def test_sizes_and_texts_are_bounded(place: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(described(place, old, new))
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


def test_names_that_are_no_text_are_named(place: Path) -> None:
    os.rename(place / "films" / "a" / "a0.png", os.fsencode(place / "films" / "a") + b"/\xff.png")  # noqa: PTH104
    with pytest.raises(DataError, match="not UTF-8"):
        open_dataset(place / "films.toml")


def test_splits_hold_no_formula_and_are_read_again(place: Path) -> None:
    for i, name in enumerate(("=1+1", "+a", "-b", "@c")):
        (place / "films" / "a" / f"a{i}.png").rename(place / "films" / f"{name}.png")
    rows = [(path.relative_to(place / "films").as_posix(), "ab"[i % 2]) for i, path in
            enumerate(sorted((place / "films").rglob("*.png")))]  # fmt: skip
    with (place / "films" / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    found = pl.new_dataset(place / "films" / "t.csv", out=place / "films")
    lines = found.splits.read_text().splitlines()
    assert sum(line.startswith("./") for line in lines) == 4
    assert not [line for line in lines if line[0] in "=+-@"]
    assert sum(len(split) for split in open_dataset(found.description).splits.values()) == 60


# What lies in the cache is for its owner alone.


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))}


def test_the_cache_is_for_its_owner_alone_from_the_first_byte(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_reports_out(monkeypatch)
    seen = set()
    rename = Path.rename

    def look(self: Path, target: Path) -> Path:
        seen.update(modes(cache_folder()))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look)
    (place / "films" / "a" / "a0.png").write_bytes(b"no")
    with pytest.raises(DataError):
        pl.show(str(place / "films.toml"))
    (place / "films" / "a" / "a0.png").unlink()
    pl.audit(str(place / "films.toml"))
    train_recipe(resolve_recipe(str(place / "films.toml"), "majority"), out=Path("run"))
    assert seen
    assert seen | modes(cache_folder()) <= {(True, 0o700), (False, 0o600)}
    # Those of an earlier version are closed when they are met.
    for path in cache_folder().rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    pl.show(str(place / "films.toml"))
    assert stat.S_IMODE((cache_folder() / "store").stat().st_mode) == 0o700


def test_threads_that_write_leave_the_umask_alone(tmp_path: Path) -> None:
    """It was read by setting it: with several threads one of them put back what another had set."""
    code = (
        "import os, sys, threading\nfrom pathlib import Path\nfrom penlight import disk\n"
        "os.umask(0o077)\nplace = Path(sys.argv[1])\n"
        "def write(n):\n    for i in range(60): disk.write_whole(place / f'{n}-{i}', b'x')\n"
        "threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\nprint(oct(os.umask(0)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0o77"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_files_of_a_run_keep_the_umask_and_those_of_the_cache_do_not(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        disk.write_whole(tmp_path / "run", b"x")
        disk.write_whole(tmp_path / "cache", b"x", private=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o600


# Runs hold no path of this machine.


def bytes_of(folder: Path) -> bytes:
    """Everything in a folder, with the members of npz files unpacked."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.append(path.read_bytes())
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    found += [archive.read(name) for name in archive.namelist()]
    return b"\n".join(found)


def test_a_run_of_a_dataset_elsewhere_holds_no_path_and_still_finds_it(place: Path, tmp_path: Path) -> None:
    path, out = str(place / "films.toml"), tmp_path / "other" / "run"
    trained = train_recipe(resolve_recipe(path, "linear", ["model.components=3"]), out=out)
    content = bytes_of(out)
    for text in (str(tmp_path), str(tmp_path.resolve()), "stranger"):
        for encoded in (text.encode(), text.encode("utf-16-le"), text.encode("utf-32-le")):
            assert encoded not in content
    assert load_recipe(str(out / "recipe.toml")).data.dataset == "films.toml"
    # It is found by all that open it again.
    pl.report(trained.folder)
    pl.explain(trained.folder, [], split="test", rows=[0], out=tmp_path / "explained")
    again = train_recipe(resolve_recipe(None, str(out / "recipe.toml")), out=tmp_path / "again")
    assert again.scores.to_dict()["metrics"] == trained.scores.to_dict()["metrics"]
    # On another machine it is not.
    shutil.rmtree(cache_folder())
    with pytest.raises(DataError, match=r"pl.show..PATH/films\.toml"):
        pl.report(trained.folder)
    with pytest.raises(DataError, match=r"pl.show..PATH/films\.toml"):
        train_recipe(resolve_recipe(None, str(out / "recipe.toml")), out=tmp_path / "never")
    pl.show(path, out=tmp_path / "shown")
    pl.report(trained.folder)


def test_two_datasets_of_one_name_are_told_apart(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    draw(other / "films", n=40)
    (other / "films.toml").write_text(HEAD + IMAGES)
    one, two = (resolve_recipe(str(folder / "films.toml"), "majority") for folder in (place, other))
    assert one.data.dataset == "films.toml"
    assert re.fullmatch(r"films-[0-9a-f]{8}\.toml", two.data.dataset)
    # Nor is one in the working folder taken for either.
    shutil.copytree(place, "x")
    Path("x/films.toml").rename("films.toml")
    third = resolve_recipe(str(place / "films.toml"), "majority")
    assert third.data.dataset != "films.toml"
    from penlight.data import open_referenced

    assert sum(map(len, open_referenced(two.data.dataset).splits.values())) == 80
    assert sum(map(len, open_referenced(third.data.dataset).splits.values())) == 60


@pytest.mark.parametrize("reference", ["/etc/films.toml", "../stranger/films.toml", "{place}/films.toml"])
def test_a_strangers_recipe_opens_no_description_elsewhere(place: Path, reference: str) -> None:
    Path("recipe.toml").write_text(f'[data]\ndataset = "{reference.format(place=place)}"\n')
    with pytest.raises(DataError, match="no command on this machine has opened it"):
        resolve_recipe(None, "recipe.toml")


def test_a_strangers_recipe_opens_no_weights_elsewhere(place: Path, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    text = f'[model]\nbackbone = "mobilenet"\nweights = "{tmp_path}/w.h5"\n'
    Path("recipe.toml").write_text(text)
    with pytest.raises(RecipeError, match=r" weights=PATH"):
        resolve_recipe("retina-phantom", "recipe.toml")
    named = resolve_recipe("retina-phantom", "mobilenet-frozen", [f"model.weights={tmp_path}/w.h5"])
    assert named.model.weights == "w.h5"
    resolve_recipe("retina-phantom", "recipe.toml")


@pytest.mark.full
def test_a_study_keeps_no_path(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_reports_out(monkeypatch)
    pl.show(str(place / "films.toml"))
    (place / "my.toml").write_text('[model]\nbackbone = "linear"\ncomponents = 3\n')
    (place / "study.toml").write_text(
        f'name = "s"\ntitle = "S"\nquestion = "Which?"\ndataset = "{place}/films.toml"\nseeds = 1\n'
        '[[rows]]\nid = "a"\nrecipe = "majority"\ntitle = "A"\n[[rows]]\nid = "b"\nrecipe = "my.toml"\ntitle = "B"\n'
    )
    made = pl.study(str(place / "study.toml"), out=tmp_path / "group")
    assert str(tmp_path).encode() not in bytes_of(made.folder)
    # Its report needs neither the study's file nor the recipe's.
    (place / "study.toml").unlink()
    (place / "my.toml").unlink()
    pl.report(made.folder)


def test_several_processes_remember_at_once(place: Path, tmp_path: Path) -> None:
    from penlight.data.remembered import images_folder, remember_images

    def remember(n: int) -> None:
        remember_images(tmp_path / f"{n}.toml", "x", place)

    threads = [threading.Thread(target=remember, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(images_folder(tmp_path / f"{n}.toml", "x") for n in range(16))
    # A damaged memory is none.
    for text in ("5", "[" * 100_000, '{"images": 3}', '{"images": {"a": 1}, "files": []}'):
        (cache_folder() / "remembered" / "places.json").write_text(text)
        assert images_folder(tmp_path / "1.toml", "x") is None
    with pytest.raises(PenlightError):
        apply_view(open_dataset(place / "none.toml"))
