"""Which backend Keras gets."""

import importlib.util
import os
import subprocess
import sys
import types

import pytest

from penlight.errors import MissingExtraError, TrainingError, UnknownNameError
from penlight.models.backend import chosen_backend, load_keras


@pytest.fixture
def installed(monkeypatch):
    """Make a machine on which only the packages in the set that is given are installed."""
    there = set()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("json") if name in there else None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    return there


@pytest.mark.parametrize(
    ("packages", "wanted"),
    [({"tensorflow", "jax"}, "tensorflow"), ({"tensorflow"}, "tensorflow"), ({"jax"}, "jax"), ((), "tensorflow")],
)
def test_tensorflow_is_taken_where_it_is_and_jax_where_only_that_is(installed, packages, wanted):
    installed.update(packages)
    assert chosen_backend() == wanted


def test_what_the_environment_says_goes_first(installed, monkeypatch):
    installed.update({"tensorflow", "jax"})
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert chosen_backend() == "jax"


def test_a_backend_that_networks_are_not_trained_with_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    with pytest.raises(UnknownNameError, match=r"torch.*jax, tensorflow"):
        chosen_backend()


def test_keras_that_a_notebook_has_imported_keeps_its_backend(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    for name in ("jax", "torch"):
        backend = types.SimpleNamespace(backend=lambda name=name: name)
        monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(backend=backend))
        if name == "jax":
            assert chosen_backend() == "jax"
        else:
            with pytest.raises(TrainingError, match=r"backend torch; .*tensorflow or jax.*before Keras is imported"):
                chosen_backend()


def test_tensorflow_is_told_to_be_quiet_before_anybody_imports_it():
    said = "import os, sys, penlight; print(os.environ['TF_CPP_MIN_LOG_LEVEL'], 'tensorflow' in sys.modules)"
    for own, level in (({}, "3"), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, "0")):
        env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"} | own
        shown = subprocess.run([sys.executable, "-c", said], env=env, capture_output=True, text=True, check=True)
        assert shown.stdout.split() == [level, "False"]


@pytest.mark.parametrize(("backend", "extra"), [("tensorflow", "train"), ("jax", "jax")])
def test_the_extra_that_brings_a_missing_backend_is_named(installed, monkeypatch, backend, extra):
    installed.add("keras")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(MissingExtraError, match=rf"needs {backend}.*penlight\[{extra}\]"):
        load_keras.__wrapped__()
