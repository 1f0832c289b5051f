"""The ipvs mode: a virtual server for each ClusterIP port and each further set of endpoints; nftables leads all other addresses to them.

    Frontends ─▶ lower ─▶ delta ─▶ commands ─▶ generic netlink IPVS
                   ▲         ├──▶ elements ─▶ transaction ─▶ nf_tables
              table/state    └──▶ local routes ─▶ rtnetlink

`model` says what there is, `table` remembers which Service port has what and what drains, `sync` orders the work, `kernel` reads and
writes; `ipvs` is the data plane that the runner talks to. docs/modes/ipvs.md explains it to users.
"""
