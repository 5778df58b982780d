"""Health: whether the process lives, and whether it may be asked."""

from __future__ import annotations

import logging
from typing import Literal

from fastapi import APIRouter
from pydantic import ConfigDict

from relata.server.fields import Authorizer, Body
from relata.server.problems import Refusal, responses
from relata.server.routing import Open

_log = logging.getLogger("relata.server")

router = APIRouter(route_class=Open, tags=["health"])


class Health(Body):
    """That all is well."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", operation_id="healthz")
async def healthz() -> Health:
    """Say that the process lives."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", operation_id="readyz", responses=responses(503))
def readyz(authorizer: Authorizer) -> Health:
    """Say whether this process has all that the database has, or can get it now."""
    try:
        if not authorizer.ready():
            authorizer.refresh()
    except Exception as error:
        _log.exception("the database cannot be followed")
        detail = "the database cannot be followed at the moment; try again later"
        raise Refusal("not_ready", detail) from error
    return Health(status="ok")
