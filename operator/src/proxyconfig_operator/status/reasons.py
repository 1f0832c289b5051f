"""Every reason in the status of a ProxyConfig and in the Events of the operator. `docs/conditions.md` shows it."""

from __future__ import annotations

from proxyconfig_api.status.reasons import Reason

_WORST = "`worstNodes`"
_EVENT = "Event on the ProxyConfig"

REASONS = (
    Reason("AllNodesReady", "`Ready`", "All nodes run the current revision, and their Services work."),
    Reason(
        "NoNodes",
        "`Ready`",
        "No node belongs to this ProxyConfig.",
        "Correct `spec.nodeSelector` or `spec.priority` if that is not intended.",
    ),
    Reason("AsExpected", "`Reconciling`, `Stalled`, `Progressing`, `Degraded`", "There is nothing to do, and no problem."),
    Reason(
        "RollingOut",
        f"`Ready`, `Reconciling`, `Progressing`, {_EVENT}",
        "Nodes are getting the current revision.",
        "Wait; if it takes long, `status.worstNodes` names the nodes that are behind.",
    ),
    Reason(
        "RollingBack",
        f"`Reconciling`, `Progressing`, {_EVENT}",
        "More nodes have failed than `spec.rollout.maxFailures` allows: nodes that have the revision go back to the one before.",
        "Wait; then act on the message.",
    ),
    Reason(
        "RolloutFailed",
        f"`Ready`, `Stalled`, {_EVENT}",
        "A rollout has failed. The message has the first node that failed, with the words of its probe; "
        "`status.rollout` says whether nodes are back on the revision before.",
        "Act on the message; then change the spec, revert it, or annotate the ProxyConfig with another value of `proxyconfig.dev/retry`.",
    ),
    Reason(
        "ProgressDeadlineExceeded",
        f"`Ready`, `Stalled`, {_EVENT}",
        "In a first installation nodes were not ready within `spec.rollout.progressDeadline`. It goes on; this ends as they get ready.",
        "Act on the words of the first of them in the message; `status.worstNodes` names more. Correct the node, or the spec.",
    ),
    Reason("WaveStarted", _EVENT, "The next nodes get the revision; those before are healthy on it."),
    Reason("RolloutComplete", _EVENT, "All waves are over, and their nodes were healthy for `spec.rollout.holdPeriod`."),
    Reason(
        "RolledBack", f"{_EVENT}, {_WORST}", "Nodes are back on the earlier revision: the rollout failed, or probes failed on a node alone."
    ),
    Reason(
        "NodesFailing",
        "`Ready`, `Reconciling`, `Progressing`, `Degraded`",
        "Some nodes report a problem and do not serve as configured.",
        "Act on the message; `status.worstNodes` and `kubectl get npx -o wide` name all of them.",
    ),
    Reason(
        "NodesUnreachable",
        "`Ready`, `Reconciling`, `Progressing`, `Degraded`",
        "The state of some nodes is unknown, as they stopped reporting. Their kernel usually keeps serving by the rules that it has.",
        "Check these nodes: `kubectl describe node NODE`.",
    ),
    Reason(
        "NodesDegraded",
        "`Degraded`",
        "All nodes serve, but some report that a part of the configuration is not in force.",
        "Act on the message.",
    ),
    Reason(
        "InvalidSpec",
        "`Ready`, `Stalled`",
        "The spec was stored before a rule of the schema forbade it, or around the schema. Nodes keep their revision.",
        "Correct the field that the message names.",
    ),
    Reason(
        "ModeNotAvailable",
        "`Ready`, `Stalled`",
        "The mode is not in this version. Nodes keep their revision.",
        "Set nftables, iptables, ipvs, userspace or auto, or upgrade.",
    ),
    Reason(
        "WriteRefused",
        "`Ready`, `Stalled`",
        "The API server refused a write of the operator: missing rights, an admission policy or a quota.",
        "Act on the error in the message; the operator tries again by itself.",
    ),
    Reason(
        "Paused",
        f"`Ready`, `Paused`, {_EVENT}",
        "`spec.rollout.paused` is true: no further node changes. `Ready` has this reason where a change waits; "
        "the message and `status.plan` say which.",
        "Set it to false to go on.",
    ),
    Reason("NotPaused", "`Paused`", "Changes of the spec are rolled out."),
    Reason("Resumed", _EVENT, "`spec.rollout.paused` is false again."),
    Reason(
        "NodesBelongToOthers",
        f"`Overlapping`, {_EVENT}",
        "Some selected nodes belong to another ProxyConfig with a higher priority or age.",
        "Narrow the node selector of one of them, or set `spec.priority`.",
    ),
    Reason(
        "NodesHaveOtherProxy",
        "`OtherProxyPresent`",
        "A kube-proxy, or rules that it left, are on some nodes. The message counts and names them by the reason of their NodeProxies.",
        "Act on the message of the condition `OtherProxyPresent` of these NodeProxies.",
    ),
    Reason("NoOtherProxy", "`OtherProxyPresent`", "No node reports another proxy."),
    Reason("NoOverlap", "`Overlapping`", "No other ProxyConfig selects these nodes with a higher priority or age."),
    Reason("NotStalled", _EVENT, "The ProxyConfig can be rolled out again."),
    Reason("NotDegraded", _EVENT, "No node reports a problem any more."),
    Reason("NoOverlapping", _EVENT, "All selected nodes belong to this ProxyConfig again."),
    Reason("Ready", _EVENT, "All nodes run the current revision, and their Services work."),
    Reason(
        "Deleting",
        "`Ready`, `Reconciling`, `Progressing`",
        "The ProxyConfig is being deleted: the operator waits until its nodes have removed their rules, two minutes at most.",
    ),
    Reason(
        "GivingBack",
        f"`Ready`, `Reconciling`, `Progressing`, {_EVENT}",
        "Nodes leave with `spec.removalPolicy: Keep`: their agents serve them until a kube-proxy has its own rules there. "
        "A ProxyConfig that is deleted waits for that.",
        "Let kube-proxy's pods come to the nodes; or set `spec.removalPolicy: Remove`, which works while it waits as well: the rules go "
        "without kube-proxy.",
    ),
    Reason("RemovalRequested", _EVENT, "Nodes are asked to remove their rules."),
    Reason("Removed", _EVENT, "The ProxyConfig is released; the message says whether every node has confirmed that its rules are gone."),
    Reason(
        "RemovalNotProven",
        f"{_EVENT}, or on a Node",
        "Nodes did not confirm in time that their rules are gone, usually as they are down. Their NodeProxies keep asking for it.",
        "Nothing if they come back: their agents clean up then. Else run the clean-up of "
        "[troubleshooting.md](troubleshooting.md#clean-up-on-a-node) there and delete their NodeProxies.",
    ),
    Reason("NodeNotReady", _WORST, "The Node's condition Ready is Unknown; kubelet's own reason, if it has one, stands here instead."),
    Reason(
        "AgentMissing",
        _WORST,
        "The DaemonSet controller has not made a pod for the node yet.",
        "If it lasts: `kubectl -n proxyconfig-system describe ds`.",
    ),
    Reason("AgentStarting", _WORST, "The agent's pod is starting."),
    Reason("AgentNotReady", _WORST, "The agent runs and has not programmed the node yet.", "If it lasts, look at the agent's log."),
    Reason(
        "AgentOutdated",
        _WORST,
        "The agent's pod is about to be replaced by one of the pod revision that the node was given.",
        "If it lasts, look at the pod and its DaemonSet: `kubectl -n proxyconfig-system describe ds`.",
    ),
    Reason("AgentEnding", _WORST, "The agent's pod is terminating."),
    Reason(
        "PodFailed",
        _WORST,
        "The agent's pod has failed; kubelet's own reason, if it has one, stands here instead.",
        "`kubectl -n proxyconfig-system describe pod POD`.",
    ),
    Reason(
        "Unschedulable",
        _WORST,
        "The agent's pod cannot be scheduled to the node.",
        "Act on the scheduler's message: usually resources or a taint.",
    ),
    Reason("Waiting", _WORST, "A container of the agent waits; kubelet gives no reason."),
    Reason(
        "Error",
        _WORST,
        "A container of the agent has ended with an error; the message has its last line.",
        "Look at its log with `--previous`.",
    ),
    Reason("ErrImagePull", _WORST, "kubelet cannot pull the agent's image.", "Correct `spec.agent.image` or `imagePullSecrets`."),
    Reason("ImagePullBackOff", _WORST, "kubelet cannot pull the agent's image and waits before it tries again.", "As for `ErrImagePull`."),
    Reason(
        "NotReported",
        _WORST,
        "The agent runs and has not reported yet.",
        "If it lasts, look at the agent's log: usually it cannot reach the API server.",
    ),
    Reason("Holding", _WORST, "The node runs the current revision, and keeps the old rules ready for `spec.rollout.holdPeriod`."),
    Reason("Applying", _WORST, "The agent is about to apply the current revision."),
    Reason(
        "NotApplied",
        _WORST,
        "The agent has not applied the current revision within five minutes.",
        "Look at the conditions of the NodeProxy and at the agent's log.",
    ),
    Reason(
        "AgentSilent",
        _WORST,
        "The agent has not renewed its Lease for two minutes: it cannot reach the API server or read the cluster. "
        "Its rules stay as they were, and may be stale.",
        "Look at the agent's log, its rights and its way to the API server.",
    ),
    Reason("Unknown", _WORST, "No reason was given."),
)
"""First the conditions, then the Events, then the reasons of single nodes, where those of their NodeProxy and of kubelet stand, too."""
