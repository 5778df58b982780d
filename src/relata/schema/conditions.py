"""Compiles the caveats of a text, and tells what is wrong with them where it is written.

To compile one takes milliseconds, however short it is, so a schema has a limited number.
"""

from __future__ import annotations

from relata.caveats import Caveat, CaveatFault
from relata.schema import syntax
from relata.schema.source import Findings, quote

MAX_CAVEATS = 1_000


def compile_caveats(file: syntax.File, findings: Findings) -> dict[str, Caveat]:
    """The caveats that compile, by name; notes the faults of the others."""
    compiled: dict[str, Caveat] = {}
    for number, item in enumerate(file.caveats, start=1):
        if number > MAX_CAVEATS:
            findings.add(item.name.at, f"a schema has at most {MAX_CAVEATS} caveats")
            break
        parameters = _parameters(item, findings)
        types = {name: parameter.type.text for name, parameter in parameters.items()}
        try:
            compiled[item.name.text] = Caveat.compile(item.name.text, types, item.expression.text)
        except CaveatFault as error:
            for parameter, offset, message in error.faults:
                at = parameters[parameter].name.at if parameter else item.expression.at + offset
                findings.add(at, message)
    return compiled


def _parameters(caveat: syntax.Caveat, findings: Findings) -> dict[str, syntax.Parameter]:
    parameters: dict[str, syntax.Parameter] = {}
    for parameter in caveat.parameters:
        name = parameter.name
        if parameters.setdefault(name.text, parameter) is not parameter:
            message = f"{quote(caveat.name.text)} has a parameter {quote(name.text)} already"
            findings.add(name.at, message)
    return parameters
