"""Folders that change while the server runs, names that tell runs apart, and how the server starts."""

import json
import shutil
import socket
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

import penlight as pl
from penlight.errors import ServeError
from penlight.runs import open_run
from penlight.runs.classifier import open_classifier
from penlight.serve import app, make_app, open_registry, serve
from penlight.serve.gallery import Gallery, gather
from tests.cli.conftest import penlight  # noqa: F401
from tests.serve.test_proxy import SUMMARY, shelf_in
from tests.serve.test_routes import GOOD
from tests.trained import trained

PAGE = {"accept": "text/html"}
TUNED = {"recipe": "x", "space": {}, "sampler": "gp", "repeats": ["folds", 3], "seed": 0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "_FRESH_SECONDS", 0.0)
    shutil.copytree(trained("grades"), tmp_path / "runs" / "first")
    return tmp_path / "runs"


@pytest.fixture
def client(folder):
    with TestClient(make_app(open_registry([folder]), names={"testserver"})) as made:
        yield made


def ids(client):
    listed = client.get("/api/v1/runs").json()
    return [own["id"] for key in ("runs", "groups") for own in listed[key]]


def test_a_new_run_and_a_new_group_are_seen_and_a_removed_one_is_not(client, folder):
    assert ids(client) == ["first"]
    shutil.copytree(trained("findings"), folder / "second")
    assert client.get("/api/v1/runs/second").status_code == 200
    assert "/runs/second" in client.get("/").text
    for seed in (0, 1):
        shutil.copytree(trained("grades"), folder / "seeds" / f"seed-{seed}")
    assert ids(client) == ["first", "second", "seeds.seed-0", "seeds.seed-1"]
    # Training of all seeds is done.
    (folder / "seeds" / "summary.json").write_text(json.dumps(SUMMARY))
    assert client.get("/api/v1/groups/seeds").json()["runs"] == ["seeds.seed-0", "seeds.seed-1"]
    shutil.rmtree(folder / "seeds" / "seed-1")
    shutil.rmtree(folder / "first")
    assert client.get("/api/v1/runs/first").status_code == 404
    assert ids(client) == ["second", "seeds.seed-0", "seeds"]
    shutil.rmtree(folder / "second")
    shutil.rmtree(folder / "seeds")
    assert ids(client) == []
    assert "no run yet" in client.get("/").text


def test_an_address_never_comes_to_mean_another_run(client, folder):
    shutil.copytree(trained("findings"), folder / "a b")
    assert ids(client) == ["a-b", "first"]
    shutil.rmtree(folder / "a b")
    shutil.copytree(trained("findings"), folder / "a-b")
    assert ids(client) == ["a-b-2", "first"]
    shutil.copytree(trained("findings"), folder / "a b")
    assert ids(client) == ["a-b", "a-b-2", "first"]


def test_a_run_that_was_made_anew_answers_as_it_is_now(client, folder):
    def answered():
        answer = client.post("/api/v1/runs/first/predict", files=[("file", ("a.png", GOOD, "image/png"))])
        assert answer.status_code == 200
        return answer.json()["model"]["labels"], answer.json()["images"][0]["probabilities"]

    before = answered()
    shutil.rmtree(folder / "first")
    shutil.copytree(trained("findings"), folder / "first")
    wanted = pl.predict(folder / "first", [("a.png", GOOD)]).to_dict()
    after = answered()
    assert after != before
    assert after == (list(wanted["model"]["labels"]), wanted["images"][0]["probabilities"])


def test_a_file_of_a_run_that_was_written_anew_is_read_as_it_is_now(client, folder):
    open_run(folder / "first").replace("report.html", b"<!doctype html><title>New</title>")
    assert client.get("/runs/first/report").text == "<!doctype html><title>New</title>"


def test_folders_are_not_read_again_for_each_request(folder, monkeypatch):
    monkeypatch.setattr(app, "_FRESH_SECONDS", 1000.0)
    with TestClient(make_app(open_registry([folder]), names={"testserver"})) as client:
        shutil.copytree(trained("findings"), folder / "second")
        assert client.get("/api/v1/runs/none").status_code == 404
        assert ids(client) == ["first"]
        # But a run that is seen to have changed is opened as it is.
        shutil.rmtree(folder / "first")
        assert client.get("/api/v1/runs/first").status_code == 404


