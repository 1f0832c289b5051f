"""Every reason in the conditions of a NodeProxy and in the Events of an agent. `docs/conditions.md` shows it."""

from __future__ import annotations

from proxyconfig_api.status.reasons import Reason

_SERVES = "`Ready`, `Programmed`"
_DEGRADED = "`Degraded`, Event on the Node"
_SYSCTLS = "`SysctlsApplied`, `ConntrackConfigured`"

REASONS = (
    Reason("Synced", _SERVES, "All Services are in the kernel."),
    Reason(
        "AsExpected",
        "`Degraded`, `Connected`, `ConntrackConfigured`, `ModulesLoaded`, `SysctlsApplied`, `OtherProxyPresent` (False)",
        "The node matches its ProxyConfig.",
    ),
    Reason(
        "Starting",
        _SERVES,
        "The agent has started and has not programmed the node yet. The kernel keeps the rules of the earlier agent.",
        "Wait. After a minute look at the agent's log: usually it cannot reach the API server.",
    ),
    Reason(
        "ListFailed",
        "`Ready`, `Connected`, Event on the Node",
        "A resource that the first sync waits for cannot be listed. The kernel keeps the rules of the earlier agent.",
        "Act on the API server's words in the message: usually the agent's rights, or its way to the API server.",
    ),
    Reason(
        "WatchDown",
        "`Ready`, `Connected`, Event on the Node",
        "A watch has been down for a minute. The rules work, and may be out of date.",
        "Act on the API server's words in the message; the agent connects again by itself.",
    ),
    Reason(
        "SyncFailed",
        _SERVES,
        "The kernel or an iptables program refused the last commit. The rules of the commit before are in force.",
        "Act on the error in the message; the agent tries again by itself.",
    ),
    Reason(
        "ModeUnsupported",
        f"{_SERVES}, `status.mode`",
        "The kernel or the programs of the node lack something that the mode needs; with `auto`, that every mode needs. A mode that ran "
        "before goes on.",
        "Load the module that the message names, update the kernel, or set another `spec.mode` for this node.",
    ),
    Reason("AsConfigured", "`status.mode`", "The mode is the one that `spec.mode` names."),
    Reason("FirstChoice", "`status.mode`", "`auto` has taken the first mode in its order: the kernel has all that it needs."),
    Reason(
        "NextBest",
        "`status.mode`",
        "`auto` has taken the first mode in its order that works on the node; the message says what the kernel lacks for those before it.",
        "Nothing; or load the module, or use a kernel with the option, that the message names, and restart the agent.",
    ),
    Reason(
        "ModeChanged",
        "Event on the Node",
        "`auto` has taken another mode than before; the message says why. Services and connections keep working.",
    ),
    Reason(
        "ProbesFailed",
        "`Degraded`, `status.change`, Event on the Node",
        "After a change of the revision, probes fail that passed before it; `status.change.probes` has their words. With `onFailure: "
        "Rollback` the node is back at the revision before (`status.change.phase: RolledBack`), else it keeps the new one.",
        "Act on the probes' words, then give the node another revision; the one that failed is not tried again by itself.",
    ),
    Reason(
        "Removed", f"{_SERVES}, `Degraded`", "The node's ProxyConfig was deleted, or does not select the node any more; its rules are gone."
    ),
    Reason(
        "RemovalIncomplete",
        "`Degraded`",
        "Objects of the agent are still in the kernel after the removal.",
        "The agent tries again. If it stays, run the clean-up of [troubleshooting.md](troubleshooting.md#clean-up-on-a-node).",
    ),
    Reason(
        "RemovalFailed",
        f"{_SERVES}, Event on the Node",
        "The removal of the rules failed.",
        "The agent tries again. Act on the error in the message.",
    ),
    Reason(
        "QuarantinedServices",
        "`Degraded`",
        "Some Services are not served, wholly or in part; all others are. `status.quarantined` names them with the reason.",
        "Correct these Services.",
    ),
    Reason(
        "Quarantined",
        "Event on the Service",
        "The Service is not served on any node, wholly or in part.",
        "Correct what the message names.",
    ),
    Reason(
        "ServiceRefused",
        "Event on the Node",
        "The kernel of this node refuses a Service, which other nodes serve; or it lacks the scheduler that the Service asks for in ipvs "
        "mode, and serves it with the ProxyConfig's.",
        "Act on the error in the message: usually memory, a kernel limit or a module of this node.",
    ),
    Reason(
        "DriftRepaired",
        "Event on the Node",
        "Another program changed the agent's rules. They are repaired.",
        "Find the program if it happens again: a second kube-proxy, a firewall manager, `iptables-restore` in a script.",
    ),
    Reason(
        "KubeProxyRunning",
        "`OtherProxyPresent` (True)",
        "A kube-proxy answers on the node; the message has its mode, and rules that are its own. Two proxies disturb each other's rules.",
        "Keep kube-proxy off the node: the message says how. Until then nothing is changed about it.",
    ),
    Reason(
        "KubeProxyRulesLeft",
        "`OtherProxyPresent` (True)",
        "Rules that a kube-proxy made, and that the agent has not taken over, are on the node.",
        "Run `kube-proxy --cleanup` there once no kube-proxy runs, or use the mode that takes them over (docs/modes.md).",
    ),
    Reason(
        "PortTaken",
        _DEGRADED,
        "The port of /healthz or /metrics is in use on the node.",
        "Stop the other program, most often a kube-proxy, or change `spec.agent.healthzBindAddress` or `metricsBindAddress`.",
    ),
    Reason("CannotListen", _DEGRADED, "The agent cannot listen on its address.", "Correct the address in `spec.agent`."),
    Reason(
        "HealthCheckNodePortsClosed",
        _DEGRADED,
        "Health check node ports of some Services cannot be opened. Load balancers skip this node for these Services.",
        "Stop the program that uses the port, or choose another `spec.healthCheckNodePort`.",
    ),
    Reason(
        "FailedToStartServiceHealthcheck",
        "Event on the Service",
        "Some node cannot open the Service's health check node port.",
        "As for `HealthCheckNodePortsClosed`.",
    ),
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
    Reason(
        "UnknownFields",
        _DEGRADED,
        "The agent is older than the operator and ignores the fields of the revision that the message names; all others are in force.",
        "Update the agent's image.",
    ),
    Reason(
        "NodeProxyUndecodable",
        _DEGRADED,
        "The agent is older than the operator and cannot read its NodeProxy; the last order stays in force.",
        "Update the agent's image.",
    ),
    Reason(
        "RevisionInvalid",
        _DEGRADED,
        "The agent cannot use the revision, usually as it is older than the operator. The last good revision stays in force.",
        "Update the agents' image.",
    ),
    Reason(
        "RevisionUnreadable",
        _DEGRADED,
        "The agent cannot read the revision from the API server. The last good revision stays in force.",
        "Act on the error in the message; the agent tries again by itself.",
    ),
    Reason(
        "ConfigurationInvalid",
        "`Degraded`",
        "The file of `--config` is invalid. The last good configuration stays in force.",
        "Correct the file.",
    ),
    Reason(
        "ServingFromCheckpoint",
        _DEGRADED,
        "The API server did not answer at the start: Services are served as the checkpoint has them (`--state-dir`).",
        "Make the API server reachable from the node.",
    ),
)
"""In the order in which a reader meets them: the state of Services, then settings, then the agent itself."""
