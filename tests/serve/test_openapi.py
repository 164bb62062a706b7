"""What the OpenAPI document says holds for whatever is sent: no 5xx, and no status that it does not name."""

import importlib.util
import re
from itertools import product

import pytest
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from penlight.serve import make_app, open_registry, schema
from tests.conftest import examples
from tests.serve.test_routes import GOOD
from tests.trained import trained

EXPLAINS = importlib.util.find_spec("penlight.api.explaining") is not None
"""Without it the route answers 501, which is what it should."""


@pytest.mark.full
def test_whatever_is_sent_routes_are_as_the_document_says():
    # Imported here: it takes longer than all other imports of the tests, in each process.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
    from schemathesis.specs.openapi import checks

    answers = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        if case.path_parameters and "run" in case.path_parameters and case.method == "POST":
            case.path_parameters["run"] = "grades"
        case.call_and_validate(checks=answers)

    schemathesis.serializer.alias(["application/dicom", "image/tiff"], "application/octet-stream")
    app = make_app(open_registry([trained("grades")]))
    document = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app).include(
        path_regex="^/(api|healthz|readyz)" if EXPLAINS else "(runs|}|predict|healthz|readyz)$"
    )
    asked = [found.ok() for found in document.get_all_operations()]
    assert asked
    for operation in asked:
        config = HypothesisTestConfig(document.config, list(HypothesisTestMode))
        create_test(operation=operation, test_func=ask, config=config)()


def test_routes_are_as_the_document_says():
    import jsonschema_rs

    client = TestClient(make_app(open_registry([trained("grades")])), base_url="http://localhost")
    described = client.get("/api/v1/openapi.json").json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            kinds = list(operation.get("requestBody", {}).get("content", [""]))[:2]
            statuses = set()
            for name, content, kind in product(("grades", "no%00ne"), (GOOD, b"", b"{}"), kinds):
                head = {"Content-Type": kind or "text/plain"}
                answer = client.request(method, re.sub("{.+}", name, path), content=content, headers=head)
                assert str(answer.status_code) in operation["responses"], (path, content[:4], kind)
                assert answer.status_code < 500 or answer.status_code == 501
                (said, own), *others = operation["responses"][str(answer.status_code)]["content"].items()
                assert not others
                assert answer.headers["Content-Type"].startswith(said)
                if said == "application/json":
                    assert jsonschema_rs.validator_for({**described, **own["schema"]}).is_valid(answer.json()), path
                statuses.add(answer.status_code)
            assert 200 in statuses or "{group}" in path or (path.endswith("explain") and not EXPLAINS), path
            assert "{" not in path or 404 in statuses, path


def test_the_example_is_an_answer():
    import jsonschema_rs

    app = make_app(open_registry([trained("grades")]))
    described = TestClient(app, base_url="http://localhost").get("/api/v1/openapi.json").json()
    answers = jsonschema_rs.validator_for({"$ref": "#/components/schemas/Predicted", **described})
    assert answers.is_valid(schema.EXAMPLE)
    assert not answers.is_valid({**schema.EXAMPLE, "failed": "0"})
