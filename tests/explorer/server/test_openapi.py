"""The API's own description: complete, and the one that the front end's types are made from."""

import json
import runpy
from pathlib import Path

import pytest

FRONT = Path(__file__).parents[3] / "web" / "openapi.json"


@pytest.fixture(scope="module")
def described(client):
    return client.get("/api/openapi.json").json()


def test_every_operation_is_described(described):
    for where, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, where)
            assert operation["operationId"], (method, where)
    for name, schema in described["components"]["schemas"].items():
        if name not in ("HTTPValidationError", "ValidationError") and "enum" not in schema:
            assert schema["description"], name


def test_what_is_always_in_an_answer_is_required(described):
    schemas = described["components"]["schemas"]
    for name in ("MapOf", "CompareOf", "TargetDetail", "UnitDetail", "StudyOf", "Curve"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name


def test_the_front_end_was_made_for_this_api(described):
    if not FRONT.exists():
        pytest.skip("there is no source of the front end here")
    same = shape(json.loads(FRONT.read_text())) == shape(described)
    assert same, "make it again: python -m subtrain.explorer.server > web/openapi.json, then npm run types in web/"


def shape(document):
    """What types are made of: no wording, which versions of FastAPI may change."""
    schemas = {
        name: (sorted(schema.get("properties", {})), sorted(schema.get("required", [])), schema.get("enum"))
        for name, schema in document["components"]["schemas"].items()
        if name not in ("HTTPValidationError", "ValidationError")
    }
    operations = {
        (where, method): [(one["name"], one["in"], one.get("required")) for one in operation.get("parameters", [])]
        for where, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    return schemas, operations


def test_it_is_printed_for_the_front_end(described, capsys):
    runpy.run_module("subtrain.explorer.server", run_name="__main__")
    assert json.loads(capsys.readouterr().out) == described
