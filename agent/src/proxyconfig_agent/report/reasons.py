"""Every reason in the conditions of a NodeProxy and in the Events of an agent. `docs/conditions.md` shows it."""

from __future__ import annotations

from proxyconfig_agent.node.reasons import OF_THE_HOST
from proxyconfig_api.status.reasons import Reason

_SERVES = "`Ready`, `Programmed`"
_DEGRADED = "`Degraded`, Event on the Node"

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
        "The kernel or the programs of the node lack something that the mode needs; with `auto`, that every mode needs. The mode that "
        "ran before keeps running.",
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
        "Keep kube-proxy off the node: the message says how.",
    ),
    Reason(
        "WaitingForKubeProxy",
        f"{_SERVES}, `worstNodes`",
        "A kube-proxy runs on the node and serves; the agent changes nothing there before it has ended (`spec.takeover: Wait`).",
        "Keep kube-proxy off the node: the agent continues within seconds. Or set `spec.takeover: Adopt`, to program the node beside it.",
    ),
    Reason(
        "GivingBack",
        "in the message of `Ready` and `Programmed`",
        "The node leaves its ProxyConfig with `spec.removalPolicy: Keep`: the agent serves it until a kube-proxy has its own rules there, "
        "from modes `iptables` and `ipvs` in mode `nftables`.",
        "Let kube-proxy's pod come to the node; or set `spec.removalPolicy: Remove`: the rules go without it.",
    ),
    Reason(
        "Observing",
        _SERVES,
        "The agent programs nothing and compares (`spec.takeover: Observe`). Ready is True: the node does what its revision asks for.",
        "Set `spec.takeover` to `Wait` when the comparison is good.",
    ),
    Reason(
        "KubeProxyRulesLeft",
        "`OtherProxyPresent` (True)",
        "Rules that a kube-proxy made, and that the agent has not taken over, are on the node.",
        "Nothing where the agent serves: it removes them once two looks find no kube-proxy and no change is held. Where the message asks "
        "for it, run `kube-proxy --cleanup` there, or use mode ipvs with `ipvs.adoptKubeProxy`.",
    ),
    Reason(
        "KubeProxyRulesRemoved",
        "Event on the Node",
        "The agent has removed what a kube-proxy that has ended left on the node; the message says what, and what a scan found afterwards.",
    ),
    Reason(
        "PortTaken",
        _DEGRADED,
        "The port of /healthz or /metrics is in use on the node. Not reported while nothing is programmed beside a kube-proxy: "
        "the ports are kube-proxy's.",
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
    *OF_THE_HOST,
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
