"""What becomes of a packet, worked out from the rules that a mode really wrote: no kernel, no namespaces, milliseconds instead of minutes.

    packet ─▶ path ─▶ hooks of a mode ─▶ path ─▶ … ─▶ answer
              node's routes   rules          who listens there

`path`, `node` and `answers` are the same for all modes. A mode is a `path.Rules`: `nftables` executes the expressions in the netlink
messages of our nftables mode. Where a rule chooses at random, `choices` goes every way, so that shares are exact.
Nothing here knows how kube-proxy behaves or how our rules are meant: only what Linux does with them.
"""
