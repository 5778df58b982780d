"""The demo as a process, and what it says on its last lines."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.transcripts import shell_environment

DEMO = (sys.executable, "-m", "relata", "demo")
LAST_LINE = "docs/tutorial.md goes on from here."

_EXPORT = re.compile(r"^export (\w+)=(\S+)$", re.M)


@contextmanager
def staying_demo() -> Iterator[dict[str, str]]:
    """A demo that has told its story and stays; the variables that it says to export."""
    process = subprocess.Popen(
        [*DEMO, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=shell_environment(),
    )
    try:
        assert process.stdout is not None, "it is piped"
        printed = ""
        while LAST_LINE not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        yield dict(_EXPORT.findall(printed))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert (process.returncode, rest.strip()) == (0, "stopping")
    finally:
        process.kill()
        process.communicate()
