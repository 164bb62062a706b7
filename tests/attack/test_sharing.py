"""A copy that is made to be shared holds no pixel, identifier or path of the dataset; a run can do without images.

The search here is another than the command's own, and is tried on the runs themselves first, where it must find what
it looks for.
"""

import base64
import html
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.api.training import cross_validate_recipe, held_by, train_recipe
from penlight.data import record, store
from penlight.errors import RunError
from penlight.experiments import run as training
from penlight.recipes import Data, Kernel, Linear, Recipe
from penlight.reports import page
from penlight.reports.displays import UnusualImages
from penlight.reports.picture import data_address
from penlight.runs import RunWriter, open_run
from penlight.runs.groups import open_group
from penlight.runs.traces import Traces
from penlight.serve.registry import open_registry
from tests.cli.conftest import penlight  # noqa: F401
from tests.conftest import is_full

pytestmark = pytest.mark.mapped

N = 110
STUDY = """
name = "own"
title = "Own"
question = "Does it leak?"
dataset = "{dataset}"
seeds = 1

[[rows]]
id = "linear"
recipe = "own-recipe.toml"
title = "Linear"

[[rows]]
id = "majority"
recipe = "majority"
title = "Majority"
"""


class Place:
    """A dataset of drawn pictures of patients, and the runs made of it."""

    def __init__(self, root, kind):
        self.root, self.kind = root, kind
        self.folder = root / "Radiologie St. Anna" / "films"
        self.folder.mkdir(parents=True)
        self.rng = np.random.default_rng(3)
        self.names, self.patients = [], []
        several = kind == "multi-label"
        rows = ["file,finding,patient,age,sex,site,view"]
        for i in range(N):
            label = ["normal", "effusion", "nodule|effusion", "nodule"][i % 4] if several else "ab"[i % 2]
            name = f"röntgen's bild ({i}) & kopie.png" if i % 3 else f"IM{i:04}-α.png"
            # Numbers alone, and letters, are both common.
            patient = f"{7310000 + 13 * (i // 2)}" if several else f"PAT-{i // 2:03}-Öz"
            light = 40 + 30 * (i % 4)
            pixels = self.rng.integers(0, 120, (28, 28), np.uint8) + np.uint8(light)
            if i in (40, 41):
                pixels = np.full((28, 28), 77, np.uint8) + np.arange(28, dtype=np.uint8)
            Image.fromarray(pixels).save(self.folder / name)
            rows.append(f'"{name}",{label},{patient},{20 + i % 60},{"FM"[i % 2]},{"xy"[i % 2]}-clinic,PA')
            self.names.append(name)
            self.patients.append(patient)
        self.table = self.folder.parent / "films.csv"
        self.table.write_text(
            "\n".join(row if k == 0 else row.replace('"', '"films/', 1) for k, row in enumerate(rows))
        )
        task = {"task": kind, "labels": ["effusion", "nodule", "normal"] if several else ["a", "b"]}
        pl.new_dataset(self.table, size=28, name="films", out=self.folder.parent, **task)
        self.toml = self.folder.parent / "films.toml"

    def dataset(self):
        return store.open_dataset(str(self.toml), 28)

    def recipe(self, model=None):
        return Recipe(data=Data(dataset=str(self.toml)), model=model or Linear(components=4))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two datasets, and of the first a run, seeds, folds and a study; a run of the second."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root))
        patch.setenv("PENLIGHT_CACHE", str(root / "cache"))
        patch.chdir(root)
        audit, audited = record.problems_of, {}

        def once(view):
            if view.dataset.md5 not in audited:
                audited[view.dataset.md5] = audit(view)
            return audited[view.dataset.md5]

        patch.setattr(record, "problems_of", once)
        one, two = Place(root / "one", "binary"), Place(root / "two", "multi-label")
        runs = root / "runs"
        # Figures take most of a report's time; only those with pictures are drawn, but of one run in the full tests.
        draw = page.draw_svg
        pictured = lambda d, *rest: draw(d, *rest) if isinstance(d, UnusualImages) else "<svg/>"  # noqa: E731
        if not is_full():
            patch.setattr(page, "draw_svg", pictured)
        train_recipe(one.recipe(), out=runs / "run")
        pl.evaluate_corrupted(runs / "run")
        patch.setattr(page, "draw_svg", pictured)
        train_recipe(one.recipe(Kernel(patches=8)), out=runs / "kernel")
        train_recipe(one.recipe(), out=runs / "seeds", seeds=2)
        if is_full():
            cross_validate_recipe(one.recipe(), folds=2, out=runs / "folds")
        (root / "own-recipe.toml").write_text(one.recipe(Linear(components=3)).to_toml())
        (root / "own.toml").write_text(STUDY.format(dataset=one.toml.relative_to(root)))
        pl.study(str(root / "own.toml"), out=runs / "study")
        train_recipe(two.recipe(), out=runs / "findings")
        for name in (folder.name for folder in sorted(runs.iterdir())):
            pl.export_for_sharing(runs / name)
    return root, one, two


