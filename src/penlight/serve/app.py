"""The routes: each decodes its request, asks, and answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from penlight import __version__
from penlight.api.predicting import Predicted
from penlight.errors import NoEncoderError, PenlightError, PictureError
from penlight.formats import KINDS
from penlight.numbers import counted
from penlight.records import json_text, plain
from penlight.runs.provenance import without_names
from penlight.runs.remote import Prediction, about_of, image_of, message, predictions_of
from penlight.runs.sources import InputPicture
from penlight.serve import explaining, pages, schema
from penlight.serve.guard import Guard
from penlight.serve.limits import Budget, ErrorBody, RequestError, RequestLimits, busy, unread
from penlight.serve.metrics import Metrics
from penlight.serve.pool import Pool
from penlight.serve.registry import RegisteredGroup, RegisteredRun, RunRegistry
from penlight.serve.uploads import only, uploads
from penlight.workers import ANSWERING, Bounds

_ABOUT = """Predictions of trained classifiers for small medical images. **Not for clinical use.**

`predict` gives what `penlight predict --json` prints for the same pictures."""

RunId = Annotated[str, Path(description="A run's id, from the list of runs.", examples=["retinamnist-cnn-1"])]
GroupId = Annotated[str, Path(description="A group's id, from the list of runs.", examples=["study-retina"])]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe answers to requests that are not answered."""
    about = {
        400: "The request or its body is malformed.",
        401: "The token is missing or wrong.",
        403: "A page of another site sent the request.",
        404: "There is no such run.",
        408: "The body came too slowly.",
        409: "The run has no model.",
        411: "The body came without its length.",
        413: "Too many bytes, files, or pixels.",
        415: "The body, or the file, is not an image.",
        421: "The request is for another host.",
        422: "The picture is damaged, or is not one image; or a parameter is not valid.",
        501: "This installation cannot explain.",
        503: "The server is busy; try again after Retry-After.",
        504: "The answer takes too long.",
    }
    every = (400, 401, 403, 421, 422)
    return {status: {"model": ErrorBody, "description": about[status]} for status in sorted({*statuses, *every})}


_BINARY = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "description": f"One or more pictures: {KINDS}.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "minItems": 1, "items": _BINARY}},
            }
        },
        **{
            kind: {"schema": _BINARY}
            for kind in ("image/png", "image/jpeg", "image/tiff", "application/dicom", "application/octet-stream")
        },
    },
}
# Of processor time and memory for a picture. Explaining may load Keras, which takes much of both.
_PREDICTING_BOUNDS = Bounds(10.0, 2 << 30)
_EXPLAINING_BOUNDS = Bounds(40.0, 8 << 30)
_FRESH_SECONDS = 1.0
_PREDICTING = (400, 404, 408, 409, 411, 413, 415, 422, 503, 504)


