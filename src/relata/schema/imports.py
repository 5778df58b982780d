"""A schema that is spread over files -> one text, as if it had been written in one.

`import "path"` (with `use import`) brings another file's definitions, caveats and partials to
where it stands in the order of things: before those of the file that imports it, depth first,
each file once. A path is relative to the file it stands in and never leaves the directory of the
first file: not by `..`, not by being absolute, not by a symbolic link.

Flags hold for the file that has them. The one text has those of all its files at its top, so a
file may not use a word as a name that another's flag makes a keyword; and where only some say
`use typechecking`, the annotations of the others are left out, for nobody asked to check them.

What is left out of the one text besides: the `use` and `import` statements, and the comments
before them, which would otherwise document the definition that follows.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import msgspec

from relata.errors import InvalidArgumentError, SchemaParseError
from relata.schema import syntax
from relata.schema.lexing import FLAGS, Lexing
from relata.schema.parser import MAX_BYTES, parse
from relata.schema.source import JoinedSource, Piece, Source, quote

MAX_CHAIN = 100
"""How many files long a chain of imports may be."""

_REST_OF_LINE = re.compile(r"(?:[ \t;]|//[^\r\n]*|/\*(?s:.*?)\*/)*")
_BLANKS = re.compile(r"[\s;]*")


class _File(msgspec.Struct, frozen=True):
    """A file that was read; `path` is the real one."""

    path: Path
    source: Source
    syntax: syntax.File

    @property
    def flags(self) -> set[str]:
        return {item.flag.text for item in self.syntax.items if isinstance(item, syntax.Use)}


def read_schema_file(path: Path) -> Source:
    """Read a schema's file and all that it imports, as one text.

    Where nothing is imported, that is the file's own text.

    Raises InvalidArgumentError where the file cannot be read; SchemaParseError, in the file that
    is wrong, where a text does not follow the grammar or an import leads nowhere.
    """
    try:
        root = _read(path, str(path))
    except OSError as error:
        raise InvalidArgumentError(
            f"`{path}` cannot be read: {error.strerror or error}", field="schema"
        ) from error
    files = _Reading(root.path.parent, path.parent).files(root)
    if len(files) == 1 and not _imports(root):
        return root.source
    _refuse_new_keywords(files)
    return _joined(files)


def _imports(file: _File) -> list[syntax.Import]:
    return [item for item in file.syntax.items if isinstance(item, syntax.Import)]


class _Reading:
    """Follows imports within a directory, which errors call as the caller did."""

    def __init__(self, directory: Path, called: Path) -> None:
        self._directory = directory
        self._called = called
        self._read: set[Path] = set()
        self._length = 0

    def files(self, root: _File) -> list[_File]:
        """All files, each behind those that it imports."""
        return [*self._walk(root, (root,))]

    def _walk(self, file: _File, chain: tuple[_File, ...]) -> Iterator[_File]:
        self._read.add(file.path)
        for item in _imports(file):
            path = self._resolve(file, item)
            if path in [above.path for above in chain]:
                self._refuse_circle(file, item, path, chain)
            if path not in self._read:
                if len(chain) == MAX_CHAIN:
                    message = f"this import is the end of a chain of more than {MAX_CHAIN} files"
                    raise _fault(file, item, message)
                imported = self._open(path, file, item)
                yield from self._walk(imported, (*chain, imported))
        yield file

    def _resolve(self, file: _File, item: syntax.Import) -> Path:
        """The real path of the file that is meant, which is within the directory."""
        shown = quote(item.path)
        if not item.path or "\0" in item.path or "\\" in item.path:
            raise _fault(file, item, f"{shown} is not a path; write one like `shared/user.zed`")
        if PurePosixPath(item.path).is_absolute() or PureWindowsPath(item.path).drive:
            raise _fault(
                file, item, f"{shown} is absolute; name the file from this one's directory"
            )
        if ".." in PurePosixPath(item.path).parts:
            raise _fault(file, item, f"{shown} has a `..`; an import only goes down from its file")
        try:
            path = (file.path.parent / item.path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise _unreadable(file, item, error) from None
        if not path.is_file():
            raise _fault(file, item, f"{shown} is not a file")
        if not path.is_relative_to(self._directory):
            message = f"{shown} leads out of the directory of the first file; keep it inside"
            raise _fault(file, item, message)
        return path

    def _open(self, path: Path, file: _File, item: syntax.Import) -> _File:
        try:
            imported = _read(path, str(self._called / path.relative_to(self._directory)))
        except OSError as error:
            raise _unreadable(file, item, error) from None
        self._length += len(imported.source.text)
        if self._length > MAX_BYTES:
            raise _fault(file, item, f"the schema is longer than {MAX_BYTES} bytes with this file")
        return imported

    def _refuse_circle(
        self, file: _File, item: syntax.Import, path: Path, chain: Sequence[_File]
    ) -> None:
        start = next(index for index, above in enumerate(chain) if above.path == path)
        names = [quote(above.source.name) for above in (*chain[start:], chain[start])]
        raise _fault(file, item, f"the files import each other: {' -> '.join(names)}")


def _read(path: Path, name: str) -> _File:
    """Read and parse one file. Raises OSError or SchemaParseError."""
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        source = Source(content.decode(), name)
    except UnicodeDecodeError as error:
        good = Source(content[: error.start].decode(), name)
        message = "the file is not UTF-8 from here on"
        raise SchemaParseError([good.diagnostic(len(good.text), message)]) from None
    return _File(path.resolve(), source, parse(source))


def _fault(file: _File, item: syntax.Import, message: str) -> SchemaParseError:
    return SchemaParseError([file.source.diagnostic(item.at, message)])


def _unreadable(file: _File, item: syntax.Import, error: Exception) -> SchemaParseError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be read"
    return _fault(file, item, f"{quote(item.path)} cannot be imported: {why.lower()}")


def _refuse_new_keywords(files: Sequence[_File]) -> None:
    """Raise where a file names something by a word that another file's flag makes a keyword."""
    says = {flag: file.source.name for file in files for flag in file.flags - {"import"}}
    faults = []
    for file in files:
        words = {word: flag for flag in says.keys() - file.flags for word in FLAGS[flag]}
        for token in Lexing(file.source).tokens():
            if token.type == "NAME" and token in words:
                flag = words[token]
                message = (
                    f"{quote(token)} is a keyword in the schema as a whole, for {says[flag]} "
                    f"says `use {flag}`; choose another name"
                )
                faults.append(file.source.diagnostic(token.start_pos or 0, message))
    if faults:
        raise SchemaParseError(faults)


