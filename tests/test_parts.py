"""Predictions in parts: the bytes are the same however the work is divided or interrupted; what does not belong
together is refused by name."""

import errno
import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import penlight as pl
from penlight.errors import ArgumentError, DataError, MissingExtraError, RunError, StorageError, TrainingError
from penlight.experiments import parts
from penlight.runs import sources
from tests.cli.conftest import penlight  # noqa: F401
from tests.test_predicting import images_of, write_pngs
from tests.trained import trained

N = 23
SIZE = 5


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART", SIZE)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eleven files, one of them broken, and twelve rows of an npz."""
    folder = tmp_path_factory.mktemp("pictures")
    images = images_of("grades", N)
    write_pngs(folder / "b" / "inner", images[:4])
    write_pngs(folder / "a", images[4:10])
    (folder / "b" / "broken.png").write_bytes(b"x")
    np.savez_compressed(folder / "rows.npz", images=images[11:])
    return [folder, folder / "rows.npz"]


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """All parts, done at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART", SIZE)
        out = tmp_path_factory.mktemp("whole") / "out"
        return pl.predict(trained("grades"), pictures, out=out)


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parts_hold_what_predict_gives(whole, pictures):
    found = pl.predict(trained("grades"), pictures)
    table, wanted = whole.frame(), found.frame()
    assert (whole.parts, whole.missing, whole.failed) == (5, 0, 1)
    assert [len(pq.read_table(whole.folder / parts.part_file(n))) for n in range(1, 6)] == [5, 5, 5, 5, 3]
    assert set(wanted) <= set(table)
    for row, own in zip(table.to_dict("records"), found.to_dict()["images"], strict=True):
        assert row["file"] == own["file"]
        if "error" in own:
            assert row["error.error"] == own["error"]["error"]
            assert row["answers"] is None
        else:
            assert {k: row[f"probabilities.{k}"] for k in own["probabilities"]} == own["probabilities"]
            assert [*row["answers"]] == own["answers"]
            assert [*row["warnings"]] == [warning["code"] for warning in own["warnings"]]
            assert row["abstains"] == own["abstains"]


def test_the_summary_counts_all_answers_and_names_what_failed(whole, pictures):
    summary = json.loads((whole.folder / parts.SUMMARY).read_text())
    found = pl.predict(trained("grades"), pictures).to_dict()["images"]
    said = [label for own in found for label in own.get("answers", ())]
    assert summary["answers"] == {label: said.count(label) for label in summary["answers"]}
    assert sum(summary["answers"].values()) == len(said)
    assert (summary["images"], summary["failed"], summary["parts"]) == (N, 1, 5)
    assert [Path(own["file"]).name for own in summary["failures"]] == ["broken.png"]
    assert summary["model"]["on_test"]["verdict"]
    assert whole.to_dict()["images"] == N
    for path in whole.folder.glob("part-*.json"):
        file = path.with_suffix(".parquet").read_bytes()
        assert json.loads(path.read_text())["file"]["sha256"] == hashlib.sha256(file).hexdigest()


def test_shards_give_the_same_bytes_and_the_last_one_writes_the_summary(whole, pictures, tmp_path):
    left = []
    for shard in ("2/3", "3/3", "1/3"):
        assert not (tmp_path / "out" / parts.SUMMARY).exists()
        left.append(pl.predict(trained("grades"), pictures, out=tmp_path / "out", shard=shard).missing)
    assert left == [3, 2, 0]
    assert bytes_in(tmp_path / "out") == bytes_in(whole.folder)


def test_processes_give_the_same_bytes(whole, pictures, tmp_path):
    """One worker in this process, and two processes with one each, whose folder of images is not theirs."""
    for on in ("local:1", "local:2"):
        made = pl.predict(trained("grades"), pictures, out=tmp_path / on, on=on)
        assert made.missing == 0
        assert bytes_in(tmp_path / on) == bytes_in(whole.folder)


def test_two_commands_at_once_do_each_part_once(whole, pictures, tmp_path, monkeypatch):
    written, write = [], parts._parquet
    monkeypatch.setattr(parts, "_parquet", lambda *args: written.append(1) or write(*args))
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(pl.predict, trained("grades"), pictures, out=tmp_path / "out") for _ in range(2)]
        assert [own.result().missing for own in made] == [0, 0]
    assert len(written) == 5
    assert bytes_in(tmp_path / "out") == bytes_in(whole.folder)


def test_for_a_scheduler_of_jobs_these_are_few(monkeypatch):
    assert parts.divide_work([1, 3, 5], few=False) == [(1,), (3,), (5,)]
    divided = parts.divide_work(range(1, 1001), few=True)
    assert len(divided) == 63
    assert [number for numbers in divided for number in numbers] == list(range(1, 1001))
    work = parts.PartsWork(Path("/o"), Path("/r"), "0", divided[1], Path("/b"))
    assert work.name == "part-00017-to-00032"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert parts.PartsWork.of_job(json.loads(json.dumps(work.to_job()))) == replace(work, workers=3)


def test_what_fails_in_a_process_is_said_of_its_part(whole, pictures, tmp_path, monkeypatch):
    shutil.copytree(trained("grades"), tmp_path / "run")

    def other(work):
        return {**job(work), "run_hash": "0" * 64}

    job = parts.PartsWork.to_job
    monkeypatch.setattr(parts.PartsWork, "to_job", other)
    with pytest.raises(TrainingError, match=r"5 of 5 parts failed: part-00001\b.*is not the run"):
        pl.predict(tmp_path / "run", pictures, out=tmp_path / "out", on="local:2")


def test_a_part_that_is_whole_is_left_and_others_are_done_again(whole, pictures, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(whole.folder, out)
    (out / "part-00002.json").unlink()
    (out / "part-00004.parquet").write_bytes(b"PAR1")
    done = []
    once = parts._do_part
    monkeypatch.setattr(
        parts, "_do_part", lambda work, number, *rest: done.append(number) or once(work, number, *rest)
    )
    pl.predict(trained("grades"), pictures, out=out)
    assert done == [2, 4]
    assert bytes_in(out) == bytes_in(whole.folder)


def test_rows_of_an_npz_are_read_once_from_its_beginning(pictures, tmp_path, monkeypatch):
    from penlight.data import npz

    opened, read_rows = [], npz.read_rows
    monkeypatch.setattr(npz, "read_rows", lambda *args: opened.append(args) or read_rows(*args))
    pl.predict(trained("grades"), pictures[1], out=tmp_path / "out")
    assert len(opened) == 1


def test_a_listing_is_divided_into_parts_of_one_size():
    listed = [sources.ListedPictures("a.png"), sources.ListedPictures("x.npz", "images", 0, 7, 5)]
    divided = list(parts._divided([*listed, sources.ListedPictures("b.png")], 3))
    assert [[own.compact() for own in part] for part in divided] == [
        ["a.png", ["x.npz", "images", 0, 2, 5]],
        [["x.npz", "images", 2, 5, 5]],
        [["x.npz", "images", 5, 7, 5], "b.png"],
    ]
    assert [[own.count for own in part] for part in parts._divided(iter(listed), 4)] == [[1, 3], [4]]
    assert sources.ListedPictures.of_compact(listed[1].compact()) == listed[1]


def test_the_command_writes_parts_and_says_how_to_finish(whole, pictures, tmp_path, penlight):  # noqa: F811
    words = ("predict", trained("grades"), *pictures, "--out", tmp_path / "out")
    code, out, err = penlight(*words, "--shard", "1/2")
    assert code == 0
    assert "2 of 5 parts are missing" in out
    assert "without --shard" in out
    code, out, err = penlight(*words)
    assert code == 1
    assert "22 images answered" in out
    assert "missing" not in out
    assert "broken.png" in err
    assert "1 of 23 could not be read" in err
    assert out.splitlines()[-1] == str(tmp_path / "out")
    assert bytes_in(tmp_path / "out") == bytes_in(whole.folder)
    code, out, _ = penlight(*words, "--json")
    assert json.loads(out)["failed"] == 1
    assert penlight(*words, "--csv", tmp_path / "x.csv")[0] == 2
    assert penlight(*words[:-2], "--shard", "1/2")[0] == 2


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "1/", "a/b", "1/2/3", ""])
def test_what_is_no_shard_is_refused(shard, tmp_path):
    with pytest.raises(ArgumentError, match=r"shard=.1/16"):
        pl.predict(trained("grades"), "x", out=tmp_path / "out", shard=shard)
    assert not (tmp_path / "out").exists()


def test_other_predictions_in_the_folder_are_refused(whole, pictures, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole.folder, out)
    with pytest.raises(RunError, match="another run"):
        pl.predict(trained("findings"), pictures, out=out)
    with pytest.raises(RunError, match="other pictures"):
        pl.predict(trained("grades"), pictures[0], out=out)
    manifest = json.loads((out / parts.MANIFEST).read_text())
    (out / parts.MANIFEST).write_text(json.dumps({**manifest, "version": "0.0.1"}))
    with pytest.raises(RunError, match=r"begun by Penlight 0\.0\.1"):
        pl.predict(trained("grades"), pictures, out=out)
    (out / parts.MANIFEST).write_text("{}")
    with pytest.raises(RunError, match="is missing"):
        pl.predict(trained("grades"), pictures, out=out)
    (out / parts.MANIFEST).unlink()
    with pytest.raises(RunError, match="not empty"):
        pl.predict(trained("grades"), pictures, out=out)
    with pytest.raises(RunError, match="not empty"):
        pl.predict(trained("grades"), pictures, out=trained("grades"))


@pytest.mark.parametrize("change", ["added", "removed", "npz"])
def test_a_listing_that_changed_is_refused(change, tmp_path):
    images = images_of("grades", 8)
    folder = write_pngs(tmp_path / "p", images)
    np.savez(tmp_path / "x.npz", images=images)
    asked = [folder, tmp_path / "x.npz"]
    pl.predict(trained("grades"), asked, out=tmp_path / "out", shard="1/2")
    if change == "added":
        shutil.copy(folder / "1.png", folder / "9.png")
    elif change == "removed":
        (folder / "7.png").unlink()
    else:
        np.savez(tmp_path / "x.npz", images=images[::-1])
    with pytest.raises(RunError, match=r"those of part \d were changed, added or removed"):
        pl.predict(trained("grades"), asked, out=tmp_path / "out")


def test_no_pictures_arrays_and_a_missing_library_are_errors_by_name(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures in"):
        pl.predict(trained("grades"), tmp_path / "empty", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArgumentError, match="ndarray came"):
        pl.predict(trained("grades"), images_of("grades", 1), out=tmp_path / "out")
    with pytest.raises(ArgumentError, match="out="):
        pl.predict(trained("grades"), tmp_path, shard="1/2")
    monkeypatch.setattr(parts, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"penlight\[parquet\]"):
        pl.predict(trained("grades"), tmp_path, out=tmp_path / "out")


def test_a_full_disk_is_said_and_the_same_call_goes_on(whole, pictures, tmp_path, monkeypatch):
    def full(path, content):
        if path.name == "part-00003.parquet":
            raise StorageError(f"The disk is full: {path} cannot take more.", "") from OSError(errno.ENOSPC, "full")
        write(path, content)

    write = parts.write_bytes
    monkeypatch.setattr(parts, "write_bytes", full)
    with pytest.raises(StorageError, match="full"):
        pl.predict(trained("grades"), pictures, out=tmp_path / "out")
    monkeypatch.setattr(parts, "write_bytes", write)
    pl.predict(trained("grades"), pictures, out=tmp_path / "out")
    assert bytes_in(tmp_path / "out") == bytes_in(whole.folder)


def test_a_name_in_no_encoding_and_one_with_controls_are_kept_with_escapes(tmp_path):
    folder = write_pngs(tmp_path / "p", images_of("grades", 1))
    for name in (b"\xff.png", b"a\nb.png"):
        shutil.copy(folder / "0.png", bytes(folder) + b"/" + name)
    (folder / "c\n.png").write_bytes(b"x")
    table = pl.predict(trained("grades"), folder, out=tmp_path / "out").frame()
    assert [Path(name).name for name in table["file"]] == ["0.png", "a\nb.png", "c\n.png", "\\udcff.png"]
    assert table["error.code"].notna().tolist() == [False, False, True, False]