class _Service:
    """What the routes share: the registry of runs, the workers, the limits, the counts."""

    def __init__(self, registry: RunRegistry, limits: RequestLimits, threads: int) -> None:
        self.registry, self.limits, self.threads = registry, limits, threads
        self._read_at = time.monotonic()
        self._reading = asyncio.Lock()
        self.budget = Budget(limits.held, limits.peer_held)
        self.metrics = Metrics()
        self._pool: Pool | None = None
        self._explainer: Pool | None = None
        # By the opening of a run: one that is made anew is another run.
        self._about: dict[int, dict[str, Any]] = {}
        self._asking: dict[int, asyncio.Task[dict[str, Any]]] = {}

    @property
    def pool(self) -> Pool:
        """The workers that predict; they start with the first request that needs them, or with the server."""
        self._pool = self._pool or Pool(ANSWERING, self.threads, self.limits, _PREDICTING_BOUNDS)
        return self._pool

    @property
    def explainer(self) -> Pool:
        """The workers that explain, one request at a time; they start with the first that needs them."""
        limits = replace(self.limits, waiting=self.limits.explaining)
        self._explainer = self._explainer or Pool(
            explaining.HANDLER, 1, limits, _EXPLAINING_BOUNDS, spare=1, slow=3.0
        )
        return self._explainer

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Start the workers, and end them."""
        self.pool.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the workers."""
        for pool in (self._pool, self._explainer):
            if pool is not None:
                pool.close()
        self._pool = self._explainer = None

    async def refresh(self, *, changed: bool = False) -> RunRegistry:
        """Read the folders of runs again; at most once in `_FRESH_SECONDS` unless a run has `changed`."""
        async with self._reading:
            if changed or time.monotonic() - self._read_at >= _FRESH_SECONDS:
                self.registry = await asyncio.to_thread(self.registry.again)
                self._read_at = time.monotonic()
                kept = {own.opening for own in self.registry.runs.values()}
                self._about = {opening: about for opening, about in self._about.items() if opening in kept}
        return self.registry

    async def run(self, name: str) -> RegisteredRun:
        """Give a run by its id, as it is now. RequestError (404) for none, and for a group, with its runs."""
        own = self.registry.runs.get(name)
        if own is None or not own.is_current:
            own = (await self.refresh(changed=own is not None)).runs.get(name)
        if own is None:
            raise self._none(name)
        return own

    async def group(self, name: str) -> RegisteredGroup:
        """Give a group by its id, as it is now. RequestError (404) for none."""
        own = (await self.refresh()).groups.get(name)
        if own is None:
            raise self._none(name)
        return own

    def _none(self, name: str) -> RequestError:
        group, run = self.registry.groups.get(name), self.registry.runs.get(name)
        if group is not None:
            inside = ", ".join(group.runs[:5]) + (" and more" if len(group.runs) > 5 else "")
            n_runs = counted(len(group.runs), "run")
            return RequestError(404, f"{name} is a group of {n_runs} ({group.kind}), not a run.",
                                f"The id of a run in it: {inside}.",
                                f"Ask one of them, or see all at {self.registry.root}/groups/{name}.")  # fmt: skip
        if run is not None:
            return RequestError(404, f"{name} is a run, not a group.", "The id of a study, of seeds or of folds.",
                                f"See the run at {self.registry.root}/runs/{name}.")  # fmt: skip
        return RequestError(404, "There is none of this id.", f"An id from {self.registry.root}/api/v1/runs.",
                            "Look it up there.")  # fmt: skip

    async def about(self, registered: RegisteredRun) -> dict[str, Any]:
        """Say which model answers for a run, and how it decides. RequestError (409) for a run without a model."""
        if not registered.links.predict and registered.run.made_elsewhere:
            raise RequestError(409, "This run was scored from predictions that other software made.",
                               "A run with a model.", "Ask that software.")  # fmt: skip
        if not registered.links.predict:
            raise RequestError(409, "This run keeps no model.onnx.", "A run with a model.",
                               registered.run.no_model_file
                               or "Make it on the server: penlight export RUN --to onnx")  # fmt: skip
        if registered.opening in self._about:
            return self._about[registered.opening]
        # Asked once for all who wait for it: requests that never send their body must not fill the workers' line.
        asking = self._asking.get(registered.opening)
        if asking is None:
            asking = self._asking[registered.opening] = asyncio.create_task(self._ask_about(registered))
            asking.add_done_callback(lambda task: self._forget(registered.opening, task))
        return await asyncio.shield(asking)

    def _forget(self, opening: int, task: "asyncio.Task[Any]") -> None:
        self._asking.pop(opening, None)
        # Whoever asked may be gone, as when the server ends: the error is seen, so that it is not logged as lost.
        if not task.cancelled():
            task.exception()

    async def _ask_about(self, registered: RegisteredRun) -> dict[str, Any]:
        (answer,) = await self.pool.ask(self.message(registered, "about"), [({}, b"")])
        self._about[registered.opening] = about_of(answer, self.pool.bounds, registered.run.path)
        return self._about[registered.opening]

    def message(self, registered: RegisteredRun, do: str) -> dict[str, Any]:
        """Give the common values of a message to a worker that predicts."""
        return message(registered.run.path, registered.opening, do, self.limits.pixels)

    async def predict(self, registered: RegisteredRun, pictures: Sequence[InputPicture]) -> list[Prediction]:
        """Answer for pictures."""
        labels = (await self.about(registered))["labels"]
        answers = await self.pool.ask(self.message(registered, "answer"), [picture.item() for picture in pictures])
        return predictions_of(pictures, answers, labels, self.pool.bounds, registered.run.path)

    async def image(self, registered: RegisteredRun, picture: InputPicture) -> bytes:
        """Give a picture as the model reads it, as a PNG. PenlightError if it cannot be read."""
        (answer,) = await self.pool.ask(self.message(registered, "image"), [picture.item()])
        return image_of(picture, answer, self.pool.bounds, registered.run.path)

    async def explain(self, request: Request, registered: RegisteredRun) -> dict[str, Any]:
        """Explain one picture, one request at a time."""
        if self.explainer.waiting >= self.limits.explaining:
            raise busy("too many explanations are being made")
        await self.about(registered)
        async with uploads(request, self.limits, self.budget) as pictures:
            picture = only(pictures)
            asked = explaining.question(registered, request.query_params, self.limits)
            (answer,) = await self.explainer.ask(asked, [({"name": picture.name}, picture.item()[1])])
            return explaining.explained(picture, answer, self.explainer.bounds)


