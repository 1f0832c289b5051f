"""The DaemonSet that runs the agents of one ProxyConfig, from `templates/daemonset.yaml.j2`. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import yaml

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.revision import HASH_LENGTH
from proxyconfig_api.spec import modes
from proxyconfig_api.spec.agent import Agent
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_operator.model.address import Address
from proxyconfig_operator.model.objects import Config, DaemonSet

POD_SELECTOR = f"app.kubernetes.io/name={names.AGENT}"
"""Finds the pods of all agents."""

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("proxyconfig_operator.decide"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - this is YAML; tojson quotes every value
    trim_blocks=True,
    lstrip_blocks=True,
)
# YAML does not put JSON's pairs of surrogates together.
_templates.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}


@dataclass(frozen=True, slots=True)
class Installation:
    """What is the same for all agents of a cluster."""

    namespace: str
    agent_image: str
    """For ProxyConfigs that name none."""
    api_server: Address
    """Its real address: agents need it before any Service works."""


def name_of(config: str) -> str:
    return f"proxyconfig-{config}"


def render(config: Config, installation: Installation) -> dict[str, Any]:
    """The DaemonSet of `config`, all of it that we own."""
    agent = config.spec.agent
    text = _templates.get_template("daemonset.yaml.j2").render(
        name=name_of(config.name),
        namespace=installation.namespace,
        component=names.AGENT,
        operator=names.OPERATOR,
        service_account=names.AGENT,
        config=config.name,
        config_label=names.CONFIG_LABEL,
        leaving_label=names.LEAVING_LABEL,
        state_folder=names.STATE_FOLDER,
        agent=codec.builtins(agent),
        image=agent.image or installation.agent_image,
        arguments=_arguments(agent),
        init_arguments=[*_arguments(agent), *_init_arguments(config.spec)],
        api_server=installation.api_server,
        needs=modes.pod_needs(config.spec.mode, config.spec.takeover),
        readiness=_probe(agent.healthz_bind_address, "/readyz"),
        liveness=_probe(agent.healthz_bind_address, "/livez"),
    )
    manifest: dict[str, Any] = yaml.safe_load(text)
    return with_template(manifest, _named(manifest["spec"]["template"]))


def with_template(manifest: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The DaemonSet with another template. Nothing else of it depends on the spec of its ProxyConfig, and neither do the nodes that have
    its pods: an earlier version's template knows none that leave."""
    where = {key: manifest["spec"]["template"]["spec"][key] for key in ("nodeSelector", "affinity")}
    return {**manifest, "spec": {**manifest["spec"], "template": {**template, "spec": {**template.get("spec", {}), **where}}}}


def pod_revision_of(manifest: Mapping[str, Any]) -> str:
    """The name of the DaemonSet's template."""
    return str(manifest["spec"]["template"]["metadata"]["labels"][names.POD_REVISION_LABEL])


def _named(template: Mapping[str, Any]) -> dict[str, Any]:
    """With a label that is a hash of all the rest, on the pods as well."""
    metadata = template["metadata"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]
    return {**template, "metadata": {**metadata, "labels": {**metadata["labels"], names.POD_REVISION_LABEL: digest}}}


def names_of(needs: modes.PodNeeds) -> frozenset[str]:
    """Its capabilities and host paths, comparable with `granted_by`."""
    return frozenset((*needs.capabilities, *(each.path for each in needs.host_paths)))


def granted_by(template: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities and mounts of the agent's container in pods of a template."""
    containers = template.get("spec", {}).get("containers") or ()
    agent: Mapping[str, Any] = next((each for each in containers if each.get("name") == names.AGENT), {})
    capabilities = agent.get("securityContext", {}).get("capabilities", {}).get("add") or ()
    return frozenset((*capabilities, *(each["mountPath"] for each in agent.get("volumeMounts") or ())))


def differs(wanted: Mapping[str, Any], existing: DaemonSet | None) -> bool:
    """Whether applying `wanted` would change something; defaults that the API server filled in do not count."""
    if existing is None:
        return True
    labels = existing.metadata.labels or {}
    return not _holds(labels, wanted["metadata"]["labels"]) or not _holds(existing.spec, wanted["spec"])


def _arguments(agent: Agent) -> list[str]:
    return [
        "--node-name=$(NODE_NAME)",
        f"--healthz-bind-address={agent.healthz_bind_address}",
        f"--metrics-bind-address={agent.metrics_bind_address}",
        f"--log-level={agent.log_level}",
        f"--log-format={agent.log_format}",
    ]


def _init_arguments(spec: ProxyConfigSpec) -> list[str]:
    return ["--init", f"--mode={spec.mode}", *(f"--module={name}" for name in spec.kernel.modules)]


def _probe(bind_address: str, path: str) -> dict[str, Any]:
    """The address of kubelet's probes; empty without `healthzBindAddress`."""
    host, _, port = bind_address.rpartition(":")
    if not port:
        return {}
    one = host.strip("[]") not in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return {"path": path, "port": int(port)} | ({"host": host.strip("[]")} if one else {})


def _holds(actual: Any, wanted: Any) -> bool:
    """Whether `wanted` is in `actual`, where the API server leaves out what is empty and adds defaults."""
    if isinstance(wanted, Mapping):
        return (isinstance(actual, Mapping) and all(_holds(actual.get(key), value) for key, value in wanted.items())) or not (
            wanted or actual
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not wanted:
            return not actual
        same = isinstance(actual, Sequence) and len(actual) == len(wanted)
        return same and all(_holds(mine, theirs) for mine, theirs in zip(actual, wanted, strict=True))
    return actual == wanted or str(actual) == str(wanted) or (wanted in ("", None) and not actual)
