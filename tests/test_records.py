"""The one base of JSON: what it writes, what it reads, and that nothing writes JSON beside it."""

import ast
import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

import penlight
from penlight.errors import RunError
from penlight.records import Count, Name, Number, Record, json_key, json_text, plain, read_record

SOURCE = Path(penlight.__file__).parent


class Inner(Record, computed=("half",)):
    value: Number
    n: Count = 2

    @property
    def half(self) -> float:
        """Half of n."""
        return self.n / 2


def _doubled(value: int) -> int:
    return 2 * value


class Outer(Record):
    name: Name
    inner: Inner = json_key(inline=True)
    several: bool = json_key("several_possible", default=False)
    mean: Number = json_key("average", formerly="mean_value", default=math.nan)
    twice: int = json_key(written=_doubled, default=1)
    note: str | None = json_key(default=None, if_known=True)
    secret: str = json_key(default="", hidden=True)
    rows: Sequence[Inner] = ()
    by_name: Mapping[str, Inner] = dataclasses.field(default_factory=dict)
    path: Path | None = None


def test_a_record_is_written_as_its_fields_say():
    made = Outer("a", Inner(math.nan), rows=[Inner(1.0, 3)], by_name={"x": Inner(math.inf)}, path=Path("runs") / "a")
    assert made.to_dict() == {
        "name": "a",
        "value": None,
        "n": 2,
        "half": 1.0,
        "several_possible": False,
        "average": None,
        "twice": 2,
        "rows": [{"value": 1.0, "n": 3, "half": 1.5}],
        "by_name": {"x": {"value": None, "n": 2, "half": 1.0}},
        "path": "runs/a",
    }
    assert dataclasses.replace(made, note="b").to_dict()["note"] == "b"
    assert json.loads(json_text(made)) == made.to_dict()


def test_it_is_read_as_it_was_written():
    made = Outer(
        "a", Inner(math.nan, 5), several=True, mean=0.25, twice=0, rows=[Inner(0.5)], by_name={"x": Inner(0.5)}
    )
    assert Outer.from_dict(json.loads(json_text(made))) == made
    assert Outer.from_dict({"name": "a", "value": 1, "secret": "x"}).secret == ""
    assert Outer.from_dict({"name": "a", "value": 1, "mean_value": 0.75, "of_a_later_version": 1}).mean == 0.75


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n": -1}, "'inner.n': input should be greater than or equal to 0, -1 came"),
        ({"n": "2"}, "'inner.n': input should be a valid integer, '2' came"),
        ({"name": "a\x1b[31m"}, "control characters"),
        ({"value": "x"}, "'inner.value'"),
        ({"several_possible": []}, "several_possible"),
    ],
)
def test_what_is_read_is_checked_and_said_in_a_line(changed, said):
    values = {"name": "a", "value": 0.5, "n": 2, **changed}
    with pytest.raises(RunError) as raised:
        read_record(Outer, json.dumps(values), "x.json")
    assert raised.value.problem.startswith("x.json is not what Penlight writes: ")
    assert said in raised.value.problem


def test_records_are_frozen_and_equal_to_themselves_where_they_hold_nan():
    made = Inner(float("nan"))
    assert made == Inner(np.float64("nan"))
    assert hash(made) == hash(Inner(float("nan")))
    assert made != Inner(0.0)
    assert made != Inner(float("nan"), 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.n = 3


def test_numpy_is_turned_into_python_once():
    values = {"array": np.arange(4).reshape(2, 2), "nan": np.array([1.5, np.nan]), "flag": np.bool_(True)}
    made = plain({**values, "n": np.int64(3), "f": np.float32(0.5)})
    assert made == {"array": [[0, 1], [2, 3]], "nan": [1.5, None], "flag": True, "n": 3, "f": 0.5}
    assert all(type(value) in (list, bool, int, float) for value in made.values())
    with pytest.raises(TypeError, match="has no form in JSON"):
        plain(object())


def test_openapi_has_what_is_written():
    schema: dict[str, Any] = TypeAdapter(Outer).json_schema(mode="serialization")
    assert {"name", "several_possible", "average", "twice", "rows", "by_name", "path"} <= schema["properties"].keys()
    assert not {"inner", "secret", "several", "mean"} & schema["properties"].keys()
    assert schema["allOf"] == [{"$ref": "#/$defs/Inner"}]
    assert {"value", "n", "half"} == schema["$defs"]["Inner"]["properties"].keys()


def test_nothing_writes_or_reads_json_by_hand_beside_the_base():
    names = {"to_dict", "from_dict", "to_json", "from_json", "as_dict"}
    found = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path != SOURCE / "records" / "__init__.py" and re.search(rf"def _*({'|'.join(names)})\b", path.read_text())
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.strip("_") in names
    ]
    assert found == []
