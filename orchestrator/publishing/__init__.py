"""Results in forms that others cite: results.json, the leaderboard, citations, the RO-Crate."""