FOLDS = pytest.param("folds", marks=pytest.mark.full)
KINDS = ("run", "kernel", "seeds", FOLDS, "study", "findings")


@pytest.fixture
def runs(world, monkeypatch):
    """The folder of all runs, in which the copies lie too."""
    root, _, _ = world
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("PENLIGHT_CACHE", str(root / "cache"))
    monkeypatch.chdir(root)
    return root / "runs"


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are left out."""
    monkeypatch.setattr(page, "draw_svg", lambda *_: "<svg/>")


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Another machine, on which the dataset is not."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def forms(content, name):
    """A file's bytes, and all that can be read from them: members of archives, texts, pictures in texts."""
    yield content
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield member.encode()
                yield from forms(archive.read(member), member)
                if member.endswith(".npy"):
                    values = np.load(io.BytesIO(archive.read(member)))
                    yield "\n".join(map(str, values.ravel().tolist())).encode() if values.dtype.kind in "US" else b""
    elif name.endswith(".json"):
        yield json.dumps(json.loads(content), ensure_ascii=False).encode()
    elif name.endswith((".html", ".md")):
        text = html.unescape(content.decode())
        yield text.encode()
        for address in re.findall(r"base64,([A-Za-z0-9+/=\s]+)", text):
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(address))))
            yield picture.tobytes()


