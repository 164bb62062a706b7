"""What the OpenAPI document says holds for whatever is sent: no 5xx, and no status that it does not name."""

import importlib.util

import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from penlight.serve import make_app, open_registry, schema
from tests.trained import trained

app = make_app(open_registry([trained("grades")]))
document = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


EXPLAINS = importlib.util.find_spec("penlight.api.explaining") is not None
"""Without it the route answers 501, which is what it should."""


schemathesis.serializer.alias(["application/dicom", "image/tiff"], "application/octet-stream")


@document.include(
    path_regex="^/(api|healthz|readyz)" if EXPLAINS else "(runs|}|predict|healthz|readyz)$"
).parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_routes_are_as_the_document_says(case):
    if case.path_parameters and "run" in case.path_parameters and case.method == "POST":
        case.path_parameters["run"] = "grades"
    case.call_and_validate(checks=CHECKS)


def test_the_example_is_an_answer():
    described = TestClient(app, base_url="http://localhost").get("/api/v1/openapi.json").json()
    answers = jsonschema_rs.validator_for({"$ref": "#/components/schemas/Predicted", **described})
    assert answers.is_valid(schema.EXAMPLE)
    assert not answers.is_valid({**schema.EXAMPLE, "failed": "0"})
