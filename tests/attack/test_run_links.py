"""Links in run folders: nothing outside is read, written or deleted through them."""

import contextlib
import logging
import os
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from penlight.api.training import train_recipe
from penlight.data import record, store
from penlight.disk import FolderHold, remove_orphans
from penlight.errors import PenlightError, RunError
from penlight.recipes import Data, Majority, Recipe
from penlight.runs import RunWriter, open_run
from penlight.runs.folder import clear_away, drop_state, run_folders
from penlight.serve import make_app
from penlight.serve.registry import open_registry
from penlight.tasks import Ordinal
from tests.attack import run_folders as attack
from tests.conftest import LABELS, small_dataset
from tests.trained import trained

RECIPE = Recipe(data=Data(dataset="small"), model=Majority())


@pytest.fixture
def treasure(tmp_path) -> Path:
    """A folder of somebody else, with names that Penlight uses."""
    folder = tmp_path / "treasure"
    folder.mkdir()
    for name in ("claim.json", "checkpoint-3.npz", ".x.abcdefgh.part", "thesis.doc", "recipe.toml", "plan.json"):
        (folder / name).write_text(f"years of work: {name}")
    return folder


@pytest.fixture
def small(monkeypatch):
    """A small dataset in place of those on disk."""
    monkeypatch.setattr(store, "open_dataset", lambda *_: small_dataset(Ordinal(LABELS, referable=2), n=(40, 40, 30)))
    monkeypatch.setattr(record, "problems_of", lambda view: ())
    monkeypatch.setattr("penlight.experiments.run._write_report", lambda writer, *_: writer.write("report.html", "x"))
    monkeypatch.setattr("penlight.reports.seeds_report", lambda *_, **__: "<html>")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", [".state", ".lock", "recipe.toml", ".recipe.toml.abcdefgh.part", "manifest.json"])
@pytest.mark.parametrize("whole", [False, True])
def test_training_into_a_folder_with_links_leaves_others_alone(tmp_path, treasure, small, name, whole):
    out = tmp_path / "run"
    if whole:
        attack.copy_of(trained("grades"), out)
    out.mkdir(exist_ok=True)
    (out / name).unlink(missing_ok=True)
    target = treasure if name == ".state" else treasure / "thesis.doc"
    (out / name).symlink_to(target, target_is_directory=target.is_dir())
    before = contents(treasure)
    with contextlib.suppress(PenlightError):
        train_recipe(RECIPE, out=out)
    assert contents(treasure) == before


@pytest.mark.parametrize("name", ["seed-0", "seed-1"])
def test_a_seed_is_not_trained_into_a_folder_that_is_a_link(tmp_path, treasure, small, name):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / name).symlink_to(treasure)
    before = contents(treasure)
    with pytest.raises(RunError, match=f"{name} is a link"):
        train_recipe(RECIPE, out=tmp_path / "runs", seeds=2)
    assert contents(treasure) == before


def test_only_what_penlight_wrote_is_removed_from_the_state_of_a_run(tmp_path, treasure):
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    shutil.copytree(treasure, folder / ".state")
    (folder / ".state" / "checkpoint-fine-tune-12.npz").write_bytes(b"")
    (folder / ".state" / "checkpoint-4.npz").symlink_to(treasure / "thesis.doc")
    drop_state(folder)
    left = {path.name for path in (folder / ".state").iterdir()}
    assert left == {"thesis.doc", "recipe.toml", "plan.json", "checkpoint-4.npz"}
    assert (treasure / "thesis.doc").exists()
    clear_away(folder)
    assert open_run(folder).seed == 0


def test_the_state_of_a_run_is_not_removed_through_a_link(tmp_path, treasure):
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    (folder / ".state").symlink_to(treasure)
    before = contents(treasure)
    drop_state(folder)
    clear_away(folder)
    assert contents(treasure) == before


def test_orphans_are_regular_files_of_this_folder(tmp_path, treasure):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".a.abcdefgh.part").write_bytes(b"half")
    (folder / ".b.abcdefgh.part").symlink_to(treasure / "thesis.doc")
    (folder / ".c.abcdefgh.part").mkdir()
    (folder / ".mine.part").write_bytes(b"kept")
    os.mkfifo(folder / ".d.abcdefgh.part")
    remove_orphans(folder)
    names = {".b.abcdefgh.part", ".c.abcdefgh.part", ".d.abcdefgh.part", ".mine.part"}
    assert {path.name for path in folder.iterdir()} == names
    assert (treasure / "thesis.doc").exists()


