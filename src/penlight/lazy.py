"""Packages whose names are imported when they are asked for, so that nobody waits for what another part needs."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names_on_request(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Give the `__getattr__` of a package (PEP 562): `places` names, for each module in it, the names that it has,
    with spaces between. AttributeError for others."""
    module_of = {name: module for module, names in places.items() for name in names.split()}

    def ask(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)

    return ask
