"""Options that several commands have, spelled as kubectl's."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import click

from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands import candidates

P = ParamSpec("P")
T = TypeVar("T")
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")

config_name = click.argument("name", default="default", shell_complete=candidates.configs)
"""Of a ProxyConfig that is there."""


class ObjectName(click.ParamType[str]):
    """A DNS subdomain, which names of objects are; where it is optional, empty is none."""

    name = "text"

    def __init__(self, limit: int = 253, *, optional: bool = False) -> None:
        self._limit, self._optional = limit, optional

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if (text or not self._optional) and (len(text) > self._limit or not _SUBDOMAIN.fullmatch(text)):
            fix = f"must be at most {self._limit} lower-case letters, digits, - and ., with a letter or digit at each end"
            self.fail(f"{text!r} {fix}", param, ctx)
        return text


NODE = ObjectName(optional=True)


def connection(namespace: str, holds: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """--kubeconfig, --context and -n, as an argument `connection`; `namespace` is the default of -n, and `holds` says what is there."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @click.option("--kubeconfig", type=click.Path(), default="", help="Kubeconfig file  [default: $KUBECONFIG, else ~/.kube/config]")
        @click.option("--context", default="", help="Context of the kubeconfig  [default: its current context]")
        @click.option("-n", "--namespace", default=namespace, show_default=True, help=f"Namespace of {holds}")
        @functools.wraps(function)
        def with_connection(*args: Any, kubeconfig: str, context: str, namespace: str, **options: Any) -> T:
            return function(*args, connection=Connection(kubeconfig, context, namespace), **options)

        return with_connection

    return decorate


def asynchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A coroutine function as a command's function."""

    @functools.wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> T:
        return asyncio.run(function(*args, **options))

    return run


def examples(*words: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  kubectl proxyconfig {each}" for each in words)
