"""What is installed for tests is no older than pyproject.toml allows, and is the same with hashes and without."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADVISORY = re.compile(r"(CVE-\d{4}-\d{4,}|GHSA(-[a-z0-9]{4}){3})")


def versions(name):
    """Read the versions that a file pins."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.M)
    return {canonicalize_name(package): Version(version) for package, version in found}


def requirements():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group if not text.startswith("penlight[")]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_pinned_version_is_allowed(requirement):
    pinned = versions("constraints.txt")
    name = canonicalize_name(requirement.name)
    # For other systems than that of the tests.
    if name not in pinned:
        assert "platform_system" in str(requirement.marker)
        return
    assert requirement.specifier.contains(pinned[name])


@pytest.mark.parametrize(
    "name",
    [
        *("filelock", "h11", "jinja2", "keras", "onnx", "pillow", "protobuf", "pyarrow", "pydicom"),
        *("python-multipart", "requests", "starlette", "tensorflow-cpu", "urllib3"),
    ],
)
def test_a_floor_raised_for_an_advisory_names_it(name):
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if f'"{name}>=' in line)
    above = []
    while lines[at - 1].lstrip().startswith("#"):
        at -= 1
        above.append(lines[at])
    assert ADVISORY.search("\n".join(above))


def test_the_lock_holds_the_same_versions_each_with_hashes():
    text = (ROOT / "requirements.lock").read_text()
    locked, pinned = versions("requirements.lock"), versions("constraints.txt")
    # setuptools and wheel are needed by TensorFlow, and left free elsewhere.
    assert {name: v for name, v in locked.items() if pinned.get(name) != v}.keys() == {"setuptools", "wheel"}
    for requirement in requirements():
        if canonicalize_name(requirement.name) not in locked:
            known = (
                "jax",
                "mlflow-skinny",
                "psycopg",
                "tensorboardX",
                "tensorflow",
                "pandas-stubs",
                "types-requests",
            )
            assert requirement.name in known
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks if "==" in block)
    assert "://" not in text
