"""Finds the Services that iptables does not take, so that the others are served: by halves, each time from what the kernel has then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, PortRules, Rules
from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff, without
from proxyconfig_agent.dataplane.iptables.sync.renderer import RuleRenderer
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Refusal
from proxyconfig_agent.dataplane.sync.quarantine import refusal_of
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.select.frontends import Frontends


class Bisection:
    """For one family, after an input that was refused. `refused` collects Services, with iptables' words."""

    def __init__(self, writer: Writer, lowering: RuleRenderer, refused: dict[ServiceName, Refusal]) -> None:
        self._writer, self._lowering, self._refused = writer, lowering, refused

    def carry_out(self, changes: Sequence[Change]) -> int:
        """Those that can be; how many operations it took. Raises DataplaneError if the fault is no Service's, ToolError if it is locked."""
        services = by_service(changes)
        middle = (len(services) + 1) // 2
        return sum(self._half(half) for half in (services[:middle], services[middle:]) if half)

    def take_out(self, gone: Sequence[Frontends]) -> int:
        """Remove whatever is there of refused ones. Raises ToolError."""
        saved, given = self._writer.read_again(self._lowering.family), self._lowering.input()
        given.add(without(saved, _together(self._lowering.rules_if_any(frontends) for frontends in gone)))
        return self._writer.commit(self._lowering.family, given)

    def _half(self, services: list[list[Change]]) -> int:
        changes = [change for service in services for change in service]
        try:
            return self._commit(changes)
        except LockedError:
            raise
        except ToolError as error:
            return self._refuse(services, Refusal(name_of(changes[0]), str(error)))
        except (DataplaneError, OSError):
            raise
        except Exception as error:  # a fault of the agent
            return self._refuse(services, refusal_of(name_of(changes[0]), error))

    def _refuse(self, services: list[list[Change]], refusal: Refusal) -> int:
        """Go on in halves, unless it is a single Service."""
        if len(services) > 1:
            return self.carry_out([change for service in services for change in service])
        self._refused[refusal.service] = refusal
        return 0

    def _commit(self, changes: Sequence[Change]) -> int:
        family = self._lowering.family
        saved = self._writer.read_again(family)
        adoption, given = TableDiff(self._lowering.fixed, saved), self._lowering.input()
        given.add(adoption.structure())
        try:
            operations = self._writer.commit(family, given)
        except LockedError:
            raise
        except ToolError as error:
            raise DataplaneError(f"iptables: {error}") from error
        given = self._lowering.input()
        for change in changes:
            old, new = self._lowering.rules(change.old), self._lowering.rules(change.new)
            given.add(without(saved, _surplus(old, new)))
            given.add(adoption.port(new))
        return operations + self._writer.commit(family, given)


def by_service(changes: Sequence[Change]) -> list[list[Change]]:
    services: dict[ServiceName, list[Change]] = {}
    for change in changes:
        services.setdefault(name_of(change), []).append(change)
    return list(services.values())


def name_of(change: Change) -> ServiceName:
    known = change.new or change.old
    if known is None:
        raise ValueError("a change from nothing to nothing")
    return known.name.service


def _together(several: Iterable[PortRules]) -> PortRules:
    """What a Service port was and what it was to be have most in common."""
    shared, own = dict[tuple[Chain, str], None](), dict[str, Rules]()
    for rules in several:
        shared.update(dict.fromkeys(rules.shared))
        own.update(rules.own)
    return PortRules(tuple(shared), own)


def _surplus(old: PortRules, new: PortRules) -> PortRules:
    return PortRules(
        tuple(each for each in old.shared if each not in new.shared),
        {name: rules for name, rules in old.own.items() if name not in new.own},
    )
