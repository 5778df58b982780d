"""Text -> `Schema`: parse, write out partials, compile caveats, check, translate.

A parse stops at the first fault. What parses is checked whole: the faults of one compile come
together, in the order of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import msgspec

from relata.caveats import Caveat
from relata.errors import SchemaParseError, SchemaTypeError
from relata.schema import model, syntax
from relata.schema.aliases import find_circular_aliases
from relata.schema.annotations import find_incomplete_annotations
from relata.schema.conditions import compile_caveats
from relata.schema.imports import read_schema_file
from relata.schema.names import Names, find_bad_names, find_duplicates, find_unknown_names
from relata.schema.parser import MAX_BYTES, parse
from relata.schema.partials import include_partials
from relata.schema.source import Findings, Source
from relata.schema.translation import Translation
from relata.schema.wildcards import find_travelling_wildcards


class Checked(msgspec.Struct, frozen=True):
    """A schema's text in which nothing is wrong."""

    source: Source
    file: syntax.File
    names: Names
    caveats: Mapping[str, Caveat]

    def schema(self) -> model.Schema:
        """The model of it."""
        return Translation(self.source, self.file.docs).schema(self.names, self.caveats)


def compile_schema(text: str, *, source: str = "schema.zed") -> model.Schema:
    """Compile a schema; `source` is what errors call the text.

    Raises SchemaParseError where the text does not follow the grammar, imports a file, is longer
    than 4 MiB of UTF-8 or not Unicode; SchemaTypeError, with every fault, where its names or types
    do not fit together.
    """
    return check(Source(text, source)).schema()


def compile_file(path: str | PathLike[str]) -> model.Schema:
    """Compile a schema from its file, with the files that it imports.

    The schema's `text` is all of them as one text, which compiles to the same schema; where
    nothing is imported, it is the file's. Lines and columns of the schema are those of that text;
    errors name the file that is wrong, as it is called from the first file's directory.

    Raises InvalidArgumentError where the file cannot be read, and what `compile_schema` raises.
    """
    return check(read_schema_file(Path(path))).schema()


def check(source: Source) -> Checked:
    """Parse a text and check it. Raises SchemaParseError or SchemaTypeError."""
    file = parse(source)
    _refuse_imports(file, source)
    findings = Findings(source)
    find_bad_names(file, findings)
    blocks = include_partials(file, findings, allowance=MAX_BYTES - len(source.text))
    names = Names(blocks, file.caveats)
    find_duplicates(file, names, findings)
    find_unknown_names(names, findings)
    find_travelling_wildcards(names, findings)
    find_circular_aliases(names, findings)
    if file.uses("typechecking"):
        find_incomplete_annotations(names, findings)
    caveats = compile_caveats(file, findings)
    if findings:
        raise SchemaTypeError(findings.diagnostics())
    return Checked(source, file, names, caveats)


def _refuse_imports(file: syntax.File, source: Source) -> None:
    imports = [item for item in file.items if isinstance(item, syntax.Import)]
    if imports:
        message = (
            "a text cannot import a file; compile the schema from its own file, "
            "or put the imported text here"
        )
        raise SchemaParseError([source.diagnostic(item.at, message) for item in imports])
