"""`import penlight as pl`: what it gives, that no module takes a name's place, and that one name means one thing."""

import ast
import functools
import importlib
import inspect
import pkgutil
import types
from collections import defaultdict
from pathlib import Path

import pytest

import penlight
import penlight as pl

SOURCE = Path(penlight.__file__).parent
STUBS = sorted(SOURCE.rglob("__init__.pyi"))

PRIVATE_WORDS = {
    *("Answered", "Drawn", "Draws", "Found", "Look", "Rival", "Seen", "Shelf", "Shelved", "Stated", "Tested", "Told"),
    *("TakenFor", "Watcher"),
}
"""By which classes were called in 0.1.0; the field has other words."""


def dotted(stub):
    return ".".join(("penlight", *stub.parent.relative_to(SOURCE).parts))


@pytest.fixture(scope="module")
def imported():
    """Every module, as tests of one room after the other would import them."""
    return [importlib.import_module(info.name) for info in pkgutil.walk_packages(penlight.__path__, "penlight.")]


def test_names_are_functions_and_classes_after_every_module_was_imported(imported):
    assert len(imported) > 200
    assert {"train", "predict", "compare", "report", "explain", "export", "study"} <= set(dir(pl))
    for name in dir(pl):
        assert inspect.isfunction(getattr(pl, name)) or inspect.isclass(getattr(pl, name)), name


def test_public_names_of_a_package_are_not_its_modules(imported):
    for stub in STUBS:
        package = importlib.import_module(dotted(stub))
        inside = {info.name for info in pkgutil.iter_modules(package.__path__)}
        assert not inside & set(package.__all__), package.__name__
        assert not any(isinstance(getattr(package, name), types.ModuleType) for name in package.__all__)


@pytest.mark.parametrize("stub", STUBS, ids=dotted)
def test_a_stub_names_each_name_once_and_relatively(stub):
    names = []
    for node in ast.parse(stub.read_text()).body:
        if ast.unparse(node) == "__version__: str":
            continue
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        assert all(alias.asname == alias.name for alias in node.names)
        names += [alias.name for alias in node.names]
    assert len(names) == len(set(names))
    assert sorted(names) == sorted(importlib.import_module(dotted(stub)).__all__)


def test_tab_and_wrong_names():
    assert set(dir(pl)) == set(pl.__all__)
    with pytest.raises(AttributeError, match="trian"):
        pl.trian  # noqa: B018


@functools.cache
def classes():
    found = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(SOURCE).as_posix())
    return found


def test_a_class_name_means_one_thing():
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def test_classes_are_not_called_by_private_words():
    assert {name.lstrip("_") for name in classes()} & PRIVATE_WORDS == set()
