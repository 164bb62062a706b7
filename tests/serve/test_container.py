"""The Dockerfile, which is not built here: what it says is read, and its command runs as it would in the container,
without privileges, on runs that cannot be written."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.serve.test_process import free_port
from tests.trained import trained

ROOT = Path(__file__).parents[2]
TOKEN = "a token of the tests".replace(" ", "-")


def stages():
    """Give the instructions of each stage: name, options, words."""
    found = []
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        options = [part for part in rest.split() if part.startswith("--")] if word in ("COPY", "HEALTHCHECK") else []
        bare = rest if not options else rest.split(options[-1], 1)[1].strip()
        # Words, not a line of a shell: what is stopped is the server itself.
        as_words = word in ("RUN", "HEALTHCHECK", "ENTRYPOINT", "CMD")
        found[-1].append((word, options, json.loads(bare.removeprefix("CMD ")) if as_words else shlex.split(bare)))
    return found


def of(word, stage=-1):
    return [words for name, _, words in stages()[stage] if name == word]


def test_the_image_runs_as_a_user_of_its_own_and_holds_no_build_tools():
    build, last = stages()
    assert of("FROM", 0)[0][0] == of("FROM")[0][0] == "python:3.11-slim"
    (user,) = of("USER")
    assert user == ["10001:10001"]
    names = [name for name, _, _ in last]
    assert "RUN" not in names
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert of("ENTRYPOINT") == [["penlight"]]
    assert not any(name in ("ADD", "ARG") or "http" in " ".join(words) for name, _, words in build)


def test_what_is_copied_is_there_and_no_more_is_sent():
    copied = [source for words in of("COPY", 0) for source in words[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[0] == "*"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == {*copied}
    # What pyproject.toml needs to build the package is among it.
    assert {"README.md", "LICENSE"} <= {*copied}


def test_the_package_is_installed_from_wheels_with_the_tested_versions():
    make, install = of("RUN", 0)
    assert make == ["python", "-m", "venv", "/opt/penlight"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(word in done for word in ("--no-cache-dir", "--only-binary", "-c, --constraint"))
    assert install[1:] == ["install", "--no-cache-dir", "--only-binary", ":all:", "-c", "constraints.txt", ".[serve]"]


@pytest.fixture
def runs(tmp_path):
    """A folder with a run that nobody may write to."""
    folder = tmp_path / "runs"
    shutil.copytree(trained("grades"), folder / "grades")
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield folder
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755)


def served(runs, port, cache, **environment):
    """Start the image's command, from a folder that is not to be written, where the tests run as root without what
    root may do beyond others."""
    (given,) = of("CMD")
    words = [str(runs) if word == "/runs" else str(port) if word == "8000" else word for word in given]
    own = dict(part.split("=", 1) for words in of("ENV") for part in words) | {"PENLIGHT_CACHE": str(cache)}
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"] if os.getuid() == 0 else []
    return subprocess.Popen(
        [*bare, sys.executable, "-c", "from penlight.cli import main; main()", *words],
        env={**own, **kept, **environment}, cwd="/", stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_server_runs_without_privileges_on_runs_it_cannot_write(runs, tmp_path):
    cache, port = tmp_path / "cache", free_port()
    server = served(runs, port, cache, PENLIGHT_TOKEN=TOKEN)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                assert urlopen(f"{address}/healthz", timeout=5).status == 200
                break
            except OSError:
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
        # As the image asks whether it is healthy.
        _, options, check = next(own for own in stages()[-1] if own[0] == "HEALTHCHECK")
        assert options == ["--start-period=20s"]
        asked = [word.replace(":8000/", f":{port}/") for word in check[1:]]
        assert subprocess.run([sys.executable, *asked], check=False).returncode == 0
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"{address}/api/v1/runs", timeout=60)
        request = Request(f"{address}/api/v1/runs", headers={"Authorization": f"Bearer {TOKEN}"})
        assert json.load(urlopen(request, timeout=60))["runs"][0]["id"] == "grades"
    finally:
        server.terminate()
        server.stderr.close()
        assert server.wait(60) == 0


# In every test, tests/serve/test_routes.py asks the same of an open address in this process.
@pytest.mark.full
def test_without_a_token_it_does_not_start(runs, tmp_path):
    server = served(runs, free_port(), tmp_path / "cache")
    _, said = server.communicate(timeout=120)
    assert server.returncode == 1
    assert "token" in said
