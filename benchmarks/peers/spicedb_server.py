"""The real SpiceDB in a process of its own, which answers checks over gRPC.

The library's own socket has the lookups but no checks, so here a gRPC server hands the bytes of a
check to the library and its answer's back. It reads a `Data` as a line of JSON from standard input,
writes a `Serving` as a line to standard output, and ends when standard input does.

    python -m benchmarks.peers.spicedb_server unix:///tmp/checks
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgspec
from spicedb_embedded import EmbeddedSpiceDB, SpiceDBError, ffi

from benchmarks.peers import Unable
from benchmarks.peers.spicedb import Data, Serving, load, started, streams_of

_AT_ONCE = 64
_SERVICE = "authzed.api.v1.PermissionsService"


def main(address: str) -> None:
    """Load the data, and answer until standard input ends."""
    data = msgspec.json.decode(sys.stdin.buffer.readline(), type=Data)
    with started() as database:
        try:
            token = load(database, data.schema, data.relationships)
        except Unable as error:
            _say(Serving(unable=str(error)))
            return
        server = _serve(database, address)
        _say(Serving(address, streams_of(database), token))
        sys.stdin.buffer.read()
        server.stop(None).wait()


def _serve(database: EmbeddedSpiceDB, address: str) -> Any:
    def check(request: bytes, context: Any) -> bytes:
        try:
            answer: bytes = ffi.spicedb_permissions_check_permission(database._handle, request)
        except SpiceDBError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return answer

    handlers = {"CheckPermission": grpc.unary_unary_rpc_method_handler(check)}
    server = grpc.server(ThreadPoolExecutor(_AT_ONCE))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_insecure_port(address)
    server.start()
    return server


def _say(serving: Serving) -> None:
    print(msgspec.json.encode(serving).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
