"""The nftables mode: all Services share maps; the number of rules does not depend on the number of Services.

    Frontends ─▶ lower ─▶ delta ─▶ transaction ─▶ netlink
                   ▲                  ▲
             book, ids         resync ◀─ read

`ruleset`, `containers`, `fixed`, `picks` say what a table holds; `book` remembers who has what; `port` alone talks to the kernel.
"""
