"""Every operation of an app, asked for another user's rows: the answers must be those for rows that never were."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import product
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from todoservice.models import uuid7

METHODS: Final = frozenset({"get", "put", "post", "patch", "delete"})
_VOLATILE: Final = frozenset({"date", "x-request-id"})
_DEEPEST: Final = 5
_TEXTS: Final = {
    "uuid": str(uuid7()), "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z",
    "email": "somebody@example.com", "uri": "https://example.com/",
}  # fmt: skip
"""A text of each format (JSON Schema, "Defined Formats")."""

Send = Callable[[str, str, Any], Any]
"""Sends a request of this method, path and JSON body, as the user who asks; returns a response as HTTPX has it."""


@dataclass(frozen=True)
class Operation:
    """One operation of an OpenAPI document, and where ids can be put into it."""

    method: str
    path: str
    parameters: tuple[str, ...]
    """The path's parameters that are ids, or could be: plain texts."""
    queries: tuple[str, ...]
    """The query's parameters that are ids."""
    needed: Mapping[str, Any]
    """What else the query has to have."""
    body: Any
    """A JSON body that fits, or None where there is none."""
    members: tuple[str, ...]
    """The body's members that are ids."""

    def __str__(self) -> str:
        """Name it as a client would."""
        return f"{self.method.upper()} {self.path}"


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield the operations of an OpenAPI document that take ids, in the path, in the query or in the body."""
    for path, item in document["paths"].items():
        for method in sorted(item.keys() & METHODS):
            declared = [*item.get("parameters", ()), *item[method].get("parameters", ())]
            parameters = tuple(p["name"] for p in declared if p["in"] == "path" and _is_text(p["schema"], document))
            asked = [p for p in declared if p["in"] == "query"]
            queries = tuple(p["name"] for p in asked if _is_id(p["schema"], document))
            needed = {
                p["name"]: example(p["schema"], document)
                for p in asked
                if p.get("required") and p["name"] not in queries
            }
            schema = body_schema(item[method])
            body = None if schema is None else example(schema, document)
            members = _id_members(schema, document)
            if isinstance(body, dict):
                body |= dict.fromkeys(members, None)
            if parameters or queries or members:
                yield Operation(method, path, parameters, queries, needed, body, members)


def differences(document: Mapping[str, Any], send: Send, ids: Iterable[UUID]) -> Iterator[str]:
    """Ask as one user for rows of another, and yield each answer that is not that for ids which nobody has.

    `ids` are those of the other's rows; each is tried in every place. Compared are status, body and headers, but for
    the request's id and the date.
    """
    ids = tuple(ids)
    for operation in operations(document):
        places = len(operation.parameters) + len(operation.queries) + len(operation.members)
        missing = _answer(send, operation, [uuid7() for _ in range(places)])
        for chosen in product(ids, repeat=places):
            answer = _answer(send, operation, chosen)
            # What succeeds makes something new each time: then only the status can be compared.
            if answer != missing and (missing[0] >= HTTPStatus.BAD_REQUEST or answer[0] != missing[0]):
                told = ", ".join(map(str, chosen))
                yield (
                    f"{operation} tells another user's row from a missing one: with {told} it answers {answer[0]} "
                    f"{answer[2]!r}, and with ids of nobody's {missing[0]} {missing[2]!r}: look for the row through "
                    "the scope, and answer NotFound where there is none"
                )
                break


def _answer(send: Send, operation: Operation, ids: Sequence[UUID]) -> tuple[int, list[tuple[str, str]], bytes]:
    path, body, left = operation.path, operation.body, iter(map(str, ids))
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", next(left))
    if operation.queries or operation.needed:
        path += "?" + urlencode({**operation.needed, **{name: next(left) for name in operation.queries}}, doseq=True)
    if operation.members:
        body = {**body, **dict(zip(operation.members, left, strict=True))}
    response = send(operation.method.upper(), path, body)
    headers = sorted((name, value) for name, value in response.headers.items() if name.lower() not in _VOLATILE)
    return response.status_code, headers, response.content


def body_schema(operation: Mapping[str, Any]) -> Any:
    """Return the schema of an operation's JSON body, or None where it takes none."""
    content: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {})
    return next((media["schema"] for kind, media in content.items() if kind.endswith("json")), None)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, and of several possibilities take the first."""
    while True:
        if "$ref" in schema:
            found: Any = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        elif choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            schema = choices[0]
        else:
            return schema


def _is_text(schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    found = _resolved(schema, document)
    return found.get("format") == "uuid" or (found.get("type") == "string" and not found.keys() & {"enum", "const"})


def _is_id(schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    return _resolved(schema, document).get("format") == "uuid"


def _id_members(schema: Any, document: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, member in properties(schema, document).items() if _is_id(member, document))


def properties(schema: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members of a schema's object, by name: none where there is no schema, or no object."""
    return {} if schema is None else _resolved(schema, document).get("properties", {})


def example(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value that fits a JSON schema of an OpenAPI document: its own example, else the smallest."""
    schema = _resolved(schema, document)
    for given in (*schema.get("examples", ()), *schema.get("enum", ())):
        return given
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ()) if depth < _DEEPEST else ()
        return {name: example(schema["properties"][name], document, depth + 1) for name in required}
    if kind == "array":
        return [example(schema["items"], document, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _TEXTS.get(schema.get("format", "")) or "x" * max(1, schema.get("minLength", 1))
    return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1) if kind in {"integer", "number"} else False
