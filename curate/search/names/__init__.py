"""Names of persons: parsed, blocked, compared, decided."""

from curate.search.names.match import LIKELY, LOOK, SAME, VERDICTS, NameMatches, match_names
from curate.search.names.parse import check_names, is_code, parse

__all__ = ["LIKELY", "LOOK", "SAME", "VERDICTS", "NameMatches", "check_names", "is_code", "match_names", "parse"]
