"""The network of a cluster: everything in network namespaces that it made, with no way out.

One namespace is the switch: its bridge joins the nodes and the external client, and the control plane runs in it. The machine's
own namespace gets a single veth with a route to a single address, the API server's. The switch does not forward and has no
default route: what a node sends to an address that nobody has (a Service without a proxy) dies there. Addresses come from
198.18.0.0/15 (RFC 2544, never routed) and a unique local prefix, with the cluster's number in them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.command import run, succeeds
from tests.cluster.errors import ClusterError

NAMESPACES = Path("/run/netns")
BRIDGE = "bridge"
OUTSIDE_HOST = 200
SERVER_PORT = 6443


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network namespace on a cluster's bridge: its interface is eth0."""

    namespace: str
    ipv4: str
    ipv6: str


@dataclass(frozen=True, slots=True)
class Switch:
    """The bridge of cluster `number` and what hangs on it."""

    number: int

    @property
    def namespace(self) -> str:
        """Return the switch's own namespace; also the name of the machine's one link to it."""
        return f"pxc{self.number}"

    @property
    def address(self) -> str:
        """Return the API server's IPv4 address, the same from everywhere."""
        return f"198.18.{self.number}.1"

    @property
    def address6(self) -> str:
        """Return the API server's IPv6 address, for nodes."""
        return f"fd18:c0de:{self.number:x}::1"

    def create(self) -> None:
        """Make the bridge and the machine's link to it.

        Raises ClusterError if a packet could leave.
        """
        if routes := run("ip", "-4", "route", "show", "root", f"198.18.{self.number}.0/24").strip():
            raise ClusterError(
                f"this machine has a route into 198.18.{self.number}.0/24 ({routes}); the cluster would take it over. Remove it."
            )
        run("ip", "netns", "add", self.namespace)
        write_sysctls(self.namespace, _SWITCH_SYSCTLS)
        _ip(self.namespace, *self._switch_commands())
        machine = f"198.18.{self.number}.254"
        run("ip", "link", "add", self.namespace, "type", "veth", "peer", "name", "machine", "netns", self.namespace)
        write_sysctls(self.namespace, ("net/ipv6/conf/machine/disable_ipv6=1",))
        _ip(self.namespace, "link set machine up", f"route add {machine}/32 dev machine")
        write_sysctls(None, (f"net/ipv6/conf/{self.namespace}/disable_ipv6=1",))
        run("ip", "addr", "add", machine, "peer", self.address, "dev", self.namespace)
        run("ip", "link", "set", self.namespace, "up")
        self.verify_closed()

    def _switch_commands(self) -> tuple[str, ...]:
        return (
            "link set lo up",
            f"link add {BRIDGE} type bridge mcast_snooping 0",
            f"addr add {self.address}/24 dev {BRIDGE}",
            f"addr add {self.address6}/64 dev {BRIDGE} nodad",
            f"link set {BRIDGE} up",
        )

    def verify_closed(self) -> None:
        """Make sure that no packet of the cluster can reach the machine's network.

        Raises ClusterError with what is open.
        """
        for family, path in (("IPv4", "net/ipv4/ip_forward"), ("IPv6", "net/ipv6/conf/all/forwarding")):
            if run(*inside(self.namespace), "cat", f"/proc/sys/{path}").strip() != "0":
                raise ClusterError(f"{family} forwarding is on in {self.namespace}: packets could leave the cluster. Nothing was started.")
        for family in ("-4", "-6"):
            if route := run("ip", family, "-n", self.namespace, "route", "show", "default").strip():
                raise ClusterError(f"{self.namespace} has a way out ({route}): packets could leave the cluster. Nothing was started.")
        links = {link["ifname"] for link in json.loads(run("ip", "-n", self.namespace, "-j", "link", "show"))}
        ports = {link["ifname"] for link in json.loads(run("ip", "-n", self.namespace, "-j", "link", "show", "master", BRIDGE))}
        if unknown := links - ports - {"lo", BRIDGE, "machine"} - _FALLBACK_DEVICES:
            raise ClusterError(
                f"{self.namespace} has links that are not the cluster's ({', '.join(sorted(unknown))}). Nothing was started."
            )

    def attachment(self, name: str, host: int) -> Attachment:
        """Return the names and addresses of a namespace on the bridge, whether it is there or not."""
        return Attachment(f"{self.namespace}-{name}", f"198.18.{self.number}.{host}", f"fd18:c0de:{self.number:x}::{host}")

    def attach(self, name: str, host: int) -> Attachment:
        """Make a namespace on the bridge with the addresses of `host` (2 to 253); its default route ends at the switch."""
        made = self.attachment(name, host)
        run("ip", "netns", "add", made.namespace)
        write_sysctls(made.namespace, _QUIET_IPV6)
        _ip(self.namespace, f"link add p{host} type veth peer name eth0 netns {made.namespace}", f"link set p{host} master {BRIDGE} up")
        _ip(
            made.namespace,
            "link set lo up",
            f"addr add {made.ipv4}/24 dev eth0",
            f"addr add {made.ipv6}/64 dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {self.address}",
            f"route add default via {self.address6}",
        )
        return made

    def detach(self, attachment: Attachment) -> None:
        """Remove a namespace and its link: the link first, as the kernel takes it away with the namespace, but some time later."""
        _ip(self.namespace, f"link del p{attachment.ipv4.rpartition('.')[2]}")
        delete_namespace(attachment.namespace)

    def route(self, namespace: str, destination: str, via: str) -> None:
        """Add a route in one of the cluster's namespaces."""
        _ip(namespace, f"route replace {destination} via {via}")


