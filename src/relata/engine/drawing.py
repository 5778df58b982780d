"""An explanation for reading: as an outline of lines, and as a Mermaid diagram.

Where a relation is not denied by several relationships but has one that decides, the two are one
line: the relationship names the relation.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from relata.engine.answers import ExplainNode, Permissionship

SIGNS = {
    Permissionship.ALLOWED: "✓",
    Permissionship.DENIED: "✗",
    Permissionship.CONDITIONAL: "?",
}


class Line(msgspec.Struct, frozen=True):
    """One line: the answer, what it is the answer of, why, and the lines below it."""

    answer: Permissionship
    text: str
    why: str
    below: tuple[Line, ...]


def outline(node: ExplainNode) -> Line:
    """An explanation as lines."""
    below = tuple(outline(child) for child in node.children)
    is_one = len(below) == 1 and not node.left_out and not node.reason
    if node.operation == "relation" and is_one:
        return below[0]
    return Line(node.answer, _text(node), _why(node), below)


def mermaid(node: ExplainNode) -> str:
    """An explanation as a flowchart for Mermaid."""
    return "".join(f"{line}\n" for line in _flowchart(outline(node)))


def _text(node: ExplainNode) -> str:
    if node.relationship:
        return node.relationship
    if not node.line:
        return node.expression
    name = f"{node.resource}#{node.name}"
    return name if node.operation == "relation" else f"{name} = {node.expression}"


def _why(node: ExplainNode) -> str:
    whys = [node.reason]
    if node.line and node.operation != "relation":
        whys.insert(0, f"line {node.line}")
    if node.undefined and node.answer is Permissionship.DENIED and not node.reason:
        whys.append("undefined")
    shown_elsewhere = node.children or node.relationship or node.repeated or node.cycle
    if node.missing_context and not shown_elsewhere:
        whys.append(f"waits for {', '.join(node.missing_context)}")
    if node.left_out and node.children:
        whys.append(f"and {node.left_out} more")
    return "; ".join(filter(None, whys))


_STYLES = {
    Permissionship.ALLOWED: "fill:#dfd,stroke:#393,color:#000",
    Permissionship.DENIED: "fill:#fdd,stroke:#933,color:#000",
    Permissionship.CONDITIONAL: "fill:#ffd,stroke:#993,color:#000",
}
_ENTITIES = str.maketrans({letter: f"#{ord(letter)};" for letter in '"#&<>`\\'})


def _flowchart(root: Line) -> Iterator[str]:
    yield "flowchart TD"
    pending = [(root, "")]
    number = 0
    answers = set()
    while pending:
        line, above = pending.pop()
        answers.add(line.answer)
        label = "<br>".join(_escaped(text) for text in (line.text, line.why) if text)
        yield f'\tn{number}["{SIGNS[line.answer]} {label}"]:::{line.answer}'
        if above:
            yield f"\t{above} --> n{number}"
        pending.extend((it, f"n{number}") for it in reversed(line.below))
        number += 1
    for answer in Permissionship:
        if answer in answers:
            yield f"\tclassDef {answer} {_STYLES[answer]}"


def _escaped(text: str) -> str:
    """A text as a label that shows it as it is; ids may have any printable character."""
    shown = (it if it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in text)
    return "".join(shown).translate(_ENTITIES)
