"""The pages: the gallery, a run to ask, comparisons, and each report from its own file.

Pages hold no script and no style of their own, so that the strict policy of every answer stands; all they load is
served from here.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from penlight import __version__
from penlight.data.catalog import info_of_reference, is_phantom
from penlight.errors import PenlightError
from penlight.formats import KINDS, SUFFIXES
from penlight.numbers import counted
from penlight.runs.facts import NOTICE
from penlight.serve.limits import RequestError, for_client
from penlight.serve.registry import RegisteredGroup, RegisteredRun, RunRegistry

if TYPE_CHECKING:
    from penlight.data.pictures import Pixels
    from penlight.serve.gallery import GalleryScore

_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
STATIC = {
    "style.css": ("reports/style.css", _CSS),
    "theme.js": ("reports/theme.js", _JS),
    "figures.js": ("reports/figures.js", _JS),
    "pages.css": ("serve/static/pages.css", _CSS),
    "gallery.js": ("serve/static/gallery.js", _JS),
    "run.js": ("serve/static/run.js", _JS),
    "pictures.js": ("serve/static/pictures.js", _JS),
    "icon.svg": ("serve/static/icon.svg", "image/svg+xml"),
}
"""Files that pages use, by name: where they lie in the package, and the content type."""

EXAMPLES = 10_000
"""So many examples can be drawn."""

_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_STYLE = re.compile(r' style="([^"]*)"')
_CANVAS = 448
_NEIGHBOURS = 5


def index(registry: RunRegistry) -> HTMLResponse:
    """Show the runs and studies with their headline scores, those of the same images together."""
    from penlight.serve.gallery import gather

    gallery = gather(registry)
    studies = sum(len(group.studies) for group in gallery.groups)
    said = [counted(gallery.n_runs, "run"), *([counted(studies, "study", "studies")] if studies else [])]
    measured = "Scores are those on test; what stands together was measured on the same images."
    alone = [own for own in registry.groups.values() if own.is_page and own.listed.links.report]
    summary = f"{' and '.join(said)}. {measured}"
    return _page(registry.root, "gallery.html", gallery=gallery, alone=alone, summary=summary)


def run_page(registered: RegisteredRun, about: Mapping[str, Any]) -> HTMLResponse:
    """Show a run with a place to drop images on; `about` is what its model says of itself."""
    from penlight.reports.words import label_words, number
    from penlight.runs.standing import standing_of
    from penlight.serve.gallery import find_entry

    group, entry = find_entry(registered)
    task = registered.run.model_predictions("test").task
    on_test = standing_of(registered.run, task)
    model = registered.run.decision
    channels = "colour" if about["reading"]["channels"] == 3 else "grey"
    return _page(
        registered.root,
        "run.html",
        entry=entry,
        group=group,
        on_test=on_test,
        coverage="" if on_test.coverage is None else number(on_test.coverage.value, 2),
        wanted="" if model.conformal is None else number(model.conformal.coverage, 2),
        reads=f"{channels} images of {group.size} × {group.size} px",
        labels=task.labels,
        noun=label_words(task, 1),
        ordered=task.ordered,
        exclusive=task.exclusive,
        thresholds=task.uses_thresholds and model.thresholds is not None,
        methods=_methods(registered),
        drawn=drawn(registered),
        neighbours=_NEIGHBOURS if registered.run.has("neighbours.npz") else 0,
        canvas=_CANVAS,
        kinds=KINDS,
        accept=",".join(["image/*", "application/dicom", *sorted(SUFFIXES)]),
    )


def group_page(registry: RunRegistry, group: RegisteredGroup) -> HTMLResponse:
    """Show a study, or several seeds or folds: its scores, and its runs to ask one of."""
    from penlight.serve.gallery import gather_group

    return _page(registry.root, "group.html", groups=gather_group(group, registry), name=group.name, kind=group.kind,
                 report=group.listed.links.report)  # fmt: skip


def _methods(registered: RegisteredRun) -> list[tuple[str, str]]:
    """The methods of explanation that a run may allow; those that look inside need its Keras file."""
    methods = [("auto", "the method that fits"), ("occlusion", "occlusion")]
    inside = [("cam", "class activation map"), ("gradcam", "Grad-CAM"), ("hirescam", "HiResCAM")]
    return [*methods, *(inside if registered.run.has("model.keras") else [])]


def drawn(registered: RegisteredRun) -> bool:
    """Say whether the run's dataset is a phantom, of which another image can be drawn."""
    try:
        return is_phantom(info_of_reference(registered.run.recipe.data.dataset))
    except PenlightError:
        return False


