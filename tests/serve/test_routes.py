"""Each route and each limit: its status, its JSON, and that the server goes on."""

import io
import json
import logging
import tempfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import penlight as pl
from penlight.answers import Answer
from penlight.errors import RunError, ServeError
from penlight.runs import open_run
from penlight.runs.provenance import without_names
from penlight.runs.remote import Prediction
from penlight.serve import RequestLimits, app, open_registry, serve
from penlight.serve.guard import is_loopback, names_of
from penlight.serve.metrics import Metrics
from penlight.serve.pool import Pool
from tests.conftest import examples
from tests.serve.conftest import serving
from tests.test_predicting import images_of, png
from tests.trained import TASKS, trained

PREDICT = "/api/v1/runs/grades/predict"
GOOD = png(images_of("grades", 1)[0])


def file(content=GOOD, name="a.png"):
    return ("file", (name, content, "image/png"))


def bomb(side):
    """A PNG of one kilobyte that says it has side x side pixels."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zipped():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.png", GOOD)
    return made.getvalue()


def frames():
    made = io.BytesIO()
    pages = [Image.fromarray(np.full((8, 8), i, np.uint8)) for i in range(3)]
    pages[0].save(made, "TIFF", save_all=True, append_images=pages[1:])
    return made.getvalue()


def alive(client):
    return client.post(PREDICT, files=[file()]).status_code == 200


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_answer_is_that_of_the_command(client, name):
    named = [(f"{i}.png", png(pixels)) for i, pixels in enumerate(images_of(name, 5))]
    answer = client.post(f"/api/v1/runs/{name}/predict", files=[file(content, n) for n, content in named])
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(pl.predict(trained(name), named).to_dict()))


def test_a_picture_may_be_the_body_itself(client):
    raw = client.post(PREDICT, content=GOOD, headers={"content-type": "image/png"}).json()
    form = client.post(PREDICT, files=[file(name="picture")]).json()
    assert raw == form


def test_a_broken_picture_among_good_ones_has_its_error_in_the_answer(client):
    answer = client.post(PREDICT, files=[file(), file(b"text", "b.png")])
    good, bad = answer.json()["images"]
    assert (answer.status_code, answer.json()["failed"]) == (200, 1)
    assert "error" not in good
    assert bad == {"file": "b.png", "error": bad["error"]}
    assert bad["error"]["code"] == "no-picture"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"text", 415),
        (zipped(), 415),
        (b"\x00" * 200, 415),
        (GOOD[:-40], 422),
        (GOOD[:20], 422),
        (frames(), 422),
        (bytes(128) + b"DICM" + b"\xff" * 40, 422),
        (bomb(60_000), 413),
        (bomb(4097), 413),
        (bomb(4000), 422),
    ],
    ids=["text", "zip", "zeros", "truncated", "header", "frames", "dicom", "bomb", "too-many-pixels", "cut-off-bomb"],
)
def test_what_is_no_whole_picture_is_refused_and_the_server_lives(client, content, status):
    for answer in (
        client.post(PREDICT, files=[file(content)]),
        client.post(PREDICT, content=content, headers={"content-type": "image/png"}),
    ):
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "expected", "do"}
    assert alive(client)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_pictures_get_an_answer_or_a_4xx(client, data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    answer = client.post(PREDICT, files=[file(bytes(damaged))])
    assert answer.status_code in (200, 413, 415, 422)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", "image/png"])
)
def test_any_body_gets_a_4xx(client, body, kind):
    for start in (b"", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'):
        answer = client.post(PREDICT, content=start + body, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500
        assert set(answer.json()) == {"error", "expected", "do"}


def chunked():
    yield GOOD


@pytest.fixture(scope="module")
def limited():
    with serving(RequestLimits(upload=60_000, files=4)) as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"files": [file(bytes(70_000))]}, 413),
        ({"files": [file()] * 5}, 413),
        ({"data": {"a": "b"}}, 415),
        ({"json": {"a": "b"}}, 415),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 400),
        ({"content": chunked(), "headers": {"content-type": "image/png"}}, 411),
        ({"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
        ({"files": [("file", (None, "no file"))]}, 400),
    ],
    ids=["bytes", "files", "form", "json", "empty", "chunked", "cut-off", "no-file"],
)
def test_limits_of_a_body(limited, sent, status):
    answer = limited.post(PREDICT, **sent)
    assert (answer.status_code, set(answer.json())) == (status, {"error", "expected", "do"})
    assert alive(limited)


def test_uploads_touch_no_disk(client, monkeypatch):
    def forbidden(*args, **options):
        raise AssertionError("a temporary file was made")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, forbidden)
    large = png(np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8))
    assert len(large) > 2_000_000
    assert client.post(PREDICT, files=[file(large)]).status_code == 200


def test_too_many_uploads_or_pictures_are_503_with_a_time_to_come_back(monkeypatch):
    with serving(RequestLimits(held=100)) as client:
        answer = client.post(PREDICT, files=[file()])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    pool_init = Pool.__init__

    def waiting(self, *args, **options):
        pool_init(self, *args, **options)
        self.waiting = 1

    monkeypatch.setattr(Pool, "__init__", waiting)
    with serving(RequestLimits(waiting=1)) as client:
        answer = client.post(PREDICT, files=[file()])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_an_answer_that_takes_too_long_is_504_and_a_failing_worker_500(monkeypatch):
    about = app.message

    def misbehave(do):
        def ask(run, opening, wanted, pixels):
            return {**about(run, opening, wanted, pixels), "misbehave": do if wanted == "answer" else None}

        monkeypatch.setattr(app, "ANSWERING", "tests.attack.misbehaving:answer")
        monkeypatch.setattr(app, "message", ask)

    misbehave("sleep")
    with serving(RequestLimits(seconds=3)) as client:
        # The first that asks waits for a worker to start, on a busy machine for longer than the limit.
        assert any(client.get("/api/v1/runs/grades").status_code == 200 for _ in range(20))
        assert client.post(PREDICT, files=[file()]).status_code == 504
    misbehave("raises")
    with serving() as client:
        assert client.post(PREDICT, files=[file()]).status_code == 500
        misbehave(None)
        assert alive(client)


def test_runs_are_listed_and_shown(client):
    listed = client.get("/api/v1/runs").json()
    assert [run["id"] for run in listed["runs"]] == ["grades", "findings"]
    shown = client.get(listed["runs"][0]["links"]["self"]).json()
    run = open_run(trained("grades"))
    assert shown["scores"] == run.metrics.to_dict()
    assert shown["headline"] == run.metrics.metrics[0].to_dict()
    # Without the name of the machine that made it.
    assert shown["provenance"] == without_names(run.provenance)
    assert "node" not in shown["provenance"]["machine"]
    assert shown["model"] == client.post(PREDICT, files=[file()]).json()["model"]
    assert str(trained("grades")) not in json.dumps([listed, shown])


def test_a_report_is_the_runs_own_file_and_only_its_own_scripts_may_run(client):
    answer = client.get("/runs/grades/report")
    assert answer.content == open_run(trained("grades")).read("report.html")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "default-src 'none'" in policy


def test_the_first_page_lists_the_runs(client):
    answer = client.get("/")
    assert "/runs/grades/report" in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert client.get("/static/style.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/runs/none", "/api/v1/groups/none", "/runs/none/report", "/groups/none/report", "/static/app.py",
     "/none", "/api/v1/runs/..%2f..%2fetc%2fpasswd", "/static/..%2f..%2fapp.py", "/runs/%2e%2e/report"],
)  # fmt: skip
def test_what_is_not_there_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, set(answer.json())) == (404, {"error", "expected", "do"})


def test_a_damaged_run_is_an_error_that_names_no_folder(tmp_path):
    import shutil

    from starlette.testclient import TestClient

    from penlight.serve import make_app

    shutil.copytree(trained("grades"), tmp_path / "grades")
    app = make_app(open_registry([tmp_path]))
    (tmp_path / "grades" / "model.onnx").write_bytes(b"changed")
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post(PREDICT, files=[file()])
    assert answer.status_code == 500
    assert str(tmp_path) not in answer.text


def test_every_answer_carries_the_headers(client):
    for answer in (client.get("/"), client.get("/none"), client.get("/healthz", headers={"host": "evil.example"})):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_another_host_or_a_page_of_another_site_is_refused(client):
    assert client.get("/api/v1/runs", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/api/v1/runs", headers={"host": "testserver:8000"}).status_code == 200
    crossed = client.post(PREDICT, files=[file()], headers={"sec-fetch-site": "cross-site"})
    assert crossed.status_code == 403


def test_a_token_is_asked_for_everywhere_but_for_health():
    with serving(token="a-long-token") as client:
        for path in ("/", "/api/v1/runs", "/metrics", "/runs/grades/report", "/api/v1/openapi.json"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
            assert client.get(path, headers={"authorization": "Bearer a-long-token"}).status_code == 200
        assert client.get("/", auth=("any", "a-long-token")).status_code == 200
        assert client.get("/", auth=("any", "wrong")).status_code == 401
        assert client.get("/", headers={"authorization": "Basic !"}).status_code == 401
        assert client.get("/healthz").status_code == 200


def test_an_open_address_needs_a_token():
    assert names_of("127.0.0.1") == {"localhost", "127.0.0.1", "::1"}
    assert names_of("0.0.0.0") is None
    assert is_loopback("::1")
    assert not is_loopback("example.org")
    with pytest.raises(ServeError, match="token_file="):
        serve([trained("grades")], host="0.0.0.0")
    with pytest.raises(ServeError, match="8 characters"):
        serve([trained("grades")], token="short")


def test_logs_hold_no_name_and_metrics_count(caplog):
    with serving() as client, caplog.at_level(logging.INFO, "penlight.serve"):
        client.post(PREDICT, files=[file(name="patient-name.png")])
        client.get("/secret-path")
        text = client.get("/metrics").text
    assert "/api/v1/runs/{run}/predict 200" in caplog.text
    assert "patient-name" not in caplog.text
    assert "secret-path" not in caplog.text + text
    route = 'route="/api/v1/runs/{run}/predict"'
    assert f'penlight_requests_total{{method="POST",{route},status="200"}} 1' in text
    assert f"penlight_request_seconds_count{{{route}}} 1" in text
    counted = [line for line in text.splitlines() if line.startswith("penlight_pictures_total")]
    assert [line.split()[-1] for line in counted] == ["1"]


def test_pictures_that_were_abstained_on_are_counted_by_reason_as_answers_have_it():
    def answered(several, unusual):
        answer = Answer(("a",), {"a": 1.0}, None, None, 0.5, unusual, several)
        return Prediction("x.png", answer)

    metrics = Metrics()
    app._count(
        metrics,
        [answered(False, False), *[answered(True, False)] * 2, *[answered(False, True)] * 4,
         *[answered(True, True)] * 8, Prediction("y.png", None)],
    )  # fmt: skip
    lines = dict(line.rsplit(" ", 1) for line in metrics.text({}).splitlines() if line.startswith("penlight_pic"))
    assert lines == {
        'penlight_pictures_total{result="abstained"}': "14",
        'penlight_pictures_total{result="answered"}': "1",
        'penlight_pictures_total{result="failed"}': "1",
        'penlight_pictures_abstained_total{reason="several_possible"}': "10",
        'penlight_pictures_abstained_total{reason="unusual"}': "12",
    }


def test_explanations_are_given_or_said_to_be_unavailable(client):
    answer = client.post("/api/v1/runs/grades/explain", files=[file()])
    try:
        from penlight.api import explaining
    except ImportError:
        assert (answer.status_code, set(answer.json())) == (501, {"error", "expected", "do"})
    else:
        explainer = explaining.Explainer(open_run(trained("grades")))
        made = explainer.explain(images_of("grades", 1), [explaining.ImageSource("a.png")]).to_dict()
        assert answer.json()["explanations"] == json.loads(json.dumps(made["explanations"]))


STUDY = {
    "schema": 1,
    "source": "x.toml",
    "study": {
        "name": "x",
        "title": "X",
        "question": "?",
        "dataset": "small",
        "rows": [{"id": "row", "recipe": "linear", "title": "Row"}],
    },
    "dataset": "small",
    "data_md5": "0",
    "tables": [
        {
            "view": "native",
            "headline": "auc",
            "images": {"test": 30},
            "best": "row",
            "rows": [
                {
                    "id": "row",
                    "title": "Row",
                    "kind": "baseline",
                    "recipe": "linear",
                    "recipe_hash": "x",
                    "seeds": [0],
                    "metrics": [],
                    "headline_by_seed": [0.5],
                    "cost": {
                        "parameters": None,
                        "model_bytes": None,
                        "fit_seconds": [1],
                        "predict_ms_per_image": [1],
                    },
                }
            ],
        }
    ],
}


def test_a_shelf_finds_runs_studies_and_seeds_and_leaves_out_what_is_damaged(tmp_path, caplog):
    import shutil

    for place in ("one run", "seeds/seed-0", "seeds/seed-1", "study/row/seed-0", "bad"):
        shutil.copytree(trained("grades"), tmp_path / place)
    (tmp_path / "bad" / "metrics.json").write_text("{}")
    summary = {"schema": 1, "recipe_hash": "x", "seeds": [0, 1], "split": "test", "metrics": [], "baselines": {}}
    (tmp_path / "seeds" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "study" / "study.json").write_text(json.dumps(STUDY))
    (tmp_path / "study" / "report.html").write_text("<p>study")
    registry = open_registry([tmp_path])
    assert list(registry.runs) == ["one-run", "seeds.seed-0", "seeds.seed-1", "study.row.seed-0"]
    assert [(g.id, g.kind, g.runs) for g in registry.groups.values()] == [
        ("seeds", "seeds", ("seeds.seed-0", "seeds.seed-1")),
        ("study", "study", ("study.row.seed-0",)),
    ]
    assert registry.runs["seeds.seed-1"].group == "seeds"
    assert list(open_registry([tmp_path / "study"]).runs) == ["study.row.seed-0"]
    assert registry.groups["seeds"].record == summary
    assert "bad" in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no run"):
        open_registry([tmp_path / "empty"])
