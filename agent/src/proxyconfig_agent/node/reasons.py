"""The reasons that concern the host: its addresses, IP families, kernel modules, conntrack and sysctls. `report.reasons` has all."""

from __future__ import annotations

from proxyconfig_api.status.reasons import Reason

_DEGRADED = "`Degraded`, Event on the Node"
_SYSCTLS = "`SysctlsApplied`, `ConntrackConfigured`"

OF_THE_HOST = (
    Reason(
        "NoPodCIDRs",
        _DEGRADED,
        "`detectLocalMode` is NodeCIDR, and the Node has no podCIDRs. Traffic from pods is not recognized.",
        "Use ClusterCIDR with the pod ranges, unless an allocator of podCIDRs is about to set them.",
    ),
    Reason(
        "LocalTrafficOfOneFamily",
        "`Degraded` (False)",
        "`localTraffic` has ranges of one IP family only, and the node uses both.",
        "Add the ranges of the other family to `clusterCIDRs`.",
    ),
    Reason(
        "NodePortNetworksOfOneFamily",
        "`Degraded` (False)",
        "`nodePorts.addresses` has no CIDR of one IP family. Node ports are served on all addresses of that family.",
        "Add CIDRs of that family if this is too wide.",
    ),
    Reason(
        "NoNodePortAddress",
        _DEGRADED,
        "A CIDR of `nodePorts.addresses` contains no address of the node, or the Node has no address in its status yet.",
        "Correct `spec.nodePorts.addresses`, or wait for kubelet and the cloud provider.",
    ),
    Reason(
        "NodeAddressesKept",
        "`Degraded` (False)",
        "The Node's status has no address of its interfaces at the moment. The addresses that it had stay in force.",
        "Look at the node's kubelet or cloud provider.",
    ),
    Reason(
        "PrimaryAddressNotLocal",
        _DEGRADED,
        "The Node's primary address is on none of its interfaces, as with some clouds. Node ports are not served on it.",
        "List the node's networks in `spec.nodePorts.addresses`.",
    ),
    Reason(
        "FamilyNotServed",
        "`Degraded` or `Programmed`",
        "The kernel lacks something for one IP family. The other family is served.",
        "Nothing if the node does not use the family; else load the module that the message names.",
    ),
    Reason(
        "RulesNotRecorded",
        _DEGRADED,
        "The agent cannot record that the rules of iptables mode are its own: another mode would leave them in force.",
        "Make the directory writable that the message names.",
    ),
    Reason(
        "SchedulerMissing",
        _DEGRADED,
        "The kernel lacks the scheduler of `spec.ipvs.scheduler`. Services are served with rr.",
        "Load the module that the message names: the next full sync takes the scheduler; or choose another one.",
    ),
    Reason(
        "ModuleMissing",
        "`ModulesLoaded`",
        "A kernel module is neither loaded nor built in.",
        "Act on the message: the `modprobe` command, or the kernel's CONFIG option. `status.modules` lists all of them.",
    ),
    Reason(
        "ModuleNotPermitted",
        "`ModulesLoaded`",
        "The kernel has the module, and the init container may not load it.",
        "Load it on the host with the `modprobe` command of the message.",
    ),
    Reason(
        "LargerValueKept",
        "`ConntrackConfigured`",
        "A limit of the node is higher than the requested one and stays.",
        "Nothing, or lower the limit on the node.",
    ),
    Reason(
        "ConntrackNotAccessible",
        "`ConntrackConfigured`",
        "Stale UDP flows cannot be deleted: clients that never stop sending may reach endpoints that are gone.",
        "Load the module nf_conntrack_netlink on the host.",
    ),
    Reason(
        "SysctlMissing", _SYSCTLS, "The kernel does not have this sysctl.", "Load the module that brings it, or remove it from the spec."
    ),
    Reason("SysctlReadOnly", _SYSCTLS, "/proc/sys is mounted read-only in the agent's pod.", "Mount the host's /proc/sys/net writable."),
    Reason("SysctlRefused", _SYSCTLS, "The kernel refuses the sysctl to the agent.", "Set it on the host."),
    Reason("SysctlInvalid", _SYSCTLS, "The kernel does not accept the value.", "Correct the value in the spec."),
    Reason(
        "PreviousValuesNotSaved",
        "`SysctlsApplied`",
        "The old values of sysctls cannot be saved on the node; a restarted agent will not restore them.",
        "Make /run/proxyconfig writable on the node.",
    ),
)
