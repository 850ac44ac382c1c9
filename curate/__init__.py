"""curate: face identity data that a team can train on and be judged by."""
