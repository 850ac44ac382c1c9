"""Needs: the names of what a step may ask of a run."""

from __future__ import annotations

EMBEDDING = "embedding"
DESCRIPTOR = "descriptor"
CONTENT = "content"
DECISIONS = "decisions"
TRUTH = "truth"
STEPS_RUN = "steps"
EVIDENCE = "evidence"
VECTORS = "vectors"
STORED = "stored_vectors"
SOURCE = "source"

#: Needs that the run itself knows: earlier decisions, earlier steps with their parameters, evidence of earlier steps
#: by name, and the manifest as it was before the first step.
OF_THE_RUN = (DECISIONS, STEPS_RUN, EVIDENCE, SOURCE)


def pixel_features() -> tuple[str, ...]:
    """The names of the features that come from pixels alone."""
    from curate.images.facts import FEATURES

    return tuple(FEATURES)


def known_features() -> tuple[str, ...]:
    """Every name that a step may need."""
    return (*pixel_features(), EMBEDDING, STORED, VECTORS, *OF_THE_RUN, TRUTH)