def example(registered: RegisteredRun, number: int) -> Response:
    """Draw an image that is in no split, as a PNG; the header Penlight-Truth says with which labels."""
    import numpy as np

    from penlight.phantoms import FINDINGS, draw_chest, draw_retina, sample_findings, split_seed

    data = registered.run.recipe.data
    labels = registered.run.model_predictions("test").task.labels
    seed = split_seed(data.dataset, "test", EXAMPLES + number)
    if data.dataset == "retina-phantom":
        grade = number % len(labels) if data.view == "native" else number % 5
        image, truth = draw_retina(np.array([grade]), data.size, seed)[0][0], f"grade {grade}"
        truth = labels[grade] if data.view == "native" else truth
    else:
        findings = sample_findings(1, seed)
        image = draw_chest(findings, data.size, seed)[0][0]
        truth = ", ".join(name for name, on in zip(FINDINGS, findings[0], strict=True) if on) or "no finding"
    return Response(_png(image), media_type="image/png", headers={"penlight-truth": truth})


def _png(image: "Pixels") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(buffer, "PNG")
    return buffer.getvalue()


def compare(registry: RunRegistry, names: Sequence[str]) -> HTMLResponse:
    """Compare runs, or the seeds of recipes, on the same images. RequestError: 404 for an id that is not there, 400
    for fewer than two, and for runs that were not measured on the same images."""
    chosen = {name: _chosen(registry, name) for name in dict.fromkeys(names)}
    if len(chosen) < 2:
        raise RequestError(400, f"{counted(len(chosen), 'run')} cannot be compared.", "Two runs or more.",
                           "Go back, and choose two runs of the same images.")  # fmt: skip
    from penlight import compare as compare_runs
    from penlight.reports.comparison import comparison_values

    titles = {str(own.folder): own.title for own in chosen.values()}
    try:
        found = compare_runs(list(titles))
    except PenlightError as error:
        raise for_client(error, 400, "Runs of the same images and labels.", titles) from error
    first = next(iter(chosen.values()))
    run = first if isinstance(first, RegisteredRun) else registry.runs[first.runs[0]]
    renamed = {model.name: titles[model.source] for model in found.comparison.models}
    values = comparison_values(found.comparison.renamed(renamed), found.modality, str(run.run.provenance["data_md5"]))
    return _page(registry.root, "comparison.html", **{**values, "command": ""})


def _chosen(registry: RunRegistry, name: str) -> RegisteredRun | RegisteredGroup:
    own = registry.runs.get(name) or registry.groups.get(name)
    if own is None:
        raise RequestError(404, "One of the chosen runs is not here.", "Runs of the gallery.", "Choose again there.")
    return own


def static(name: str) -> Response:
    """Give a file of `STATIC`."""
    place, kind = STATIC[name]
    return Response(_file(place), media_type=kind, headers={"cache-control": "no-cache"})


