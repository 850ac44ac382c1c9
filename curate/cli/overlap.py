"""Verbs that compare datasets: overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared import (
    CORES,
    Cache,
    Engine,
    Overrides,
    Workers,
    app,
    console,
    names,
    placed,
    print_result,
)


@app.command()
def overlap(
    sources: Annotated[
        list[str], typer.Argument(help="The training set, then benchmarks: folders, manifests, lists of names.")
    ],
    by: Annotated[str, typer.Option("--by", help="name,image,identity.")] = "name",
    out: Annotated[
        Path, typer.Option("--out", help="The run folder; pairs.parquet and overlap.json lie in it.")
    ] = Path("runs/overlap"),
    action: Annotated[str, typer.Option("--action", help="flag, drop_images or drop_identities.")] = "flag",
    from_verdict: Annotated[
        str | None, typer.Option("--from", help="Verdict from which identities are dropped: same, likely or look.")
    ] = None,
    far: Annotated[float | None, typer.Option("--far", help="False-match rate (FMR) of faces.")] = None,
    planted: Annotated[
        int | None, typer.Option("--planted", help="Planted overlaps, to measure what is missed.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Find who and what datasets share, and certify it; the same command resumes."""
    from curate.recipe.verbs import run_overlap

    with placed(engine, workers) as work:
        result = run_overlap(
            sources, out, by=names(by) or (), action=action, from_verdict=from_verdict, far=far,
            planted=planted, overrides=overrides, cache=cache, **work,
        )  # fmt: skip
    print_result(result)
    console.print(f"Pairs: {out / 'pairs.parquet'}", highlight=False)
    console.print(f"Certificate: {out / 'overlap.json'}", highlight=False)
