"""Files that are not what a command expects are named for what they are."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_users_size import films


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("t.zip", "Unpack it"),
        ("t.tfrecord", "npz"),
        ("t.png", "the folder that it is in"),
        ("t.unknown", "Check the path"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(penlight, tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"\x89 not text \xff")
    code, out, err = penlight("data", "new", tmp_path / name)
    assert (code, out) == (1, "")
    assert f"{name} is a file; a folder of pictures, or a table or arrays" in err
    assert remedy in err
    assert penlight("data", "new", tmp_path / f"no-{name}")[2].startswith("Error: There is no")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.xlsx", "xcel"),
        ("t.jsonl", "line 1 is not valid JSON"),
        ("t.csv.gz", "is not a whole gzip file"),
        ("t.h5", "cannot be read as an HDF5 file"),
        ("t.npy", "is not an array in npy format"),
    ],
)
def test_a_damaged_table_is_said_to_be_one(penlight, tmp_path, name, said):
    (tmp_path / name).write_bytes(b"\x89 not text \xff")
    code, out, err = penlight("data", "new", tmp_path / name)
    assert (code, out) == (1, "")
    assert said in err
    assert penlight("data", "new", tmp_path / f"no-{name}")[2].startswith("Error: There is no")


def test_predictions_of_one_s_own_data_are_scored_and_compared_beside_a_folder_of_its_name(penlight, tmp_path):
    table = films(tmp_path, findings=0, patients=True)
    penlight("data", "new", table, "--name", "casp", "--out", "own")
    splits = list(csv.DictReader(Path("own/casp-splits.csv").read_text().splitlines()))
    test = [row["path"] for row in splits if row["split"] == "test"]
    prob = np.random.default_rng(0).uniform(size=(2, len(test)))
    names = []
    for number, own in enumerate(prob):
        names.append(f"casp_test_[AUC]{number}.csv")
        np.savetxt(names[-1], np.stack([np.arange(len(test)), 1 - own, own], axis=1), delimiter=",")
    # A folder of pictures of the dataset's name lies in the working folder.
    Path("casp").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("casp/a.png")
    code, out, err = penlight("compare", *names, "--dataset", "own/casp.toml")
    assert (code, err) == (0, "")
    assert penlight("score", names[0], "--dataset", "own/casp.toml")[0] == 0
    np.save("answers.npy", prob)
    code, out, err = penlight("score", "answers.npy", "--dataset", "own/casp.toml")
    assert (code, out) == (1, "")
    assert "answers.npy is a NumPy file; a CSV file" in err
    assert "codec" not in err
    Path("answers.npy").rename("answers.csv")
    code, out, err = penlight("score", "answers.csv", "--dataset", "own/casp.toml")
    assert "is not a text file" in err
    ones = np.column_stack([np.arange(len(test)), np.full(len(test), 0.5), np.full(len(test), 0.5)])
    ones[3, 1:] = 1, 0.7
    np.savetxt("ones.csv", ones, delimiter=",")
    code, out, err = penlight("score", "ones.csv", "--dataset", "own/casp.toml")
    assert (code, out) == (1, "")
    assert "those of 1 row of ones.csv do not, the worst that of index 3: 1, 0.7 sum to 1.7" in err
    # Rounded to two decimals they do sum to one.
    np.savetxt("rounded.csv", ones + [[0, 0.004, 0]] * (np.arange(len(test)) != 3)[:, None], delimiter=",")
    assert "the worst that of index 3" in penlight("score", "rounded.csv", "--dataset", "own/casp.toml")[2]


def test_what_stands_in_train_and_test_is_no_check_of_another_s_model(penlight, tmp_path):
    table = films(tmp_path, findings=0, patients=True)
    penlight("data", "new", table, "--name", "casp", "--out", "own")
    splits = list(csv.DictReader(Path("own/casp-splits.csv").read_text().splitlines()))
    of = {split: [row["path"] for row in splits if row["split"] == split] for split in ("train", "test")}
    one, other = (next(tmp_path.rglob(Path(of[split][0]).name)) for split in ("train", "test"))
    other.write_bytes(one.read_bytes())
    assert "more than one split" in penlight("data", "audit", "own/casp.toml")[1]
    p = np.linspace(0.1, 0.9, len(of["test"]))
    np.savetxt("s.csv", np.stack([np.arange(len(p)), 1 - p, p], axis=1), delimiter=",")
    code, out, _ = penlight("score", "s.csv", "--dataset", "own/casp.toml")
    assert code == 0
    assert "PL008" not in out
