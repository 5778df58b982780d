"""docs/recipes.md: the commands of each recipe, pasted, print what it says.

They ask a real server about people who log in at a real provider, over HTTP alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.transcripts import matches, run_blocks
from tests.flows.recipes import Recipe, listed, read_recipes
from tests.flows.world import World, log_in_command, serving_programs
from tests.oidc.provider import Provider

BEGINNING, *RECIPES = read_recipes()
TOOLS = ("bash", "curl", "openssl", "python3")

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"the recipes need {', '.join(TOOLS)}"
)


def test_the_flows_are_those_of_the_page() -> None:
    """One recipe for each question, and none that the page's table forgets."""
    assert [recipe.name for recipe in RECIPES] == listed()
    assert len(RECIPES) == 11


@needs_tools
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_prints_what_it_says(
    recipe: Recipe,
    provider: Provider,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the beginning, and nothing of the other recipes."""
    blocks = [*BEGINNING.commands, *recipe.commands]
    with (
        serving_programs(recipe.programs, world, monkeypatch) as addresses,
        log_in_command(tmp_path, provider) as path,
    ):
        known = {"RELATA": world.address, "ADMIN": world.admin_key, "PATH": path, **addresses}
        printed = run_blocks(blocks, tmp_path, known)
    differing = [
        f"{block.commands}\n{found}\n-- expected --\n{block.output or ''}"
        for block, found in zip(blocks, printed, strict=True)
        if not matches(found, block.output or "")
    ]
    assert not differing, "\n".join(differing)
