"""Settings of the server, from the environment: each is `RELATA_` and its name in capitals.

`read_settings` is the way in; its errors name the variable and say what it should be.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, Field, PlainValidator, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from relata.authorizer import ANSWERS_KEPT
from relata.errors import InvalidArgumentError, RelataError
from relata.server.problems import validation_message
from relata.server.rate_limits import ADDRESS_REQUESTS_PER_MINUTE, CLIENT_REQUESTS_PER_MINUTE
from relata.tokens import TrustedIssuer
from relata.tokens.clients import check_origin

_PREFIX = "RELATA_"


def _read_issuers(value: object) -> tuple[TrustedIssuer, ...]:
    try:
        _require_known(value)
        return msgspec.convert(value, tuple[TrustedIssuer, ...])
    except (msgspec.ValidationError, RelataError) as error:
        # A message with braces would be taken for a template, so it goes in as a value.
        raise PydanticCustomError("issuers", "{reason}", {"reason": str(error)}) from None


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what no browser would send, since it would let nobody in."""
    for index, origin in enumerate(origins):
        try:
            check_origin(origin, field=f"[{index}]")
        except RelataError as error:
            raise PydanticCustomError("origin", "{reason}", {"reason": str(error)}) from None
    return origins


class Settings(BaseSettings):
    """What the server needs to know. Each field is set by `RELATA_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    database: str = "sqlite:///relata.db"
    """Where the relationships are, as SQLAlchemy writes it."""
    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` for every one."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port to listen on; 0 for any that is free."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """How many processes serve, each with a graph of its own."""
    issuer_url: str | None = None
    """What the issued tokens' `iss` says, and where this server is reached."""
    issuers: Annotated[tuple[TrustedIssuer, ...], PlainValidator(_read_issuers)] = ()
    """Whose tokens about users are believed, as a JSON list; without any, no tokens are issued."""
    token_lifetime: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How long an issued token is good, in seconds."""
    key_secret: SecretStr | None = None
    """What encrypts the keys that sign tokens where they are stored; at least 32 characters."""
    client_requests_per_minute: Annotated[int, Field(ge=0)] = CLIENT_REQUESTS_PER_MINUTE
    """How often one client may ask the OAuth endpoints; 0 is no limit."""
    address_requests_per_minute: Annotated[int, Field(ge=0)] = ADDRESS_REQUESTS_PER_MINUTE
    """How often one address may; 0 is no limit."""
    event_stream_seconds: Annotated[int, Field(ge=0)] = 3_600
    """How long one connection may follow the events of tokens; who follows comes back."""
    trusted_proxies: tuple[str, ...] = ()
    """The networks of proxies whose word about addresses counts, as a JSON list."""
    former_key_secrets: tuple[SecretStr, ...] = ()
    """Secrets that keys may still be encrypted with, as a JSON list; they encrypt nothing."""
    allowed_origins: Annotated[tuple[str, ...], AfterValidator(_check_origins)] = ()
    """The web origins whose pages may call, as a JSON list (`["https://app.example"]`)."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024
    """How large a request's body may be."""
    max_import_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024 * 1024
    """How large the body of an import may be, which is read as it arrives."""
    poll_interval: Annotated[float, Field(gt=0, le=60)] = 0.005
    """How often to look whether other processes have written, in seconds; what they have is then
    taken in at once."""
    answers_kept: Annotated[int, Field(ge=0, le=100_000_000)] = ANSWERS_KEPT
    """How many answers of plain checks are remembered until the next write; 0 is none. Lists may
    take as much memory again."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much to log."""


def read_settings(**given: object) -> Settings:
    """Read the settings from the environment; what is given goes first.

    Raises InvalidArgumentError with a line for each setting that is wrong.
    """
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # checked by Pydantic, as is the environment
    except ValidationError as error:
        lines = [
            _complaint(str(item["loc"][0]), validation_message(item["type"], item["msg"]))
            for item in error.errors()
        ]
        raise InvalidArgumentError("\n".join(lines), field=_first_field(error)) from None
    except SettingsError as error:
        raise InvalidArgumentError(_not_json(error)) from None
    if settings.issuers and settings.issuer_url is None:
        message = _complaint("issuer_url", "is needed where there are issuers")
        raise InvalidArgumentError(message, field="issuer_url")
    return settings


def _require_known(issuers: object) -> None:
    """Refuse a misspelt field, which would leave a default in force that nobody wanted."""
    for issuer in issuers if isinstance(issuers, list) else ():
        for name in issuer if isinstance(issuer, dict) else ():
            if name not in TrustedIssuer.__struct_fields__:
                raise InvalidArgumentError(f"has an issuer with the unknown field `{name}`")


def _complaint(name: str, message: str) -> str:
    return f"`{_PREFIX}{name.upper()}` {message}"


def _first_field(error: ValidationError) -> str:
    return str(error.errors()[0]["loc"][0])


def _not_json(error: SettingsError) -> str:
    named = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "settings")
    return _complaint(named, "should be JSON")
