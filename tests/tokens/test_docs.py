"""docs/tokens.md: its Python runs, and it has what a token says and why it is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from relata.tokens import TOKEN_EXCHANGE, TokenService, TrustedIssuer
from tests.docs.pages import DOCUMENTS, blocks, code, page, table

PAGE = "tokens.md"


def test_the_service_of_the_page_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DOCUMENTS.parent / "schema.zed", tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    first = blocks(PAGE, "python")[0]
    exec(compile(first.text, PAGE, "exec"), names)
    service: TokenService = names["service"]
    app = service.clients.get("app")
    assert app is not None
    assert app.grants == (TOKEN_EXCHANGE,)
    service.close()
    names["authorizer"].close()


def test_every_member_of_an_issuer_is_listed() -> None:
    listed = [code(row[0])[0] for row in table(PAGE, "Whom it believes")]
    ways = {"`discovery`", "`jwks_uri`", "`keys`"}
    members = set(re.findall(r"^\| `(\w+)` \|", section("Whom it believes"), re.M))
    assert len(listed) == len(ways)
    assert members >= set(TrustedIssuer.__struct_fields__)


def test_every_claim_of_a_token_is_listed() -> None:
    """Those of the issued token, by the code that writes them."""
    source = (DOCUMENTS.parent / "src/relata/tokens/issuing.py").read_text(encoding="utf-8")
    claims = source.partition("claims: dict[str, object | None] = {")[2].partition("}\n")[0]
    written = set(re.findall(r'^ +"(\w+)":', claims, re.M))
    listed = {name for row in table(PAGE, "What a token says") for name in code(row[0])}
    assert len(written) > 12
    assert written <= listed


def section(heading: str) -> str:
    return page(PAGE).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