def test_what_is_left_out_is_logged_once(folder, caplog):
    (folder / "link").symlink_to(folder / "first")
    registry = open_registry([folder])
    for _ in range(3):
        registry = registry.again()
    assert caplog.text.count("is a link") == 1


# Names


def test_runs_of_one_name_are_told_apart_and_no_folder_of_the_server_is_shown(tmp_path):
    shelf_in(tmp_path / "one")
    shelf_in(tmp_path / "two")
    registry = open_registry([tmp_path / "one", tmp_path / "two"])
    titles = [own.title for own in registry.runs.values()]
    assert titles[:3] == ["grades", "seeds/seed-0", "seeds/seed-1"]
    assert len(set(titles)) == len(titles) == 6
    with TestClient(make_app(registry, names={"testserver"}), headers=PAGE) as client:
        text = client.get("/compare?run=seeds.seed-0&run=seeds.seed-1&run=grades").text
        assert "<h1>seeds/seed-0, seeds/seed-1 and grades by AUC</h1>" in text
        assert "<h1>seeds and seeds (seeds-2) by AUC</h1>" in client.get("/compare?run=seeds&run=seeds-2").text
        for address in ("/", "/groups/seeds", "/runs/seeds.seed-1", "/compare?run=seeds.seed-0&run=seeds.seed-0-2"):
            answer = client.get(address)
            assert answer.status_code == 200
            assert str(tmp_path) not in answer.text
        assert 'aria-label="Compare seeds/seed-1"' in client.get("/").text
        assert "Run seeds/seed-1" in client.get("/runs/seeds.seed-1").text


def test_the_command_names_runs_by_as_much_of_their_path_as_tells_them_apart(tmp_path):
    for place in ("a/x/seed-0", "a/y/seed-0", "b/y/seed-0"):
        shutil.copytree(trained("grades"), tmp_path / place)

    def names(*places):
        compared = pl.compare([tmp_path / place for place in places], metric="log_loss").comparison
        return [model.name for model in compared.models]

    assert names("a/x/seed-0", "a/y/seed-0") == ["x/seed-0", "y/seed-0"]
    assert names("a/y/seed-0", "b/y/seed-0") == ["a/y/seed-0", "b/y/seed-0"]


def test_the_id_of_a_group_leads_to_its_runs_wherever_it_is_given(tmp_path):
    with TestClient(make_app(open_registry([shelf_in(tmp_path)]), names={"testserver"})) as client:
        file = [("file", ("a.png", GOOD, "image/png"))]
        for answer in (
            client.get("/api/v1/runs/seeds"),
            client.post("/api/v1/runs/seeds/predict", files=file),
            client.post("/api/v1/runs/seeds/explain", files=file),
            client.get("/runs/seeds/report"),
        ):
            assert answer.status_code == 404
            assert answer.json()["error"] == "seeds is a group of 2 runs (seeds), not a run."
            assert "seeds.seed-0, seeds.seed-1" in answer.json()["expected"]
        assert "/runs/grades" in client.get("/api/v1/groups/grades").json()["do"]
        page = client.get("/runs/seeds", headers=PAGE)
        assert page.url.path == "/groups/seeds"
        assert all(f'href="/runs/seeds.seed-{seed}"' in page.text for seed in (0, 1))
        report = client.get("/groups/seeds/seed-1/report.html")
        assert (report.status_code, report.url.path) == (200, "/runs/seeds.seed-1/report")
        for place in ("seed-2", "..", "../grades", "%2e%2e/grades", "seed-0/.."):
            assert client.get(f"/groups/seeds/{place}/report.html").status_code == 404


