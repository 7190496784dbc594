"""Whether the process lives, and whether it can serve."""

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from todoservice.problems import ServiceUnavailable

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """Say that the process lives. Never asks the database."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Say that the service can answer: database reached, migrations current."""
    if not await request.app.state.data.database.ready():
        raise ServiceUnavailable
    return JSONResponse({"status": "ready"})
