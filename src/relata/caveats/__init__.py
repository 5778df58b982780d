"""Caveats: conditions of relationships, written in CEL, answered in three values.

A caveat is an expression over typed parameters. Part of its values is stored with a relationship,
part comes with a question; stored values win. With enough of them it is true or false, whatever
the others are; else it says which are missing, or why it has no value.

    types.py         the types of parameters, and how JSON values become theirs
    moments.py       durations and timestamps, to the nanosecond
    functions.py     `in_cidr` and `isSubtreeOf`
    syntax.py        the tree of a compiled expression
    library.py       all that touches the CEL library
    wording.py       the library's messages in this project's words
    patterns.py      how large a regular expression compiles
    cost.py          the most that an expression may cost, judged before it runs
    stepwise.py      evaluation with parameters missing
    expression.py    an expression
    caveat.py        a caveat: parameters, contexts and an expression

CEL itself is the library's: nothing here parses, types or evaluates it.
"""

from __future__ import annotations

from relata.caveats.caveat import Caveat, CaveatFault, Outcome

__all__ = ["Caveat", "CaveatFault", "Outcome"]