_QUIET_IPV6 = ("net/ipv6/conf/all/disable_ipv6=0", "net/ipv6/conf/default/disable_ipv6=0", "net/ipv6/conf/default/accept_ra=0")
_SWITCH_SYSCTLS = (*_QUIET_IPV6, "net/ipv4/ip_forward=0", "net/ipv6/conf/all/forwarding=0", "net/ipv4/conf/all/rp_filter=0")
# Kernels with these modules built in put such a device, down, into every namespace.
_FALLBACK_DEVICES = {"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0", "ifb0", "ifb1", "dummy0"}


def inside(namespace: str) -> tuple[str, ...]:
    """Return the words that run a command in a namespace.

    Not `ip netns exec`: that mounts another /sys, which hides the cgroups.
    """
    return ("nsenter", f"--net={NAMESPACES / namespace}")


def write_sysctls(namespace: str | None, settings: tuple[str, ...]) -> None:
    """Write `path=value` below /proc/sys, in a namespace or (None) in the machine's own."""
    script = 'for setting; do [ ! -e "/proc/sys/${setting%%=*}" ] || echo "${setting#*=}" > "/proc/sys/${setting%%=*}"; done'
    run(*(inside(namespace) if namespace else ()), "sh", "-ec", script, "sh", *settings)


def namespaces_of(number: int) -> list[str]:
    """Return the network namespaces of a cluster that exist."""
    names = os.listdir(NAMESPACES) if NAMESPACES.is_dir() else []
    return sorted(name for name in names if name == f"pxc{number}" or name.startswith(f"pxc{number}-"))


def delete_namespace(name: str) -> None:
    """Remove a network namespace; its links go with it."""
    run("ip", "netns", "del", name)


def delete_link(number: int) -> None:
    """Remove the machine's link to a cluster, if it is there: at once, not when the kernel has cleaned up the namespace."""
    if link_exists(number):
        succeeds("ip", "link", "del", f"pxc{number}")


def link_exists(number: int) -> bool:
    """Return whether the machine has a link to a cluster of this number."""
    return Path(f"/sys/class/net/pxc{number}").exists()


def _ip(namespace: str, *commands: str) -> None:
    run("ip", "-n", namespace, "-batch", "-", given="\n".join(commands) + "\n")
