"""What is made of a phantom is made once for all tests of a process: a test repeats what it asks, not the drawing."""

from dataclasses import replace

from penlight.data import store
from penlight.data.audit import checks
from penlight.phantoms import PHANTOMS, arrays

_DRAWN, _AUDITS = {}, {}


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
    """Audit each phantom that was drawn so once."""
    audit = checks.audit

    def once(dataset):
        if not is_drawn(dataset):
            return audit(dataset)
        if id(dataset) not in _AUDITS:
            _AUDITS[id(dataset)] = audit(dataset)
        return _AUDITS[id(dataset)]

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
        monkeypatch.setattr(f"penlight.{module}.{name}", lambda *_: "a report")
