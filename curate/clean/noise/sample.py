"""Precision and recall without truth: a stratified sample of findings for a person to judge."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.errors import InputError
from curate.stats.stratified import share_found

#: Findings are drawn apart by how sure they are: the upper edges of the strata.
_EDGES = (0.5, 0.9, 1.0)
#: The stratum of images that nothing was found about.
REST = "rest"
#: What the person is asked, by kind.
QUESTIONS = {
    "mislabelled": "Is the image of somebody else than its identity?",
    "mixed": "Is the image of another person than most images of its identity?",
    "split": "Do identity and suggested_identity show one person?",
    REST: "Is the image of somebody else than its identity?",
}
COLUMNS = ("stratum", "kind", col.IMAGE_ID, "identity", "suggested_identity", "confidence", "question", "fault")
_YES, _NO = ("yes", "y", "1", "true"), ("no", "n", "0", "false")


def strata_of(noise: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Every finding, and every image without one, with its stratum.

    noise: the table `noise` of a run. images: `image_id` and `identity` of all images that it looked at. A mislabelled
    image is a finding; of a mixed or split identity the whole is one, shown by its first image. Strata: kind and
    range of confidence, and `rest`. Returns the columns COLUMNS but `fault`, in order of (stratum, image_id).
    """
    whole = noise["kind"] != "mislabelled"
    once = noise[whole].drop_duplicates(["kind", "identity", "suggested_identity"])
    found = pd.concat([noise[~whole], once])
    low = np.searchsorted(_EDGES, found["confidence"].to_numpy(), side="right").clip(max=len(_EDGES) - 1)
    names = np.array(["below 0.5", "0.5 to 0.9", "0.9 or more"], dtype=object)[low]
    found = found.assign(stratum=found["kind"].astype("str") + ", " + names)
    rest = images[~images[col.IMAGE_ID].isin(noise.loc[~whole, col.IMAGE_ID])].assign(
        stratum=REST, kind=REST, suggested_identity=None, confidence=np.nan
    )
    both = pd.concat([part[list(COLUMNS[:6])].astype({"identity": "str", "kind": "str", "suggested_identity": "str"})
                      for part in (found, rest)])  # fmt: skip
    both["question"] = both["kind"].map(QUESTIONS)
    return both.sort_values(["stratum", col.IMAGE_ID], ignore_index=True)


def draw(strata: pd.DataFrame, number: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw about so many rows, evenly over the strata, all of those that are smaller: COLUMNS with an empty `fault`."""
    sizes = strata["stratum"].value_counts().sort_index()
    left, take = number, {}
    for place, (name, size) in enumerate(sizes.sort_values(kind="stable").items()):
        take[name] = min(int(size), max(1, left // (len(sizes) - place)))
        left -= take[name]
    chosen = [
        rng.permutation(np.flatnonzero((strata["stratum"] == name).to_numpy()))[: take[name]] for name in sizes.index
    ]
    rows = np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))
    return strata.take(rows).assign(fault="").reset_index(drop=True)[list(COLUMNS)]


def estimate(judged: pd.DataFrame, strata: pd.DataFrame, *, origin: object = None) -> pd.DataFrame:
    """Precision and recall from a judged sample, per kind, with 95% intervals: see `share_found`.

    judged: what `draw` returned, `fault` filled with yes or no; rows left empty are not counted. Returns one row for
    each kind: kind, findings, judged, precision, precision_low, precision_high, recall, recall_low, recall_high (NaN
    for mixed and split identities, whose misses no image of the rest shows). A finding is one that the step
    acts on by default, of confidence 0.5 or more; those below it and the rest say what was missed.
    Raises InputError for another answer (file, row, value), for a row that the run doesn't have and for a stratum
    without an answer.
    """
    answers = _answers(judged, origin)
    rows = judged[answers.notna().to_numpy()].assign(answer=answers.dropna().astype(bool).to_numpy())
    keys = ["stratum", col.IMAGE_ID]
    known = strata[keys].apply(tuple, axis=1)
    strange = ~rows[keys].apply(tuple, axis=1).isin(set(known)).to_numpy(bool)
    if strange.any():
        at = int(strange.argmax())
        raise InputError("the run has no such finding", file=origin, row=int(rows.index[at]) + 1, column=col.IMAGE_ID,
                         value=str(rows[col.IMAGE_ID].iloc[at]),
                         remedy="Give the run that the sample was drawn from")  # fmt: skip
    size = strata["stratum"].value_counts()
    count = rows.groupby("stratum")["answer"].agg(["size", "sum"]).reindex(size.index, fill_value=0)
    result = []
    for kind in [kind for kind in QUESTIONS if kind != REST]:
        mine = [name for name in sorted(size.index) if name.startswith(f"{kind}, ")]
        missed = [REST] if kind == "mislabelled" and REST in size.index else []
        if not mine:
            continue
        names = [*mine, *missed]
        acted = np.array([name in mine and not name.endswith("below 0.5") for name in names])
        judged_here = count.loc[names, "size"].to_numpy()
        empty = [name for name, number in zip(names, judged_here, strict=True) if not number]
        if empty:
            raise InputError(f"no row of {empty[0]!r} is judged", file=origin, column="fault", allowed="yes or no",
                             remedy="Judge at least one row of each stratum")  # fmt: skip
        precision, recall = share_found(size[names].to_numpy(), judged_here, count.loc[names, "sum"].to_numpy(), acted)
        if kind != "mislabelled":
            recall = recall._replace(rate=np.nan, low=np.nan, high=np.nan)
        result.append({
            "kind": kind, "findings": int(size[names].to_numpy()[acted].sum()), "judged": int(judged_here.sum()),
            "precision": precision.rate, "precision_low": precision.low, "precision_high": precision.high,
            "recall": recall.rate, "recall_low": recall.low, "recall_high": recall.high,
        })  # fmt: skip
    return pd.DataFrame(result)


def _answers(judged: pd.DataFrame, origin: object) -> pd.Series:
    """True, False, or null where the row is not judged."""
    missing = [name for name in ("stratum", col.IMAGE_ID, "fault") if name not in judged]
    if missing:
        raise InputError(f"the column {missing[0]!r} is missing", file=origin, value=list(judged.columns),
                         remedy="Fill in the file that `curate noise-sample RUN` wrote")  # fmt: skip
    text = judged["fault"].fillna("").astype("str").str.strip().str.lower()
    wrong = ~text.isin(["", *_YES, *_NO]).to_numpy()
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError("not an answer", file=origin, row=at + 1, column="fault", value=judged["fault"].iloc[at],
                         allowed="yes, no, or empty")  # fmt: skip
    return text.map({"": None, **dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)})
