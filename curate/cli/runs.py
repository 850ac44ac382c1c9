"""Verbs of recipes and run folders: run, plan, explain, undo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from curate.cli.shared import (
    CORES,
    Bars,
    Cache,
    Engine,
    Out,
    Overrides,
    RecipeName,
    RunFolderArgument,
    Workers,
    app,
    console,
    duration,
    placed,
    print_result,
    visible,
)


@app.command()
def run(
    recipe: RecipeName,
    overrides: Overrides = [],  # noqa: B006
    out: Out = None,
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Run a recipe; the same command resumes an interrupted run. A run folder as RECIPE goes on with that run."""
    from curate.recipe.run import run_recipe
    from curate.recipe.schema import load_recipe, make_recipe
    from curate.recipe.store import RunFolder

    if (Path(recipe) / "plan.json").is_file():
        known = RunFolder(recipe).plan()
        checked = make_recipe(known["recipe"], overrides, origin=str(Path(recipe) / "plan.json"))
        folder, cache = out or Path(recipe), cache or Path(known["cache"])
    else:
        checked = load_recipe(recipe, overrides)
        folder = out or Path("runs") / checked.name
    with placed(engine, workers) as work:
        result = run_recipe(checked, folder, cache=cache, **work)
    print_result(result)


@app.command()
def plan(
    recipe: RecipeName,
    overrides: Overrides = [],  # noqa: B006
    out: Out = None,
    workers: Workers = CORES,
    cache: Cache = None,
) -> None:
    """Check a recipe and print what will run, what is done or cached, and about what the rest costs."""
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.run import plan_recipe
    from curate.recipe.schema import load_recipe

    checked = load_recipe(recipe, overrides)
    with LocalExecutor(workers) as executor:
        manifest, rows = plan_recipe(checked, out or Path("runs") / checked.name, executor=executor, cache=cache)
    table = Table(title=f"{checked.name}: {len(manifest):,} images", title_justify="left")
    for name in ("", "step", "what it does", "needs", "to compute", "about"):
        table.add_column(name, overflow="fold")
    for row in rows:
        cost = f"{row.images:,} images" if row.images else ("cached" if row.needs else "")
        table.add_row(
            f"{row.order:02d}", row.name, row.sentence, ", ".join(row.needs), "done" if row.done else cost,
            duration(row.seconds) if row.images else "",
        )  # fmt: skip
    console.print(table)
    total = sum(row.seconds for row in rows)
    console.print(f"Features: about {duration(total)} with {workers} workers. Steps over tables come on top.")


@app.command()
def explain(run: RunFolderArgument, image_id: Annotated[str, typer.Argument(help="An image_id.")]) -> None:
    """Tell one image's whole story: every decision about it, and why."""
    from curate.recipe.story import explain as tell

    events = tell(run, image_id)
    console.print(visible(image_id), markup=False, highlight=False, style="bold")
    for event in events:
        where = f"{event.order:02d} {event.step}" if event.order < 999 else "end"
        console.print(f"  {where:<28} {visible(event.text)}", markup=False, highlight=False)


@app.command()
def undo(
    run: RunFolderArgument,
    step: Annotated[str | None, typer.Option("--step", help="Bring back all that this step dropped.")] = None,
    image: Annotated[list[str], typer.Option("--image", help="Bring back this image; repeatable.")] = [],  # noqa: B006
    workers: Workers = CORES,
) -> None:
    """Bring back dropped images, by a person's `keep`, and rerun what depends on them."""
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.story import undo as bring_back

    with LocalExecutor(workers) as executor, Bars() as bars:
        result = bring_back(run, step=step, images=image, executor=executor, on_step=bars.step)
    print_result(result)


@app.command()
def doctor() -> None:
    """Say which optional libraries are here, and what each unlocks."""
    from curate.core.bundled import bundled
    from curate.recipe.cache import default_cache
    from curate.recipe.doctor import examine, free_space
    from curate.recipe.registry import all_steps
    from curate.recipe.store import library_versions

    table = Table(title="Extras", title_justify="left")
    for name in ("library", "version", "unlocks", "to install"):
        table.add_column(name, overflow="fold")
    for found in examine():
        table.add_row(
            found.library, found.version or "[red]missing[/]", found.unlocks, found.remedy.replace("[", r"\[")
        )
    console.print(table)
    console.print("Libraries: " + ", ".join(f"{name} {version}" for name, version in library_versions().items()))
    recipes = sorted(path.stem for path in bundled("recipes").glob("*.yaml"))
    cards = sorted(path.stem for path in bundled("data_manifests").glob("*.yaml"))
    console.print(f"Recipes: {', '.join(recipes)}")
    console.print(f"Dataset cards: {', '.join(cards)}")
    console.print(f"Steps and reports: {', '.join(sorted(all_steps()))}")
    console.print(f"Cache: {default_cache()}; {free_space() / 1e9:,.0f} GB free here; {CORES} cores")
