"""A layout is one class: its options come back from a description; one from outside is found, listed and opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import open_dataset
from penlight.data.own import layouts
from penlight.data.own.class_folders import ClassFolders
from penlight.data.own.listing import Listing, PictureLayout, PictureRow, Tree
from penlight.data.own.manifest import Manifest

EXAMPLES = [
    ClassFolders(),
    Manifest("file", "finding", separator="|", none="No Finding", others={"patient": "id", "age": "years"}),
    Manifest("file", labels=("edema", "mass"), others={"split": "part"}),
]


@pytest.mark.parametrize("layout", EXAMPLES)
def test_options_come_back_from_a_description(layout: PictureLayout) -> None:
    table = layout.to_table()
    read = [found for kind in layouts.LAYOUTS if (found := kind.from_table(table)) is not None]
    assert read[0] == layout
    for key, value in table.items():
        assert type(value) is layout.options[key]


@dataclass(frozen=True)
class LabelInName(PictureLayout):
    """Pictures named after their label, as ill_07.png; `mark` is what stands behind it."""

    mark: str = "_"
    options: ClassVar[Mapping[str, type]] = {"mark": str}

    @classmethod
    def find_in(cls, folder: Path, tree: Tree) -> Path | None:
        return folder if tree.pictures and all("_" in name for name in tree.pictures) else None

    @classmethod
    def from_table(cls, images: Mapping[str, Any]) -> Self | None:
        return cls(images["mark"]) if "mark" in images else None

    def to_table(self) -> dict[str, Any]:
        return {"mark": self.mark}

    def list_rows(self, folder: Path, name: str, tree: Tree) -> Listing:
        return Listing(tree.root, [PictureRow(path, (path.split(self.mark)[0],)) for path in tree.pictures])


def test_a_layout_from_outside_is_found_described_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "LAYOUTS", (LabelInName, *layouts.LAYOUTS))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    for i in range(20):
        for label in ("ill", "well"):
            Image.fromarray(np.full((30, 30), 10 * i, np.uint8)).save(tmp_path / "scans" / f"{label}_{i:02}.png")
    found = pl.new_dataset(Path("scans"))
    assert 'mark = "_"' in found.description.read_text()
    opened = open_dataset(found.description)
    assert opened.info.task.labels == ("ill", "well")
    assert sum(len(split) for split in opened.splits.values()) == 40
