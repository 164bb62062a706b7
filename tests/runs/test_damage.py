"""Damage: whatever byte of a run is changed or cut off, it is a named error or the run as it was, never another."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penlight.disk import FolderHold, remove_orphans, write_whole, writing_whole
from penlight.errors import RunError, TrainingError
from penlight.evaluation import Decision
from penlight.recipes import Recipe, Train
from penlight.records import json_text
from penlight.runs import RunWriter, open_run, read_claim
from penlight.runs.files import is_sound, sealed
from penlight.runs.folder import clear_away, goes_on
from tests.conftest import examples
from tests.runs.test_folder import predictions

OTHER = Recipe(train=Train(epochs=1))
DAMAGED = settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# The manifest stands for half of them: each other file is known by it.
DAMAGED_FILES = ["manifest.json"] * 3 + ["predictions-test.npz", "model.onnx", "recipe.toml"]
PLACES = st.floats(0, 1, exclude_max=True)
CHANGES = st.one_of(st.none(), st.integers(1, 255))


def write_run(folder, recipe=None, seed=3):
    with RunWriter(folder, recipe or Recipe(), seed) as writer:
        writer.write_predictions("predictions-test", predictions())
        writer.write_json("decision.json", Decision().to_dict())
        writer.write("model.onnx", bytes(range(256)))
        writer.write("history.csv", "epoch,loss\n1,0.5\n")
        writer.finish()
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def contents(folder):
    """All that a reader gets of a run."""
    run = open_run(folder)
    return run.seed, run.recipe, {name: run.read(name) for name in run._files}


def damage(content: bytes, place: float, change: int | None) -> bytes:
    """Change a byte, or cut off what follows it."""
    at = int(place * len(content))
    return content[:at] if change is None else bytes([*content[:at], content[at] ^ change, *content[at + 1 :]])


@DAMAGED
@given(name=st.sampled_from(DAMAGED_FILES), place=PLACES, change=CHANGES)
def test_no_damaged_run_is_taken_for_whole(whole, tmp_path, name, place, change):
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    file = copy / name
    file.write_bytes(damage(file.read_bytes(), place, change))
    try:
        found = contents(copy)
    except RunError as error:
        said = str(error)
    else:
        # White space of JSON may change without a word.
        said = "manifest.json" if found == contents(whole) else "nothing"
    assert name in said or "another version" in said


@settings(DAMAGED, max_examples=examples(25))
@given(place=PLACES, change=CHANGES)
def test_a_damaged_claim_is_an_error_or_a_fresh_start(tmp_path, place, change):
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    with RunWriter(folder, Recipe(), seed=3) as writer:
        writer.write("history.csv", "epoch,loss\n")
    file = folder / ".state" / "claim.json"
    file.write_bytes(damage(file.read_bytes(), place, change))
    said = ""
    try:
        with RunWriter(folder, Recipe(), seed=3) as writer:
            writer.finish()
    except RunError as error:
        said = str(error)
    if said:
        assert "another recipe or seed" in said
        assert (folder / "history.csv").exists()
    else:
        assert contents(folder)[0] == 3
        assert not list(folder.glob(".*"))


def test_a_damaged_claim_gives_the_folder_to_no_other_recipe(tmp_path):
    with RunWriter(tmp_path / "run", Recipe(), seed=0):
        pass
    (tmp_path / "run" / ".state" / "claim.json").write_text("{")
    with pytest.raises(RunError, match="not empty"), RunWriter(tmp_path / "run", OTHER, seed=0):
        pass


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", ".state/"], [".lock", ".state/.claim.json.abcdefgh.part"]])
def test_a_writer_killed_before_its_claim_leaves_a_folder_for_anybody(tmp_path, left):
    for name in left:
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(b"half")
    (tmp_path / "run").mkdir(exist_ok=True)
    assert goes_on(tmp_path / "run", OTHER.hash, 1)
    write_run(tmp_path / "run", OTHER, 1)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize("left", [[".state/claim.json"], [".state/"], []])
def test_a_writer_killed_at_its_end_left_a_whole_run_that_the_same_command_clears(tmp_path, left):
    folder = write_run(tmp_path / "run")
    before = contents(folder)
    (folder / ".lock").touch()
    for name in left:
        (folder / ".state").mkdir()
        if not name.endswith("/"):
            (folder / name).write_text("{}")
    assert goes_on(folder, Recipe().hash, 3)
    assert not goes_on(folder, OTHER.hash, 3)
    assert contents(folder) == before
    clear_away(folder)
    assert not list(folder.glob(".*"))
    assert contents(folder) == before
    assert not goes_on(folder, Recipe().hash, 3)


def test_what_cannot_go_on_leaves_nothing(tmp_path):
    def train(error):
        with RunWriter(tmp_path / "runs" / "run", Recipe(), seed=0) as writer:
            writer.write_json("plan.json", {})
            raise error

    with pytest.raises(TrainingError):
        train(TrainingError("The loss was no longer a number."))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="else"):
        train(ValueError("something else"))
    assert read_claim(tmp_path / "runs" / "run") == {"recipe_hash": Recipe().hash, "seed": 0}


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("name", ["history.csv", "export.json"])
@pytest.mark.parametrize("write", [0, 1, 2, 3])
def test_replacing_a_file_leaves_the_run_whole_at_every_moment(tmp_path, monkeypatch, name, write):
    """Killed before write number `write`: the file is the old one or the one that was to come, and never damaged."""
    from penlight.runs import folder as module

    folder = write_run(tmp_path / "run")
    files, old = set(contents(folder)[2]), contents(folder)[2].get(name)
    count, own = iter(range(9)), module.write_bytes

    def killed(path, content):
        if next(count) == write:
            raise KilledError
        own(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bytes", killed)
        patch.setattr(module, "write_json", lambda path, values: killed(path, json_text(values).encode()))
        if write < 3:
            with pytest.raises(KilledError):
                open_run(folder).replace(name, b"epoch,loss\n1,0.25\n")
        else:
            open_run(folder).replace(name, b"epoch,loss\n1,0.25\n")
    found = contents(folder)[2]
    assert set(found) - {name} == files - {name}
    assert found.get(name) in ((old, b"epoch,loss\n1,0.25\n") if write < 3 else (b"epoch,loss\n1,0.25\n",))
    # What came before a kill is kept by the next one, whatever it writes.
    open_run(folder).replace("card.md", b"a card")
    again = contents(folder)[2]
    assert again["card.md"] == b"a card"
    assert {key: value for key, value in again.items() if key in found} == found


def test_two_commands_that_replace_files_of_a_run_keep_each_others(tmp_path):
    one, other = open_run(write_run(tmp_path / "run")), open_run(tmp_path / "run")
    one.replace("report.html", b"a report")
    other.replace("model-int8.onnx", b"a model")
    assert contents(tmp_path / "run")[2]["report.html"] == b"a report"
    with FolderHold(tmp_path / "run"), pytest.raises(RunError, match="Another process"):
        other.replace("report.html", b"another")


def test_a_seal_knows_what_it_sealed():
    values = {"a": [1, 2.5, None], "b": {1: "x", 10: "y", 2: "z"}}
    assert is_sound(json.loads(json.dumps(sealed(values))))
    assert sealed(sealed(values)) == sealed(values)
    assert not is_sound({**sealed(values), "a": [1, 2.5]})
    assert not is_sound(values)


def test_who_holds_a_folder_is_said_and_a_killed_process_holds_none(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom penlight.disk import FolderHold, writing_whole\n"
        "with FolderHold(Path(sys.argv[1])), writing_whole(Path(sys.argv[1]) / 'page.html') as file:\n"
        "    file.write(b'half'); file.flush(); print('held', flush=True); time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(RunError, match=rf"Another process \({holder.pid} on .*\) is writing {tmp_path}"):
                FolderHold(tmp_path / "run").__enter__()
            # What is being written is left alone.
            write_whole(tmp_path / "run" / "page.html", b"mine")
            assert len(list((tmp_path / "run").glob(".page.html.*.part"))) == 1
        finally:
            holder.send_signal(signal.SIGKILL)
    with FolderHold(tmp_path / "run"):
        write_whole(tmp_path / "run" / "page.html", b"mine")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["page.html"]


def test_a_hold_that_wrote_nothing_leaves_no_folder(tmp_path):
    with FolderHold(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / ".lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "page.html").write_bytes(b"old")

    def write(content):
        with writing_whole(tmp_path / "page.html") as file:
            file.write(b"half")
            file.write(content)

    with pytest.raises(TypeError):
        write("text")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("page.html", b"old")]
    orphan = tmp_path / ".other.abcdefgh.part"
    orphan.write_bytes(b"")
    write_whole(tmp_path / "page.html", b"new")
    assert orphan.exists()
    remove_orphans(tmp_path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("page.html", b"new")]
    assert Path(tmp_path / "page.html").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
