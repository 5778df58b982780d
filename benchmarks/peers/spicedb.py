"""The real SpiceDB with its memory store: in this process, or in another over gRPC.

In process it is asked by calls into its library, but for the lookups, which the library always
streams over a socket of its own. Over gRPC it is `benchmarks.peers.spicedb_server`.

Every question carries the token of the last write, as an application's would. Without one SpiceDB
may answer from before the data was written.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import grpc
import msgspec
from authzed.api import v1
from authzed.api.v1.permission_service_pb2_grpc import PermissionsServiceStub
from spicedb_embedded import EmbeddedSpiceDB, SpiceDBError, ffi

from benchmarks.peers import Unable
from benchmarks.peers.texts import Parts, parts, split

_WRITE = 1_000
_STOP_SECONDS = 20.0
_LIBRARY = "SPICEDB_LIBRARY_PATH"
_INSTALLED = Path(__file__).parents[2] / ".venv/spicedb-0.7.1/libspicedb.so"
_HAS_PERMISSION = v1.CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION


class Data(msgspec.Struct, frozen=True):
    """What a server is to load."""

    schema: str
    relationships: Sequence[str]


class Serving(msgspec.Struct, frozen=True):
    """Where a server answers, or why it does not."""

    checks: str = ""
    streams: str = ""
    token: str = ""
    unable: str = ""


class SpiceDB:
    """A `benchmarks.peers.Peer`."""

    def __init__(
        self, name: str, check: Callable[[Any], Any], streams: str, token: str, held: ExitStack
    ) -> None:
        self.name = name
        self._held = held
        self._check = check
        self._streams = PermissionsServiceStub(held.enter_context(grpc.insecure_channel(streams)))
        self._fresh = _fresh_as(token)

    def check(self, resource: str, permission: str, subject: str) -> bool:
        return _checked(self._check, resource, permission, subject, self._fresh)

    def lookup_resources(
        self, resource_type: str, permission: str, subject: str
    ) -> Collection[str]:
        request = v1.LookupResourcesRequest(
            consistency=self._fresh,
            resource_object_type=resource_type,
            permission=permission,
            subject=v1.SubjectReference(object=_object(*split(subject))),
        )
        found = _answered(lambda asked: list(self._streams.LookupResources(asked)), request)
        return {item.resource_object_id for item in found}

    def lookup_subjects(self, resource: str, permission: str, subject_type: str) -> Collection[str]:
        request = v1.LookupSubjectsRequest(
            consistency=self._fresh,
            resource=_object(*split(resource)),
            permission=permission,
            subject_object_type=subject_type,
        )
        found = _answered(lambda asked: list(self._streams.LookupSubjects(asked)), request)
        return {item.subject.subject_object_id for item in found}

    def close(self) -> None:
        self._held.close()


class Asker:
    """A connection of its own to a server, for checks."""

    def __init__(self, address: str, token: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, options=options)
        self._check = PermissionsServiceStub(self._channel).CheckPermission
        self._fresh = _fresh_as(token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def check(self, resource: str, permission: str, subject: str) -> bool:
        """Whether the subject has the permission."""
        return _checked(self._check, resource, permission, subject, self._fresh)


class Server:
    """A SpiceDB in another process, with the data loaded."""

    def __init__(self, schema: str, relationships: Sequence[str], held: ExitStack) -> None:
        library = str(_library())
        folder = held.enter_context(TemporaryDirectory(prefix="spicedb-"))
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.spicedb_server", f"unix://{folder}/checks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, _LIBRARY: library, "TMPDIR": folder},
        )
        held.callback(_stop, process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(Data(schema, relationships)) + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise Unable("its process died while it loaded the data")
        self.serving = msgspec.json.decode(answer, type=Serving)
        if self.serving.unable:
            raise Unable(self.serving.unable)


def in_process(schema: str, relationships: Sequence[str]) -> SpiceDB:
    """Asked by calls into its library."""
    with ExitStack() as held:
        database = held.enter_context(started())
        token = load(database, schema, relationships)
        streams = streams_of(database)
        check = database.permissions().CheckPermission
        return SpiceDB(named("in process"), check, streams, token, held.pop_all())


def over_grpc(schema: str, relationships: Sequence[str]) -> SpiceDB:
    """In a process of its own, asked over a socket."""
    with ExitStack() as held:
        at = Server(schema, relationships, held).serving
        channel = held.enter_context(grpc.insecure_channel(at.checks))
        check = PermissionsServiceStub(channel).CheckPermission
        return SpiceDB(named("gRPC"), check, at.streams, at.token, held.pop_all())


@contextmanager
def started() -> Iterator[EmbeddedSpiceDB]:
    """An empty SpiceDB in this process."""
    with _environment(_LIBRARY, str(_library())):
        library = ffi._get_lib()
    # 0.7.1 declares another pointer than it passes here, and so loses every error's text.
    library.spicedb_free.argtypes = [ctypes.c_void_p]
    with EmbeddedSpiceDB.start() as database:
        yield database
    Path(database.streaming_address()).unlink(missing_ok=True)  # it leaves its socket behind


def load(database: EmbeddedSpiceDB, schema: str, relationships: Sequence[str]) -> str:
    """Write the schema and the relationships, and answer the token of the last write."""
    written = _answered(database.schema().WriteSchema, v1.WriteSchemaRequest(schema=schema))
    write = database.permissions().WriteRelationships
    for start in range(0, len(relationships), _WRITE):
        updates = [_update(parts(text)) for text in relationships[start : start + _WRITE]]
        written = _answered(write, v1.WriteRelationshipsRequest(updates=updates))
    return str(written.written_at.token)


def streams_of(database: EmbeddedSpiceDB) -> str:
    """What a gRPC channel to the library's own socket is made of."""
    transport, address = database.streaming_transport(), database.streaming_address()
    return f"unix://{address}" if transport == "unix" else str(address)


