"""Candidate lists: whom to collect, from lists of names with counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from curate.core.errors import InputError, nearest
from curate.core.tables import TABLE_SUFFIXES, Refused, read_columns
from curate.search.names import LIKELY, is_code, match_names, parse

#: Columns that hold the name, and the number of images or the popularity, in order of preference.
_NAMES = ("name", "identity", "person", "full_name")
_COUNTS = ("count", "images", "sample_num", "popularity", "number", "n")
_COUNTED = re.compile(r"^(.*?)[\s,;]+(\d+)$")

KEPT, MERGED, DROPPED = "kept", "merged", "dropped"


@dataclass
class _Person:
    """One candidate: the name first met, the largest count of a list, and the names merged into it."""

    name: str
    count: int | None
    aliases: list[str] = field(default_factory=list)


def read_counts(path: Path) -> tuple[list[tuple[str, int | None]], list[str]]:
    """Names and counts of a list: a table with a column of names, or lines `name` or `name count`; and notes.

    Underscores count as spaces. A count that is no number is missing, and counted. Raises InputError for a missing or
    empty file and a table without a column of names.
    """
    path = path.expanduser()
    if path.suffix.lower() in TABLE_SUFFIXES:
        refused = Refused()
        table, _ = read_columns(path, refused)
        known = {name.lower(): name for name in table.column_names}
        name = next((known[one] for one in _NAMES if one in known), None)
        if name is None:
            raise InputError("no column of names", file=path, remedy=nearest("name", table.column_names))
        count = next((known[one] for one in _COUNTS if one in known), None)
        counts = table[count].to_pylist() if count else [None] * len(table)
        pairs = list(zip(table[name].to_pylist(), counts, strict=True))
        notes = refused.notes(path)
    else:
        if not path.is_file():
            raise InputError("no such file", file=path)
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        pairs = [(found[1], found[2]) if (found := _COUNTED.match(line)) else (line, None) for line in lines]
        notes = []
    rows = [(str(name).replace("_", " ").strip(), _number(count)) for name, count in pairs if name]
    bad = sum(given is not None and found is None for (_, given), (_, found) in zip(pairs, rows, strict=False))
    if bad:
        notes.append(f"{bad:,} counts of {path.name} are no whole numbers; they are taken as missing")
    if not rows:
        raise InputError("no name in this list", file=path)
    return rows, notes


def _number(value: object) -> int | None:
    text = str(value).replace(",", "").strip()
    return int(text) if text.isdigit() and len(text) < 16 else None


def candidates(
    lists: Sequence[Sequence[tuple[str, int | None]]], *, min_images: int = 0, exclude: Sequence[str] = ()
) -> pd.DataFrame:
    """One row for each name of the lists, with what becomes of it and why.

    lists: names with counts. Names of one spelling are one person (`same_spelling`), within a list and across lists;
    names that `match_names` calls the same across lists are too (`alias`). Within a list the counts of a person add
    up; of several lists the largest holds. A person is dropped as `excluded` where a name is the same as, or likely,
    one of `exclude`; as `too_few_images` below `min_images`; as `no_name` where nothing is left of it (codes such as
    n000123). One without any count stays, as `no_count`. Columns: name, status (kept, merged, dropped), reason, count,
    related (the name merged into, or excluded by), score; kept ones first, by count, then by name.
    """
    people: list[_Person] = []
    rows: list[dict] = []
    for entries in lists:
        _add_list(entries, people, rows)
    gone = _excluded(people, exclude)
    for at, person in enumerate(people):
        reason, related, score = gone.get(at, (None, None, None))
        if reason is None and person.count is not None and person.count < min_images:
            reason = "too_few_images"
        status = DROPPED if reason else KEPT
        reason = reason or ("no_count" if person.count is None else "enough_images")
        rows.append({"name": person.name, "status": status, "reason": reason, "count": person.count,
                     "related": related, "score": score})  # fmt: skip
    table = pd.DataFrame(rows, columns=["name", "status", "reason", "count", "related", "score"])
    table["count"] = table["count"].astype("Int64")
    order = table["status"].map({KEPT: 0, DROPPED: 1, MERGED: 2})
    return (
        table.assign(order=order, rank=-table["count"].fillna(-1))
        .sort_values(["order", "rank", "name"], kind="stable", ignore_index=True)
        .drop(columns=["order", "rank"])
    )


def _add_list(entries: Sequence[tuple[str, int | None]], people: list[_Person], rows: list[dict]) -> None:
    mine: dict[tuple, _Person] = {}
    for name, count in entries:
        forms = parse(name)
        if not forms or is_code(name):
            rows.append({"name": name, "status": DROPPED, "reason": "no_name", "count": count})
            continue
        key = (forms[0].tokens, forms[0].suffix)
        if key in mine:
            mine[key].count = _sum(mine[key].count, count)
            _merge(rows, name, count, mine[key].name, "same_spelling", 1.0)
        else:
            mine[key] = _Person(name, count)
    new = list(mine.values())
    known = {_key(person.name): at for at, person in enumerate(people)}
    found = {at: (known[key], "same_spelling", 1.0) for at, key in enumerate(mine) if key in known}
    rest = [at for at in range(len(new)) if at not in found]
    if people and rest:
        taken = {place for place, _, _ in found.values()}
        open_places = [at for at in range(len(people)) if at not in taken]
        pairs = match_names([people[at].name for at in open_places], [new[at].name for at in rest],
                            others=[person.name for person in people]).pairs  # fmt: skip
        for pair in pairs[(pairs["verdict"] == "same").to_numpy()].sort_values("score", ascending=False).itertuples():
            if rest[pair.j] not in found and open_places[pair.i] not in taken:
                found[rest[pair.j]] = (open_places[pair.i], "alias", float(pair.score))
                taken.add(open_places[pair.i])
    for at, person in enumerate(new):
        if at in found:
            place, reason, score = found[at]
            _merge(rows, person.name, person.count, people[place].name, reason, score)
            people[place].aliases.append(person.name)
            people[place].count = _largest(people[place].count, person.count)
        else:
            people.append(person)


def _key(name: str) -> tuple:
    form = parse(name)[0]
    return form.tokens, form.suffix


def _merge(rows: list[dict], name: str, count: int | None, into: str, reason: str, score: float) -> None:
    rows.append({"name": name, "status": MERGED, "reason": reason, "count": count, "related": into, "score": score})


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


def _largest(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def _excluded(people: list[_Person], exclude: Sequence[str]) -> dict[int, tuple[str, str, float]]:
    """The people that a name of the exclusion list is, with that name and the score."""
    exclude = [name for name in exclude if parse(name) and not is_code(name)]
    if not people or not exclude:
        return {}
    by_key = {_key(name): name for name in exclude}
    names = [(at, name) for at, person in enumerate(people) for name in (person.name, *person.aliases)]
    gone = {at: ("excluded", by_key[_key(name)], 1.0) for at, name in names if _key(name) in by_key}
    pairs = match_names([name for _, name in names], exclude).pairs
    for pair in pairs[(pairs["score"] >= LIKELY).to_numpy()].sort_values("score", ascending=False).itertuples():
        gone.setdefault(names[pair.i][0], ("excluded", exclude[pair.j], float(pair.score)))
    return gone
