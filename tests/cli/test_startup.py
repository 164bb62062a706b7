"""What commands load: the number of modules, and the libraries that must not be among them."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from penlight.models.backend import BACKENDS, chosen_backend
from tests.data.tiny_dataset import write_tiny
from tests.trained import trained

NETWORKS = {"keras", "tensorflow", "jax", "torch", "optuna", "onnx", "fastapi"}
DRAWING = {"matplotlib", "pandas", "jinja2", "xml"}
NUMBERS = {"scipy", "sklearn", "numpy"}
SLOW_PARTS = {"scipy.stats", "scipy.optimize", "scipy.signal", "penlight.training", "penlight.data.audit"}

# The command, the most modules that it may load, a twelfth more than it does, and what it must not.
LIMITS = [
    ("--help", 160, NETWORKS | DRAWING | NUMBERS | {"rich", "pydantic", "penlight.api", "penlight.data"}),
    ("train --help", 285, NETWORKS | DRAWING | NUMBERS | {"rich", "penlight.api", "penlight.data"}),
    ("recipes", 545, NETWORKS | DRAWING | {"scipy", "sklearn", "penlight.training"} | SLOW_PARTS),
    (
        "data list",
        485,
        NETWORKS | DRAWING | {"scipy", "sklearn", "PIL", "penlight.api", "penlight.runs"} | SLOW_PARTS,
    ),
    ("predict RUN PICTURE", 510, NETWORKS | DRAWING | {"scipy", "sklearn", "rich", "pydicom", "requests"}),
    ("evaluate RUN", 735, NETWORKS | DRAWING | {"sklearn", "PIL", "onnxruntime", "rich.progress"} | SLOW_PARTS),
    ("compare RUN RUN:majority", 740, NETWORKS | DRAWING | {"sklearn", "PIL", "onnxruntime"} | SLOW_PARTS),
    ("score FILE --dataset DATASET", 1950, NETWORKS | {"matplotlib", "jinja2", "penlight.training"}),
]
ALWAYS = ("--help", "train --help", "predict RUN PICTURE", "evaluate RUN")
"""The others are of the full tests: each is a process of its own."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    write_tiny(folder)
    np.savetxt(folder / "s.csv", np.column_stack([np.arange(15), np.tile([0.2, 0.3, 0.5], (15, 1))]), delimiter=",")
    Image.new("RGB", (28, 28)).save(folder / "a.png")
    pictures = {"FILE": str(folder / "s.csv"), "PICTURE": str(folder / "a.png")}
    return {"RUN": str(trained("grades")), "DATASET": str(folder / "tiny.toml"), **pictures}


@pytest.mark.parametrize(
    ("command", "most", "absent"),
    [pytest.param(*limit, id=limit[0], marks=() if limit[0] in ALWAYS else pytest.mark.full) for limit in LIMITS],
)
def test_a_command_loads_what_it_needs(files, command, most, absent):
    for name, path in files.items():
        command = command.replace(name, path)
    code = (
        "import sys\nfrom penlight.cli import main\n"
        "try: main()\nexcept SystemExit as ended: assert not ended.code\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & absent == set()
    assert len(loaded) <= most


def test_what_must_be_absent_would_be_seen():
    """A misspelt name would never be loaded; PyTorch and the backend that is not used need not be there."""
    names = {name for *_, absent in LIMITS for name in absent} - {"torch"} - (BACKENDS.keys() - {chosen_backend()})
    assert [name for name in sorted(names) if find_spec(name) is None] == []
