"""What others can do to us: `ipvsadm`, `ip route` and `nft` in the hands of an administrator."""

from __future__ import annotations

from random import Random

from tests.support.simulator.ipvs.routes import SimulatedRoutes
from tests.support.simulator.ipvs.servers import SimulatedServers
from tests.support.simulator.nftables.damage import damage as damage_tables
from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.netlink.ipvs.messages import Destination


def damage(tables: SimulatedKernel, ipvs: SimulatedServers, routes: SimulatedRoutes, random: Random) -> None:
    """One thing that somebody did."""
    match random.randrange(3):
        case 0:
            damage_tables(tables, random)
        case 1 if routes.sources:
            del routes.sources[random.choice(sorted(routes.sources))]
        case _ if ipvs.servers:
            _damage_servers(ipvs, random)


def _damage_servers(ipvs: SimulatedServers, random: Random) -> None:
    key = random.choice(sorted(ipvs.servers))
    destinations = ipvs.servers[key].destinations
    match random.randrange(5):
        case 0:
            del ipvs.servers[key]
        case 1:
            ipvs.servers.clear()
        case 2 if destinations:
            del destinations[random.choice(sorted(destinations))]
        case 3 if destinations:
            destinations[random.choice(sorted(destinations))] = random.choice((0, 7))
        case _:
            destinations[Destination(bytes((*key.address[:-1], 99)), 99)] = 1
