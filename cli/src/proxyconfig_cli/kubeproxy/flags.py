"""kube-proxy's command line, as pflag reads it, to the fields that it sets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_cli.kubeproxy.bind_addresses import HEALTHZ_PORT, METRICS_PORT, default_hosts, with_port
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.fields import BY_FLAG, IN_NFTABLES_MODE, PROCESS_FLAGS, Field, Kind

_SWITCHES = {"--cleanup", "--init-only", "--version"}
_TRUE, _FALSE = {"1", "t", "T", "true", "TRUE", "True"}, {"0", "f", "F", "false", "FALSE", "False"}
_BESIDE_A_FILE = ("--hostname-override", "-v", "--vmodule", "--log", "--master", "--cleanup", "--init-only", "--write-config-to")
"""The flags, or beginnings of flags, that kube-proxy reads when there is a configuration file (options.go, Complete)."""
_SERVERS = (("--healthz-port", "healthzBindAddress", HEALTHZ_PORT, 0), ("--metrics-port", "metricsBindAddress", METRICS_PORT, 1))


def config_file(words: Sequence[str]) -> str:
    """The file of `--config`; empty if there is none."""
    return dict(_pairs(_arguments(words))).get("--config", "")


def parse(words: Sequence[str]) -> Configuration:
    """The fields that the command line `words` sets; k3s's way to write them, `proxy-mode=ipvs`, is understood as well.

    With `--config`, only the flags that kube-proxy reads beside a file. Raises InvalidSpec."""
    pairs = [(name, value) for name, value in _pairs(_arguments(words)) if name]
    if any(name == "--config" for name, _ in pairs):
        pairs = [(name, value) for name, value in pairs if name.startswith(_BESIDE_A_FILE)]
    is_nftables = dict(pairs).get("--proxy-mode") == "nftables"
    values: dict[str, object] = {}
    for name, text in pairs:
        if name in BY_FLAG:
            values[(IN_NFTABLES_MODE if is_nftables else {}).get(name, BY_FLAG[name].path)] = _value(BY_FLAG[name], text)
    unknown = {name: PROCESS_FLAGS.get(name, "kube-proxy of Kubernetes 1.36 has no such flag") for name, _ in pairs if name not in BY_FLAG}
    unknown |= dict.fromkeys(unread(words), "it is no flag of kube-proxy: those begin with --, or are name=value")
    given = {path: value for path, value in values.items() if value not in ("", ())}
    return Configuration(given | dict(_servers(dict(pairs), values)), {name: why for name, why in unknown.items() if why})


def unread(words: Sequence[str]) -> tuple[str, ...]:
    """The words that are neither a flag nor the value of one."""
    return tuple(word for name, word in _pairs(_arguments(words)) if not name)


def _arguments(words: Sequence[str]) -> list[str]:
    """Behind the name of the program, which may stand in the script of a shell."""
    parts = [part for word in words for part in (word.split() if "kube-proxy " in word else [word])]
    names = [PurePath(part).name for part in parts]
    return parts[names.index("kube-proxy") + 1 :] if "kube-proxy" in names else parts


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names as in the table of fields, and values; a switch has the value `true`. A word that is neither has no name."""
    rest = [word for word in words if word]
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            yield (f"--{name}", value) if equals else ("", word)
            continue
        if name.startswith("-v") and name != "-v":
            name, equals, value = "-v", "=", name[2:]
        name = "-v" if name == "--v" else name
        if not equals:
            value = "true" if _is_switch(name) or not rest else rest.pop(0)
        yield name, value


def _is_switch(name: str) -> bool:
    return name in _SWITCHES or (name in BY_FLAG and BY_FLAG[name].kind is Kind.BOOLEAN)


def _value(field: Field, text: str) -> object:
    try:
        match field.kind:
            case Kind.BOOLEAN:
                return _boolean(text)
            case Kind.NUMBER:
                return _number(text)
            case Kind.LIST:
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case Kind.MAP:
                return {name: _boolean(value) for name, _, value in (part.partition("=") for part in text.split(",") if part)}
            case Kind.TEXT:
                return text
    except ValueError:
        raise InvalidSpec([Problem(field.flag, f"must be a {field.kind.value}, not {text}")]) from None


def _number(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return int(number) if number.is_integer() else number


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _servers(flags: Mapping[str, str], values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Addresses of the servers, with the deprecated flags for ports; empty is off, as port 0 (options.go, addressFromDeprecatedFlags)."""
    for flag, path, default_port, index in _SERVERS:
        if flag in flags or path in values:
            address = str(values.get(path, default_hosts(str(values.get("bindAddress", "0.0.0.0")))[index]))  # noqa: S104
            port = _port(flag, flags[flag]) if flag in flags else default_port
            yield path, with_port(address, port) if port else ""


def _port(flag: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidSpec([Problem(flag, f"must be a number, not {text}")])
    return int(text)
