"""API objects, decoded to just the fields that matter, become immutable values. Pure; nothing after it sees a dict or an IP string."""
