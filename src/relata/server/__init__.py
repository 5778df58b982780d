"""The HTTP face: thin routes over the authorizer and the token service.

`create_app` makes the ASGI application, `read_settings` reads the environment, `run` serves, on
an address that `listen` has taken, in one process or several.
Nothing is decided here but who may ask (`auth`), how a question and an answer are written
(`routes`), and what an error looks like (`problems`).
"""

from __future__ import annotations

from relata.server.app import create_app
from relata.server.listening import address, listen
from relata.server.run import run
from relata.server.serving import token_service
from relata.server.settings import Settings, read_settings

__all__ = [
    "Settings",
    "address",
    "create_app",
    "listen",
    "read_settings",
    "run",
    "token_service",
]
