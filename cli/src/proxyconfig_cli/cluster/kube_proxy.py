"""Where a cluster keeps kube-proxy's configuration."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.errors import ApiError, ClientError, is_missing


class NotFound(ClientError):  # noqa: N818 - the API's word
    """An object or key that a source should have: one sentence with the fix."""


class _ConfigMap(msgspec.Struct, frozen=True):
    data: Mapping[str, str] = {}


class _Container(msgspec.Struct, frozen=True):
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...]


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec


class _DaemonSetSpec(msgspec.Struct, frozen=True):
    template: _Template


class _DaemonSet(msgspec.Struct, frozen=True):
    spec: _DaemonSetSpec


async def config_map(client: ApiClient, namespace: str, name: str, key: str) -> str:
    """The value of a ConfigMap's key. Raises NotFound."""
    try:
        found = msgspec.json.decode(await client.get(path_of("v1", "configmaps", name, namespace=namespace)), type=_ConfigMap)
    except ApiError as error:
        if not is_missing(error):
            raise
        raise NotFound(
            f"there is no ConfigMap {namespace}/{name}: name kube-proxy's with -n and --configmap, or import with --from flags or configz"
        ) from None
    if key not in found.data:
        raise NotFound(f"the ConfigMap {namespace}/{name} has no key {key}, only {', '.join(found.data) or 'none'}: name it with --key")
    return found.data[key]


async def command_line(client: ApiClient, namespace: str, name: str) -> tuple[str, ...]:
    """The words of the first container of kube-proxy's DaemonSet. Raises NotFound."""
    try:
        raw = await client.get(path_of("apps/v1", "daemonsets", name, namespace=namespace))
    except ApiError as error:
        if not is_missing(error):
            raise
        raise NotFound(
            f"there is no DaemonSet {namespace}/{name}: give kube-proxy's flags after --, as in `import --from flags -- --proxy-mode=ipvs`"
        ) from None
    container = msgspec.json.decode(raw, type=_DaemonSet).spec.template.spec.containers[0]
    return (*container.command, *container.args)


async def configz(client: ApiClient, node: str) -> str:
    """What the kube-proxy that runs on `node` answers at /configz, through the API server. Raises NotFound where it does not."""
    path = f"{path_of('v1', 'nodes', f'{node}:10249', subresource='proxy')}/configz"
    try:
        return (await client.get(path)).decode()
    except ApiError as error:
        raise NotFound(
            f"/configz of kube-proxy on {node} cannot be read through the API server ({error}): by default kube-proxy listens on 127.0.0.1 "
            f"alone; run `curl -s http://127.0.0.1:10249/configz >configz.json` on the node, then `import --from file -f configz.json`"
        ) from None
