"""Words that a reader may not know, and sentences that every report says."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "identity": "The label that claims who a person is. It may be wrong: two persons can share one, one "
    "person can have two.",
    "genuine pair": "Two images of the same identity.",
    "impostor pair": "Two images of different identities.",
    "FMR": "False match rate: the share of impostor pairs that a threshold accepts. Equal to FAR where no face failed "
    "to be acquired.",
    "FNMR": "False non-match rate: the share of genuine pairs that a threshold refuses. Equal to FRR where no face "
    "failed to be acquired.",
    "FTA": "Failure to acquire: the share of images from which no usable face came.",
    "DET curve": "FNMR against FMR as the threshold moves, both axes logarithmic. Nearer to the lower left is better.",
    "threshold": "The similarity from which on a pair counts as a match; a similarity equal to it is a match.",
    "95% interval": "Where the true rate plausibly lies: intervals made this way hold it 95 times in 100.",
    "supported": "Whether there are enough independent impostor pairs to measure so low a rate. Where not, the "
    "figure is only an upper bound.",
    "group": "Images that share a demographic value, such as a gender.",
    "cell": "An intersection of groups, such as one gender within one ethnicity, written in the order asked.",
    "IDR": "Imbalance of a label: the ninth decile of its group sizes divided by the first. 1 is perfect balance. "
    "With few groups it hides a rare one, so the largest / smallest stands beside it.",
    "MeanIR": "The mean, over the groups of a label, of the largest group's size divided by the group's size.",
    "exact duplicate": "An image with the same bytes, or the same pixels, as another.",
    "near duplicate": "The same photograph altered: resized, recompressed, cropped, mirrored. Not merely the same "
    "person.",
    "replica": "An augmented copy of one image, for training only. It is never compared, audited or held out.",
    "holdout": "Identities set aside to measure with; nothing is fitted on them.",
    "flag": "A request that a person look at an image. It changes nothing by itself.",
}  # fmt: skip

INTENDED_USE = (
    "This report describes how a collection of face images was cleaned, balanced and measured, so that a team can "
    "decide whether to train on it and what to expect of a model that does. It is evidence about this collection "
    "and the one embedding it was measured with: not a certificate of fairness, and no ground for "
    "a decision about any person."
)
LABEL_LIMITS = (
    "Demographic labels are coarse. Someone, or some model, assigned them, often from looks alone; they force people "
    "into a few categories that differ from place to place and from how people describe themselves, and they are "
    "sometimes wrong. A difference between two groups may come from the labels, from image quality, from age or "
    "pose, or from how few persons a group has. Read intervals rather than single figures, and never use such "
    "labels to sort or identify people."
)
SUPPORTED = (
    "A row is supported where the target rate is at least 3 / N_eff, N_eff being the number of impostor pairs after "
    "allowing for the identities that they share. In the other rows the data are too few to measure so low a rate: "
    "read the figure as an upper bound."
)

#: What an image that a decision names is called, and the other image that it names.
ROLES: dict[str, tuple[str, str]] = {
    "drop": ("dropped", "kept"),
    "move": ("moved", "compared with"),
    "merge": ("merged", "compared with"),
    "flag": ("flagged", "compared with"),
    "keep": ("protected", "compared with"),
    "add": ("replica", "replicated from"),
    "assign": ("assigned", "compared with"),
}
PAST: dict[str, str] = {
    "drop": "dropped", "move": "moved to another identity", "merge": "moved by merging identities", "flag": "flagged",
    "keep": "protected", "add": "replicas added", "assign": "assigned",
}  # fmt: skip
