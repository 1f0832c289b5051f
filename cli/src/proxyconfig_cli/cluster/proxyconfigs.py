"""ProxyConfigs, their revisions and their nodes: what commands read, and the small changes that they make."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import kept
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.rollout import RETRY_ANNOTATION
from proxyconfig_cli.cluster.connection import MANAGER
from proxyconfig_cli.rollout.history import COMPONENT, COMPONENT_LABEL, Revision
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.errors import ClientError, is_conflict, is_missing, is_unknown

T = TypeVar("T")
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""What the API server then answers: https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches."""
_MERGE = "application/merge-patch+json"


class Refused(ClientError):  # noqa: N818 - the outcome, not a fault of ours
    """What a command cannot do in this cluster: one sentence with the fix."""


class Missing(Refused):
    """There is no ProxyConfig of that name."""


class _List(msgspec.Struct, frozen=True):
    items: tuple[msgspec.Raw, ...] = ()


class _Named(msgspec.Struct, frozen=True):
    metadata: Metadata


class _Written(msgspec.Struct, frozen=True):
    metadata: dict[str, Any]


class _Names(msgspec.Struct, frozen=True):
    items: tuple[_Named, ...] = ()


async def raw(client: ApiClient, name: str) -> dict[str, Any]:
    """The ProxyConfig as dicts and lists. Raises Missing, Refused."""
    with known(name):
        found: dict[str, Any] = msgspec.json.decode(await client.get(_path(name)))
    return found


async def one(client: ApiClient, name: str) -> ProxyConfig:
    """Raises Missing, Refused. A spec that is invalid by rules newer than the object is no error here."""
    return _decoded(await raw(client, name), ProxyConfig, f"the ProxyConfig {name}")


async def find(client: ApiClient, name: str) -> ProxyConfig | None:
    try:
        return await one(client, name)
    except Missing:
        return None


async def others(client: ApiClient, name: str) -> tuple[ProxyConfig, ...]:
    """All ProxyConfigs but one, as the operator takes them: one that it does not understand keeps the nodes that it has."""
    found = await listed(client, path_of(names.API_VERSION, "proxyconfigs"), dict[str, Any])
    return tuple(_understood(each) for each in found if each["metadata"]["name"] != name)


async def revisions(client: ApiClient, config: str, namespace: str, component: str = COMPONENT) -> tuple[Revision, ...]:
    """Of what its nodes do, or of another component of it."""
    selector = f"{names.CONFIG_LABEL}={config},{COMPONENT_LABEL}={component}"
    return await listed(client, path_of("apps/v1", "controllerrevisions", namespace=namespace), Revision, selector)


async def nodes(client: ApiClient, config: str) -> tuple[NodeProxy, ...]:
    """Of one ProxyConfig; of all, if `config` is empty. None in a cluster that does not know ProxyConfigs yet."""
    try:
        found = await listed(client, path_of(names.API_VERSION, "nodeproxies"), NodeProxy)
    except ClientError as error:
        if not is_missing(error):
            raise
        return ()
    return tuple(proxy for proxy in found if config in ("", proxy.spec.config_name))


async def listed(client: ApiClient, path: str, kind: type[T], selector: str = "") -> tuple[T, ...]:
    """All objects of a collection; with a label selector."""
    query = {"labelSelector": selector} if selector else {}
    items = msgspec.json.decode(await client.get(path, query=query), type=_List).items
    return tuple(_decoded(bytes(item), kind, f"an object of {path}") for item in items)


async def names_of(client: ApiClient, path: str) -> tuple[str, ...]:
    """The names in a collection, without the rest of its objects: a Node is 10 KiB, its metadata a tenth."""
    async with client.open("GET", path, accept=METADATA) as response:
        read = await response.read(client.response_limit)
    return tuple(item.metadata.name for item in msgspec.json.decode(read, type=_Names).items)


async def check(client: ApiClient, manifest: dict[str, Any]) -> None:
    """Let the API server check an object as if it were applied. Raises ApiError with its words; Refused."""
    query = {"fieldManager": MANAGER, "force": "true", "dryRun": "All"}
    name = str(manifest["metadata"]["name"])
    with known(name):
        await client.call("PATCH", _path(name), query=query, body=manifest, content_type="application/apply-patch+yaml")


async def schema(client: ApiClient) -> dict[str, Any]:
    """The schema of `spec` in the cluster's CRD."""
    path = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions", f"proxyconfigs.{names.GROUP}")
    versions = msgspec.json.decode(await client.get(path))["spec"]["versions"]
    found: dict[str, Any] = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


async def set_paused(client: ApiClient, name: str, *, paused: bool) -> dict[str, Any]:
    """Return the metadata of what is there now."""
    return await _patch(client, name, {"spec": {"rollout": {"paused": paused}}})


async def retry(client: ApiClient, name: str, stamp: str) -> dict[str, Any]:
    """Start a failed rollout of the same revision again. Return the metadata of what is there now."""
    return await _patch(client, name, {"metadata": {"annotations": {RETRY_ANNOTATION: stamp}}})


async def replace_spec(client: ApiClient, config: dict[str, Any], spec: dict[str, Any], *, dry_run: bool) -> None:
    """Write `spec` into the object that `config` was read as. Raises Refused if somebody else has written it since."""
    name = config["metadata"]["name"]
    query = {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})
    try:
        with known(name):
            await client.call("PUT", _path(name), query=query, body=config | {"spec": spec})
    except ClientError as error:
        if not is_conflict(error):
            raise
        raise Refused(f"the ProxyConfig {name} was changed meanwhile: look at it and try again") from None


async def _patch(client: ApiClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    with known(name):
        answer = await client.call("PATCH", _path(name), query={"fieldManager": MANAGER}, body=body, content_type=_MERGE)
    return msgspec.json.decode(answer, type=_Written).metadata


@contextlib.contextmanager
def known(name: str) -> Iterator[None]:
    """Around a request for the ProxyConfig `name`. Raises Missing if there is none; Refused if the cluster knows no ProxyConfigs at all."""
    try:
        yield
    except ClientError as error:
        if is_unknown(error):
            raise Refused("the cluster has no ProxyConfigs: install the operator first (make deploy, README)") from None
        if not is_missing(error):
            raise
        raise Missing(f"there is no ProxyConfig {name}: kubectl get kpx lists them") from None


def _understood(manifest: dict[str, Any]) -> ProxyConfig:
    try:
        return ProxyConfig.parse(manifest)
    except InvalidSpec:
        return kept(manifest)


def _decoded(found: dict[str, Any] | bytes, kind: type[T], what: str) -> T:
    """Raises Refused for what an operator of another version may have written."""
    try:
        return codec.decode(found, kind)
    except InvalidSpec as error:
        raise Refused(
            f"{what} in the cluster is not understood ({error}): install the kubectl-proxyconfig of its operator's version"
        ) from None


def _path(name: str) -> str:
    return path_of(names.API_VERSION, "proxyconfigs", name)
