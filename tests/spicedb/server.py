"""The process that holds SpiceDB: it takes requests from a pipe and sends back answers.

One instance serves world after world: what the last one stored is deleted and its schema replaced,
which is several times faster than an instance each. The instance keeps what it was told in memory
for good, so every reply says how much the process holds, and the other side starts a new one in
time (`driver.py`).

Only this module imports SpiceDB and gRPC, so that the tests can be collected without them.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import resource
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
from authzed.api import v1
from authzed.api.v1.permission_service_pb2 import LookupPermissionship
from authzed.api.v1.permission_service_pb2_grpc import PermissionsServiceStub
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from spicedb_embedded import EmbeddedSpiceDB, SpiceDBError, ffi

from relata.relationships import ObjectRef, Relationship, SubjectRef, moment_text
from tests.spicedb.questions import (
    Answered,
    Asked,
    Check,
    Expansion,
    FoundSubjects,
    Grant,
    Leaves,
    Outcome,
    Refusal,
    Resources,
    Subjects,
)

LOOKUP_SECONDS = 5
ADDRESS_SPACE = 8 << 30
"""A question that runs away ends this process and not the machine."""
_CONDITIONAL = LookupPermissionship.LOOKUP_PERMISSIONSHIP_CONDITIONAL_PERMISSION
_OF_CHANGE = re.compile(r"cannot (remove|change the type of) parameter")
_NOW = v1.Consistency(fully_consistent=True)
_PAGE_BYTES = resource.getpagesize()


def serve(pipe: Connection) -> None:
    """Answer requests until the other side hangs up: a method's name and its arguments."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    server = _Server()
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send((getattr(server, method)(*arguments), _resident_bytes()))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


class _Server:
    def __init__(self) -> None:
        # 0.7.1 declares another pointer than it passes here, and so loses every error's text.
        ffi._get_lib().spicedb_free.argtypes = [ctypes.c_void_p]
        self._db = EmbeddedSpiceDB.start()
        self._unary = self._db.permissions()
        self._streams = PermissionsServiceStub(self._db.channel())
        self._schema = self._db.schema()
        self._stored: dict[Relationship, Any] = {}
        self._pool = ThreadPoolExecutor(4)

    def ask(self, asked: Asked) -> Answered | Refusal:
        """Take over a world and answer; a refusal where its schema or data are refused."""
        refused = self.write_schema(asked.schema) or self._store(asked.relationships)
        if refused is not None:
            return refused
        context = _struct(asked.context)
        try:
            checked = self._check(asked.checks, context)
        except SpiceDBError as error:
            return _refusal(error)
        return Answered(
            checked,
            tuple(self._pool.map(lambda q: self._resources(q, context), asked.resources)),
            tuple(self._pool.map(lambda q: self._subjects(q, context), asked.subjects)),
            tuple(map(self._expand, asked.expansions)),
        )

    def write_schema(self, text: str) -> Refusal | None:
        """Replace the schema, and forget what is stored."""
        deletes = [(v1.RelationshipUpdate.OPERATION_DELETE, it) for it in self._stored.values()]
        self._stored = {}
        if deletes:
            self._update(deletes)
        refused = self._refused(text)
        if refused is not None and _OF_CHANGE.search(refused.message):
            self._refused("")  # a caveat may not change, but may go
            refused = self._refused(text)
        return refused

    def _refused(self, schema: str) -> Refusal | None:
        try:
            self._schema.WriteSchema(v1.WriteSchemaRequest(schema=schema))
        except SpiceDBError as error:
            return _refusal(error)
        return None

    def write_each(
        self, schema: str, relationships: Sequence[Relationship]
    ) -> list[bool] | Refusal:
        """Which relationships a schema accepts, each stored in a write of its own."""
        refused = self.write_schema(schema)
        if refused is not None:
            return refused
        return [self._store([item]) is None for item in relationships]

    def create(self, relationship: Relationship) -> Refusal | None:
        """Store a relationship beside what is stored, if it is not there."""
        return self._store([relationship], v1.RelationshipUpdate.OPERATION_CREATE)

    def _store(
        self,
        relationships: Iterable[Relationship],
        operation: Any = v1.RelationshipUpdate.OPERATION_TOUCH,
    ) -> Refusal | None:
        stored = {item.key: _relationship(item) for item in relationships}
        try:
            if stored:
                self._update((operation, it) for it in stored.values())
        except SpiceDBError as error:
            return _refusal(error)
        self._stored |= stored
        return None

    def _update(self, updates: Iterable[tuple[Any, Any]]) -> None:
        items = [v1.RelationshipUpdate(operation=how, relationship=item) for how, item in updates]
        self._unary.WriteRelationships(v1.WriteRelationshipsRequest(updates=items))

    def _check(self, checks: Sequence[Check], context: Struct) -> tuple[Outcome, ...]:
        if not checks:
            return ()
        items = [
            v1.CheckBulkPermissionsRequestItem(
                resource=_object(q.resource),
                permission=q.name,
                subject=_subject(q.subject),
                context=context,
            )
            for q in checks
        ]
        request = v1.CheckBulkPermissionsRequest(consistency=_NOW, items=items)
        pairs = self._unary.CheckBulkPermissions(request).pairs
        # One error fails the items beside it, which have answers of their own.
        return tuple(
            _outcome(pair.item) if pair.HasField("item") else self._check_alone(q, context)
            for q, pair in zip(checks, pairs, strict=True)
        )

    def _check_alone(self, q: Check, context: Struct) -> Outcome:
        request = v1.CheckPermissionRequest(
            consistency=_NOW,
            resource=_object(q.resource),
            permission=q.name,
            subject=_subject(q.subject),
            context=context,
        )
        try:
            return _outcome(self._unary.CheckPermission(request))
        except SpiceDBError as error:
            return _refusal(error)

    def _resources(self, q: Resources, context: Struct) -> Mapping[str, Grant] | Refusal:
        request = v1.LookupResourcesRequest(
            consistency=_NOW,
            resource_object_type=q.type,
            permission=q.name,
            subject=_subject(q.subject),
            context=context,
        )
        try:
            results = list(self._streams.LookupResources(request, timeout=LOOKUP_SECONDS))
        except grpc.RpcError as error:
            return _stream_refusal(error)
        return _merged((result.resource_object_id, _grant(result)) for result in results)

    def _subjects(self, q: Subjects, context: Struct) -> FoundSubjects | Refusal:
        request = v1.LookupSubjectsRequest(
            consistency=_NOW,
            resource=_object(q.resource),
            permission=q.name,
            subject_object_type=q.type,
            optional_subject_relation=q.relation,
            context=context,
        )
        try:
            results = list(self._streams.LookupSubjects(request, timeout=LOOKUP_SECONDS))
        except grpc.RpcError as error:
            return _stream_refusal(error)
        excepted = itertools.chain.from_iterable(result.excluded_subjects for result in results)
        return FoundSubjects(
            _merged((r.subject.subject_object_id, _grant(r.subject)) for r in results),
            _merged((subject.subject_object_id, _grant(subject)) for subject in excepted),
        )

    def _expand(self, q: Expansion) -> Leaves | Refusal:
        request = v1.ExpandPermissionTreeRequest(
            consistency=_NOW, resource=_object(q.resource), permission=q.name
        )
        try:
            tree = self._unary.ExpandPermissionTree(request).tree_root
        except SpiceDBError as error:
            return _refusal(error)
        return tuple(sorted(set(_leaves(tree))))


