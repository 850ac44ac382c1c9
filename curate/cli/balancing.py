"""Verbs that balance: imbalance, balance, materialise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli.shared import (
    CORES,
    Cache,
    Engine,
    Labels,
    Overrides,
    RunFolderArgument,
    SourceName,
    Workers,
    app,
    console,
    names,
    placed,
    print_result,
    print_table,
    visible,
)


@app.command()
def imbalance(
    source: SourceName,
    labels: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures as JSON.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/imbalance"),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    cache: Cache = None,
) -> None:
    """Measure how unevenly images spread over identities, labels and cells; the same command resumes."""
    import json

    from curate.core.files import read_table
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.verbs import run_imbalance

    with LocalExecutor(workers) as executor:  # no line of progress: standard output may be JSON
        result = run_imbalance(source, out, executor=executor, labels=names(labels), overrides=overrides, cache=cache)
    if as_json:
        tables = {name: read_table(out / "imbalance" / f"{name}.parquet") for name in ("labels", "categories", "cells")}
        print(json.dumps({name: json.loads(table.to_json(orient="records", double_precision=15))
                          for name, table in tables.items()}, indent=2, ensure_ascii=False))  # fmt: skip
    else:
        print_result(result)


@app.command()
def balance(
    source: SourceName,
    method: Annotated[str, typer.Option("--method", help="idr, idr_lookahead, or a rival: see --compare.")] = "idr",
    labels: Labels = None,
    target: Annotated[float | None, typer.Option("--target", help="IDR of each label at most (idr).")] = None,
    budget: Annotated[int | None, typer.Option("--budget", help="Replicas at most.")] = None,
    keep: Annotated[float | None, typer.Option("--keep", help="Share of the images that thinning leaves.")] = None,
    images: Annotated[int | None, typer.Option("--images", help="Images of an identity (cap, quota, ...).")] = None,
    identities: Annotated[int | None, typer.Option("--identities", help="Identities of a cell (quota).")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    compare: Annotated[bool, typer.Option("--compare", help="Also put every method in one table.")] = False,
    augment: Annotated[str | None, typer.Option("--augment", help="Pipeline of the pictures in the report.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The run folder; manifest.parquet lies in it.")] = Path(
        "runs/balance"
    ),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Balance identities, labels and cells by replicas or by leaving out; the same command resumes."""
    from curate.core.files import read_table
    from curate.recipe.verbs import run_balance

    def say(done: Any) -> None:
        work["on_step"](done)
        if done.summary["name"] == "reach":  # what stands in the way is said before the replicas are drawn
            for note in done.summary["notes"]:
                console.print(f"note: {visible(note)}", markup=False, highlight=False)

    limits = {"labels": names(labels), "budget": budget, "keep": keep, "images": images, "identities": identities}
    with placed(engine, workers) as work:
        result = run_balance(
            source, out, method=method, limits=limits, target=target, seed=seed, compare=compare,
            augment=augment, overrides=overrides, cache=cache, **{**work, "on_step": say},
        )  # fmt: skip
    if compare:
        print_table(result.steps, "rivals", read_table(out / "balance" / "rivals.parquet"))
    print_result(result)


@app.command()
def materialise(
    run: RunFolderArgument,
    out: Annotated[Path, typer.Option("--out", help="A new folder, or one of the same call to go on.")],
    augment: Annotated[str, typer.Option("--augment", help="A preset or a YAML file.")] = "light",
    size: Annotated[int, typer.Option("--size", min=8, help="Pixels of a side.")] = 112,
    format: Annotated[str, typer.Option("--format", help="jpg, or png for the very pixels.")] = "jpg",
    workers: Workers = CORES,
) -> None:
    """Write a run's images as files, replicas augmented, for a trainer that cannot draw them; it resumes."""
    from curate.balance.materialise import materialise as write
    from curate.core.manifest import read_manifest
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.store import RunFolder

    root = RunFolder(run).plan()["source"]["root"]
    with LocalExecutor(workers) as executor:
        done = write(
            read_manifest(run / "manifest.parquet", root=root), out, augment, size=size, format=format,
            executor=executor,
        )  # fmt: skip
    for image_id, reason in done.unreadable[:20]:
        console.print(f"left out: {image_id}: {reason}", markup=False, highlight=False)
    console.print(
        f"{done.made:,} files written, {done.found:,} were there: {out / 'manifest.parquet'}", highlight=False
    )
