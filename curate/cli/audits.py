"""Verbs that audit: audit pairs, audit all-pairs."""

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
    print_frame,
    print_result,
)
from curate.core.errors import CurateError

audit = typer.Typer(help="Error rates per group, with intervals.", no_args_is_help=True)
app.add_typer(audit, name="audit")

Far = Annotated[str | None, typer.Option("--far", help="Target FMRs (FARs), such as 1e-2,1e-3.")]
Thresholds = Annotated[str | None, typer.Option("--threshold", help="Fixed thresholds, instead of --far or with it.")]
FixOn = Annotated[str | None, typer.Option("--fix-on", help="The group whose impostors fix the thresholds.")]
OutAudit = Annotated[Path, typer.Option("--out", help="The run folder; audit/rates.parquet lies in it.")]


@audit.command()
def pairs(
    scores: Annotated[Path, typer.Argument(help="A table of scores: .csv, .parquet, or bob's four columns.")],
    score: Annotated[str | None, typer.Option("--score", help="Column of the score.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Column that is 1 (genuine) or 0.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Column of the group.")] = None,
    group_b: Annotated[str | None, typer.Option("--group-b", help="Of the second image, where it differs.")] = None,
    id_a: Annotated[str | None, typer.Option("--id-a", help="Column of who is compared (identity, or image).")] = None,
    id_b: Annotated[str | None, typer.Option("--id-b", help="Column of whom with.")] = None,
    fold: Annotated[str | None, typer.Option("--fold", help="Column of the fold: accuracy over folds.")] = None,
    far: Far = None,
    threshold: Thresholds = None,
    fix_on: FixOn = None,
    distance: Annotated[bool, typer.Option("--distance", help="Smaller scores are more alike.")] = False,
    out: OutAudit = Path("runs/audit"),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
) -> None:
    """Audit a table of scores that some system made; the same command resumes."""
    from curate.recipe.verbs import run_audit_pairs

    asked = {
        "score": score, "label": label, "group": group, "group_b": group_b, "id_a": id_a, "id_b": id_b, "fold": fold,
        "fix_on": fix_on, "distance": distance, **_points(far, threshold),
    }  # fmt: skip
    with placed("local", workers) as work:
        result = run_audit_pairs(scores, out, asked=asked, overrides=overrides, **work)
    print_result(result)


@audit.command(name="all-pairs")
def all_pairs(
    manifest: Annotated[str, typer.Option("--manifest", help="A manifest, or a folder of faces.")],
    vectors: Annotated[Path | None, typer.Option("--vectors", help="Their vectors: a folder, or .npy.")] = None,
    group_by: Annotated[str | None, typer.Option("--group-by", help="Labels, such as gender,ethnicity.")] = None,
    far: Far = None,
    threshold: Thresholds = None,
    fix_on: FixOn = None,
    split: Annotated[str | None, typer.Option("--split", help="Images of this split only.")] = None,
    identify: Annotated[bool, typer.Option("--identify", help="Search galleries too: rank 1, TPIR.")] = False,
    out: OutAudit = Path("runs/audit"),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Audit every comparison of a set of images, exactly at the thresholds; the same command resumes."""
    from curate.recipe.verbs import run_audit_vectors

    asked = {
        "group_by": names(group_by), "split": split, "fix_on": fix_on, "identification": {} if identify else None,
        **_points(far, threshold),
    }  # fmt: skip
    with placed(engine, workers) as work:
        result = run_audit_vectors(
            manifest, out, asked=asked, vectors=vectors, overrides=overrides, cache=cache,
            **work,
        )  # fmt: skip
    print_result(result)
    console.print(f"Rates: {out / 'audit' / 'rates.parquet'}", highlight=False)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run folder with an audit.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same people or the same comparisons.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the table here: .csv or .parquet.")] = None,
    draws: Annotated[int, typer.Option("--draws", min=10)] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Compare two audits: rates and fairness measures, their differences and ratios, with paired intervals."""
    from curate.audit.compare import compare as pair
    from curate.core.files import write_table, write_text

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise CurateError(f"--out ends in .csv or .parquet; found {str(out)!r}")
    made = pair(first, second, draws=draws, seed=seed)
    for note in made.notes:
        console.print(f"note: {note}", highlight=False)
    print_frame(f"{second} against {first}", made.table)
    if out is not None and out.suffix == ".csv":
        write_text(out, made.table.to_csv(index=False))
    elif out is not None:
        write_table(out, made.table)


def _points(far: str | None, threshold: str | None) -> dict[str, tuple[float, ...] | None]:
    """The operating points asked for; only thresholds where only they are given."""
    targets, given = _numbers("--far", far), _numbers("--threshold", threshold)
    return {"far": () if targets is None and given is not None else targets, "threshold": given}


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    values = names(text)
    try:
        return None if values is None else tuple(float(value) for value in values)
    except ValueError:
        raise CurateError(
            f"{option} takes numbers with commas between them, such as 1e-3,1e-4; found {text!r}"
        ) from None