def test_the_gallery_names_the_model_that_was_kept(tmp_path):
    shutil.copytree(trained("grades"), tmp_path / "fallen")
    run = open_run(tmp_path / "fallen")
    made = {**run.provenance, "model": "majority"}
    run.replace("provenance.json", json.dumps(made).encode())
    registry = open_registry([tmp_path])
    assert registry.runs["fallen"].listed.backbone == "majority"
    assert registry.runs["fallen"].listed.in_place_of == "linear"
    about = open_classifier(tmp_path / "fallen").about()
    assert about["backbone"] == about["on_test"]["model"] == "majority"
    (entry,) = gather(registry).groups[0].entries
    assert entry.recipe == "majority, kept in place of linear"


def test_answers_out_of_fold_do_not_stand_with_scores_on_test(tmp_path):
    one = gather(open_registry([shelf_in(tmp_path)])).groups
    assert [group.about for group in one] == ["native view, 28 × 28 px, 30 test images"]
    folded = replace(one[0], folds=True, images=120)
    assert folded.about == "native view, 28 × 28 px, 120 images of train and val, answered out of fold"
    assert Gallery((one[0], folded), {}).names == ("small", "small, out of fold")
    assert Gallery((one[0], replace(one[0], images=7)), {}).names == ("small (30)", "small (7)")


# Below a prefix


def test_a_prefix_may_come_with_the_request_or_not(tmp_path):
    app_below = make_app(open_registry([shelf_in(tmp_path)], "/pen"), names={"testserver"}, token="a-long-token")
    with TestClient(app_below, headers={"authorization": "Bearer a-long-token", **PAGE}) as client:
        for below in ("", "/pen"):
            for path in ("/", "/runs/grades", "/groups/seeds", "/static/style.css", "/runs/none"):
                answer = client.get(below + path)
                assert answer.status_code == (404 if path == "/runs/none" else 200), below + path
                assert 'href="/' not in answer.text.replace('href="/pen/', "")
            assert client.get(f"{below}/healthz", headers={"authorization": ""}).status_code == 200
            assert client.get(f"{below}/runs/grades", headers={"authorization": ""}).status_code == 401
        assert client.get("/penny/runs/grades").status_code == 404


# The start: what it says when it listens is in test_process.py


def test_a_taken_port_is_named_without_a_start_line(penlight):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = penlight("serve", trained("grades"), "--port", port)
    assert code == 1
    assert err == (
        f"Error: Port {port} of 127.0.0.1 is taken: another program listens there. "
        f"End that one, or give another port: --port {port + 1 if port < 65535 else 8000}\n"
    )


def test_an_address_that_is_not_of_this_machine_is_named():
    with pytest.raises(ServeError, match=r"This machine has no address 192\.0\.2\.1"):
        serve([trained("grades")], host="192.0.2.1", no_auth=True)
    with pytest.raises(ServeError, match=r"There is no host nowhere\.invalid"):
        serve([trained("grades")], host="nowhere.invalid", no_auth=True)


@pytest.mark.parametrize(
    ("kind", "name", "record"),
    [
        ("sweep", "sweep.json", {"folder": "/secret/place", "sets": [], "absent": ["octmnist"]}),
        ("tuning", "tune.json", {**TUNED, "data_md5": "0", "finished": True}),
    ],
)
def test_a_sweep_and_a_tuning_are_in_the_gallery_by_their_reports(client, folder, kind, name, record):
    """The runs of a sweep, being of different images, stand by themselves, and its page leads to their reports."""
    shutil.copytree(trained("grades"), folder / "all" / "retinamnist")
    (folder / "all" / name).write_text(json.dumps({"schema": 1, **record}))
    (folder / "all" / "report.html").write_text("<!doctype html><title>All</title>")
    assert client.get("/api/v1/runs/all.retinamnist").json()["group"] is None
    listed = client.get("/api/v1/groups/all")
    assert (listed.json()["kind"], listed.json()["links"]["report"]) == (kind, "/groups/all/report")
    assert "/secret" not in listed.text
    assert 'href="/groups/all/report"' in client.get("/", headers=PAGE).text
    page = client.get("/groups/all").text
    assert page == client.get("/groups/all/report").text == "<!doctype html><title>All</title>"
    inner = client.get("/groups/all/retinamnist/report.html", follow_redirects=False)
    assert inner.headers["location"] == "/runs/all.retinamnist/report"
