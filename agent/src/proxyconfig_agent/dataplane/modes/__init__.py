"""What a mode is, which modes there are, which one a node runs, and how one takes over from another."""
