"""Errors as problem details (RFC 9457): every one the service answers with."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
FAULTS: Final = 100
"""The most field errors that an answer lists: a body of 1 MiB has room for 90,000."""


class FieldError(BaseModel):
    """What is wrong with one member of a request."""

    model_config = ConfigDict(extra="forbid")

    field: Annotated[str, Field(examples=["body.title"])]
    message: Annotated[str, Field(examples=["Field required"])]


class ProblemDetail(BaseModel):
    """The body of every error (RFC 9457, section 3.1)."""

    model_config = ConfigDict(extra="forbid", title="Problem")

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is nothing here under that id."])]
    error_code: Annotated[str, Field(examples=["NOT_FOUND"])]


class ValidationProblemDetail(ProblemDetail):
    """A request that does not fit its schema: also says which members, each with its fault."""

    model_config = ConfigDict(extra="forbid", title="ValidationProblem")

    field_errors: list[FieldError]


class ServerProblemDetail(ProblemDetail):
    """A fault of the service: also gives the request's id, under which the log has the cause."""

    model_config = ConfigDict(extra="forbid", title="ServerProblem")

    request_id: str


class Problem(Exception):
    """An error for the client. A feature may raise these, and derive its own.

    `detail` is the sentence the client reads; `headers` travel with the response; `members` are added to the body.
    """

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    error_code: ClassVar[str] = "SERVER_ERROR"
    default: ClassVar[str] = "The service failed to answer this request."

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        """Say it in the words of `detail`, or in the class's own."""
        super().__init__(detail or self.default)
        self.detail = detail or self.default
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> Response:
        """Return the response that tells the client."""
        return render(self.status, self.error_code, self.detail, headers=self.headers, **self.members)


class ServerError(Problem):
    """A fault of the service, whose cause is in the log under the request's id."""


class NotFound(Problem):
    """The row is missing, or another user's: the two answer alike."""

    status = HTTPStatus.NOT_FOUND
    error_code = "NOT_FOUND"
    default = "There is nothing here under that id."


class MissingUserContext(Problem):
    """Nobody said who is asking."""

    status = HTTPStatus.BAD_REQUEST
    error_code = "MISSING_USER_CONTEXT"
    default = "Say who is asking: send the header X-User-ID with the id of a user, a UUID."


class InvalidUserContext(Problem):
    """Who is asking cannot be read."""

    status = HTTPStatus.BAD_REQUEST
    error_code = "INVALID_USER_CONTEXT"
    default = "Send exactly one header X-User-ID, a UUID written as 8-4-4-4-12 hexadecimal digits."


class Unauthenticated(Problem):
    """Whoever is asking did not prove who they are."""

    status = HTTPStatus.UNAUTHORIZED
    error_code = "UNAUTHENTICATED"
    default = "Say who is asking, and prove it: see the header WWW-Authenticate."

    def __init__(self, detail: str = "", *, challenge: str = "Bearer") -> None:
        """Say how to do it: `challenge` is the value of `WWW-Authenticate` (RFC 9110, section 11.6.1)."""
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class UnknownUser(Problem):
    """The user is not in `users`, and adding is off."""

    status = HTTPStatus.FORBIDDEN
    error_code = "UNKNOWN_USER"
    default = "This user is not known to the service: ask its operator to add them."


class InvalidRequest(Problem):
    """The request does not fit its schema."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    error_code = "VALIDATION_ERROR"
    default = "The request is not valid: see field_errors."

    def __init__(self, *faults: tuple[str, str]) -> None:
        """Take each fault as (field, message)."""
        listed = [{"field": field, "message": message} for field, message in faults[:FAULTS]]
        shortened = f"The request is not valid: see field_errors, the first {FAULTS} of {len(faults)} faults."
        super().__init__(shortened if len(faults) > FAULTS else "", field_errors=listed)


class Conflict(Problem):
    """A row stands against this one: a feature's own unique constraint, or a row referred to that is not there."""

    status = HTTPStatus.CONFLICT
    error_code = "CONFLICT"
    default = "This contradicts what is already stored: change the request, or what it contradicts."


class BodyTooLarge(Problem):
    """The request's body is over the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    error_code = "BODY_TOO_LARGE"
    default = "The body of this request is too large: send less."


class ServiceUnavailable(Problem):
    """The database is out of reach, or all its connections are busy. `retry_after` is in seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    error_code = "SERVICE_UNAVAILABLE"
    default = "The database is out of reach at the moment: try again shortly."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        """Say in how many seconds to try again."""
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class OutcomeUnknown(ServiceUnavailable):
    """A change was sent and never answered: it may have been made. Trying again blindly could make it twice."""

    default = (
        "The connection to the database was lost before it answered: the change may have been made or not. "
        "Look before you try again."
    )


