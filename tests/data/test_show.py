import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import penlight as pl
from penlight.data import Dataset, apply_view, open_dataset
from penlight.data.catalog import find_dataset
from penlight.data.decoding import load_whole_files
from penlight.data.own.originals import load_originals
from penlight.data.own.prepare import paths_by_split
from penlight.data.pictures import load_picture
from penlight.data.summary import Positions
from penlight.errors import StorageError, UnknownNameError
from penlight.reports.dataset import choose_samples, describe, plot_samples, rows_to_show, write_show
from penlight.reports.displays import AlongTheFile, ClassDistribution, PerImage, Presence, Together
from tests.conftest import TASK_EXAMPLES
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


def test_bars_are_as_long_as_the_shares(graded: Dataset, findings: Dataset) -> None:
    for dataset in (graded, findings):
        ax = Figure().subplots()
        ClassDistribution.from_description(describe(dataset)).plot(ax)
        assert [bar.get_width() for bar in ax.patches] == list(describe(dataset).shares("train"))
        assert len({bar.get_facecolor() for bar in ax.patches}) == len(describe(dataset).rows)


def test_sample_pixels_are_those_stored(graded: Dataset) -> None:
    mosaic = np.asarray(plot_samples(graded, per_class=2).axes[0].images[0].get_array())
    chosen = choose_samples(graded, per_class=2)["none"]
    np.testing.assert_array_equal(mosaic[:28, :28], graded.splits["train"].images[chosen[0]])


def test_the_page_holds_everything(findings: Dataset, tmp_path: Path) -> None:
    paths = write_show(findings, tmp_path / "show")
    figures = ["classes.png", "presence.png", "per-image.png", "together.png", "positions.png"]
    assert [path.name for path in paths] == [*figures, "samples.png", "index.html"]
    assert sorted(path.name for path in (tmp_path / "show").iterdir()) == sorted(path.name for path in paths)
    for path in paths[:-1]:
        with Image.open(path) as image:
            assert min(image.size) > 100
    page = paths[-1].read_text()
    assert not re.search(r'(?:src|href|srcset)="(?!data:|#)', page)
    assert page.count("<img") == page.count(" alt=") == 1
    assert page.count("<svg") == 5
    assert "Not for clinical use" in page
    assert all(word in page for word in ("CC0", "made up", findings.md5, "no finding", "prefers-color-scheme"))
    assert re.search(r'<th scope="row">some</th><td class="n">7</td><td class="n soft">77.8</td>', page)


def test_names_are_escaped_in_the_page(tiny, tmp_path: Path) -> None:
    dataset = open_dataset(tiny(DESCRIPTION.replace('"some"', '"<b>some</b>"')))
    page = write_show(dataset, tmp_path)[-1].read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;some" in page


