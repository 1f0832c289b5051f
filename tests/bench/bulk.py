"""Makes thousands of Services in seconds: copies of one that the API server made, written into etcd as it would have written them."""

from __future__ import annotations

import base64
import http.client
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from tests.bench import world
from tests.bench.world import World
from tests.support.netns.namespace import Namespace

ETCD = ("127.0.0.1", 2379)
OPERATIONS = 120
"""Of one transaction; etcd takes 128."""

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Originals:
    """The objects of one Service, as the API server returns them."""

    service: Object
    endpoint_slice: Object
    address: Object
    """The IPAddress that reserves its ClusterIP."""


class EtcdError(Exception):
    """etcd did not take a transaction."""


class Etcd:
    """The etcd of a control plane, which listens in the control plane's namespace alone."""

    def __init__(self, namespace: str) -> None:
        self._connection = http.client.HTTPConnection(*ETCD)
        self._connection.sock = Namespace(namespace, "").call(socket.create_connection, ETCD, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def put(self, pairs: Iterable[tuple[str, Object]]) -> int:
        """Write these objects; return the revision of the last transaction. Raises EtcdError."""
        revision, left = 0, iter(pairs)
        while some := list(islice(left, OPERATIONS)):
            body = {
                "success": [{"requestPut": {"key": _text(key.encode()), "value": _text(msgspec.json.encode(item))}} for key, item in some]
            }
            self._connection.request("POST", "/v3/kv/txn", msgspec.json.encode(body))
            answer = msgspec.json.decode(self._connection.getresponse().read())
            if not answer.get("succeeded"):
                raise EtcdError(str(answer.get("message", answer)))
            revision = int(answer["header"]["revision"])
        return revision


def copies(originals: Originals, written: World, numbers: Iterable[int]) -> Iterator[tuple[str, Object]]:
    """The objects of these Services with their keys in etcd: like the originals, with their own names, addresses and uids."""
    for number in numbers:
        name, address = world.service_name(number), world.cluster_ip(number)
        service, endpoint_slice = world.service(number), written.endpoint_slice(number)
        spec = {**originals.service["spec"], **service["spec"], "clusterIPs": [address]}
        yield f"/registry/services/specs/{world.NAMESPACE}/{name}", _like(originals.service, service, spec=spec)
        key = f"/registry/endpointslices/{world.NAMESPACE}/{world.slice_name(number)}"
        yield key, _like(originals.endpoint_slice, endpoint_slice, **{part: endpoint_slice[part] for part in ("endpoints", "ports")})
        reference = {**originals.address["spec"]["parentRef"], "name": name}
        yield f"/registry/ipaddresses/{address}", _like(originals.address, {"metadata": {"name": address}}, spec={"parentRef": reference})


def _like(original: Object, own: Object, **parts: Any) -> Object:
    metadata = {**original["metadata"], **own["metadata"], "uid": str(uuid.uuid4())}
    del metadata["resourceVersion"]  # etcd's own revision is what the API server tells
    return {**original, **parts, "metadata": metadata}


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
