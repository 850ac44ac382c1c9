"""Verbs about wrong names: noise, noise-sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from curate.cli.shared import (
    CORES,
    Cache,
    Engine,
    Overrides,
    RunFolderArgument,
    SourceName,
    Workers,
    app,
    console,
    names,
    placed,
    plain,
    print_result,
)


@app.command()
def noise(
    source: SourceName,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", help="A store of vectors, or a .npy; default: the baseline descriptor.")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option("--ids", help="A table with image_id in the order of the rows of a .npy.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The run folder; noise.parquet lies in it.")] = Path("runs/noise"),
    mislabelled: Annotated[str | None, typer.Option("--mislabelled", help="drop, move or flag.")] = None,
    mixed: Annotated[str | None, typer.Option("--mixed", help="split, keep_dominant or flag.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="merge or flag.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option("--min-confidence", help="From which it acts; 0.5. From 0.1 it flags.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", help="gender,...: groups with thresholds of their own.")
    ] = None,
    max_difference: Annotated[
        float | None, typer.Option("--max-difference", help="Refuse where removal rates of groups differ more.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Find mislabelled images, two persons under one name, one person under two; the same command resumes."""
    from curate.recipe.verbs import run_noise

    given = {"mislabelled": mislabelled, "mixed": mixed, "split": split, "min_confidence": min_confidence}
    with placed(engine, workers) as work:
        result = run_noise(
            source, out, vectors=vectors, ids=ids, given=given, group_by=names(group_by),
            max_difference=max_difference, overrides=overrides, cache=cache, **work,
        )  # fmt: skip
    print_result(result)
    console.print(f"Wrong names: {out / 'noise.parquet'}", highlight=False)


@app.command(name="noise-sample")
def noise_sample(
    run: RunFolderArgument,
    judged: Annotated[
        Path | None, typer.Option("--judged", help="The file with `fault` filled in: print precision and recall.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The sample; default RUN/noise_sample.csv.")] = None,
    number: Annotated[int, typer.Option("--number", min=1, help="Rows to judge, about.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Draw findings for a person to judge, or turn the answers into precision and recall with intervals."""
    from curate.recipe.judged import draw_noise_sample, judge_noise_sample

    if judged is None:
        place = out or run / "noise_sample.csv"
        sample = draw_noise_sample(run, number, place, seed)
        console.print(f"{len(sample):,} rows in {place}: fill the column `fault` with yes or no, then\n"
                      f"curate noise-sample {run} --judged {place}", markup=False, highlight=False)  # fmt: skip
        return
    table = Table(title="Precision and recall, 95% intervals", title_justify="left")
    for heading in ("kind", "findings", "judged", "precision", "recall"):
        table.add_column(heading)
    for row in judge_noise_sample(run, judged).itertuples():
        table.add_row(
            plain(row.kind), f"{row.findings:,}", f"{row.judged:,}",
            _rate(row.precision, row.precision_low, row.precision_high),
            _rate(row.recall, row.recall_low, row.recall_high),
        )  # fmt: skip
    console.print(table)


def _rate(rate: float, low: float, high: float) -> str:
    return f"{rate:.3f} ({low:.3f} to {high:.3f})" if rate == rate else "not measured"