def test_the_same_data_gives_the_same_bytes(graded: Dataset, tmp_path: Path) -> None:
    first, second = (write_show(graded, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["classes.png", "positions.png", "samples.png", "index.html"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_folder_that_cannot_be_written(graded: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_show(graded, tmp_path / "file" / "show")


def test_findings_are_counted_by_image_and_by_company(findings: Dataset) -> None:
    found = describe(findings).findings
    assert found is not None
    assert found.per_image == {"train": (2, 3, 4, 0, 0), "val": (6, 0, 0, 0, 0), "test": (0, 3, 0, 0, 0)}
    assert found.together.tolist() == [[4, 4, 0], [4, 7, 0], [0, 0, 0]]
    np.testing.assert_allclose(found.shares_together, [[np.nan, 1, 0], [4 / 7, np.nan, 0], [np.nan] * 3])


def test_four_findings_and_more_are_one_group(tiny) -> None:
    labels = "abcdef"
    description = DESCRIPTION.replace("ordinal", "multi-label").replace(
        '"none", "some", "much"', str([*labels])[1:-1]
    )
    rows = {
        f"{split}_labels": np.tril(np.ones((n, 6), np.uint8)) for split, n in (("train", 9), ("val", 6), ("test", 3))
    }
    found = describe(open_dataset(tiny(description, **rows))).findings
    assert found is not None
    assert found.per_image == {"train": (0, 1, 1, 1, 6), "val": (0, 1, 1, 1, 3), "test": (0, 1, 1, 1, 0)}


def test_exclusive_labels_have_no_findings_but_positions(graded: Dataset) -> None:
    description = describe(graded)
    assert description.findings is None
    assert description.positions.counts["train"].tolist() == np.eye(3, dtype=int)[np.arange(9) % 3].tolist()
    assert description.positions.text().startswith("Too few images")


def positions(column: np.ndarray) -> Positions:
    counts = column.reshape(10, -1).sum(axis=1)[:, None]
    return Positions(("ill",), {"train": counts}, {"train": np.full(10, len(column) // 10)})


def test_a_file_sorted_by_label_drifts_and_a_shuffled_one_does_not() -> None:
    labels = np.arange(400) < 160
    assert positions(labels).drifting() == {"train": ("ill",)}
    assert "in train, that of ill" in positions(labels).text()
    shuffled = positions(np.random.default_rng(0).permutation(labels))
    assert shuffled.words() == ("steady",)
    assert shuffled.text() == "Along the file no share changes more than it would in a shuffled one."


def test_p_values_of_positions_are_scipys() -> None:
    from scipy.stats import chi2_contingency

    place = positions(np.random.default_rng(1).random(400) < 0.3)
    having = place.counts["train"][:, 0]
    expected = chi2_contingency(np.stack([having, 40 - having])).pvalue
    assert place.p_values("train") == pytest.approx([expected])
    assert np.isnan(positions(np.arange(400) < 5).p_values("train")).all()


def test_the_band_of_chance_holds_a_shuffled_file() -> None:
    place = positions(np.random.default_rng(2).permutation(np.arange(20_000) < 4_000))
    low, high = place.chance("train")
    inside = (place.shares("train") >= low) & (place.shares("train") <= high)
    assert inside.mean() >= 0.8
    assert high[0, 0] - low[0, 0] == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 2000))


@pytest.fixture
def complete(tiny) -> Dataset:
    """Findings of which each occurs alone in every split."""
    labels = {f"{split}_labels": np.resize(np.eye(3, dtype=np.uint8), (n, 3)) for split, n in
              (("train", 9), ("val", 6), ("test", 3))}  # fmt: skip
    labels["train_labels"][0] = 1
    labels["train_labels"][8] = 0
    return open_dataset(tiny(DESCRIPTION.replace("ordinal", "multi-label"), **labels))


def test_a_view_is_described_with_what_it_leaves_out(complete: Dataset, tmp_path: Path) -> None:
    viewed = apply_view(complete, "single")
    description = describe(viewed)
    assert description.images == {"train": 7, "val": 6, "test": 3}
    assert description.counts["train"] == (2, 3, 2)
    assert description.findings is None
    assert description.view_text() == (
        "View single: only images with exactly one finding, each as one of the classes. "
        "It leaves out of train 2 of 9 images and 3 positive labels."
    )
    assert description.to_dict()["left_out"]["train"] == {"images": 2, "positives": 3}
    assert "only images with exactly one finding" in write_show(viewed, tmp_path)[-1].read_text()


def test_show_takes_a_view(complete: Dataset, tmp_path: Path) -> None:
    description = tmp_path / "data" / "tiny.toml"
    viewed = pl.show(str(description), out=tmp_path / "show", view="single")
    assert viewed.to_dict()["view"] == "single"
    assert viewed.to_dict()["images"]["train"] == 7
    assert viewed.files[-1] == tmp_path / "show" / "index.html"
    assert pl.show(str(description), out=tmp_path / "native").to_dict()["findings"]["per_image"]["train"][0] == 1
    with pytest.raises(UnknownNameError, match="view"):
        pl.show(str(description), out=tmp_path / "other", view="singel")
    assert not (tmp_path / "other").exists()


def test_samples_of_a_view_are_of_the_images_that_count(complete: Dataset) -> None:
    viewed = apply_view(complete, "single")
    chosen = choose_samples(viewed, per_class=2)["none"]
    mosaic = np.asarray(plot_samples(viewed, per_class=2).axes[0].images[0].get_array())
    images = viewed.splits["train"].images[viewed.splits["train"].index[chosen]]
    assert 0 not in viewed.splits["train"].index[chosen]
    np.testing.assert_array_equal(mosaic[:28, :28], images[0])


def test_all_findings_of_a_sample_stand_below_it(findings: Dataset, graded: Dataset) -> None:
    texts = [text.get_text() for text in plot_samples(findings, per_class=2).axes[0].texts]
    assert texts[:4] == ["none", "some", "much (none in train)", "no finding"]
    assert texts[4:] == ["none, some"] * 2 + texts[6:8] + ["none"] * 2
    assert len(plot_samples(graded, per_class=2).axes[0].texts) == 3


def test_drawings_show_the_numbers(findings: Dataset) -> None:
    description = describe(findings)
    assert description.findings is not None
    axes = [Figure().subplots() for _ in range(4)]
    Presence(description).plot(axes[0])
    assert [text.get_text() for text in axes[0].texts][:4] == ["7 / 2", "4 / 5", "7 / 2", "0 / 9"]
    PerImage(description.findings).plot(axes[1])
    assert [bar.get_width() for bar in axes[1].patches] == pytest.approx([2 / 9, 3 / 9, 4 / 9, 0, 0])
    Together(description.findings).plot(axes[2])
    assert [text.get_text() for text in axes[2].texts] == ["100", "0", "57", "0"]
    AlongTheFile(description.positions).plot(axes[3])
    assert [panel.get_title(loc="left") for panel in axes[3].child_axes] == ["any finding", "none", "some", "much"]


def test_every_view_has_words() -> None:
    views = [view for task in TASK_EXAMPLES for view in task.views.values()]
    assert all(view.words[0].islower() and not view.words.endswith(".") for view in views)


def test_a_page_shows_films_beside_the_images_made_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for i in range(40):
        path = Path("films") / ("sick", "well")[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 4000, (60, 90), np.uint16)
        pixels[0, :9] = 0, 4000, *range(7)
        Image.fromarray(pixels).save(path)
    found = pl.new_dataset("films", size=28)
    shown = pl.show(found.description, out="page")
    page = shown.files[-1].read_text()
    assert page.count('class="film"') == 6
    assert "values of 16 bits are shown from the darkest to the brightest" in page
    for fact in ("90 × 60 px, grey, 16 bits", "28 × 28 px, grey", "the middle 60 × 60 px", "4,095, of 12 bits"):
        assert page.count(fact) >= 2 * 6, fact  # in the page, and in the numbers that can be saved
    assert "films/" not in page
    assert not re.search(r'(?:src|href|srcset)="(?!data:|#)', page)
    dataset = open_dataset(found.description)
    rows = rows_to_show(dataset)
    assert sorted(rows.values()) == ["sick"] * 3 + ["well"] * 3
    assert all(dataset.info.task.labels[dataset.splits["train"].labels[row, 0]] == name for row, name in rows.items())
    described = find_dataset(str(found.description))
    originals = load_originals(dataset, described, "train", list(rows), 224)
    paths = paths_by_split(described, 28, dataset.md5)["train"]
    for row, (film, look) in originals.items():
        values = np.asarray(Image.open(Path("films") / paths[row])).astype(float)
        np.testing.assert_allclose(film, values / 4000 * 255, atol=0.51)
        assert (look.width, look.height, look.bits) == (90, 60, 16)
        whole = np.asarray(load_picture(Path("films") / paths[row], dataset.reading))
        np.testing.assert_array_equal(whole, dataset.splits["train"].images[row])
    # With other files the pairs would be wrong.
    os.utime(Path("films") / paths[0], (7, 7))
    assert load_originals(dataset, described, "train", list(rows), 224) == {}


def test_a_film_is_shown_whole_in_its_colours_as_its_exif_turns_it(tmp_path: Path) -> None:
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300] = (200, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif)
    (loaded,) = load_whole_files([tmp_path / "x.jpg"], 200)
    film, look = loaded
    assert film.shape == (200, 100, 3)
    assert film[:90].mean(axis=(0, 1)).round(-1).tolist() == [200, 40, 40]
    assert (look.colour, look.width, look.height) == (True, 600, 300)
