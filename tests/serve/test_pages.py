"""Pages as they are sent: what the gallery says is what the runs hold, every address answers, and nothing is loaded
from elsewhere."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import penlight as pl
from penlight.evaluation import find_row
from penlight.runs import open_run
from penlight.serve import make_app, open_registry
from penlight.serve.gallery import GalleryScore, gather
from penlight.serve.pages import STATIC, axis_of
from tests.drawn import shelf_folder

PAGE = {"accept": "text/html"}
PAGES = ("/", "/runs/fundus", "/runs/films", "/compare?run=fundus&run=fundus-rough", "/compare?run=films", "/nothing")


@pytest.fixture(scope="module")
def registry():
    return open_registry([shelf_folder()])


@pytest.fixture(scope="module")
def client(registry):
    with TestClient(make_app(registry, names={"testserver"}), headers=PAGE) as made:
        yield made


def entries(registry):
    return {e.id: e for g in gather(registry).groups for top in (*g.studies, *g.entries) for e in (top, *top.parts)}


def test_the_gallery_holds_the_scores_that_the_runs_hold(registry):
    for name, registered in registry.runs.items():
        scores, entry = pl.evaluate(registered.run.path), entries(registry)[name]
        headline = find_row(scores.metrics, registered.run.model_predictions("test").task.headline)
        assert entry.score.row.to_dict() == headline.to_dict()
        assert (entry.serious, entry.serious + entry.remarks) == (
            sum(check.serious for check in scores.checks),
            len(scores.checks),
        )
        if registered.run.recipe.model.backbone == "majority":
            assert entry.score.linear == find_row(scores.baselines["linear"], headline.name)
        else:
            assert entry.score.linear is None


def test_seeds_and_studies_stand_with_their_means(registry):
    found = entries(registry)
    mean = find_row(pl.evaluate(shelf_folder() / "fundus-seeds").metrics, "auc")
    seeds = found["fundus-seeds"]
    assert (seeds.score.row.value, seeds.score.row.low) == pytest.approx((mean.value, mean.low))
    assert len(seeds.parts) == 2
    study = found["study"]
    assert [row.name for row in study.rows] == ["Linear baseline", "Majority-class baseline"]
    assert study.rows[1].score.linear == study.rows[0].score.row
    assert {part.recipe for part in study.parts} == {"majority", "linear"}


def test_what_stands_together_can_be_compared(registry):
    for group in gather(registry).groups:
        ids = [entry.id for entry in group.entries]
        folders = [registry.runs[i].run.path if i in registry.runs else registry.groups[i].folder for i in ids]
        if len(folders) > 1:
            assert len(pl.compare(folders).comparison.models) == len(folders)


def test_a_run_that_was_damaged_since_is_said_and_stops_nothing(tmp_path):
    for name in ("fundus", "films"):
        (tmp_path / name).mkdir()
        for file in (shelf_folder() / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    registry = open_registry([tmp_path])
    (tmp_path / "films" / "metrics.json").write_text("{}")
    gallery = gather(registry)
    assert [e.id for g in gallery.groups for e in g.entries] == ["fundus"]
    assert "metrics.json" in gallery.problems["films"]


def test_a_score_is_placed_on_its_axis():
    row = find_row(pl.evaluate(shelf_folder() / "fundus").metrics, "auc")
    place = axis_of(GalleryScore(row))
    assert place["value"] == pytest.approx(8 + 224 * row.value, abs=0.05)
    assert place["low"] < place["value"] < place["high"]
    assert place["linear"] is None


@pytest.mark.parametrize("address", PAGES)
def test_pages_hold_no_script_or_style_and_load_from_here_alone(client, address):
    answer = client.get(address)
    text = answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "Not for clinical use." in text
    assert "<style" not in text
    assert not re.search(r"<[a-z][^>]*\s(?:style|on[a-z]+)=", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"(?:src|href|action)=\"(?!/|#)", text)


def test_every_address_of_a_page_answers(client):
    seen, waiting = set(), ["/", "/runs/fundus", "/compare?run=fundus&run=fundus-rough"]
    while waiting:
        address = waiting.pop().partition("#")[0]
        if not address or address in seen or address.startswith("data:"):
            continue
        seen.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            waiting += re.findall(r'(?:href|src)="([^"]+)"', answer.text)
    assert {f"/static/{name}" for name in STATIC if name != "pictures.js"} <= seen
    assert {"/runs/fundus/report", "/groups/study/report", "/groups/fundus-seeds/report"} <= seen


def test_titles_are_text_not_markup(client):
    assert "Is &lt;linear&gt; better than nothing?" in client.get("/").text


def test_a_comparison_says_what_the_api_says_and_no_folder_of_the_server(client):
    found = pl.compare([shelf_folder() / "fundus", shelf_folder() / "fundus-rough"]).comparison
    text = client.get("/compare?run=fundus&run=fundus-rough").text
    assert f"AUC {found.models[1].mean:.3f} against {found.models[0].mean:.3f}" in text
    assert str(shelf_folder()) not in text


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/compare", 400, "0 runs cannot be compared"),
        ("/compare?run=fundus&run=fundus", 400, "1 run cannot be compared"),
        ("/compare?run=fundus&run=films", 400, "fundus and films cannot be compared, their dataset differs"),
        ("/compare?run=fundus&run=..%2Fsecret", 404, "not here"),
        ("/runs/none", 404, "none of this id"),
        ("/static/none.js", 404, "none of this id"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_said_in_words(client, address, status, words):
    answer = client.get(address)
    assert answer.status_code == status
    assert words in answer.text
    assert "To the gallery" in answer.text
    assert str(shelf_folder()) not in answer.text
    assert client.get(address, headers={"accept": "application/json"}).json()["error"]


def test_a_drawn_example_can_be_asked_about_and_is_in_no_split(client):
    for name in ("fundus", "films"):
        drawn = client.get(f"/runs/{name}/example?number=3")
        assert drawn.headers["penlight-truth"]
        answer = client.post(f"/api/v1/runs/{name}/predict", files=[("file", ("a.png", drawn.content))]).json()
        assert answer["images"][0]["warnings"] == [] or answer["images"][0]["unusual"]
        assert client.get(f"/runs/{name}/example?number=3").content == drawn.content
        assert client.get(f"/runs/{name}/example?number=4").content != drawn.content
    assert client.get("/runs/fundus/example?number=-1").status_code == 422


def test_the_truth_of_drawn_grades_goes_through_all_of_them(client):
    labels = open_run(shelf_folder() / "fundus").model_predictions("test").task.labels
    said = [client.get(f"/runs/fundus/example?number={i}").headers["penlight-truth"] for i in range(len(labels))]
    assert tuple(said) == labels


def test_a_picture_comes_back_as_the_model_reads_it(client):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    answer = client.post("/runs/fundus/image", files=[("file", ("a.png", file.getvalue()))])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), pixels)
    broken = client.post("/runs/fundus/image", files=[("file", ("a.png", file.getvalue()[:200]))])
    assert broken.status_code == 422
    assert "a.png cannot be used" in broken.text
