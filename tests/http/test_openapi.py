"""The OpenAPI document: it is valid, it is complete, and what it declares is what is sent."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from api import MEMBERS, TODOS, create
from schemathesis import openapi
from starlette.testclient import TestClient

TODO = f"{TODOS}/{{id}}"
OPERATIONS = {
    "create_todo": ("post", TODOS, {"201", "400", "403", "413", "422", "500", "503"}),
    "list_todos": ("get", TODOS, {"200", "400", "403", "422", "500", "503"}),
    "retrieve_todo": ("get", TODO, {"200", "400", "403", "404", "422", "500", "503"}),
    "update_todo": ("patch", TODO, {"200", "400", "403", "404", "413", "422", "500", "503"}),
    "delete_todo": ("delete", TODO, {"204", "400", "403", "404", "422", "500", "503"}),
}
CODES = {
    "400": {"MISSING_USER_CONTEXT", "INVALID_USER_CONTEXT"},
    "403": {"UNKNOWN_USER"},
    "404": {"NOT_FOUND"},
    "413": {"BODY_TOO_LARGE"},
    "422": {"VALIDATION_ERROR"},
    "500": {"SERVER_ERROR"},
    "503": {"SERVICE_UNAVAILABLE"},
}


@pytest.fixture(scope="module")
def document(served: TestClient) -> dict[str, Any]:
    """Return the document."""
    found: dict[str, Any] = served.get("/openapi.json").json()
    return found


def operation(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the operation of this name."""
    method, path, _ = OPERATIONS[name]
    found: dict[str, Any] = document["paths"][path][method]
    return found