def named(way: str) -> str:
    """Its name and version, and how it is asked."""
    return f"SpiceDB (embedded {version('spicedb-embedded')}) {way}"


def _checked(
    check: Callable[[Any], Any], resource: str, permission: str, subject: str, fresh: Any
) -> bool:
    request = v1.CheckPermissionRequest(
        consistency=fresh,
        resource=_object(*split(resource)),
        permission=permission,
        subject=v1.SubjectReference(object=_object(*split(subject))),
    )
    return bool(_answered(check, request).permissionship == _HAS_PERMISSION)


def _fresh_as(token: str) -> Any:
    """The consistency of a question that is to see a write."""
    return v1.Consistency(at_least_as_fresh=v1.ZedToken(token=token))


def _update(part: Parts) -> Any:
    subject = v1.SubjectReference(
        object=_object(part.subject_type, part.subject_id),
        optional_relation=part.subject_relation,
    )
    return v1.RelationshipUpdate(
        operation=v1.RelationshipUpdate.OPERATION_TOUCH,
        relationship=v1.Relationship(
            resource=_object(part.resource_type, part.resource_id),
            relation=part.relation,
            subject=subject,
        ),
    )


def _library() -> Path:
    library = Path(os.environ.get(_LIBRARY) or _INSTALLED)
    if not library.is_file():
        raise ImportError(f"SpiceDB's library is not there: export {_LIBRARY}=$(./scripts/spicedb)")
    return library


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable that has a value within the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _object(type_: str, id_: str) -> Any:
    return v1.ObjectReference(object_type=type_, object_id=id_)


def _answered(ask: Callable[[Any], Any], request: Any) -> Any:
    try:
        return ask(request)
    except SpiceDBError as error:
        raise Unable(str(error)) from error
    except grpc.RpcError as error:
        raise Unable(str(error.details())) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
