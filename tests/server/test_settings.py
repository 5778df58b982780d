"""Settings come from the environment, and what is wrong with them is said in one line each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relata.errors import InvalidArgumentError
from relata.server import Settings, read_settings
from relata.tokens import TrustedIssuer

ISSUER = {
    "issuer": "https://login.example",
    "jwks_uri": "https://login.example/keys",
    "audiences": ["relata"],
}


def test_defaults_are_safe() -> None:
    """On this machine only, without issuers, with a bounded body."""
    settings = read_settings()
    assert settings.host == "127.0.0.1"
    assert settings.issuers == ()
    assert settings.allowed_origins == ()
    assert settings.max_body_bytes == 1024 * 1024


def test_every_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, Any] = {
        "database": "sqlite:///elsewhere.db",
        "host": "0.0.0.0",
        "port": 9000,
        "workers": 3,
        "issuer_url": "https://relata.example",
        "issuers": [ISSUER],
        "token_lifetime": 60,
        "key_secret": "s" * 32,
        "former_key_secrets": ["t" * 32],
        "client_requests_per_minute": 7,
        "address_requests_per_minute": 8,
        "event_stream_seconds": 9,
        "trusted_proxies": ["10.0.0.0/8"],
        "allowed_origins": ["https://app.example"],
        "max_body_bytes": 5,
        "max_import_bytes": 50,
        "poll_interval": 1.5,
        "answers_kept": 6,
        "log_level": "error",
    }
    assert wanted.keys() == Settings.model_fields.keys()
    for name, value in wanted.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"RELATA_{name.upper()}", text)
    settings = read_settings()
    issuer = TrustedIssuer(
        issuer="https://login.example",
        jwks_uri="https://login.example/keys",
        audiences=("relata",),
    )
    assert settings == Settings(
        **{
            **wanted,
            "issuers": [ISSUER],
            "former_key_secrets": ("t" * 32,),
            "trusted_proxies": ("10.0.0.0/8",),
            "allowed_origins": ("https://app.example",),
        }
    )
    assert "s" * 32 not in repr(settings)
    assert "t" * 32 not in repr(settings)
    assert settings.issuers == (issuer,)


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATA_PORT", "9000")
    assert read_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("port", "many", "whole number"),
        ("port", "70000", "less than or equal to 65535"),
        ("poll_interval", "0", "greater than 0"),
        ("answers_kept", "-1", "greater than or equal to 0"),
        ("workers", "0", "greater than or equal to 1"),
        ("max_body_bytes", "0", "greater than or equal to 1"),
        ("log_level", "loud", "debug"),
        ("issuers", "not json", "should be JSON"),
        ("issuers", "{}", "expected `array`"),
        ("issuers", json.dumps([{**ISSUER, "audiences": []}]), "audiences"),
        ("issuers", json.dumps([{"issuer": "x"}]), "audiences"),
        ("issuers", json.dumps([{"issuer": "https://x.example", "audiences": ["a"]}]), "jwks_uri"),
        ("allowed_origins", json.dumps(["https://app.example/"]), "origin"),
        ("issuers", json.dumps([{**ISSUER, "algorithms": ["none"]}]), "`none`"),
        ("issuers", json.dumps([{**ISSUER, "jwks_uri": "http://login.example"}]), "https"),
        ("issuers", json.dumps([{**ISSUER, "audience": "relata"}]), "unknown field"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"RELATA_{name.upper()}", value)
    monkeypatch.setenv("RELATA_ISSUER_URL", "https://relata.example")
    with pytest.raises(InvalidArgumentError) as caught:
        read_settings()
    assert caught.value.message.startswith(f"`RELATA_{name.upper()}` ")
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_each_wrong_setting_gets_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATA_PORT", "many")
    monkeypatch.setenv("RELATA_LOG_LEVEL", "loud")
    with pytest.raises(InvalidArgumentError) as caught:
        read_settings()
    assert [line.split()[0] for line in caught.value.message.splitlines()] == [
        "`RELATA_PORT`",
        "`RELATA_LOG_LEVEL`",
    ]


def test_issuers_need_an_issuer_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the tokens would have no `iss`, and nobody could tell whose they are."""
    monkeypatch.setenv("RELATA_ISSUERS", json.dumps([ISSUER]))
    with pytest.raises(InvalidArgumentError, match="RELATA_ISSUER_URL"):
        read_settings()


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="RELATA_PROT"):
        read_settings(prot=9000)