def _leaves(tree: Any) -> Iterable[SubjectRef]:
    for child in tree.intermediate.children:
        yield from _leaves(child)
    for subject in tree.leaf.subjects:
        of = subject.object
        yield SubjectRef(of.object_type, of.object_id, subject.optional_relation)


def _merged(grants: Iterable[tuple[str, Grant]]) -> dict[str, Grant]:
    """One grant an id: an unconditional one, or the names of all."""
    merged: dict[str, Grant] = {}
    for id_, grant in grants:
        before = merged.get(id_, frozenset())
        if isinstance(grant, bool) or isinstance(before, bool):
            merged[id_] = True
        else:
            merged[id_] = before | grant
    return merged


def _outcome(item: Any) -> Outcome:
    if item.permissionship == v1.CheckPermissionResponse.PERMISSIONSHIP_CONDITIONAL_PERMISSION:
        return _missing(item)
    allowed = v1.CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION
    return bool(item.permissionship == allowed)


def _grant(item: Any) -> Grant:
    if item.permissionship == _CONDITIONAL:
        return _missing(item)
    return True


def _missing(item: Any) -> frozenset[str]:
    return frozenset(item.partial_caveat_info.missing_required_context)


def _refusal(error: SpiceDBError) -> Refusal:
    """Read `rpc error: code = InvalidArgument desc = …`."""
    code, _, message = str(error).removeprefix("rpc error: code = ").partition(" desc = ")
    return Refusal(code, message)


def _stream_refusal(error: grpc.RpcError) -> Refusal:
    return Refusal(error.code().name, error.details())


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def _object(ref: ObjectRef) -> Any:
    return v1.ObjectReference(object_type=ref.type, object_id=ref.id)


def _subject(ref: SubjectRef) -> Any:
    return v1.SubjectReference(object=_object(ref.object), optional_relation=ref.relation)


def _relationship(item: Relationship) -> Any:
    written = v1.Relationship(
        resource=_object(item.resource), relation=item.relation, subject=_subject(item.subject)
    )
    if item.caveat is not None:
        written.optional_caveat.caveat_name = item.caveat.name
        written.optional_caveat.context.update(item.caveat.values)
    if item.expires_at is not None:
        moment = Timestamp()
        moment.FromJsonString(moment_text(item.expires_at))
        written.optional_expires_at.CopyFrom(moment)
    return written
