"""Folders of several runs: their own files are known by hashes, as those of a run are, and read at the same gate."""

import json
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from starlette.testclient import TestClient

import penlight as pl
from penlight.api.training import train_recipe
from penlight.cli.show.scores import print_scores
from penlight.data import record, store
from penlight.errors import PenlightError, RunError
from penlight.recipes import Data, Majority, Recipe
from penlight.runs import groups as module
from penlight.runs import open_run
from penlight.runs.files import sealed
from penlight.runs.groups import SEAL_FILE, UNSEALED, kind_of, open_group, write_group
from penlight.serve import make_app
from penlight.serve.gallery import gather
from penlight.serve.registry import open_registry
from penlight.tasks import Ordinal
from tests.attack import run_folders as attack
from tests.conftest import LABELS, few_pairs, small_dataset


@cache
def trained_seeds() -> Path:
    """Train the majority-class baseline with two seeds."""
    out = Path(mkdtemp(prefix="penlight-tests-")) / "seeds"
    dataset = small_dataset(Ordinal(LABELS, referable=2), n=(40, 40, 30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "open_dataset", lambda *_: dataset)
        patch.setattr(record, "problems_of", lambda view: ())
        patch.setattr("penlight.experiments.run._write_report", lambda writer, *_: writer.write("report.html", "x"))
        patch.setattr("penlight.reports.seeds_report", lambda *_, **__: "<html>A report")
        train_recipe(Recipe(data=Data(dataset="small"), model=Majority()), out=out, seeds=2)
    return out


@pytest.fixture
def seeds(tmp_path) -> Path:
    return attack.copy_of(trained_seeds(), tmp_path / "seeds")


def served(folder: Path, *addresses: str) -> str:
    with TestClient(make_app(open_registry([folder]), names={"testserver"})) as client:
        return "".join(client.get(address).text for address in addresses)


def test_a_folder_of_seeds_is_sealed(seeds):
    values = json.loads((seeds / SEAL_FILE).read_text())
    assert set(values["files"]) == {"summary.json", "report.html"}
    assert list(values["runs"]) == ["seed-0", "seed-1"]
    assert (kind_of(seeds), kind_of(seeds / "seed-0")) == ("seeds", None)
    assert open_group(seeds).is_sealed
    assert open_group(seeds).read("report.html") == b"<html>A report"
    listed = json.loads(served(seeds, "/api/v1/runs"))["groups"]
    assert [group["sealed"] for group in listed] == [True]


@pytest.mark.parametrize(
    ("name", "change"),
    few_pairs(["summary.json", "report.html"], ["changed", "link", "pipe", "folder", "missing", "longer"]),
)
def test_a_file_of_a_folder_that_is_not_as_it_was_written_is_named_and_not_served(seeds, tmp_path, name, change):
    place, secret = seeds / name, tmp_path / "secret.txt"
    content = place.read_bytes()
    secret.write_bytes(b"the secret")
    place.unlink()
    {
        "changed": lambda: place.write_bytes(content[:-1] + b"?"),
        "link": lambda: place.symlink_to(secret),
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "missing": lambda: None,
        "longer": lambda: place.write_bytes(content + b" "),
    }[change]()
    with pytest.raises(RunError, match=name):
        open_group(seeds).read(name)
    assert "the secret" not in served(seeds, "/groups/seeds/report", "/api/v1/groups/seeds", "/")


def test_a_link_in_a_folder_without_a_seal_is_not_followed_either(seeds, tmp_path):
    (seeds / SEAL_FILE).unlink()
    (tmp_path / "secret.txt").write_text("the secret")
    (seeds / "report.html").unlink()
    (seeds / "report.html").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RunError, match="link"):
        open_group(seeds).read("report.html")
    assert "the secret" not in served(seeds, "/groups/seeds/report")


def test_a_folder_of_the_version_before_opens_and_is_said_to_be_unsealed(seeds, capsys):
    print_scores(pl.evaluate(seeds), json=False)
    assert "not sealed" not in capsys.readouterr().out
    (seeds / SEAL_FILE).unlink()
    print_scores(pl.evaluate(seeds), json=False)
    assert "not sealed (written by Penlight 0.1.0)" in capsys.readouterr().out
    print_scores(pl.evaluate(seeds), json=True)
    assert json.loads(capsys.readouterr().out)["sealed"] is False
    group = open_group(seeds)
    assert (group.kind, group.is_sealed) == ("seeds", False)
    assert len(group.runs()) == 2
    assert len(pl.evaluate(seeds).seeds) == 2
    assert [own["sealed"] for own in json.loads(served(seeds, "/api/v1/runs"))["groups"]] == [False]
    (entry,) = gather(open_registry([seeds])).groups[0].entries
    assert UNSEALED in entry.detail
    # It is not made to look sealed by what is written to it later.
    group.replace("report.html", b"<html>Another")
    assert not open_group(seeds).is_sealed


