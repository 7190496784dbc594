"""The OpenAPI document, with what FastAPI does not declare by itself."""

from typing import Any

from fastapi import FastAPI

from todoservice import problems
from todoservice.middleware import REQUEST_ID

_REQUEST_ID: dict[str, Any] = {
    "description": "Names this request in the log. A valid one of the client's own is kept.",
    "schema": {"type": "string"},
}


def install(app: FastAPI) -> None:
    """Have `app.openapi()` declare the problems and the header that every response carries."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(problems.schemas())
        components["headers"] = {REQUEST_ID: _REQUEST_ID}
        for path in document["paths"].values():
            for operation in path.values():
                if "requestBody" not in operation:  # nobody reads it, so nobody refuses it
                    operation["responses"].pop(str(int(problems.BodyTooLarge.status)), None)
                for response in operation["responses"].values():
                    response.setdefault("headers", {})[REQUEST_ID] = {"$ref": f"#/components/headers/{REQUEST_ID}"}
        return document

    # FastAPI's documented way ("Extending OpenAPI").
    app.openapi = openapi  # type: ignore[method-assign]
