"""The command, HTTP and the API give the same JSON for the same request; that of HTTP is in one line."""

from pathlib import Path

import penlight as pl
from penlight.records import json_text
from tests.cli.conftest import penlight as penlight
from tests.test_predicting import images_of, png
from tests.trained import trained


def test_pictures(client, penlight, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = {"a.png": png(images_of("grades", 1)[0]), "b.png": b"\x89PNG\r\n\x1a\nbroken"}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    code, printed, _ = penlight("predict", trained("grades"), *contents, "--json")
    assert code == 1
    files = [("file", (name, content, "image/png")) for name, content in contents.items()]
    answer = client.post("/api/v1/runs/grades/predict", files=files)
    given = pl.predict(trained("grades"), [Path(name) for name in contents])
    assert printed == json_text(given)
    assert answer.content == json_text(given, indent=None).encode()


def test_scores(client, penlight):
    code, printed, _ = penlight("evaluate", trained("grades"), "--json")
    assert code == 0
    assert printed == json_text(pl.evaluate(trained("grades")))
    shown = client.get("/api/v1/runs/grades")
    assert json_text(shown.json()["scores"]) == printed
    assert shown.content == json_text(shown.json(), indent=None).encode()
