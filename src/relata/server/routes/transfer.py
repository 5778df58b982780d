"""Import and export: many relationships as lines, streamed in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from relata.authorizer import Relata
from relata.bounds import Bounded
from relata.consistency import Consistency, decode_zed_token, encode_zed_token
from relata.errors import RelataError
from relata.relationships import RelationshipFilter
from relata.server.auth import inside, needs
from relata.server.fields import (
    ZED_TOKEN,
    Authorizer,
    Body,
    Inside,
    QueryConsistency,
    QueryCursor,
    QueryFilter,
    ZedTokenText,
)
from relata.server.problems import (
    BODY,
    KEY,
    QUESTION,
    Refusal,
    problem_of,
    respond,
    responses,
)
from relata.server.routes.relationships import fields_of_query
from relata.server.routing import Guarded, media_type, unsupported_media_type
from relata.transfer import (
    Imported,
    Importer,
    Layout,
    Place,
    export,
    importing,
    lines_of,
    place_of,
)

IMPORT_PATH = "/relationships/import"

router = APIRouter(route_class=Guarded, tags=["relationships"])

_LAYOUTS = {"text/plain": Layout.TEXT, "application/x-ndjson": Layout.JSONL}
_MEDIA_TYPES = {layout: media for media, layout in _LAYOUTS.items()}
_EXAMPLES = {
    "text/plain": "document:readme#viewer@user:anne\n",
    "application/x-ndjson": '{"resource": "document:readme", "relation": "viewer", '
    '"subject": "user:anne"}\n',
}
_LINES: dict[str, Any] = {
    media: {"schema": {"type": "string"}, "example": example}
    for media, example in _EXAMPLES.items()
}


class ImportAnswer(Body):
    """How many relationships were imported."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"imported": 250_000, "imported_at": ZED_TOKEN}]}
    )

    imported: Annotated[int, Field(description="How many the body has.")]
    imported_at: ZedTokenText


@router.post(
    IMPORT_PATH,
    operation_id="import_relationships",
    dependencies=[needs("write")],
    response_model=ImportAnswer,
    responses=responses(*KEY, *BODY, 409, 503),
    openapi_extra={"requestBody": {"required": True, "content": _LINES}},
)
async def import_relationships(request: Request, authorizer: Authorizer) -> Any:
    """Touch the relationships of the body's lines, ten thousand at a time as they arrive.

    Where a line is wrong, the problem says which, and how many relationships before it are
    stored. It is safe to send them again.
    """
    layout = _LAYOUTS.get(media_type(request))
    if layout is None:
        raise unsupported_media_type(*_LAYOUTS)
    body = request.stream()
    with ExitStack() as stack:
        opening = importing(authorizer.store, authorizer.question_only, layout)
        importer = await run_in_threadpool(stack.enter_context, opening)
        try:
            imported = await _import(body, importer)
        except (RelataError, Refusal) as error:
            return await _refusal(error, importer, body)
        finally:
            await run_in_threadpool(authorizer.refresh)
    token = encode_zed_token(authorizer.store.datastore_id, imported.revision)
    return ImportAnswer(imported=imported.relationships, imported_at=token)


@router.get(
    "/relationships/export",
    operation_id="export_relationships",
    dependencies=[needs("read"), inside("read")],
    response_class=StreamingResponse,
    responses={
        **responses(*KEY, *QUESTION),
        200: {"description": "Relationships, one a line", "content": _LINES},
    },
)
def export_relationships(
    chosen: QueryFilter,
    consistency: QueryConsistency,
    authorizer: Inside,
    layout: Annotated[
        Layout, Query(alias="format", description="How lines are written.")
    ] = Layout.TEXT,
    cursor: QueryCursor = None,
) -> StreamingResponse:
    """Stream the relationships that match a filter, as they are at one revision.

    Every ten thousand there is a cursor: a comment `// cursor: ...` in text, a member `cursor`
    in JSON. An export that breaks off goes on after the last one that has come.
    """
    with fields_of_query():
        if isinstance(authorizer, Bounded):
            blocks = _inside(authorizer, chosen, consistency, layout, cursor)
        else:
            blocks = _everything(authorizer, chosen, consistency, layout, cursor)
        first = next(blocks)  # what can go wrong does so before the answer has begun
    return StreamingResponse(chain([first], blocks), media_type=_MEDIA_TYPES[layout])


def _everything(
    authorizer: Relata,
    chosen: RelationshipFilter | None,
    consistency: Consistency,
    layout: Layout,
    cursor: str | None,
) -> Iterator[bytes]:
    read_at = authorizer.read(chosen, limit=1, cursor=cursor, consistency=consistency).read_at
    revision = decode_zed_token(read_at, authorizer.store.datastore_id)
    place = Place(revision, 0) if cursor is None else place_of(cursor, chosen)
    for page in export(authorizer.store, chosen, layout, place):
        yield page.lines


def _inside(
    authorizer: Bounded,
    chosen: RelationshipFilter | None,
    consistency: Consistency,
    layout: Layout,
    cursor: str | None,
) -> Iterator[bytes]:
    """What is of the organization that the key is bound to."""
    more = True
    while more:
        page = authorizer.read(chosen, cursor=cursor, consistency=consistency)
        cursor = page.cursor
        more = cursor is not None
        yield lines_of(page.relationships, layout, cursor)


async def _import(body: AsyncIterator[bytes], importer: Importer) -> Imported:
    async for block in body:
        await run_in_threadpool(importer.feed, block)
    return await run_in_threadpool(importer.finish)


async def _refusal(
    error: RelataError | Refusal, importer: Importer, body: AsyncIterator[bytes]
) -> Response:
    """Say what is wrong in which line, and what is stored all the same."""
    if isinstance(error, RelataError):
        problem, headers = problem_of(error), None
        with suppress(Refusal):  # who is still sending does not listen
            async for _ in body:
                pass
    else:
        problem, headers = error.problem, error.headers
    told = {"imported": importer.stored}
    if importer.faulty_line is not None:
        place = f"line {importer.faulty_line}: "
        told["line"] = importer.faulty_line
    else:
        place = ""
    detail = f"{place}{problem.detail}; the first {importer.stored} relationships are stored"
    return respond(problem.model_copy(update={"detail": detail, "field": None, **told}), headers)
