"""Server-side apply of small objects, or of a part of their status.

Apply creates what is absent. Send `metadata.uid` to touch only an object that exists: absent is then a 409, another of that name a 422.
"""

from __future__ import annotations

from typing import Any

from proxyconfig_client.apiserver.client import ApiClient


async def apply(client: ApiClient, path: str, body: Any, *, manager: str, force: bool = True) -> bytes:
    """Apply `body` (apiVersion, kind, metadata.name and the fields that `manager` owns) at `path`; return the object's JSON.

    `path` is that of the object, or of its subresource (`api.path_of(…, subresource="status")`). Raises ApiError.
    """
    query = {"fieldManager": manager} | ({"force": "true"} if force else {})
    return await client.call("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")
