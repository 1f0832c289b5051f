"""What becomes of a packet, worked out from rules as text: no kernel, nothing programmed. Pure.

`path` is the way through the hooks, `choices` goes every way where a rule chooses at random, and `iptables` interprets rules. None of
this knows how the rules are meant: only what Linux does with them.
"""