def everything(folder):
    return {
        file.relative_to(folder).as_posix(): list(forms(file.read_bytes(), file.name))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def where(contents, needles):
    """The files that hold one of the needles."""
    whole = {name: b"\n\n".join(parts) for name, parts in contents.items()}
    return {name for name, content in whole.items() if any(needle in content for needle in needles)}


def pixels_of(place):
    """A row of each picture as integers and as floats, and the picture as a report shows it."""
    out = []
    for split in place.dataset().splits.values():
        for image in np.asarray(split.images)[:: 1 if is_full() else 3]:
            row = image[13, 4:20, 0]
            out += [row.tobytes(), (row / np.float32(255)).tobytes(), (row / 255).tobytes()]
            out += [np.repeat(row, 3).tobytes(), data_address(image).encode()]
    return out


def paths_of(world, place):
    root, _, _ = world
    return [str(root).encode(), str(place.folder).encode(), b"St. Anna", b"films.toml", b"films.csv"]


def names_of(place):
    return [name.encode() for name in place.names]


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_copy_holds_no_pixel_identifier_or_path(world, runs, kind):
    place = world[2] if kind == "findings" else world[1]
    own, shared = everything(runs / kind), everything(runs / f"{kind}-shared")
    pixels, paths = pixels_of(place), paths_of(world, place)
    names, patients = names_of(place), [patient.encode() for patient in place.patients]
    # The search finds in the run what must be gone from its copy.
    assert any(name.endswith("neighbours.npz") for name in where(own, pixels))
    assert any(name.endswith("report.html") for name in where(own, pixels))
    assert where(own, paths)
    assert any("meta_age" in str(part) for parts in own.values() for part in parts)
    for needles in (pixels, paths, names, patients):
        assert where(shared, needles) == set()
    assert where(shared, [b"meta_", b"data:image"]) == set()
    assert not [name for name in shared if name.endswith(("neighbours.npz", "explained.npz"))]
    assert SHARING in shared
    for name in shared:
        if name.endswith("data.json"):
            assert all(not p["places"] for p in json.loads((runs / f"{kind}-shared" / name).read_bytes())["problems"])


SHARING = "SHARING.md"


def test_the_audit_had_found_rows_that_are_gone(runs):
    assert any(problem.places for problem in open_run(runs / "run").data.problems)


def test_patients_have_other_numbers_and_the_same_images(runs):
    own, copy = (open_run(runs / name).model_predictions("test") for name in ("run", "run-shared"))
    assert own.groups is not None
    assert copy.groups is not None
    assert not np.array_equal(own.groups, copy.groups)
    # Not the same order either, which would say who comes before whom.
    assert np.any(np.diff(copy.groups[np.argsort(own.groups)]) < 0)
    together = own.groups[:, None] == own.groups[None]
    assert np.array_equal(together, copy.groups[:, None] == copy.groups[None])
    baseline = open_run(runs / "run-shared").baseline_predictions("majority", "test")
    assert np.array_equal(baseline.groups, copy.groups)
    seeds = [open_run(runs / "seeds-shared" / f"seed-{k}").model_predictions("test").groups for k in (0, 1)]
    assert np.array_equal(*seeds)
    assert np.array_equal(own.index, copy.index)


def comparable(scores):
    return comparable_values(scores.to_dict())


def comparable_values(values):
    values["subgroups"] = [group for group in values["subgroups"] if group["value"] is not None]
    if values.get("final"):
        values["final"] = comparable_values(values["final"])
    return {key: value for key, value in values.items() if key != "unavailable"}


@pytest.mark.parametrize("kind", ["seeds", FOLDS, "study"])
def test_the_files_of_a_copied_folder_are_sealed(runs, kind):
    group = open_group(runs / f"{kind}-shared")
    assert group.is_sealed
    assert len(group.runs()) == 2
    assert group.has(SHARING)
    assert group.has("report.html")


@pytest.mark.parametrize("kind", ["run", "kernel", "seeds", FOLDS, "findings"])
def test_a_copy_has_the_same_scores_and_intervals_elsewhere(runs, elsewhere, kind):
    own, copy = pl.evaluate(runs / kind), pl.evaluate(runs / f"{kind}-shared")
    assert comparable(own) == comparable(copy)


def test_a_copy_says_that_values_of_groups_were_left_out(runs, elsewhere):
    said = pl.evaluate(runs / "run-shared", "val").to_dict()["unavailable"]
    assert any("left out" in what and "age" in what for what in said)


def test_copies_compare_as_the_runs_do(runs, elsewhere):
    own, copy = (
        pl.compare([str(runs / f"run{end}"), str(runs / f"kernel{end}")]).to_dict() for end in ("", "-shared")
    )
    assert json.dumps(own).replace("-shared", "") == json.dumps(copy).replace("-shared", "")


def test_a_copy_predicts_the_same_and_is_served(world, runs, elsewhere):
    pictures = sorted(world[1].folder.glob("*.png"))[:5]
    own, copy = (pl.predict(runs / name, pictures).to_dict() for name in ("run", "run-shared"))
    assert own["images"] == copy["images"]
    registry = open_registry(sorted(runs.glob("*-shared")))
    # Two folds and their final model are of the full tests.
    assert len(registry.runs) == 1 + 1 + 2 + (3 if is_full() else 0) + 2 + 1
    assert all(registered.run.has("report.html") for registered in registry.runs.values())


@pytest.mark.parametrize("kind", ["seeds", FOLDS, "study"])
def test_a_copy_writes_its_report_again_where_the_dataset_is_not(runs, elsewhere, kind, tmp_path, undrawn):
    copy = shutil.copytree(runs / f"{kind}-shared", tmp_path / f"{kind}-shared")
    before = (copy / "report.html").read_text()
    pl.report(copy)
    assert (copy / "report.html").read_text() == before
    assert "This is a copy to be shared: images were left out." in before


def test_what_is_in_a_model_of_training_images_is_named(runs):
    text = (runs / "kernel-shared" / SHARING).read_text()
    assert "8 windows of 5 × 5 pixels of training images" in text
    assert "numbers computed from each of 7" in text
    assert "kernel" not in (runs / "run-shared" / SHARING).read_text()


def test_the_dates_in_archives_say_nothing(runs):
    for file in (runs / "run-shared").glob("*.npz"):
        with zipfile.ZipFile(file) as archive:
            assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_stands_in_texts_of_the_dataset_is_found_and_nothing_is_left(world, runs, tmp_path, undrawn):
    place = world[1]
    run = shutil.copytree(runs / "run", tmp_path / "run")
    values = json.loads((run / "metrics.json").read_text())
    values["unavailable"].append(f"the film of {place.patients[4]} was blurred")
    open_run(run).replace("metrics.json", json.dumps(values).encode())
    with pytest.raises(RunError, match=r"identifier of a patient in metrics\.json"):
        pl.export_for_sharing(run)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "run-"))] == []


