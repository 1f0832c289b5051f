"""Scenarios as values, read from the YAML files beside this module.

Only structure is known here: what the objects and names mean is decided in `objects.py`, which traffic follows from it in `cases.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.documents import document

HERE = Path(__file__).parent
Object = dict[str, Any]

MODES = ("nftables", "iptables", "ipvs", "userspace")
"""The modes that scenarios know of. One more joins here; scenarios then say where it differs."""
OTHER_RULES = ("ipvs-iptables",)
"""A mode with another mode's rules, where those decide something else than its own: lines may name it as they name a mode."""
BEYOND = "beyond"
"""Who answers where no proxy serves: the network behind the node, which the packet goes on to."""
PROXIED = ("userspace",)
"""In these a proxy has the connections: an endpoint sees an address of the node where others keep the client's, and there is no SCTP."""
CLIENTS = ("pod", "pod-elsewhere", "node", "localhost", "outside", "outside-other", "near1", "near2")
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

    def proxied(self) -> Result:
        """The same where a proxy of the node makes the connections to endpoints; what goes beyond the node passes it untouched."""
        return self if BEYOND in self.reach else replace(self, source=dict.fromkeys(self.source, "masqueraded"))


@dataclass(frozen=True, slots=True)
class Difference:
    """What kube-proxy does instead, in these modes, and why: a documented bug or decision of it."""

    because: str
    result: Result
    modes: tuple[str, ...] = MODES


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
    modes: tuple[str, ...] = MODES
    by_mode: Mapping[str, Result] = field(default_factory=dict)
    """What is to happen instead of `result` in a mode that decides something else."""
    differences: tuple[Difference, ...] = ()

    def in_mode(self, mode: str, rules: str = "") -> Expectation | None:
        """What is expected in this mode alone, if its rules are those of another one; None if it says nothing about the mode."""
        if mode not in self.modes:
            return None
        differences = tuple(difference for difference in self.differences if mode in difference.modes)
        result = self.by_mode.get(mode, self.by_mode.get(rules, self.result))
        return replace(self, modes=(mode,), result=result.proxied() if mode in PROXIED else result, by_mode={}, differences=differences)

    @property
    def of_kube_proxy(self) -> Result:
        """What kube-proxy does, once the mode is known."""
        return self.differences[0].result if self.differences else self.result


@dataclass(frozen=True, slots=True)
class Step:
    """Objects to merge over those of the steps before, names of objects to delete (`Kind/name`), and what holds afterwards."""

    title: str
    apply: tuple[Object, ...]
    delete: tuple[str, ...]
    expect: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A short story about a few objects in one namespace, named after the scenario."""

    id: str
    title: str
    config: str
    steps: tuple[Step, ...]
    modes: tuple[str, ...] = MODES


@cache
def load(folder: Path = HERE) -> list[Scenario]:
    """All scenarios of the folder's YAML files, in order. Raises ScenarioError."""
    scenarios = [_scenario(raw) for path in sorted(folder.glob("*.yaml")) for raw in document(path)]
    ids = [scenario.id for scenario in scenarios]
    if twice := {id_ for id_ in ids if ids.count(id_) > 1}:
        raise ScenarioError(f"ids that occur twice: {sorted(twice)}")
    return scenarios


def _scenario(raw: dict[str, Any]) -> Scenario:
    id_ = raw.get("id", raw.get("title", "?"))
    try:
        _only(raw, "id", "title", "config", "modes", "objects", "expect", "steps")
        first = Step("", tuple(raw.get("objects", ())), (), _expectations(raw.get("expect", ())))
        later = tuple(_step(step) for step in raw.get("steps", ()))
        return Scenario(raw["id"], raw["title"], raw.get("config", "default"), (first, *later), _modes(raw))
    except (KeyError, TypeError, ScenarioError) as error:
        raise ScenarioError(f"scenario {id_}: {error}") from error


def _step(raw: dict[str, Any]) -> Step:
    _only(raw, "title", "apply", "delete", "expect")
    return Step(raw["title"], tuple(raw.get("apply", ())), tuple(raw.get("delete", ())), _expectations(raw.get("expect", ())))


def _expectations(raw: Any) -> tuple[Expectation, ...]:
    return tuple(_expectation(one) for one in raw)


def _expectation(raw: dict[str, Any]) -> Expectation:
    words = ("from", "to", "service", "port", "families", "sourcePort", "modes", "kube-proxy")
    _only(raw, *words, *_RESULT, *MODES, *OTHER_RULES)
    return Expectation(
        clients=_known(raw["from"], CLIENTS),
        destinations=_known(raw["to"], DESTINATIONS),
        result=_result(raw),
        service=raw.get("service", ""),
        port=str(raw.get("port", "")),
        families=tuple(raw.get("families", (4, 6))),
        source_port=raw.get("sourcePort", 0),
        modes=_modes(raw),
        by_mode={mode: _result_alone(raw[mode]) for mode in (*MODES, *OTHER_RULES) if mode in raw},
        differences=tuple(_differences(raw.get("kube-proxy", ()))),
    )


def _modes(raw: dict[str, Any]) -> tuple[str, ...]:
    return _known(raw.get("modes", MODES), MODES)


def _differences(raw: Any) -> Iterator[Difference]:
    for one in [raw] if isinstance(raw, dict) else raw:
        _only(one, "because", "modes", *_RESULT)
        yield Difference(one["because"], _result(one), _modes(one))


def _result_alone(raw: dict[str, Any]) -> Result:
    _only(raw, *_RESULT)
    return _result(raw)


_RESULT = ("reach", "oneOf", "verdict", "source")


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
