"""Turns away what the grammar knows but this version does not evaluate.

Caveats, expirations and imports: a schema that has one is refused where it stands, used or not,
for to ignore it would be to answer differently from what the text says.
"""

from __future__ import annotations

from relata.schema import syntax
from relata.schema.source import Findings, quote


def find_refusals(file: syntax.File, findings: Findings) -> None:
    """Note every use of what is not evaluated."""
    for item in file.items:
        match item:
            case syntax.Caveat():
                message = (
                    f"caveats are not evaluated by this version; remove {quote(item.name.text)}"
                )
                findings.add(item.at, message)
            case syntax.Import():
                message = "imports are not followed by this version; put the imported text here"
                findings.add(item.at, message)
            case syntax.Definition() | syntax.Partial():
                _find_traits(item.members, findings)


def _find_traits(members: tuple[syntax.Member | syntax.Splat, ...], findings: Findings) -> None:
    for member in members:
        if isinstance(member, syntax.Relation):
            for subject in member.subjects:
                if subject.trait:
                    findings.add(subject.trait.at, _refuse_trait(subject.trait))


def _refuse_trait(trait: syntax.Trait) -> str:
    if trait.caveat:
        caveat = quote(trait.caveat.text)
        return f"caveats are not evaluated by this version; remove the `with` and its {caveat}"
    return "expirations are not evaluated by this version; remove the `with expiration`"
