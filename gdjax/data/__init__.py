"""The user's samples on the host: checked, grouped, in batches, their moments, in memory or copied to disk."""