def make_app(
    registry: RunRegistry,
    *,
    token: str | None = None,
    names: set[str] | None = None,
    limits: RequestLimits | None = None,
    threads: int = 2,
) -> ASGIApp:
    """Make the ASGI application. `token`, and the host `names` that it answers to, as in `Guard`; addresses have the
    prefix of the registry."""
    service = _Service(registry, limits or RequestLimits(), threads)
    app = FastAPI(
        title="Penlight",
        version=__version__,
        description=_ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
    )
    _add_handlers(app, registry.root)
    _add_listing(app, service)
    _add_asking(app, service)
    _add_running(app, service)
    _add_pages(app, service)
    _add_reports(app, service)
    return Guard(app, service.metrics, token, names, registry.root)


def _add_handlers(app: FastAPI, root: str) -> None:
    """Give every error one shape, whoever raised it."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return pages.error_page(error, root) if pages.wants_page(request) else error.response()

    async def unreadable(request: Request, error: Exception) -> Response:
        # The error's own text may name a folder of the server.
        told = RequestError(500, "The run could not be read.", "A whole run folder.", "Look at the server.")
        return await refused(request, told)

    async def no_encoder(request: Request, error: Exception) -> Response:
        assert isinstance(error, NoEncoderError)
        return await refused(request, RequestError(503, error.problem, "A server that has it.", error.remedy))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place, name = (*map(str, first["loc"]), "", "")[:2]
        told = RequestError(422, f"The {place} parameter '{name[:100]}' is not valid: {first['msg'][:200]}.",
                            "A value that /api/v1/openapi.json allows.", "Correct it.")  # fmt: skip
        return await refused(request, told)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if "allow" in {name.lower() for name in headers}:
            headers = {"Allow": _allowed(headers)}
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        told = RequestError(error.status_code, str(error.detail), "A route of /api/v1/openapi.json.", "", headers)
        return await refused(request, told)

    async def broken(request: Request, error: Exception) -> Response:
        told = RequestError(500, "The server failed at this request.", "", "Contact the administrator of the server.")
        return await refused(request, told)

    app.add_exception_handler(RequestError, refused)
    app.add_exception_handler(PenlightError, unreadable)
    app.add_exception_handler(NoEncoderError, no_encoder)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, broken)


def _allowed(headers: Mapping[str, str]) -> str:
    """Name the methods of a route; `Guard` answers HEAD wherever there is GET."""
    listed = next(value for name, value in headers.items() if name.lower() == "allow")
    methods = {method.strip() for method in listed.split(",")}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"}))


def _answer(record: Any) -> Response:
    return Response(json_text(record, indent=None), media_type="application/json")


def _add_listing(app: FastAPI, service: _Service) -> None:
    @app.get("/api/v1/runs", response_model=schema.ServedRuns, responses=_errors(), summary="List runs and groups")
    async def runs() -> Response:
        """List the runs, studies, seeds, folds, sweeps and tunings that are in the server's folders now."""
        registry = await service.refresh()
        listed = [own.listed for own in registry.runs.values()], [own.listed for own in registry.groups.values()]
        return _answer(schema.ServedRuns(*listed))

    @app.get("/api/v1/runs/{run}", response_model=schema.RunDetail, responses=_errors(404), summary="Show a run")
    async def run(run: RunId) -> Response:
        """Show a run: scores on test with intervals, checks, how it was made, how it decides."""
        registered = await service.run(run)
        about = await service.about(registered) if registered.links.predict else None
        own = registered.run
        return _answer(
            schema.RunDetail(registered.listed, own.metrics, without_names(own.provenance), plain(own.recipe), about)
        )

    @app.get(
        "/api/v1/groups/{group}", response_model=schema.GroupDetail, responses=_errors(404), summary="Show a group"
    )
    async def group(group: GroupId) -> Response:
        """Show a study, the seeds or folds of one recipe, a sweep or a tuning, with its record."""
        own = await service.group(group)
        return _answer(schema.GroupDetail(own.listed, own.record))


