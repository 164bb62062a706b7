import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from penlight.data import Dataset, open_dataset
from penlight.data.show import choose_samples, describe, plot_classes, plot_samples, write_show
from penlight.errors import StorageError
from tests.data.tiny_dataset import DESCRIPTION

FINDINGS = {
    "train_labels": np.array([[1, 1, 0]] * 4 + [[0, 1, 0]] * 3 + [[0, 0, 0]] * 2, np.uint8),
    "val_labels": np.zeros((6, 3), np.uint8),
    "test_labels": np.eye(3, dtype=np.uint8),
}


@pytest.fixture
def graded(tiny) -> Dataset:
    return open_dataset(tiny())


@pytest.fixture
def findings(tiny) -> Dataset:
    return open_dataset(tiny(DESCRIPTION.replace("ordinal", "multi-label"), **FINDINGS))


def test_classes_are_counted_by_split(graded: Dataset) -> None:
    description = describe(graded)
    assert description.images == {"train": 9, "val": 6, "test": 3}
    assert description.counts == {"train": (3, 3, 3), "val": (2, 2, 2), "test": (1, 1, 1)}
    assert sum(description.shares("train")) == pytest.approx(1)


def test_findings_are_counted_each_and_so_are_images_without(findings: Dataset) -> None:
    description = describe(findings)
    assert description.rows == ("none", "some", "much", "no finding")
    assert description.counts == {"train": (4, 7, 0, 2), "val": (0, 0, 0, 6), "test": (1, 1, 1, 0)}


def test_the_table_and_the_plain_values_agree(findings: Dataset) -> None:
    description = describe(findings)
    table, values = description.split_table(), json.loads(json.dumps(description.to_dict()))
    assert table.loc["images", "train"] == values["images"]["train"] == 9
    for row in values["labels"]:
        assert table.loc[row["label"], "train"] == row["train"]["count"]
        assert table.loc[row["label"], "train_share"] == row["train"]["share"] == row["train"]["count"] / 9


def test_samples_carry_their_label_and_do_not_repeat(findings: Dataset) -> None:
    chosen = choose_samples(findings, per_class=3, seed=1)
    assert [len(index) for index in chosen.values()] == [3, 3, 0, 2]
    assert set(chosen["none"]) <= {0, 1, 2, 3}
    assert set(chosen["no finding"]) == {7, 8}
    assert len(set(chosen["some"])) == 3


def test_samples_are_chosen_by_the_seed(findings: Dataset) -> None:
    first, again = (choose_samples(findings, 3, seed=4)["some"] for _ in range(2))
    others = [choose_samples(findings, 3, seed=seed)["some"].tolist() for seed in range(8)]
    assert first.tolist() == again.tolist()
    assert any(other != first.tolist() for other in others)


@pytest.mark.parametrize("night", [False, True])
def test_bars_are_as_long_as_the_shares(graded: Dataset, findings: Dataset, night: bool) -> None:
    for dataset in (graded, findings):
        ax = Figure().subplots()
        plot_classes(describe(dataset), ax, night=night)
        assert [bar.get_width() for bar in ax.patches] == list(describe(dataset).shares("train"))
        assert len({bar.get_facecolor() for bar in ax.patches}) == (3 if dataset is graded else 1)


def test_sample_pixels_are_those_stored(graded: Dataset) -> None:
    mosaic = np.asarray(plot_samples(graded, per_class=2).axes[0].images[0].get_array())
    chosen = choose_samples(graded, per_class=2)["none"]
    np.testing.assert_array_equal(mosaic[:28, :28], graded.splits["train"].images[chosen[0]])


def test_the_page_holds_everything(findings: Dataset, tmp_path: Path) -> None:
    paths = write_show(findings, tmp_path / "show")
    assert [path.name for path in paths] == ["classes.png", "samples.png", "index.html"]
    assert sorted(path.name for path in (tmp_path / "show").iterdir()) == sorted(path.name for path in paths)
    for path in paths[:2]:
        with Image.open(path) as image:
            assert min(image.size) > 100
    page = paths[-1].read_text()
    assert not re.search(r'(?:src|href|srcset)="(?!data:)', page)
    assert page.count("<img") == page.count(" alt=") == 2
    assert "Not for clinical use" in page
    assert all(word in page for word in ("CC0", "made up", findings.md5, "no finding", "prefers-color-scheme"))
    assert re.search(r'<th scope="row">some</th>\s*<td>7</td><td>77.8</td>', page)


def test_names_are_escaped_in_the_page(tiny, tmp_path: Path) -> None:
    dataset = open_dataset(tiny(DESCRIPTION.replace('"some"', '"<b>some</b>"')))
    page = write_show(dataset, tmp_path)[-1].read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;some" in page


def test_the_same_data_gives_the_same_bytes(graded: Dataset, tmp_path: Path) -> None:
    first, second = (write_show(graded, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_folder_that_cannot_be_written(graded: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_show(graded, tmp_path / "file" / "show")
