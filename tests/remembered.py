"""What is made of the same images is made once for all tests of a process, or of all processes: a test repeats what
it asks, not what that begins with."""

import hashlib
from dataclasses import replace

import numpy as np

from penlight.data import store
from penlight.data.audit import checks, shift
from penlight.evaluation import intervals
from penlight.experiments import baselines, cache
from penlight.phantoms import PHANTOMS, arrays
from tests.once import shared_folder

_DRAWN, _AUDITS = {}, {}
_DRAW = intervals._draw


def fit_once(monkeypatch):
    """Fit the baselines of the same images and labels, and what tells images unlike them, once for all tests of all
    processes. What baselines say of test is asked in each test, as that is recorded."""
    about_view, once = baselines.about_view, cache.once

    def about_images(view):
        return {**about_view(view), "images": _digest(view.dataset)}

    def shared(about, compute, read):
        # Tests differ in how much they draw, and what one has scored is no other's.
        about = {**about, "all draws": intervals._draw is _DRAW}
        if about["what"] == "tested":
            return once(about, compute, read)
        with monkeypatch.context() as patch:
            patch.setattr(cache, "private_cache_folder", lambda name: shared_folder())
            patch.setattr(cache, "_forget_oldest", lambda folder: None)
            return once(about, compute, read)

    monkeypatch.setattr(baselines, "about_view", about_images)
    monkeypatch.setattr(baselines, "once", shared)


def _digest(dataset):
    """Hash what a dataset holds, whatever it says of itself."""
    digest = hashlib.sha256(repr((dataset.info, dataset.size)).encode())
    for name, split in sorted(dataset.splits.items()):
        held = vars(split)
        digest.update(f"{name} {split.images.shape} {[*held, *split.metadata]}".encode())
        digest.update(np.ascontiguousarray(split.images))
        for values in (*(held[own] for own in held if own not in ("images", "metadata")), *split.metadata.values()):
            digest.update(str(np.asarray(values).tolist()).encode())
    return digest.hexdigest()


def draw_once(monkeypatch, samples=None):
    """Draw each phantom once, of so many images by split, or of its own number."""
    draw = store._draw
    for name in PHANTOMS if samples else ():
        monkeypatch.setitem(arrays._SAMPLES, name, samples)

    def once(info, size):
        wanted = replace(info, samples=samples or info.samples)
        key = (info.name, size, *wanted.samples.values())
        if key not in _DRAWN:
            _DRAWN[key] = draw(wanted, size)
        return _DRAWN[key]

    monkeypatch.setattr(store, "_draw", once)


def audit_once(monkeypatch):
    """Audit the same images and labels once."""
    audit = checks.audit

    def once(dataset):
        key = _digest(dataset), shift._SHUFFLES
        if key not in _AUDITS:
            _AUDITS[key] = audit(dataset)
        return _AUDITS[key]

    monkeypatch.setattr(checks, "audit", once)


def is_drawn(dataset):
    return any(dataset is known for known in _DRAWN.values())


def leave_reports_out(monkeypatch):
    """Draw no report: where a test looks at none, that takes most of its time."""
    for module, name in (
        ("reports", "run_report"),
        ("reports", "seeds_report"),
        ("reports.study", "study_report"),
        ("reports.tuning", "tuning_report"),
    ):
        monkeypatch.setattr(f"penlight.{module}.{name}", lambda *_, **__: "a report")
