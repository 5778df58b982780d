"""`relata demo`, as a process: it succeeds, it can fail, and it leaves nothing behind."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from relata.authorizer import Relata
from relata.demo.scenario import ANSWERS, PROMOTION, RELATIONSHIPS, open_scenario
from tests.cli.transcripts import shell_environment
from tests.demo.running import DEMO, staying_demo

_SECRET = re.compile(r"relata_\w{12}_[\w-]+|eyJ[\w-]+\.[\w-]+\.[\w-]+")


def run(*arguments: str, program: tuple[str, ...] = DEMO) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments],
        capture_output=True,
        text=True,
        env=shell_environment(),
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def told() -> subprocess.CompletedProcess[str]:
    """The demo, told once."""
    return run("--once")


def test_told_once_every_answer_is_as_expected(told: subprocess.CompletedProcess[str]) -> None:
    assert (told.returncode, told.stderr) == (0, "")
    last = told.stdout.rstrip().splitlines()[-1]
    assert re.fullmatch(r"\d+ steps, \d+ requests, every answer as expected, in \d+\.\d s", last)


def test_the_story_shows_no_secret_and_every_kind_of_request(
    told: subprocess.CompletedProcess[str],
) -> None:
    assert _SECRET.search(told.stdout) is None
    for request in (
        "curl $RELATA/healthz",
        "curl $ISSUER/token",
        "curl $RELATA/organizations",
        "curl $RELATA/oauth/token",
        "curl $PRODUCT/reports",
        "curl $RELATA/check",
        "curl $RELATA/relationships",
        "curl $RELATA/expand",
        "curl $RELATA/lookup/resources",
        "curl $RELATA/lookup/subjects",
    ):
        assert request in told.stdout
    for word in ("invalid_target", "invalid_scope", "question_only_relation", "Bearer $KEY"):
        assert word in told.stdout


def test_an_answer_that_is_not_the_expected_one_fails_the_demo() -> None:
    """With one expectation made wrong, the demo ends with 1 and says which answer differs."""
    program = """
from relata.demo import run_demo
from relata.demo.scenario import ANSWERS, Answer
ANSWERS["sam", "org_1", "api_1"] = Answer(("api_1/read",))
raise SystemExit(run_demo(once=True, first_port=0, database=None))
"""
    ended = run(program=(sys.executable, "-c", program))
    assert ended.returncode == 1
    assert "every answer as expected" not in ended.stdout
    assert ended.stderr.startswith("the demo failed: step 12: permissions: api_1/read: expected")


def test_a_staying_demo_serves_what_it_says_until_it_is_told_to_stop() -> None:
    with staying_demo() as variables:
        assert set(variables) == {"RELATA", "ISSUER", "PRODUCT", "KEY", "CLIENT_SECRET"}
        answer = httpx.get(
            f"{variables['RELATA']}/relationships",
            headers={"Authorization": f"Bearer {variables['KEY']}"},
            trust_env=False,
        )
        assert len(answer.json()["relationships"]) == len(RELATIONSHIPS)
    for place in ("RELATA", "ISSUER", "PRODUCT"):
        port = int(variables[place].rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, place


def test_a_temporary_database_is_removed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        env={**shell_environment(), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_database_can_be_named_and_used_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    with open_scenario(url) as relata:
        relata.write([PROMOTION])  # as if a demo had been interrupted
    assert run("--once", "--database", url).returncode == 0
    with Relata.open(url) as relata:
        assert {str(item) for item in relata.read().relationships} == set(RELATIONSHIPS)
        assert [key.name for key in relata.keys.list() if key.revoked_at is None] == []


def test_a_database_in_use_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    schema = "definition user {}\ndefinition document {\n\trelation owner: user\n}\n"
    with Relata.open(url, schema=schema) as relata:
        relata.write(["document:readme#owner@user:anne"])
        ended = run("--once", "--database", url)
        assert ended.returncode == 2
        assert ended.stderr == (
            "error: the database is in use for something else; give the demo one of its own\n"
        )
        relata.refresh()
        assert relata.read_schema().text == schema
        assert len(relata.read().relationships) == 1


def test_relationships_of_others_keep_the_demo_away(tmp_path: Path) -> None:
    """Somebody who started from the same schema has data of their own."""
    url = f"sqlite:///{tmp_path / 'relata.db'}"
    with open_scenario(url) as relata:
        relata.write(["organization:acme#member@user:anne"])
    assert run("--once", "--database", url).returncode == 2


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--once", "--port", str(port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: port {port} cannot be listened on: Address already in use; "
        "choose another with `--port`, or `--port 0` for any\n"
    )


def test_settings_of_a_server_do_not_change_the_story() -> None:
    """Neither a server's environment nor a proxy's reaches the demo."""
    ended = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        env={
            **shell_environment(),
            "RELATA_TOKEN_LIFETIME": "60",
            "RELATA_ISSUER_URL": "https://permissions.example",
            "RELATA_DATABASE": "sqlite:////nowhere/at/all.db",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        },
        check=False,
    )
    assert ended.returncode == 0


def test_every_choice_is_answered() -> None:
    users = {user for user, _, _ in ANSWERS}
    assert len(ANSWERS) == len(users) * 2 * 2