def _add_asking(app: FastAPI, service: _Service) -> None:
    answer: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/json": {"example": schema.EXAMPLE}}, "description": "The answers."}
    }

    @app.post(
        "/api/v1/runs/{run}/predict",
        response_model=Predicted,
        responses={**_errors(*_PREDICTING), **answer},
        openapi_extra={"requestBody": _BODY},
        summary="Predict images",
    )
    async def predict(request: Request, run: RunId) -> Response:
        """Answer for each picture: probabilities, what is decided, which labels are possible, warnings.

        Of several pictures those that cannot be read have their error in the answer; a request of which none can be
        read is refused.
        """
        registered = await service.run(run)
        about = await service.about(registered)
        async with uploads(request, service.limits, service.budget) as pictures:
            predictions = await service.predict(registered, pictures)
        _count(service.metrics, predictions)
        if all(p.answer is None for p in predictions):
            raise unread(predictions[0].error)
        return _answer(Predicted(about, predictions))

    @app.post(
        "/api/v1/runs/{run}/explain",
        responses=_errors(*_PREDICTING, 501),
        openapi_extra={"requestBody": _BODY, "parameters": _EXPLAIN_PARAMETERS},
        summary="Explain a prediction",
    )
    async def explain(request: Request, run: RunId) -> Response:
        """Give a map over one picture for each label answered, and the training images most like it."""
        registered = await service.run(run)
        return _answer(await service.explain(request, registered))


_EXPLAIN_PARAMETERS = [
    {"name": "label", "in": "query", "schema": {"type": "string"}, "description": "The label to explain."},
    {"name": "method", "in": "query", "schema": {"type": "string"}, "description": "auto unless given."},
    {
        "name": "neighbours",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": 20},
        "description": "How many of the most similar training images to give; 0 unless given.",
    },
]


def _count(metrics: Metrics, predictions: list[Prediction]) -> None:
    failed = sum(p.answer is None for p in predictions)
    abstained = sum(p.answer is not None and p.answer.abstains for p in predictions)
    counted = {"failed": failed, "abstained": abstained, "answered": len(predictions) - failed - abstained}
    for result, n in counted.items():
        metrics.pictures(result, n)
    answers = [p.answer for p in predictions if p.answer is not None]
    metrics.abstained("several_possible", sum(answer.several for answer in answers))
    metrics.abstained("unusual", sum(answer.unusual for answer in answers))