def wants_page(request: Request) -> bool:
    """Say whether a request is of a person who reads, not of a program."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def error_page(error: RequestError, root: str) -> HTMLResponse:
    """Say in words why a page is not shown."""
    headings = {400: "That cannot be done", 404: "There is nothing here", 409: "This run cannot be asked"}
    heading = headings.get(error.status, "That did not work")
    return _page(root, "error.html", error.status, error.headers, heading=heading, status=error.status,
                 problem=error.error, remedy=error.do)  # fmt: skip


def report(own: RegisteredRun | RegisteredGroup) -> Response:
    """Give the report of a run or a group: a page that a stranger may have written, so that it can do nothing here.

    It is sandboxed: its origin is none, so it reads nothing of this server and keeps nothing. Of scripts only those
    that Penlight wrote run, by their hashes; it loads nothing. RequestError (409) for a page that holds what no
    policy stops and no report of Penlight has: a reload to another address, and hints to connect to one. RunError if
    it is not what the run's manifest says.
    """
    page = own.report
    if not _is_plain(page):
        raise RequestError(409, "The report is not one that Penlight wrote.", "A report of Penlight.",
                           "Write it again: penlight report RUN")  # fmt: skip
    headers = {
        "content-security-policy": _report_policy(),
        # A browser shows no page that has both a sandbox and an opener policy.
        "cross-origin-opener-policy": "unsafe-none",
    }
    return HTMLResponse(page, headers=headers)


def _is_plain(page: bytes) -> bool:
    """Say whether a page has neither a tag nor an attribute that acts beyond its policy.

    It must be UTF-8: a byte order mark of UTF-16 would win over the charset of the answer, and hide them.
    """
    try:
        lower = page.decode("utf-8").lower()
    except UnicodeDecodeError:
        return False
    return "<link" not in lower and "http-equiv" not in lower


@cache
def _report_policy() -> str:
    """The content security policy of reports, with the hashes of the scripts of this version and of earlier ones."""
    embedded = [b"\n" + _file(f"reports/{name}") + b"\n" for name in ("theme.js", "figures.js")]
    lines = _file("serve/report_scripts.txt").decode().splitlines()
    hashes = {base64.b64encode(hashlib.sha256(script).digest()).decode() for script in embedded}
    hashes |= {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    scripts = " ".join(f"'sha256-{value}'" for value in sorted(hashes))
    return (
        f"sandbox allow-scripts allow-downloads allow-modals; default-src 'none'; script-src {scripts}; "
        "img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _page(
    root: str, template: str, status: int = 200, headers: dict[str, str] | None = None, /, **values: Any
) -> HTMLResponse:
    common = {"not_clinical": NOTICE, "version": __version__, "root": root}
    text = _environment().get_template(template).render(**common, **values)
    return HTMLResponse(_TAG.sub(_with_attributes, text), status, headers)


def _with_attributes(tag: re.Match[str]) -> str:
    """Write the style of a figure's element as its attributes, which the policy allows.

    What stands between tags is text, and may be a label that looks like a style.
    """
    return _STYLE.sub(_as_attributes, tag[0])


def _as_attributes(style: re.Match[str]) -> str:
    pairs = (part.split(":", 1) for part in style[1].split(";") if ":" in part)
    named = ((name.strip(), value.strip()) for name, value in pairs)
    return "".join(f' {name}="{value}"' for name, value in named if not name.startswith("on"))


def axis_of(score: "GalleryScore") -> dict[str, float | None]:
    """Place a score and the baseline on an axis of 240 units from 0 to 1; None for what is not known."""
    own, other = score.row, score.linear
    return {
        **{key: _place(getattr(own, key), own.value) for key in ("value", "low", "high")},
        "linear": None if other is None else _place(other.value),
        "linear_low": None if other is None else _place(other.low, other.value),
        "linear_high": None if other is None else _place(other.high, other.value),
    }


def _place(value: float, otherwise: float = float("nan")) -> float | None:
    known = value if value == value else otherwise
    return round(8 + 224 * min(1.0, max(0.0, known)), 1) if known == known else None


@cache
def _environment() -> Environment:
    from penlight.reports.filters import FILTERS, GLOBALS

    environment = Environment(
        # The frame of pages takes the place of the frame of reports, so that what both show is written once.
        loader=ChoiceLoader([PackageLoader("penlight", "serve/templates"), PackageLoader("penlight", "reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals |= {**GLOBALS, "axis_of": axis_of}
    return environment


@cache
def _file(place: str) -> bytes:
    # By way of the package, as importing a room for its files would load what it draws with.
    return resources.files("penlight").joinpath(place).read_bytes()
