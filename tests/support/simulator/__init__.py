"""What becomes of a packet, worked out from the rules that a mode really wrote: no kernel, no namespaces, milliseconds instead of minutes.

    packet ─▶ path ─▶ hooks of a mode ─▶ path ─▶ … ─▶ answer
              node's routes   rules          who listens there

`walker.path` of the agent, `node` and `answers` are the same for all modes. A mode is a `path.Rules`: the agent's `walker.nftables`
executes the expressions in the netlink messages of our nftables mode, which `nftables.kernel` takes, and its `walker.iptables` the rules'
text that our iptables mode feeds to iptables-restore. In ipvs and userspace mode virtual servers and a proxy process are in the way between
two hooks, beside the same `nftables.kernel`. Where a rule chooses at random, `walker.choices` goes every way, so that shares
are exact. None of this knows how our rules are meant: only what Linux does with them.

`oracle` is the opposite: it knows kube-proxy's decision table and no rules. `clusters` and `questions` make random clusters and what can
be asked there, `agents` an agent that lives through changes. tests/kernel/simulator compares the simulator with a real kernel.
"""