@pytest.mark.parametrize("make", [lambda lock, target: lock.symlink_to(target), lambda lock, _: os.mkfifo(lock)])
def test_a_lock_is_written_to_no_other_file(tmp_path, treasure, make):
    folder = tmp_path / "run"
    folder.mkdir()
    make(folder / ".lock", treasure / "thesis.doc")
    before = contents(treasure)
    with pytest.raises(PenlightError, match=r"\.lock|it is not a regular file"), FolderHold(folder):
        pass
    assert contents(treasure) == before


def test_a_run_that_is_written_holds_no_files_that_links_lead_to(tmp_path, treasure):
    with RunWriter(tmp_path / "run", RECIPE, 0) as writer:
        (tmp_path / "run" / "secret.txt").symlink_to(treasure / "thesis.doc")
        (tmp_path / "run" / "more").symlink_to(treasure)
        os.mkfifo(tmp_path / "run" / "pipe")
        writer.finish()
    assert not any(open_run(tmp_path / "run").has(name) for name in ("secret.txt", "pipe", "more/thesis.doc"))


def test_a_copy_beside_seeds_is_no_seed(tmp_path):
    for name in ("seed-0", "seed-10", "seed-2", "seed-0.bak", "seed-x", "seed-", "seed-01", "seed-1 (copy)"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed-3").symlink_to(tmp_path / "seed-0")
    (tmp_path / "seed-4").write_text("")
    assert [path.name for path in run_folders(tmp_path, "seed")] == ["seed-0", "seed-2", "seed-10"]


def test_runs_that_links_lead_to_are_not_offered(tmp_path, caplog):
    attack.copy_of(trained("grades"), tmp_path / "given" / "run")
    attack.copy_of(trained("grades"), tmp_path / "elsewhere" / "private")
    (tmp_path / "given" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "given" / "up").symlink_to("..")
    with caplog.at_level(logging.WARNING):
        registry = open_registry([tmp_path / "given"])
    assert list(registry.runs) == ["run"]
    assert "more is a link" in caplog.text
    # The folder itself may be a link: it was named.
    (tmp_path / "by-link").symlink_to(tmp_path / "given")
    assert len(open_registry([tmp_path / "by-link"]).runs) == 1


DAMAGE = {
    **attack.WHOLE,
    "cut off": b'{"schema": 1, "files"',
}


def test_a_damaged_run_stops_no_server(tmp_path, caplog):
    root = tmp_path / "runs"
    attack.copy_of(trained("grades"), root / "good")
    for number, name in enumerate(("manifest.json", "metrics.json", "recipe.toml", "provenance.json")):
        for what, content in DAMAGE.items():
            folder = attack.copy_of(trained("grades"), root / f"bad-{number}-{what.replace(' ', '-')}")
            attack.put(folder, name, content)
        folder = attack.copy_of(trained("grades"), root / f"pipe-{number}")
        (folder / name).unlink()
        os.mkfifo(folder / name)
        folder = attack.copy_of(trained("grades"), root / f"zeros-{number}")
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
    with caplog.at_level(logging.WARNING):
        registry = open_registry([root])
    # An empty recipe is one of defaults.
    assert set(registry.runs) == {"good", "bad-2-empty"}
    said = "\n".join(caplog.messages)
    damaged = {path.name for path in root.iterdir()} - set(registry.runs)
    assert len(damaged) == 4 * (len(DAMAGE) + 2) - 1
    assert {name for name in damaged if f"/{name}" not in said} == set()


def test_a_run_that_is_damaged_later_is_an_answer_with_a_name(tmp_path):
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    app = make_app(open_registry([tmp_path]), names={"testserver"})
    with TestClient(app) as client:  # raises what is not handled
        assert client.get("/api/v1/runs/run").status_code == 200
        (folder / "metrics.json").write_bytes(b"5")
        (folder / "decision.json").unlink()
        (folder / "report.html").unlink()
        (folder / "report.html").symlink_to("/etc/passwd")
        for address in ("/api/v1/runs/run", "/runs/run", "/runs/run/report"):
            answer = client.get(address)
            assert answer.status_code >= 400, address
            assert "root:" not in answer.text
        assert client.get("/").status_code == 200
