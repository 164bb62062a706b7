"""What must travel to other machines: work is refused where its folder, cache or versions are others, and what all
runs need is computed once."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from penlight import disk
from penlight.api.requests import resolve_recipe
from penlight.errors import StorageError
from penlight.experiments.executors import prepare
from penlight.experiments.executors.prepare import Prepare, submitted_to
from penlight.experiments.executors.worker import do_job
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.privacy import cache_folder
from penlight.runs import open_run
from penlight.runs.folder import is_bare
from tests.data.tiny_dataset import write_tiny

QUIET = ProgressListener()


@pytest.fixture
def recipe(own_folders):
    write_tiny(own_folders / "work")
    return resolve_recipe("tiny.toml", "linear", ["model.components=3"])


@pytest.fixture
def job(own_folders, recipe, monkeypatch):
    """A run as it travels."""
    monkeypatch.setattr(prepare, "_PATIENCE", 0.0)
    spec = RunSpec(recipe, 0, own_folders / "runs" / "seed-0", group=own_folders / "runs")
    check = submitted_to(own_folders / "runs")
    return json.loads(json.dumps({**spec.to_job(), "check": check}))


@pytest.mark.fitted
def test_what_all_runs_need_is_computed_by_the_first_part_and_then_read(own_folders, recipe, job, monkeypatch):
    first = json.loads(json.dumps(Prepare([recipe, recipe]).to_job()))
    assert len(first["recipes"]) == 1
    assert do_job({**first, "check": job["check"]}, OpenedData(QUIET)) == {}
    kept = sorted((cache_folder() / "fitted").glob("*.npz"))
    assert kept
    assert (cache_folder() / "store").exists()
    assert not (cache_folder() / "readings").exists()

    def computed_again(*_):
        raise AssertionError

    monkeypatch.setattr("penlight.experiments.baselines.Baselines._fit", computed_again)
    assert do_job(job, OpenedData(QUIET)) == {}
    run = open_run(own_folders / "runs" / "seed-0")
    assert not run.has(disk.TOKEN)


def test_the_token_of_a_folder_stays_and_is_none_of_its_files(own_folders, recipe):
    folder = own_folders / "alone"
    one, other = submitted_to(folder), submitted_to(folder)
    assert one == other
    assert is_bare(folder)
    RunSpec(recipe, 0, folder).do(OpenedData(QUIET), QUIET)
    assert not open_run(folder).has(disk.TOKEN)


def test_a_node_without_the_folder_is_named(own_folders, job):
    (own_folders / "runs" / disk.TOKEN).unlink()
    answer = do_job(job, OpenedData(QUIET))
    assert "does not see the folder" in answer["error"]
    assert str(own_folders / "runs") in answer["error"]
    assert "--out" in answer["remedy"]
    assert not (own_folders / "runs" / "seed-0").exists()


@pytest.mark.parametrize("content", [b"", b"x" * 32, b"\xff" * 32, b"0" * 5000])
def test_a_folder_with_another_token_is_another_folder(own_folders, job, content):
    (own_folders / "runs" / disk.TOKEN).write_bytes(content)
    assert "does not see the folder" in do_job(job, OpenedData(QUIET))["error"]


def test_a_node_with_another_cache_is_named(own_folders, job, monkeypatch):
    monkeypatch.setenv("PENLIGHT_CACHE", str(own_folders / "elsewhere"))
    answer = do_job(job, OpenedData(QUIET))
    assert f"is {own_folders / 'elsewhere'}, and not {cache_folder().parent}" in answer["error"]
    assert "PENLIGHT_CACHE" in answer["remedy"]


def test_another_version_on_a_node_is_named(job, monkeypatch):
    job["check"]["versions"] |= {"numpy": "1.0", "python": "2.7", "jax": "0.1"}
    monkeypatch.setattr("penlight.runs.provenance.metadata.version", lambda name: "9.9")
    answer = do_job(job, OpenedData(QUIET))
    for said in ("numpy is ", ", not 1.0", "python is 3.", "jax is missing, not 0.1"):
        assert said in answer["error"]


def test_a_folder_that_cannot_be_written_is_said_at_submission(own_folders):
    (own_folders / "file").write_bytes(b"")
    with pytest.raises(disk.StorageError, match="every node sees"):
        submitted_to(own_folders / "file" / "runs")


def test_a_full_shared_disk_is_said_by_the_job_and_at_submission(own_folders, job, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    answer = do_job(job, OpenedData(QUIET))
    assert answer["error"].startswith("The disk is full: ")
    assert answer["remedy"].startswith("Free some space.")
    with pytest.raises(StorageError, match=r"The disk is full: .* Free some space\. Choose a folder"):
        submitted_to(own_folders / "another")
    (cache_folder() / disk.TOKEN).unlink()
    with pytest.raises(StorageError, match=r"The disk is full: .* Free some space\. Choose PENLIGHT_CACHE"):
        submitted_to(own_folders / "runs")
    assert not [path for path in own_folders.rglob("*.part") if path.is_file()]
    assert not list((own_folders / "another").iterdir())


def test_two_commands_that_submit_at_once_have_the_same_tokens(own_folders):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: submitted_to(own_folders / "runs"), range(16)))
    assert all(own == found[0] for own in found)
