"""What verbs that fix comparisons run: `curate protocol`, `curate verify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import file_digest, read_json, read_table
from curate.core.manifest import Manifest, read_manifest
from curate.core.shapes import Executor, Features, step_rng
from curate.protocol.certificate import described
from curate.protocol.formats import read_pairs
from curate.protocol.table import Coded, coded
from curate.protocol.verify import Finding, against_certificate, against_drawn, structure
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.schema import make_recipe
from curate.recipe.store import RunFolder
from curate.recipe.verbs.shared import labelled, verb_recipe
from curate.stats.power import THIRTY, THREE, interval_width, needed, smallest_rate, stated

REPORT = "verification_protocol"


def run_protocol(
    source: str,
    out: Path,
    *,
    executor: Executor,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Draw the pairs of a protocol from all images of a source: `curate protocol`.

    params: of `verification_protocol`; those that are None keep their defaults. The tables and the certificate lie in
    the run folder itself. more: as `run_recipe` takes it.
    """
    given = {key: value for key, value in (params or {}).items() if value is not None}
    step = {**given, "folder": "."}
    paths = {key: str(value) for key, value in step.items() if isinstance(value, Path)}
    fixed = [f"seed={seed}", f"steps.{REPORT}.split=null", *labelled(given.get("group_by"), overrides)]
    recipe = verb_recipe("protocol", source, [(REPORT, {**step, **paths})], fixed)
    return run_recipe(recipe, out, executor=executor, **more)


def verify(path: Path, manifest: Path | None = None) -> list[Finding]:
    """Prove again what is said of pairs: `curate verify`.

    path: a run folder with pairs and a certificate (in it, or in its `protocol/`), or a list of pairs in any format. A
    run folder's pairs are also compared with the run's own manifest, and drawn again from it with the run's seed where
    that needs neither pixels nor vectors. manifest: the table to compare a list with.
    Raises InputError where there are no pairs.
    """
    folder = next((part for part in (path, path / "protocol") if (part / "certificate.json").is_file()), None)
    if folder is None:
        table, of = read_pairs(path)[0].table, path
    else:
        of = folder / "pairs.parquet"
        table = read_table(of)
    known = read_manifest(manifest) if manifest is not None else None
    pairs = coded(table, of)
    if folder is None:
        return list(structure(pairs, known))
    run = path if (path / "manifest.parquet").is_file() and (path / "plan.json").is_file() else None
    if known is None and run is not None:
        known = read_manifest(run / "manifest.parquet")
    document = read_json(folder / "certificate.json")
    found = [*structure(pairs, known), *against_certificate(pairs, document)]
    return [*found, *_drawn_again(run, pairs, known, document)] if run is not None and manifest is None else found


def _drawn_again(run: Path, pairs: Coded, manifest: Manifest, document: Mapping[str, Any]) -> list[Finding]:
    """What the run's seed draws from the manifest that it ended with; nothing where that can't be done here."""
    plan = RunFolder(run).plan()
    recipe = make_recipe(plan["recipe"], origin=str(run / "plan.json"))
    place = next((item for item in recipe.steps if item.step.name == REPORT), None)
    if place is None or place.needs or any(s.order > place.order and s.step.kind == "step" for s in recipe.steps):
        return []
    for key, name in (("duplicates", "table"), ("training", "table")):
        file = place.files.get(key)
        if file is not None and (not file.is_file() or file_digest(file) != (document.get(key) or {}).get(name)):
            return [Finding(f"{key}_as_certified", False, (f"{file} is not the table that the pairs were drawn with",))]
    made = place.step(manifest, Features(), place.params, step_rng(recipe.seed, REPORT))
    drawn = next(table for name, table in made.tables.items() if name.endswith("pairs"))
    return [against_drawn(pairs, coded(drawn))]


def power_table(run: Path | None, rate: float | None, identities: int | None, correlation: float) -> pd.DataFrame:
    """What a protocol can show, or what a wanted FMR needs: `curate power`, one row of text for each answer.

    run: a run folder with a certificate, whose groups are the rows. rate: the FMR; without `run`, the table says what
    it needs, of so many identities where they are given. Raises InputError where neither is given.
    """
    if run is not None:
        folder = next((part for part in (run, run / "protocol") if (part / "certificate.json").is_file()), None)
        if folder is None:
            raise InputError("no certificate.json in the folder", file=run, remedy="Give one that `protocol` wrote")
        return _what_it_shows(coded(read_table(folder / "pairs.parquet"), folder / "pairs.parquet"), rate, correlation)
    if rate is None:
        raise InputError("nothing to tell", remedy="Give the folder of a protocol, or --rate and what it should need")
    rows = []
    for name, errors in (
        ("bounded (rule of three)", THREE),
        ("measured within 30% (rule of thirty)", THIRTY),
    ):
        found = needed(rate, errors, correlation, identities)
        pairs = f"{found.pairs:,.0f}" if found.pairs < float("inf") else "no number is enough"
        rows.append({
            f"an FMR of {rate:g}": name, "effective pairs": f"{found.n_eff:,.0f}",
            "identities at least": f"{found.identities:,}",
            f"pairs of {identities:,} identities" if identities else "pairs of these": pairs,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _what_it_shows(pairs: Coded, rate: float | None, correlation: float) -> pd.DataFrame:
    rows = []
    for group in described(pairs, correlation):
        n_eff, worst = group["n_eff"]["impostor"], group["n_eff_worst"]["impostor"]
        row = {
            "group": group["group"], "impostor pairs": f"{group['impostor']:,}",
            "identities": f"{group['identities']:,}", "count as": f"{n_eff:,.0f}", "at worst as": f"{worst:,.0f}",
            "smallest FMR": f"{smallest_rate(n_eff):.2g}", "at worst": f"{smallest_rate(worst):.2g}",
            "measured from": f"{smallest_rate(n_eff, THIRTY):.2g}",
        }  # fmt: skip
        if rate is not None:
            row[f"FMR of {rate:g}"] = stated(rate, n_eff)
            row["95% interval's width"] = f"{interval_width(rate, n_eff):.2g}" if n_eff else "1"
        rows.append(row)
    return pd.DataFrame(rows)