def _add_running(app: FastAPI, service: _Service) -> None:
    @app.get("/healthz", response_model=schema.Health, responses=_errors(), summary="Liveness")
    async def healthz() -> Response:
        """Say that the server lives."""
        return _answer(schema.Health())

    @app.get("/readyz", response_model=schema.Health, responses=_errors(503), summary="Readiness")
    async def readyz() -> Response:
        """Say whether a picture would be answered now."""
        if service.pool.waiting >= service.limits.waiting:
            raise busy("too many images are waiting")
        if service.pool.stuck:
            raise busy("every worker is busy with a slow image")
        return _answer(schema.Health())

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=_errors(),
        summary="Metrics for Prometheus",
    )
    async def metrics() -> Response:
        """Give requests, times, pictures, waiting and memory in Prometheus' text format."""
        gauges = {
            "penlight_pictures_waiting": ("Images that are waiting.", float(service.pool.waiting)),
            "penlight_upload_bytes": ("Bytes of bodies in memory.", float(service.budget.used)),
            "penlight_runs": ("Runs that are offered.", float(len(service.registry.runs))),
        }
        return PlainTextResponse(service.metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_pages(app: FastAPI, service: _Service) -> None:
    root = service.registry.root

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return await asyncio.to_thread(pages.index, await service.refresh())

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in pages.STATIC:
            raise RequestError(404, "There is none of this id.", "A file that a page names.", "")
        return pages.static(name)

    @app.get("/compare", include_in_schema=False)
    async def compare(run: Annotated[list[str], Query()] = []) -> Response:  # noqa: B006
        return await asyncio.to_thread(pages.compare, await service.refresh(), run)

    @app.get("/runs/{run}", include_in_schema=False)
    async def run_page(run: str) -> Response:
        if run in (await service.refresh()).groups:
            return RedirectResponse(f"{root}/groups/{run}")
        registered = await service.run(run)
        return await asyncio.to_thread(pages.run_page, registered, await service.about(registered))

    @app.get("/groups/{group}", include_in_schema=False)
    async def group_page(group: str) -> Response:
        own = await service.group(group)
        if own.is_page:
            return RedirectResponse(f"{root}/groups/{group}/report")
        return await asyncio.to_thread(pages.group_page, service.registry, own)

    @app.get("/runs/{run}/example", include_in_schema=False)
    async def example(run: str, number: Annotated[int, Query(ge=0, lt=pages.EXAMPLES)] = 0) -> Response:
        registered = await service.run(run)
        if not pages.drawn(registered):
            raise RequestError(404, "This run's images are not drawn.", "A run of a phantom.", "")
        return await asyncio.to_thread(pages.example, registered, number)

    @app.post("/runs/{run}/image", include_in_schema=False)
    async def image(request: Request, run: str) -> Response:
        registered = await service.run(run)
        await service.about(registered)
        async with uploads(request, service.limits, service.budget) as pictures:
            try:
                return Response(await service.image(registered, only(pictures)), media_type="image/png")
            except PictureError as error:
                raise unread(error) from error


def _add_reports(app: FastAPI, service: _Service) -> None:
    @app.get("/runs/{run}/report", include_in_schema=False)
    async def report(run: str) -> Response:
        registered = await service.run(run)
        if not registered.links.report:
            raise RequestError(404, "This run keeps no report.", "A run with a report.", "")
        return await asyncio.to_thread(pages.report, registered)

    @app.get("/groups/{group}/report", include_in_schema=False)
    async def group_report(group: str) -> Response:
        own = await service.group(group)
        if own.listed.links.report is None:
            raise RequestError(404, "This group has no report.", "A group with a report.", "")
        return await asyncio.to_thread(pages.report, own)

    @app.get("/groups/{group}/{inner:path}/report.html", include_in_schema=False)
    async def inner_report(group: str, inner: str) -> Response:
        """Lead to the report of a run or group inside: reports of groups name it by its place among the files."""
        found = service.registry.inner_report(await service.group(group), inner)
        if found is None:
            raise RequestError(404, "The group has no run there.", "A run of the group, with a report.", "")
        return RedirectResponse(found)