@pytest.mark.parametrize("what", list(attack.WHOLE))
def test_a_damaged_seal_is_named(seeds, what):
    (seeds / SEAL_FILE).write_bytes(attack.WHOLE[what])
    for read in (open_group, pl.evaluate, pl.report):
        with pytest.raises(RunError, match=r"group\.json|another version"):
            read(seeds)
    # Its runs are whole, and are offered by themselves.
    registry = open_registry([seeds])
    assert (len(registry.runs), len(registry.groups)) == (2, 0)


def test_a_seal_that_was_changed_is_named(seeds):
    values = json.loads((seeds / SEAL_FILE).read_text())
    values["runs"].pop("seed-1")
    (seeds / SEAL_FILE).write_text(json.dumps(values))
    with pytest.raises(RunError, match="another hash"):
        open_group(seeds)


@pytest.mark.parametrize("name", ["../seeds", "/etc", "seed-0/../../x", ""])
def test_a_seal_names_runs_in_its_folder(seeds, name):
    values = json.loads((seeds / SEAL_FILE).read_text())
    values["runs"][name] = "0" * 64
    (seeds / SEAL_FILE).write_text(json.dumps(sealed(values)))
    with pytest.raises(RunError, match=r"group\.json"):
        open_group(seeds)


def test_changed_records_of_a_folder_are_named_or_work(seeds):
    import numpy as np

    content = (seeds / "summary.json").read_bytes()
    for what, changed in attack.mutations(content, np.random.default_rng(1), 6):
        runs = {name: open_run(seeds / name) for name in ("seed-0", "seed-1")}
        write_group(seeds, "seeds", {"report.html": b"x", "summary.json": changed}, runs)
        try:
            json.dumps(open_group(seeds).record.to_dict(), allow_nan=False).encode()
            gather(open_registry([seeds]))
        except PenlightError:
            continue
        except Exception as error:
            raise AssertionError(f"summary.json {what}: {type(error).__name__}: {error!s:.300}") from error


def test_a_run_that_was_exchanged_is_named_and_a_copy_beside_is_none(seeds):
    shutil.copytree(seeds / "seed-0", seeds / "seed-0.bak")
    shutil.copytree(seeds / "seed-0", seeds / "seed-7")
    assert [run.name for run in open_group(seeds).runs()] == ["seed-0", "seed-1"]
    # A report that is written anew leaves the run what it was.
    open_run(seeds / "seed-1").replace("report.html", b"another report")
    assert len(open_group(seeds).runs()) == 2
    attack.put(seeds / "seed-1", "decision.json", (seeds / "seed-1" / "decision.json").read_bytes() + b" ")
    with pytest.raises(RunError, match="seed-1 holds another run"):
        pl.evaluate(seeds)
    shutil.rmtree(seeds / "seed-1")
    (seeds / "seed-1").symlink_to(seeds / "seed-0")
    with pytest.raises(RunError, match="seed-1 is a link"):
        pl.evaluate(seeds)


class KilledError(BaseException):
    pass


@pytest.mark.parametrize(("write", "how"), few_pairs([0, 1, 2, 3, 4], ["replace", "write again"]))
def test_a_folder_holds_at_every_moment(seeds, monkeypatch, write, how):
    """Killed before write number `write`, each file is the old one or the new one, and the seal fits both."""
    count = iter(range(9))

    def killed(own):
        def write_or_die(path, content):
            if next(count) == write:
                raise KilledError
            own(path, content)

        return write_or_die

    old = {name: (seeds / name).read_bytes() for name in ("report.html", "summary.json")}
    new = {"report.html": b"<html>Another", "summary.json": old["summary.json"] + b" "}
    runs = {name: open_run(seeds / name) for name in ("seed-0", "seed-1")}
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bytes", killed(module.write_bytes))
        patch.setattr(module, "write_json", killed(module.write_json))
        try:
            if how == "replace":
                open_group(seeds).replace("report.html", new["report.html"])
            else:
                write_group(seeds, "seeds", new, runs)
        except KilledError:
            assert write < (3 if how == "replace" else 4)
        else:
            assert write >= (3 if how == "replace" else 4)
    group = open_group(seeds)
    assert group.is_sealed
    for name in old:
        assert group.read(name) in (old[name], new[name])
    assert len(group.runs()) == 2
    # And the same command makes it whole.
    write_group(seeds, "seeds", new, runs)
    assert {name: open_group(seeds).read(name) for name in new} == new
