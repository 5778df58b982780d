"""The OpenAPI document, for whoever has a key: the routes say what there is to attack."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from relata.api_keys import SCOPES
from relata.server.auth import needs
from relata.server.routing import Guarded

router = APIRouter(route_class=Guarded)


@router.get("/openapi.json", dependencies=[needs(*SCOPES)], include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Describe every other route."""
    return JSONResponse(request.app.openapi())
