"""Arbitrary specs that make sense, as a user could write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

seconds = st.integers(min_value=0, max_value=576 * 3600).map("{}s".format)
counts = st.integers(min_value=0, max_value=2**31 - 1)
limits = st.integers(0, 9000) | st.integers(0, 100).map("{}%".format)
names = st.from_regex(r"[a-z][a-z0-9_]{0,14}", fullmatch=True)
networks = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map("{0[0]}/{0[1]}".format) | st.tuples(
    st.ip_addresses(v=6), st.integers(0, 128)
).map("{0[0]}/{0[1]}".format)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A dict with some of the fields, or none."""
    return st.fixed_dictionaries({}, optional=fields)


def listed(items: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, unique=True, min_size=least, max_size=4)


local_traffic = (
    st.fixed_dictionaries({"clusterCIDRs": listed(networks, 1)}, optional={"detectLocalMode": st.just("ClusterCIDR")})
    | st.just({"detectLocalMode": "NodeCIDR"})
    | st.fixed_dictionaries({"detectLocalMode": st.just("BridgeInterface"), "bridgeInterface": names})
    | st.fixed_dictionaries({"detectLocalMode": st.just("InterfaceNamePrefix"), "interfaceNamePrefix": names})
)

specs = some(
    mode=st.sampled_from(["nftables", "auto"]),
    drainPeriod=seconds,
    takeover=st.sampled_from(["Wait", "Adopt", "Observe"]),
    removalPolicy=st.sampled_from(["Remove", "Keep"]),
    priority=st.integers(min_value=-(2**31), max_value=2**31 - 1),
    rollout=some(
        paused=st.booleans(),
        canary=some(nodes=limits) | some(selector=some(matchLabels=st.dictionaries(names, names, max_size=2))),
        maxUnavailable=limits.filter(lambda limit: limit not in (0, "0%")),
        topologyKey=names,
        holdPeriod=st.integers(0, 599).map("{}s".format),
        maxFailures=limits,
        onFailure=st.sampled_from(["Rollback", "Pause"]),
        probes=some(dns=st.booleans(), services=st.just([{"namespace": "a", "name": "b", "port": 80, "protocol": "HTTP", "path": "/x"}])),
    ),
    nodeSelector=some(matchLabels=st.dictionaries(names, names, max_size=3)),
    conntrack=some(
        maxPerCore=counts,
        min=counts,
        tcpEstablishedTimeout=seconds,
        tcpCloseWaitTimeout=seconds,
        tcpBeLiberal=st.booleans(),
        udpTimeout=seconds,
        udpStreamTimeout=seconds,
    ),
    kernel=some(modules=listed(names), sysctls=st.dictionaries(names.map("net.{}".format), names, max_size=3)),
    masquerade=some(all=st.booleans(), bit=st.integers(min_value=0, max_value=31)),
    localTraffic=local_traffic,
    nodePorts=some(addresses=st.just(["primary"]) | listed(networks, 1)),
    sync=some(minSyncPeriod=st.just("1m30s"), fullSyncPeriod=st.just("2h"), driftCheckPeriod=seconds),
    agent=some(image=names, logLevel=st.sampled_from(["debug", "error"]), tolerations=st.just([])),
)