def problems(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each error that is declared: its status and its response."""
    for name in OPERATIONS:
        for status, response in operation(document, name)["responses"].items():
            if status >= "400":
                yield status, response


def valid(document: dict[str, Any], schema: dict[str, Any], instance: object) -> bool:
    """Say whether the instance fits a schema of the document, formats included."""
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(instance)


def test_it_is_valid(document: dict[str, Any]) -> None:
    """The document fits OpenAPI 3.1, and each schema in it JSON Schema 2020-12."""
    assert document["openapi"].startswith("3.1.")
    openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_it_is_the_same_each_time(client: TestClient, document: dict[str, Any]) -> None:
    """Asking does not change it."""
    assert client.get("/openapi.json").json() == document


def test_it_has_the_five_operations(document: dict[str, Any]) -> None:
    """Their ids are stable, and there are no others."""
    found = {
        declared["operationId"]: (method, path)
        for path, methods in document["paths"].items()
        for method, declared in methods.items()
    }
    assert found == {name: (method, path) for name, (method, path, _) in OPERATIONS.items()}


def test_health_is_not_in_it(document: dict[str, Any]) -> None:
    """It is for who runs the service, not for its clients."""
    assert set(document["paths"]) == {TODOS, TODO}


def test_nothing_of_the_frameworks_own_is_left(document: dict[str, Any]) -> None:
    """Every schema is of something that is sent."""
    assert set(document["components"]["schemas"]) == {
        *("TodoCreate", "TodoUpdate", "TodoRead", "Page_TodoRead_"),
        *("Problem", "ValidationProblem", "ServerProblem", "FieldError"),
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_who_is_asking_is_a_parameter(document: dict[str, Any], name: str) -> None:
    """Every operation needs the header X-User-ID, a UUID, and says what it is."""
    (parameter,) = [one for one in operation(document, name)["parameters"] if one["name"] == "X-User-ID"]
    assert (parameter["in"], parameter["required"]) == ("header", True)
    assert (parameter["schema"]["type"], parameter["schema"]["format"]) == ("string", "uuid")
    assert parameter["description"].startswith("Who is asking: the id of a user.")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_status_is_declared(document: dict[str, Any], name: str) -> None:
    """Those that can be sent, and no others."""
    assert set(operation(document, name)["responses"]) == OPERATIONS[name][2]


def test_every_error_is_declared_as_a_problem(document: dict[str, Any]) -> None:
    """Its media type, its schema, and an example of each of its codes, which fits the schema."""
    schemas = {"422": "ValidationProblem", "500": "ServerProblem"}
    for status, response in problems(document):
        assert list(response["content"]) == ["application/problem+json"]
        (content,) = response["content"].values()
        assert content["schema"] == {"$ref": f"#/components/schemas/{schemas.get(status, 'Problem')}"}
        examples = {code: example["value"] for code, example in content["examples"].items()}
        assert set(examples) == CODES[status]
        for code, example in examples.items():
            assert (example["error_code"], str(example["status"])) == (code, status)
            assert valid(document, content["schema"], example)


def test_every_header_is_declared(document: dict[str, Any]) -> None:
    """X-Request-ID with every response, and the others where they are sent."""
    found = {
        (name, status): set(response["headers"])
        for name in OPERATIONS
        for status, response in operation(document, name)["responses"].items()
    }
    expected = {key: {"X-Request-ID"} for key in found}
    expected["create_todo", "201"] |= {"Location"}
    expected["list_todos", "200"] |= {"Link"}
    for name in OPERATIONS:
        expected[name, "503"] |= {"Retry-After"}
    assert found == expected


@pytest.mark.parametrize("name", ["TodoCreate", "TodoUpdate", "TodoRead"])
def test_the_examples_are_valid(document: dict[str, Any], name: str) -> None:
    """What the document shows can be sent."""
    examples = document["components"]["schemas"][name]["examples"]
    assert examples
    for example in examples:
        assert valid(document, {"$ref": f"#/components/schemas/{name}"}, example)


def test_a_todo_is_declared_exactly(document: dict[str, Any]) -> None:
    """Six members, each always there, and no more."""
    schema = document["components"]["schemas"]["TodoRead"]
    assert list(schema["properties"]) == schema["required"] == MEMBERS
    assert schema["additionalProperties"] is False


def test_what_is_sent_is_what_is_declared(document: dict[str, Any], mine: TestClient) -> None:
    """Every success fits its schema, formats included, and the schema lets nothing else through."""
    todo, longest = create(mine), create(mine, "😀" * 255, description="😀" * 2000)
    url = f"{TODOS}/{todo['id']}"
    bodies = {
        ("create_todo", "201"): longest,
        ("list_todos", "200"): mine.get(TODOS, params={"limit": 1}).json(),
        ("retrieve_todo", "200"): mine.get(url).json(),
        ("update_todo", "200"): mine.patch(url, json={"description": "Two litres"}).json(),
    }
    for (name, status), body in bodies.items():
        schema = operation(document, name)["responses"][status]["content"]["application/json"]["schema"]
        assert valid(document, schema, body)
        assert not valid(document, schema, body | {"more": 1})
        for member in body:
            assert not valid(document, schema, {key: value for key, value in body.items() if key != member})
    assert "content" not in operation(document, "delete_todo")["responses"]["204"]


def test_every_problem_that_is_sent_is_declared(document: dict[str, Any], client: TestClient, mine: TestClient) -> None:
    """The errors of each operation fit the schemas of their statuses."""
    for name, (method, path, _) in OPERATIONS.items():
        url = path.replace("{id}", "01a20252-8df9-7b16-ace2-194a03e886b7")
        large = b"x" * (2**20 + 1) if method in {"post", "patch"} else None
        answers = [client.request(method, url), mine.request(method, url, content=large)]
        answers += [mine.request(method, path.replace("{id}", "1"), params={"limit": "x"}, content=b"{")]
        for answer in answers:
            if answer.is_error:
                declared = operation(document, name)["responses"][str(answer.status_code)]
                schema = declared["content"][answer.headers["content-type"]]["schema"]
                assert valid(document, schema, answer.json())


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"title": "Buy milk"}, True),
        ({"title": "\ufeff"}, True),
        ({"title": "😀" * 255, "description": "😀" * 2000, "is_completed": True}, True),
        ({"title": "Buy milk", "description": None}, True),
        ({}, False),
        ({"title": ""}, False),
        ({"title": "\x85\u2003\u3000\t"}, False),
        ({"title": "😀" * 256}, False),
        ({"title": "Buy\0milk"}, False),
        ({"title": None}, False),
        ({"title": "Buy milk", "description": "\0"}, False),
        ({"title": "Buy milk", "description": "x" * 2001}, False),
        ({"title": "Buy milk", "is_completed": None}, False),
        ({"title": "Buy milk", "is_completed": "true"}, False),
        ({"title": "Buy milk", "colour": "red"}, False),
    ],
)
def test_the_schema_takes_what_the_service_takes(
    document: dict[str, Any], mine: TestClient, body: dict[str, Any], fits: bool
) -> None:
    """A client that checks its todo against the document learns what the service will say."""
    assert valid(document, {"$ref": "#/components/schemas/TodoCreate"}, body) is fits
    assert (mine.post(TODOS, json=body).status_code == 201) is fits


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({}, True),
        ({"title": "Buy milk"}, True),
        ({"description": None}, True),
        ({"is_completed": False}, True),
        ({"title": None}, False),
        ({"is_completed": None}, False),
        ({"id": "01a20252-8df9-7b16-ace2-194a03e886b7"}, False),
    ],
)
def test_the_schema_of_a_change(document: dict[str, Any], mine: TestClient, body: dict[str, Any], fits: bool) -> None:
    """It tells absent from null, as the service does."""
    assert valid(document, {"$ref": "#/components/schemas/TodoUpdate"}, body) is fits
    assert (mine.patch(f"{TODOS}/{create(mine)['id']}", json=body).status_code == 200) is fits


def test_the_parameters_of_a_list(document: dict[str, Any]) -> None:
    """Their limits and defaults are declared, and a query has no null."""
    limit, cursor = operation(document, "list_todos")["parameters"][:2]
    bounds = {key: limit["schema"][key] for key in ("type", "minimum", "maximum", "default")}
    assert bounds == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}
    assert (cursor["schema"]["type"], cursor["required"]) == ("string", False)