def test_files_that_penlight_does_not_know_are_not_copied_and_named(runs, tmp_path, undrawn):
    run = shutil.copytree(runs / "run", tmp_path / "run")
    (run / "notes.txt").write_text("Mrs Miller's film is blurred")
    copied = pl.export_for_sharing(run, tmp_path / "given")
    assert copied.unknown == ["notes.txt"]
    assert not (tmp_path / "given" / "notes.txt").exists()
    with pytest.raises(RunError, match="is there already"):
        pl.export_for_sharing(run, tmp_path / "given")


def test_links_are_not_followed_into_a_copy(runs, tmp_path, undrawn):
    seeds = shutil.copytree(runs / "seeds", tmp_path / "seeds")
    shutil.rmtree(seeds / "seed-1")
    (seeds / "seed-1").symlink_to(runs / "run")
    with pytest.raises(RunError, match="link"):
        pl.export_for_sharing(seeds)
    assert not (tmp_path / "seeds-shared").exists()


def test_a_copy_without_images_keeps_the_rest(world, runs, tmp_path, undrawn, penlight):  # noqa: F811
    code, out, _ = penlight("export", runs / "run", "--no-images", "--out", tmp_path / "plain")
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "plain")
    contents = everything(tmp_path / "plain")
    assert where(contents, pixels_of(world[1])) == set()
    for name in ("predictions-test.npz", "recipe.toml", "model.onnx", "data.json"):
        assert (tmp_path / "plain" / name).read_bytes() == (runs / "run" / name).read_bytes()


def test_the_command_prints_what_is_left_out_and_what_remains(runs, tmp_path, undrawn, penlight):  # noqa: F811
    code, out, _ = penlight("export", runs / "run", "--for-sharing", "--out", tmp_path / "given", "--json")
    values = json.loads(out)
    assert code == 0
    assert values["for_sharing"]
    assert values["unknown_files"] == []
    assert any("training images" in line for line in values["left_out"])
    assert any("membership inference" in line for line in values["remains"])
    code, _, err = penlight("export", runs / "run", "--for-sharing", "--to", "keras")
    assert code == 2
    assert "--to" in err


