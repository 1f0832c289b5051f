"""What a ProxyConfig's status says (pure)."""
