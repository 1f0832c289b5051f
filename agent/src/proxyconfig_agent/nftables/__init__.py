"""The nftables mode: all Services share maps; the number of rules does not depend on the number of Services.

`ruleset` says what there is, `lower` makes it of Frontends, `delta` compares, `port` alone touches the kernel.
"""
