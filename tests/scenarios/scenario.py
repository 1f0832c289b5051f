"""Scenarios as values, read from the YAML files beside this module.

Only structure is known here: what the objects and names mean is decided in `objects.py`, which traffic follows from it in `cases.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
Object = dict[str, Any]

CLIENTS = ("pod", "pod-elsewhere", "node", "localhost", "outside", "outside-other", "near1")
DESTINATIONS = ("ClusterIP", "NodePort", "AlternativeNodePort", "ExternalIP", "LoadBalancerIP", "Unallocated")
VERDICTS = ("reject", "drop")
SOURCES = ("kept", "masqueraded")


class ScenarioError(Exception):
    """A scenario file is wrong; the message says which scenario and what."""


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of a flow: the endpoints that are reached (`near1`, or `near1:9090` with the port), or a verdict."""

    reach: tuple[str, ...] = ()
    sticky: bool = False
    """Only one of them is reached, always the same."""
    verdict: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    """Whether an endpoint sees the client's own address, by endpoint; `*` for all others; empty: not looked at."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of `expect`: every client of `clients` with every destination of `destinations` gets `result`."""

    clients: tuple[str, ...]
    destinations: tuple[str, ...]
    result: Result
    service: str = ""
    port: str = ""
    """Name (prefix) of the Service's ports that are meant, or `81/UDP` for one that it does not have; empty: all it has."""
    families: tuple[int, ...] = (4, 6)
    source_port: int = 0
    known_difference: str = ""
    """The documented reason why kube-proxy does something else."""
    of_kube_proxy: Result | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Objects to merge over those of the steps before, names of objects to delete (`Kind/name`), and what holds afterwards."""

    title: str
    apply: tuple[Object, ...]
    delete: tuple[str, ...]
    expect: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A short story about a few objects in a namespace of their own, named after the scenario."""

    id: str
    title: str
    config: str
    steps: tuple[Step, ...]


def load(folder: Path = HERE) -> list[Scenario]:
    """All scenarios of the folder's YAML files, in order. Raises ScenarioError."""
    scenarios = [_scenario(raw) for path in sorted(folder.glob("*.yaml")) for raw in yaml.safe_load(path.read_text())]
    ids = [scenario.id for scenario in scenarios]
    if twice := {id_ for id_ in ids if ids.count(id_) > 1}:
        raise ScenarioError(f"ids that occur twice: {sorted(twice)}")
    return scenarios


def _scenario(raw: dict[str, Any]) -> Scenario:
    id_ = raw.get("id", raw.get("title", "?"))
    try:
        _only(raw, "id", "title", "config", "objects", "expect", "steps")
        first = Step("", tuple(raw.get("objects", ())), (), _expectations(raw.get("expect", ())))
        later = tuple(_step(step) for step in raw.get("steps", ()))
        return Scenario(raw["id"], raw["title"], raw.get("config", "default"), (first, *later))
    except (KeyError, TypeError, ScenarioError) as error:
        raise ScenarioError(f"scenario {id_}: {error}") from error


def _step(raw: dict[str, Any]) -> Step:
    _only(raw, "title", "apply", "delete", "expect")
    return Step(raw["title"], tuple(raw.get("apply", ())), tuple(raw.get("delete", ())), _expectations(raw.get("expect", ())))


def _expectations(raw: Any) -> tuple[Expectation, ...]:
    return tuple(_expectation(one) for one in raw)


def _expectation(raw: dict[str, Any]) -> Expectation:
    _only(raw, "from", "to", "service", "port", "reach", "oneOf", "verdict", "source", "families", "sourcePort", "kube-proxy")
    other = raw.get("kube-proxy")
    return Expectation(
        clients=_known(raw["from"], CLIENTS),
        destinations=_known(raw["to"], DESTINATIONS),
        result=_result(raw),
        service=raw.get("service", ""),
        port=str(raw.get("port", "")),
        families=tuple(raw.get("families", (4, 6))),
        source_port=raw.get("sourcePort", 0),
        known_difference=other["because"] if other else "",
        of_kube_proxy=_result(other) if other else None,
    )


def _result(raw: dict[str, Any]) -> Result:
    if sum(key in raw for key in ("reach", "oneOf", "verdict")) != 1:
        raise ScenarioError("an expectation has either `reach`, `oneOf` or `verdict`")
    source = raw.get("source", {})
    by_endpoint = {"*": source} if isinstance(source, str) else dict(source)
    _known(list(by_endpoint.values()), SOURCES)
    if "verdict" in raw:
        return Result(verdict=_known(raw["verdict"], VERDICTS)[0])
    reach = raw["oneOf"] if "oneOf" in raw else raw["reach"]
    return Result(reach=tuple(sorted(_listed(reach))), sticky="oneOf" in raw, source=by_endpoint)


def _known(value: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    given = _listed(value)
    if unknown := set(given) - set(choices):
        raise ScenarioError(f"{sorted(unknown)} is none of {', '.join(choices)}")
    return given


def _listed(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _only(raw: dict[str, Any], *keys: str) -> None:
    if unknown := set(raw) - set(keys):
        raise ScenarioError(f"unknown keys {sorted(unknown)}; there are {', '.join(keys)}")