def _joined(files: Sequence[_File]) -> JoinedSource:
    """One text of all that the files say, the last of which is the first that was read."""
    root = files[-1].source
    flags = sorted({flag for file in files for flag in file.flags} - {"import"})
    texts = ["".join(f"use {flag}\n" for flag in flags)]
    pieces = [Piece(0, root, 0)]
    length = len(texts[0])
    for file in files:
        unasked = "typechecking" in flags and "typechecking" not in file.flags
        for chunk in _chunks(file):
            texts.append("\n" if length else "")
            length += len(texts[-1])
            for begin, end in (
                _without_annotations(chunk) if unasked else [(chunk.begin, chunk.end)]
            ):
                pieces.append(Piece(length, file.source, begin))
                texts.append(file.source.text[begin:end])
                length += end - begin
            texts.append("\n")
            length += 1
    return JoinedSource("".join(texts), root.name, pieces)


class _Chunk(msgspec.Struct, frozen=True):
    """What stands between `use` and `import` statements, with its comments."""

    begin: int
    end: int
    items: Sequence[syntax.Item]


def _chunks(file: _File) -> Iterator[_Chunk]:
    text, begin, end = file.source.text, 0, 0
    items: list[syntax.Item] = []
    for item in (*file.syntax.items, None):
        if item is None or isinstance(item, syntax.Use | syntax.Import):
            if items:
                yield _Chunk(_skip(_BLANKS, text, begin), end, tuple(items))
            items = []
        else:
            items.append(item)
        if item is not None:
            end = _skip(_REST_OF_LINE, text, item.end)
            begin = begin if items else end


def _skip(what: re.Pattern[str], text: str, at: int) -> int:
    found = what.match(text, at)
    return found.end() if found else at


def _without_annotations(chunk: _Chunk) -> Iterator[tuple[int, int]]:
    begin = chunk.begin
    for item in chunk.items:
        for member in item.members if isinstance(item, syntax.Definition | syntax.Partial) else ():
            if isinstance(member, syntax.Permission) and member.annotation:
                last = member.annotation[-1]
                yield begin, member.name.end
                begin = last.end
    yield begin, chunk.end
