"""Verbs that fix comparisons: protocol, verify, convert, power."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from curate.cli.collecting import convert_images
from curate.cli.shared import (
    CORES,
    Cache,
    Engine,
    Overrides,
    SourceName,
    Workers,
    app,
    console,
    names,
    placed,
    plain,
    print_result,
    visible,
)


@app.command()
def protocol(
    source: SourceName,
    group_by: Annotated[str | None, typer.Option("--group-by", help="gender,ethnicity: cells are the groups.")] = None,
    pairs_per_group: Annotated[int | None, typer.Option("--pairs-per-group", min=1)] = None,
    genuine: Annotated[float | None, typer.Option("--genuine", help="Share of genuine pairs; 0.5.")] = None,
    folds: Annotated[int | None, typer.Option("--folds", min=1, help="Identity-disjoint folds; 10.")] = None,
    uniform: Annotated[str | None, typer.Option("--uniform", help="Over images or identities.")] = None,
    across: Annotated[float | None, typer.Option("--across", help="Share of impostor pairs across groups.")] = None,
    hard: Annotated[float | None, typer.Option("--hard", help="Share of hard impostor pairs, a stratum apart.")] = None,
    max_per_identity: Annotated[int | None, typer.Option("--max-per-identity", min=1, help="Pairs of a kind.")] = None,
    max_per_image: Annotated[int | None, typer.Option("--max-per-image", min=1, help="Pairs of a kind.")] = None,
    match: Annotated[str | None, typer.Option("--match", help="quality, or columns, alike in all groups.")] = None,
    duplicates: Annotated[Path | None, typer.Option("--duplicates", help="pairs.parquet: copies are no pair.")] = None,
    training: Annotated[Path | None, typer.Option("--training", help="Manifest trained on: list the overlap.")] = None,
    allow_fewer: Annotated[bool, typer.Option("--allow-fewer", help="Take what there is.")] = False,
    equal: Annotated[bool, typer.Option("--equal", help="With it: as many of each group.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    out: Annotated[Path, typer.Option("--out", help="The run folder: pairs.parquet, certificate.json.")] = Path(
        "runs/protocol"
    ),
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = CORES,
    engine: Engine = "local",
    cache: Cache = None,
) -> None:
    """Draw fixed genuine and impostor pairs for each group, with a certificate; the same command resumes."""
    from curate.recipe.verbs import run_protocol

    params = {
        "group_by": names(group_by), "pairs_per_group": pairs_per_group, "genuine": genuine, "folds": folds,
        "uniform": uniform, "across": across, "hard": hard, "max_per_identity": max_per_identity,
        "max_per_image": max_per_image, "match": names(match), "duplicates": duplicates, "training": training,
        "allow_fewer": allow_fewer, "equal": equal,
    }  # fmt: skip
    with placed(engine, workers) as work:
        result = run_protocol(
            source, out, seed=seed, params=params, overrides=overrides, cache=cache,
            **work,
        )  # fmt: skip
    print_result(result)
    console.print(f"Pairs: {out / 'pairs.parquet'}, {out / 'certificate.json'}", highlight=False)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A run folder with pairs, or a list of pairs in any format.")],
    manifest: Annotated[Path | None, typer.Option("--manifest", help="The images that a list is of.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was checked as JSON.")] = False,
) -> None:
    """Prove again what a protocol says of itself, from its files, and name the pairs that are at fault."""
    from curate.recipe.verbs.protocol import verify as prove

    findings = prove(path, manifest)
    if as_json:
        print(json.dumps([{"check": f.check, "holds": f.holds, "says": f.says} for f in findings], indent=2))
    for finding in findings if not as_json else ():
        console.print(f"{'ok    ' if finding.holds else 'FAILED'} {finding.check}", highlight=False)
        for text in finding.says:
            console.print(f"         {visible(text)}", markup=False, highlight=False)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Images (any source), or a list of pairs: a file or a folder.")],
    out: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Images: folder, records, bin, webdataset or "
            "huggingface. Pairs: table, lfw, rfw, insightface, ijb or bob.",
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of the images, where SOURCE does not say it.")
    ] = None,
) -> None:
    """Write images, or a list of pairs, in another format; the ending of OUT says which, or --to."""
    from curate.core.errors import InputError
    from curate.core.tables import TABLE_SUFFIXES, column_names
    from curate.protocol.formats import FORMATS, format_for, pairs_of_run, read_pairs, write_pairs

    source = pairs_of_run(source) or source
    # A .bin is both: its images are meant where OUT is a layout of images.
    if source.suffix.lower() in TABLE_SUFFIXES:
        pairs_given = "image_id_a" in column_names(source)[0]
    elif source.suffix.lower() == ".bin":
        pairs_given = False
    else:
        pairs_given = any(one.recognises(source) for one in FORMATS.values())
    if not pairs_given and convert_images(str(source), out, to, root):
        return
    if out.is_dir() and any(out.iterdir()):
        raise InputError("the folder is not empty", file=out, remedy="Choose a new one")
    pairs, found = read_pairs(source)
    written = format_for(out, to)
    for note in write_pairs(pairs, out, written, root):
        console.print(f"note: {visible(note)}", markup=False, highlight=False)
    console.print(f"{len(pairs.table):,} pairs ({found.name}) written as {written.name}: {out}", highlight=False)


@app.command()
def power(
    run: Annotated[Path | None, typer.Argument(help="A run folder with a certificate; default: none.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="A wanted FMR: what does it need?")] = None,
    identities: Annotated[int | None, typer.Option("--identities", min=2, help="How many there are.")] = None,
    correlation: Annotated[
        float | None, typer.Option("--correlation", min=0, max=1, help="Of impostor pairs that share identities; 0.01.")
    ] = None,
) -> None:
    """Tell the smallest FMR that a protocol can show, or the pairs and identities that a wanted one needs."""
    from curate.recipe.verbs.protocol import power_table
    from curate.stats.power import IMPOSTOR

    assumed = IMPOSTOR if correlation is None else correlation
    table = power_table(run, rate, identities, assumed)
    columns = list(table.columns)
    shown = Table(box=None, pad_edge=False)
    for name in columns:
        shown.add_column(plain(name), justify="left" if name == columns[0] else "right", no_wrap=True)
    for row in table.itertuples(index=False):
        shown.add_row(*map(plain, row))
    # Headings whole, however narrow the window.
    size = sum(2 + max(len(name), *map(len, map(str, table[name]))) for name in columns)
    Console(width=max(console.width, size)).print(shown)
    console.print(
        f"Errors of comparisons that share identities are taken to be correlated: {assumed:g} of the worst case, "
        "in which they depend on the identities alone.", highlight=False,
    )  # fmt: skip
