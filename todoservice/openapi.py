"""The OpenAPI document, with what FastAPI does not declare by itself."""

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import FastAPI

from todoservice import problems
from todoservice.middleware import REQUEST_ID

_REQUEST_ID: dict[str, Any] = {
    "description": "Names this request in the log. A valid one of the client's own is kept.",
    "schema": {"type": "string"},
}


def install(app: FastAPI, parameter: Mapping[str, Any], bases: Collection[str]) -> None:
    """Have `app.openapi()` declare the problems and the header that every response carries.

    `parameter`, unless it is empty, is one of each operation below `bases`, the paths of features.
    """
    generate = app.openapi
    below = tuple(f"{base}/" for base in bases if parameter)

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(problems.schemas())
        components["headers"] = {REQUEST_ID: _REQUEST_ID}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if f"{path}/".startswith(below):
                    parameters = operation.setdefault("parameters", [])
                    parameters += [parameter] * (parameter not in parameters)
                if "requestBody" not in operation:  # nobody reads it, so nobody refuses it
                    operation["responses"].pop(str(int(problems.BodyTooLarge.status)), None)
                for response in operation["responses"].values():
                    response.setdefault("headers", {})[REQUEST_ID] = {"$ref": f"#/components/headers/{REQUEST_ID}"}
        return document

    # FastAPI's documented way ("Extending OpenAPI").
    app.openapi = openapi  # type: ignore[method-assign]