_CODES: Final = {401: "UNAUTHENTICATED", 413: "BODY_TOO_LARGE", 500: "SERVER_ERROR"}
"""The error codes that are not the reason phrase in capitals."""
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_DETAILS: Final = {
    404: "There is nothing at this path.",
    405: "This method is not allowed here: see the header Allow.",
}


def render(
    status: int, error_code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """Return a problem as a response."""
    body = {
        "type": "about:blank",
        "title": _phrase(status),
        "status": int(status),
        "detail": detail,
        "error_code": error_code,
        **members,
    }
    # The words may quote a client's lone surrogate, which no JSON parser need accept (RFC 8259, section 8.2).
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return Response(content, status, headers, MEDIA_TYPE)


def _phrase(status: int) -> str:
    """Return the status's reason phrase (RFC 9110, section 15): Python before 3.13 has four of an older RFC."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def http_problem(error: HTTPException) -> Response:
    """Return Starlette's own exception as a problem: unknown paths and methods, and what a feature raises."""
    status, detail = error.status_code, str(error.detail)
    if status == InvalidRequest.status:
        return InvalidRequest(("request", detail)).response()
    phrase = _phrase(status)
    if detail in {phrase, HTTPStatus(status).phrase}:
        detail = _DETAILS.get(status, detail)
    code = _CODES.get(status, re.sub("[^A-Z]+", "_", phrase.upper()))
    return render(status, code, detail, headers=error.headers)


def validation_problem(error: RequestValidationError) -> Response:
    """Return a request that does not fit its schema as a problem that names each member at fault."""
    return InvalidRequest(*(_field_error(fault) for fault in error.errors())).response()


def _field_error(fault: Mapping[str, Any]) -> tuple[str, str]:
    location: Sequence[str | int] = fault["loc"]
    field, message = ".".join(map(str, location)), str(fault["msg"]).removeprefix("Value error, ")
    match fault["type"]:
        case "json_invalid":
            return "body", f"This is not JSON: {fault['ctx']['error'].removesuffix(' at')} at character {location[-1]}"
        case "model_attributes_type" if isinstance(fault["input"], bytes):
            return field, "This was not read: send JSON, and say so with Content-Type: application/json"
        case "model_attributes_type":
            return field, "Input should be an object"
        case "string_pattern_mismatch" if "\0" in str(fault["input"]):
            return field, "The character U+0000 cannot be stored"
    return field, message


def responses(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI declaration of the problems that an operation may answer with, by status."""
    declared: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        entry = declared.setdefault(int(problem.status), _declaration(problem))
        entry["content"][MEDIA_TYPE]["examples"][problem.error_code] = {"value": _example(problem)}
    return declared


def _declaration(problem: type[Problem]) -> dict[str, Any]:
    model = _detail_model(problem)
    content: dict[str, Any] = {
        "schema": {"$ref": f"#/components/schemas/{model.model_config['title']}"},
        "examples": {},
    }
    declaration: dict[str, Any] = {"description": _phrase(problem.status), "content": {MEDIA_TYPE: content}}
    headers = {name: header for kind, name, header in _HEADERS if issubclass(problem, kind)}
    return declaration | ({"headers": headers} if headers else {})


_HEADERS: Final[Sequence[tuple[type[Problem], str, dict[str, Any]]]] = (
    (
        ServiceUnavailable, "Retry-After",
        {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}},
    ),
    (
        Unauthenticated, "WWW-Authenticate",
        {"description": "How to prove who is asking.", "schema": {"type": "string"}},
    ),
)  # fmt: skip


def _detail_model(problem: type[Problem]) -> type[ProblemDetail]:
    if problem is InvalidRequest:
        return ValidationProblemDetail
    return ServerProblemDetail if problem is ServerError else ProblemDetail


def _example(problem: type[Problem]) -> dict[str, Any]:
    example = {
        "type": "about:blank", "title": _phrase(problem.status), "status": int(problem.status),
        "detail": problem.default, "error_code": problem.error_code,
    }  # fmt: skip
    if problem is InvalidRequest:
        return example | {"field_errors": [{"field": "body.title", "message": "Field required"}]}
    return example | ({"request_id": "0b9e…"} if problem is ServerError else {})


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of the problems, for the OpenAPI document's components."""
    _, defined = models_json_schema(
        [(model, "serialization") for model in (ProblemDetail, ValidationProblemDetail, ServerProblemDetail)],
        ref_template="#/components/schemas/{model}",
    )
    return {schema["title"]: schema for schema in defined["$defs"].values()}
