"""Recipes built on the spot: what a verb of the command line runs for a source that is named by a word or a path."""

from curate.recipe.verbs.audits import run_audit_pairs, run_audit_vectors
from curate.recipe.verbs.balancing import run_balance, run_imbalance
from curate.recipe.verbs.cleaning import run_duplicates
from curate.recipe.verbs.collect import run_embed
from curate.recipe.verbs.noise import run_noise
from curate.recipe.verbs.overlap import run_overlap
from curate.recipe.verbs.protocol import run_protocol
from curate.recipe.verbs.shared import verb_recipe

__all__ = [
    "run_audit_pairs", "run_audit_vectors", "run_balance", "run_duplicates", "run_embed", "run_imbalance", "run_noise",
    "run_overlap", "run_protocol", "verb_recipe",
]  # fmt: skip
