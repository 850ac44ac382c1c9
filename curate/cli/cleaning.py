"""Verbs that clean: duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.shared import (
    CORES,
    Cache,
    Engine,
    Overrides,
    SourceName,
    Workers,
    app,
    console,
    placed,
    print_result,
)


@app.command()
def duplicates(
    source: SourceName,
    out: Annotated[Path, typer.Option("--out", help="The run folder; pairs.parquet lies in it.")] = Path(
        "runs/duplicates"
    ),
    method: Annotated[
        str | None,
        typer.Option("--method", help="What proposes near copies: phash, phash256, dhash, vlad, minhash or embedding."),
    ] = None,
    max_distance: Annotated[
        int | None, typer.Option("--max-distance", help="Bits, up to which hashes propose a pair.")
    ] = None,
    min_similarity: Annotated[
        float | None, typer.Option("--min-similarity", help="From which vlad, minhash or embedding propose a pair.")
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="vlad, embedding: search with faiss, and say its measured recall.")
    ] = False,
    min_correlation: Annotated[
        float | None, typer.Option("--min-correlation", help="Of aligned pixels, from which a pair is confirmed.")
    ] = None,
    linkage: Annotated[str | None, typer.Option("--linkage", help="star or chain.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Choose the thresholds on altered copies of these images.")
    ] = False,
    precision: Annotated[float | None, typer.Option("--precision", help="What --calibrate aims at; 0.99.")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="A finished run: compare new images with those that it kept.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Find copies of images: equal bytes, equal pixels, and altered ones; the same command resumes."""
    from curate.recipe.verbs import run_duplicates

    near = {
        "method": method, "max_distance": max_distance, "min_similarity": min_similarity,
        "approximate": approximate or None, "min_correlation": min_correlation, "linkage": linkage,
    }  # fmt: skip
    with placed(engine, workers) as work:
        result = run_duplicates(
            source, out, near=near, calibrate=calibrate, precision=precision, against=against,
            overrides=overrides, cache=cache, **work,
        )  # fmt: skip
    print_result(result)
    console.print(f"Pairs: {out / 'pairs.parquet'}", highlight=False)