@pytest.fixture
def plain(world, runs, tmp_path, monkeypatch, penlight):  # noqa: F811
    """The same run, made without images, where a process was killed before that kept them."""
    recipe = open_run(runs / "run").recipe
    with RunWriter(tmp_path / "plain", recipe, 0) as writer:
        for name in ("neighbours.npz", "explained.npz"):
            writer.write(name, (runs / "run" / name).read_bytes())
    monkeypatch.setattr(record, "problems_of", lambda view: open_run(runs / "run").data.problems)
    words = [
        "--recipe",
        "linear",
        "--set",
        "model.components=4",
        "--out",
        tmp_path / "plain",
        "--no-images",
        "--full",
    ]
    code, out, err = penlight("train", world[1].toml, *words)
    assert code == 0, err
    return tmp_path / "plain", out


def test_a_run_without_images_answers_the_same_and_holds_none(world, runs, plain, penlight):  # noqa: F811
    folder, out = plain
    assert "The folder holds no image of the dataset." in out
    for name in ("predictions-val.npz", "predictions-test.npz", "model.onnx", "recipe.toml", "metrics.json"):
        assert (folder / name).read_bytes() == (runs / "run" / name).read_bytes(), name
    pixels = pixels_of(world[1])
    assert where(everything(folder), pixels) == set()
    text = (folder / "report.html").read_text()
    assert "data:image" not in text
    assert "penlight report plain --with-images" in text
    assert "No image" in (folder / "card.md").read_text()
    # It keeps to it, and can be asked otherwise.
    pl.report(folder)
    assert "data:image" not in (folder / "report.html").read_text()
    shown = pl.report(folder, folder.parent / "page.html", images=True)
    assert "data:image" in shown.read_text()
    code, _, err = penlight("explain", folder, next(world[1].folder.glob("*.png")), "--neighbours", "2")
    assert code == 1
    assert "keeps no training images" in err
    with pytest.raises(RunError, match="keeps images"):
        training.require_no_images(open_run(runs / "run"))


def test_a_run_with_images_says_how_many_and_its_page_can_be_written_without(runs, tmp_path, undrawn):
    run = shutil.copytree(runs / "run", tmp_path / "run")
    held = held_by([open_run(run)])
    assert held["training_images"] > 50
    assert held["pictures"] > 10
    assert f"{held['training_images']} training images in neighbours.npz" in (run / "card.md").read_text()
    pl.report(run, images=False)
    assert "data:image" not in (run / "report.html").read_text()
    pl.report(run)
    assert "data:image" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PAT-1-Öz", "a.json"),
        ("/home/ann/films", "a.html"),
        ("röntgen & co.png", "a.html"),
        ("7310013", "a.json"),
        ("7310013", "card.md"),
        ("PAT-1-Öz", "a.npz"),
        ("PAT-1-Öz", "model.onnx"),
    ],
)
def test_traces_are_found_in_every_form(tmp_path, text, name):
    out = io.BytesIO()
    np.savez_compressed(out, names=np.array(["x", text]))
    written = {
        ".json": json.dumps({"a": [f"of {text}."]}).encode(),
        ".html": f"<p>{html.escape(text)}</p>".encode(),
        ".md": f"- {text}\n".encode(),
        ".npz": out.getvalue(),
        ".onnx": b"\x08\x12" + text.encode() + b"\x00",
    }
    (tmp_path / name).write_bytes(written[Path(name).suffix])
    assert Traces.of({"it": [text]}).in_folder(tmp_path) == [(name, "it")]


def test_numbers_of_patients_are_not_found_in_other_numbers(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"p": 0.7310013, "n": 7310013, "s": "0.7310013"}))
    (tmp_path / "a.html").write_text('<path d="M 0.7310013 12,7310013.5"/>')
    (tmp_path / "model.onnx").write_bytes(b"7310013")
    assert Traces.of({"it": ["7310013", "12"]}).in_folder(tmp_path) == []
