"""Sentences of the check of subgroups, of the terminal after a study, and of an audit, in the terminal and on its
page: each is compared with the numbers that it is about, over planted inputs."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from penlight.cli.show.datasets import print_audit
from penlight.cli.show.studies import print_studied
from penlight.data import Dataset, DatasetInfo, Split
from penlight.data.accesses import TestAccess as Access
from penlight.data.audit import audit, shift
from penlight.evaluation.checks import Check, run_checks
from penlight.evaluation.sample import Sample
from penlight.evaluation.subgroups import score_subgroups
from penlight.reports import findings
from penlight.reports.audit import write_page
from penlight.tasks import Binary, MultiLabel, Ordinal
from tests.data.test_audit import pictures
from tests.reports.test_sentences import STUDIES, near, planted
from tests.reports.test_study_report import LINEAR, MAJORITY, entry, table

# PL018, by planted groups.

TWO = Binary(("well", "ill"))
N, INSIDE = 360, 90
GROUPED = {
    # What is known of the truth within the group "north", and outside it.
    "worse": (0.02, 0.6),
    "better": (0.6, 0.05),
    "tied": (0.3, 0.3),
    # The answers of one site are in its pictures: a leak.
    "leaking": (1.0, 0.1),
    "one class": (0.3, 0.3),
    "undefined": (0.3, 0.3),
}


@cache
def grouped(kind: str, patients: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, list]:
    """Truth (N,), probability (N,) and site (N,), and the scored groups."""
    rng = np.random.default_rng(5)
    site = np.where(np.arange(N) < INSIDE, "north", np.where(np.arange(N) % 2, "south", "east, west"))
    labels = rng.integers(0, 2, N)
    if kind == "one class":
        labels[:INSIDE] = 1
    if kind == "undefined":
        site[4:INSIDE] = "south"
    inside, outside = GROUPED[kind]
    knows = np.where(np.arange(N) < INSIDE, inside, outside)
    p = np.clip(knows * labels + (1 - knows) * rng.random(N), 0.01, 0.99)
    y = TWO.encode(labels)
    prob = np.stack([1 - p, p], axis=1)
    sample = Sample(TWO, y, prob, TWO.decide(prob))
    units = np.arange(N) // 2 if patients else None
    return labels, p, site, score_subgroups([sample], {"site": site}, permutations=400, groups=units)


@pytest.mark.parametrize("patients", [False, True])
@pytest.mark.parametrize("kind", GROUPED)
def test_a_subgroup_is_said_to_differ_by_its_own_numbers(kind: str, patients: bool) -> None:
    labels, p, site, groups = grouped(kind, patients)
    evidence = replace(planted("better", "two").evidence, subgroups=groups)
    found = [c for c in run_checks(evidence) if c.code == "PL018"]
    clear = [g for g in groups if g.p_holm < 0.05 and not g.difference_low <= 0 <= g.difference_high]
    assert bool(found) == bool(clear)
    # Some kinds differ by far more than chance, and some by nothing.
    assert bool(found) == (kind in ("worse", "better", "leaking"))
    told = {g.group: g.note for g in groups if g.note}
    assert ("north" in told) == (kind in ("one class", "undefined"))
    if kind == "undefined":
        assert told["north"] == f"fewer than 10 {'patients' if patients else 'images'}"
    if not found:
        return
    said = re.findall(
        r"(−?[\d.]+) for site (.*?) and (−?[\d.]+) for all others \(difference (−?[\d.]+), 95 % interval "
        r"(−?[\d.]+) to (−?[\d.]+)\)", found[0].seen)  # fmt: skip
    assert found[0].seen.startswith("AUC on test differs by group: ")
    assert [name for _, name, *_ in said] == [g.group for g in sorted(clear, key=lambda g: g.difference)]
    differences = []
    for value, name, others, difference, low, high in said:
        own, rest = (roc_auc_score(labels[rows], p[rows]) for rows in (site == name, site != name))
        assert near(value, own)
        assert near(others, rest)
        assert near(difference, own - rest)
        low, high = (float(end.replace("−", "-")) for end in (low, high))
        assert low < own - rest < high
        assert low > 0 or high < 0
        differences.append(own - rest)
    assert found[0].serious == (min(differences) < -0.05)
    assert ("north" in [name for _, name, *_ in said]) == (kind in ("worse", "better", "leaking"))


# The terminal after a study.

CONSTANT = replace(
    entry("cnn", 0.5), rows=[replace(entry("cnn", 0.5).rows[0], low=np.nan, high=np.nan, note="alike")]
)
UNDEFINED = replace(entry("cnn", 0.5), rows=[replace(entry("cnn", 0.5).rows[0], value=np.nan, low=np.nan, high=np.nan,
                                                     note="one class")])  # fmt: skip
CHECKED = replace(LINEAR, checks=(Check("PL001", True, "S.", "W.", "D."), Check("PL016", False, "S.", "W.", "D.")))
TOLD = {
    **STUDIES,
    "one answer for all": table(MAJORITY, LINEAR, CONSTANT),
    "undefined": table(MAJORITY, UNDEFINED),
    "one image": replace(table(MAJORITY, CHECKED), images={"train": 90, "val": 30, "test": 1}),
    "alone": table(LINEAR),
}


def printed(capsys, *tables, full=True) -> list[str]:
    record = {"tables": [own.record(findings.findings(own)).to_dict() for own in tables]}
    print_studied(SimpleNamespace(record=record, report="out/report.html", verdict="A verdict."), full)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", TOLD)
def test_what_a_study_prints_are_the_numbers_of_its_table(capsys, name: str) -> None:
    own = TOLD[name]
    verdict, empty, *lines = printed(capsys, own)
    assert (verdict, empty) == ("A verdict.", "")
    assert lines[-1] == "out/report.html"
    n = own.images["test"]
    assert lines[0] == f"view native, {n} test image{'' if n == 1 else 's'}"
    start = (
        next(i for i, line in enumerate(lines) if line.startswith("- ")) if findings.findings(own) else len(lines) - 2
    )
    # Sentences are those of the report, which are compared with the table elsewhere.
    assert " ".join(" ".join(lines[start:-1]).split()) == " ".join(f"- {s}" for s in findings.findings(own))
    rows = [line for line in lines[2:start] if line.strip()]
    by_score = sorted(own.entries, key=lambda e: -np.nan_to_num(e.row("auc").value, nan=-np.inf))
    assert len(rows) == len(by_score)
    for line, e in zip(rows, by_score, strict=True):
        score, cells = e.row("auc"), re.split(r"\s{2,}", line.strip())
        assert cells[0] == e.title
        assert cells[1] == ("-" if np.isnan(score.value) else f"{score.value:.3f}")
        assert cells[2] == ("-" if np.isnan(score.sd) else f"{score.sd:.3f}")
        assert cells[3] == (f"{score.low:.3f} to {score.high:.3f}" if score.high > score.low else "-")
        assert cells[4] == ("-" if e.cost.parameters is None else f"{e.cost.parameters:,}")
        assert cells[5] == f"{np.mean(e.cost.fit):.1f}"
        assert cells[7] == (" ".join(c.code + "!" * c.serious for c in e.checks) or "-")


@pytest.mark.parametrize("name", TOLD)
def test_the_summary_of_a_study_has_scores_and_serious_checks_of_its_own_view(capsys, name: str) -> None:
    own = TOLD[name]
    verdict, empty, of, heads, *lines, rest, page = printed(capsys, own, replace(own, view="single"), full=False)
    assert (verdict, empty, page) == ("A verdict.", "", "out/report.html")
    assert of.startswith("view native")
    assert rest == "Costs, notes and findings, and the view single: --full, or the report."
    assert heads.split()[0] == "auc"
    rows = [line for line in lines if line.strip()]
    assert len(rows) == len(own.entries)
    for line, e in zip(
        rows, sorted(own.entries, key=lambda e: -np.nan_to_num(e.row("auc").value, nan=-np.inf)), strict=True
    ):
        cells = re.split(r"\s{2,}", line.strip())
        value = e.row("auc").value
        assert cells[:2] == [e.title, "-" if np.isnan(value) else f"{value:.3f}"]
        assert cells[-1] == (" ".join(c.code for c in e.checks if c.serious) or "-")


def test_one_answer_for_all_is_not_said_to_hold_guessing_in_an_interval_that_it_has_not() -> None:
    said = findings.no_better_than_guessing(TOLD["one answer for all"])
    assert said == "CNN is not better than guessing: its AUC is 0.500, without an interval."
    assert findings.no_better_than_guessing(TOLD["undefined"]) is None


# The audit.

GRADES = Ordinal(("none", "mild, or so", "severe"))


def drawn(n=(60, 30, 40), task=GRADES, patients: bool = False) -> Dataset:
    rng, splits, first = np.random.default_rng(0), {}, 0
    for name, count in zip(("train", "val", "test"), n, strict=True):
        labels = np.arange(count)[:, None] % 3 if task.exclusive else rng.integers(0, 2, (count, 3))
        own = np.arange(first, first + count) // 2 * 2 if patients else None
        splits[name] = Split(pictures(count, 28, 1, rng), labels, own)
        first += 2 * count
    return Dataset(DatasetInfo("drawn", "Drawn", task, 1, None, "none", "the tests"), 28, splits, "0" * 32)


def changed(dataset: Dataset, **splits) -> Dataset:
    return replace(dataset, splits={name: replace(split, **splits.get(name, {}))
                                    for name, split in dataset.splits.items()})  # fmt: skip


def copied(dataset: Dataset, place, source, change=lambda image: image) -> Dataset:
    """With an image that is, but for a change, another one."""
    images = dataset.splits[place[0]].images.copy()
    images[place[1]] = change(dataset.splits[source[0]].images[source[1]])
    return changed(dataset, **{place[0]: {"images": images}})


def noisy(image):
    return np.clip(image + np.random.default_rng(5).normal(0, 2.5, image.shape), 0, 255).astype(np.uint8)


def blank(dataset: Dataset) -> Dataset:
    images = dataset.splits["val"].images.copy()
    images[4:6] = 7
    images[4] = 9
    return changed(dataset, val={"images": images})


def darker(dataset: Dataset) -> Dataset:
    images = dataset.splits["test"].images
    labels = np.minimum(np.arange(len(images)) // 30, 2)[:, None]
    return changed(dataset, test={"images": (images * 0.5).astype(np.uint8), "labels": labels})


def of_few(dataset: Dataset) -> Dataset:
    labels = {name: np.minimum(split.labels, 1) for name, split in dataset.splits.items()}
    labels["val"][:4] = 2
    return changed(dataset, **{name: {"labels": own} for name, own in labels.items()})


def a_patient_twice(dataset: Dataset) -> Dataset:
    own = dataset.splits["val"].patients.copy()
    own[:4] = dataset.splits["train"].patients[:4]
    return changed(dataset, val={"patients": own})


AUDITED = {
    "clean": lambda: drawn(),
    "clean, patients known": lambda: drawn(patients=True),
    "leaking": lambda: copied(copied(drawn(), ("test", 3), ("train", 7)), ("test", 5), ("train", 8)),
    "leaking, with other labels": lambda: copied(drawn(), ("val", 4), ("train", 9)),
    "twice in a split": lambda: copied(drawn(), ("train", 3), ("train", 6)),
    "near": lambda: copied(copied(drawn(), ("test", 3), ("train", 6), noisy), ("train", 5), ("train", 10), noisy),
    "near, of two patients": lambda: copied(drawn(patients=True), ("val", 0), ("train", 8), noisy),
    "a patient in two splits": lambda: a_patient_twice(drawn(patients=True)),
    "blank": lambda: blank(drawn()),
    "shifted": lambda: darker(drawn((90, 30, 60))),
    "one class": lambda: of_few(drawn()),
    "few of a label, patients known": lambda: of_few(drawn(patients=True)),
    "undefined": lambda: drawn((60, 30, 6)),
    "several findings": lambda: drawn(task=MultiLabel(("a", "b", "c"))),
}


@cache
def audited(kind: str):
    dataset = AUDITED[kind]()
    return dataset, audit(dataset)


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch):
    monkeypatch.setattr(shift, "_SHUFFLES", 99)


def same(dataset: Dataset) -> dict[bytes, list]:
    """Places of images that are more than once, by their bytes."""
    places: dict[bytes, list] = {}
    for name, split in dataset.splits.items():
        for row, image in enumerate(split.images):
            places.setdefault(image.tobytes(), []).append((name, row))
    return {key: own for key, own in places.items() if len(own) > 1}


def label(dataset: Dataset, place) -> tuple:
    return tuple(dataset.splits[place[0]].labels[place[1]].tolist())


def shares(dataset: Dataset, split: str) -> dict[str, float]:
    y = dataset.info.task.encode(dataset.splits[split].labels)
    return dict(zip(dataset.info.task.labels, y.mean(axis=0), strict=True))


def number(said: str) -> int:
    return int(said.replace(",", ""))


def few_said(dataset, m) -> bool:
    split = dataset.splits[m[2]]
    y = dataset.info.task.encode(split.labels)
    n = {
        name: len(np.unique(split.patients[own > 0])) if split.patients is not None else int(own.sum())
        for name, own in zip(dataset.info.task.labels, y.T, strict=True)
    }
    named = {
        name.strip('"'): int(k) for name, k in re.findall(r'(".*?"|[^,"]+?) \((\d+)\)', m[3].replace("), ", ") "))
    }
    return m[1] == ("images" if split.patients is None else "patients") and {
        name.strip(): k for name, k in named.items()
    } == {name: k for name, k in n.items() if 0 < k < 5}


def absent_said(dataset, m) -> bool:
    absent = [name for name, share in shares(dataset, m[1]).items() if share == 0]
    return all(name in m[2] for name in absent) and bool(absent)


def shifted_said(dataset, m) -> bool:
    found = next(s for s in audited_now[1].shifts if s.split == m[1]).images
    return (
        near(m[3], found.auc) and float(m[4]) <= float(m[3]) <= float(m[5])
        and near(m[6], found.p) and bool(m[2]) == (found.auc < 0.65)
    )  # fmt: skip


def labels_said(dataset, m) -> bool:
    train, here = shares(dataset, "train"), shares(dataset, m[1])
    h = {name: abs(np.arcsin(here[name] ** 0.5) - np.arcsin(train[name] ** 0.5)) for name in train}
    return near(m[4], 100 * train[m[3]]) and near(m[5], 100 * here[m[3]]) and h[m[3]] == max(h.values())


def patients_said(dataset, m) -> bool:
    one, other = (set(dataset.splits[name].patients.tolist()) for name in (m[2], m[3]))
    return number(m[1]) == len(one & other) and m[4] in set(map(str, one & other))


def exact_said(dataset, m) -> bool:
    groups = list(same(dataset).values())
    wanted = {
        ", pixel by pixel, in more than one split": [g for g in groups if len({name for name, _ in g}) > 1],
        " more than once in one split": [g for g in groups if len({name for name, _ in g}) == 1],
        " more than once with different labels": [g for g in groups if len({label(dataset, p) for p in g}) > 1],
    }[m[2]]
    return number(m[1]) == len(wanted)


PLANTED_NEAR = {"near": ([("train", 6), ("test", 3)], [("train", 5), ("train", 10)]),
                "near, of two patients": ([("train", 8), ("val", 0)],)}  # fmt: skip


def near_said(dataset, m) -> bool:
    planted_pairs = PLANTED_NEAR[kind_now]
    return number(m[1]) == {
        "the same picture, though not pixel by pixel, in two splits":
            sum(one[0] != other[0] for one, other in planted_pairs),
        "nearly the same picture within a split": sum(one[0] == other[0] for one, other in planted_pairs),
        "nearly the same picture with different labels":
            sum(label(dataset, one) != label(dataset, other) for one, other in planted_pairs),
        "the same picture under two patients": len(planted_pairs) if dataset.splits["train"].patients is not None
            else -1,
    }[m[2]]  # fmt: skip


def blank_said(dataset, m) -> bool:
    return number(m[1]) == sum(image.min() == image.max() for image in dataset.splits[m[2]].images)


def unknown(dataset, m) -> bool:
    return any(split.patients is None for split in dataset.splits.values())


SAID = (
    (r"([\d,]+) (?:patient is|patients are) in both (\w+) and (\w+), for example (\S+)\.", patients_said),
    (r"([\d,]+) images? stands?(.*)\.", exact_said),
    (r"([\d,]+) (?:pair of images is|pairs of images are) (.*?)(?: \(.*\))?\.", near_said),
    (r"No image of (\w+) has the label (.*)\.", absent_said),
    (r"Fewer than 5 (images|patients) of (\w+) have the label (.*)\.", few_said),
    (r"([\d,]+) images? of (\w+) ha(?:s|ve) one value everywhere\.", blank_said),
    (r"Images of (\w+) differ( a little)? from train's: a linear classifier tells them apart with AUC (\S+) "
     r"\((\S+) to (\S+), p (\S+)\)\.", shifted_said),
    (r"Labels of (\w+) are distributed otherwise than those of train \(p (\S+)\): (.*) is (\S+) % of train and "
     r"(\S+) % of \w+\.", labels_said),
    (r"Patients are not known: if they have several images each, this p is too small\.", unknown),
)  # fmt: skip
kind_now, audited_now = "", (None, None)


def sentences(problem) -> list[str]:
    return re.split(r"(?<=\.) (?=Patients are not known|Each patient)", problem.seen)


@pytest.mark.parametrize("kind", AUDITED)
def test_every_sentence_of_an_audit_is_borne_out_by_the_dataset(kind, monkeypatch, capsys, tmp_path) -> None:
    dataset, found = audited(kind)
    monkeypatch.setitem(globals(), "kind_now", kind)
    monkeypatch.setitem(globals(), "audited_now", (dataset, found))
    for problem in found.problems:
        for said in sentences(problem):
            matched = [(m, true) for pattern, true in SAID if (m := re.fullmatch(pattern, said))]
            assert matched, f"no condition is known for: {said}"
            assert all(true(dataset, m) for m, true in matched), said
    codes = {problem.code for problem in found.problems}
    assert codes & WANTED[kind] == WANTED[kind]
    assert bool(codes) == bool(WANTED[kind])
    # The terminal says the same, and says that there is nothing only where there is nothing.
    out = terminal(capsys, dataset, found)
    assert ("No problem was found in drawn." in out) == (not found.problems)
    for problem in found.problems:
        mark = "serious" if problem.serious else "note"
        assert f"{mark} {problem.seen} {problem.do}" in out
    page = page_of(dataset, found, tmp_path)
    n, serious = len(found.problems), sum(problem.serious for problem in found.problems)
    images = sum(map(len, dataset.splits.values()))
    verdict = re.search(rf"In {images} images the audit found (.*?)\.", page)[1]
    assert verdict == (
        "no problem" if not n
        else f"{n} problem{'' if n == 1 else 's'}, "
        f"{'all of them' if serious == n > 1 else f'{serious} of them' if serious else 'none of them'} serious"
    )  # fmt: skip
    for problem in found.problems:
        assert ("Serious: " if problem.serious else "") + problem.seen in page
        assert problem.do in page
    assert page.count("Serious: ") == serious
    assert ("Those across splits first" in page) == bool(found.pairs)
    assert ("a patient's images in one fold" in page) == (dataset.splits["train"].patients is not None)
    # The line of each split has the numbers of its shift, or says why there are none.
    for own in found.shifts:
        cells = shift.shift_cells(own)
        # The terminal folds a reason over several lines.
        assert " ".join(cells) in out or (cells[1] == "-" and set(" ".join(cells).split()) <= set(out.split()))
        assert " ".join(cells) in page
        units = dataset.splits[own.split].patients
        few = (len(dataset.splits[own.split]) if units is None else len(np.unique(units))) < 20
        assert ("fewer than 20" in cells[2]) == few == np.isnan(own.images.auc)
        if few:
            assert cells[2] == cells[5] == f"fewer than 20 {'images' if units is None else 'patients'}"
        else:
            assert near(cells[1], own.images.auc)
            assert near(cells[6], 100 * shares(dataset, "train")[own.labels.label])
            assert near(cells[7], 100 * shares(dataset, own.split)[own.labels.label])


WANTED = {
    "clean": set(),
    "clean, patients known": set(),
    "leaking": {"duplicates-across"},
    "leaking, with other labels": {"duplicates-across", "duplicates-conflict"},
    "twice in a split": {"duplicates-within"},
    "near": {"near-across", "near-within", "near-conflict"},
    "near, of two patients": {"near-across", "near-patients"},
    "a patient in two splits": {"patients-across"},
    "blank": {"blank"},
    "shifted": {"images-shifted", "labels-shifted", "absent-label"},
    "one class": {"absent-label", "few-of-label"},
    "few of a label, patients known": {"absent-label", "few-of-label"},
    "undefined": {"few-of-label"},
    "several findings": set(),
}


def terminal(capsys, dataset: Dataset, found, readings=()) -> str:
    print_audit(SimpleNamespace(problems=found.problems, audit=found, dataset=dataset.info.name, readings=readings,
                                page="p.html"))  # fmt: skip
    return " ".join(capsys.readouterr().out.split())


def page_of(dataset: Dataset, found, folder) -> str:
    page = write_page(dataset, found, folder).read_text(encoding="utf-8")
    page = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.S)
    page = re.sub(r"</t[dh]>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).replace("\xa0", " ").split())


@pytest.mark.parametrize("n", [0, 1, 3])
def test_an_audit_counts_the_readings_of_test(n, capsys) -> None:
    time = datetime(2026, 11, 1, tzinfo=UTC).isoformat()
    access = [Access(time, "train", "test", "native", f"r{i % 2}", seed=0, run="r") for i in range(n)]
    out = terminal(capsys, *audited("clean"), readings=access)
    assert {0: "have not been read for a score", 1: "read once, for 1 recipe,", 3: "read 3 times, for 2 recipes,"}[
        n
    ] in out


def test_every_sentence_of_an_audit_is_asked_for() -> None:
    said = [s for kind in AUDITED for problem in audited(kind)[1].problems for s in sentences(problem)]
    assert [pattern for pattern, _ in SAID if not any(re.fullmatch(pattern, s) for s in said)] == []
