"""The nftables mode: all Services share maps; the number of rules does not depend on the number of Services.

    Frontends ─▶ lower ─▶ delta ─▶ transaction ─▶ netlink
                   ▲                  ▲
             table/state       reconcile ◀─ dump

`model` says what a table holds, `table` remembers which Service port has what, `sync` orders the work, `kernel` reads and writes;
`nftables` is the data plane that the runner talks to. The golden files of its unit tests show the fixed chains as nft prints them.
"""
