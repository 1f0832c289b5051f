"""What `takeover start` does to nodes, and waits for: within the times of spec.rollout, with a line on standard error when it changes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import Takeover
from proxyconfig_api.status.messages import listed, node_count, nodes
from proxyconfig_cli.cluster import proxyconfigs
from proxyconfig_cli.cluster import takeover as cluster
from proxyconfig_cli.cluster.retries import POLL_S, Retries
from proxyconfig_cli.takeover import turns
from proxyconfig_cli.takeover.fleet import Fleet
from proxyconfig_client.apiserver.client import ApiClient


class TakingOver:
    """One run of the command. What it knows of the past is which nodes were down from its beginning on, and which have failed."""

    def __init__(self, client: ApiClient, config: ProxyConfig) -> None:
        self._client, self._config, self._name = client, config, config.metadata.name
        self._rollout = config.spec.rollout
        self._retries = Retries(self._say, within_s=self._rollout.progress_deadline)
        self.ask = self._retries.ask
        self._absent: frozenset[str] | None = None
        self._failed: frozenset[str] = frozenset()
        self._said = ""

    async def gate(self, manifest: dict[str, Any]) -> None:
        """Have the ProxyConfig select nodes by their turn. Nodes that it serves already have had it; those that observe go first, as
        kube-proxy would leave them all at once. Raises ClickException after progressDeadline."""
        if (fleet := await self._fleet()).nodes and len(fleet.absent) == len(fleet.nodes):
            raise click.ClickException(f"none of {node_count(len(fleet.nodes))} is ready: see kubectl get nodes, and start when they are")
        before = await self.ask(partial(proxyconfigs.find, self._client, self._name))
        if before is not None and before.spec.takeover is not Takeover.OBSERVE:
            await self._give([each.name for each in await self._agents()], self._name)
        await self.ask(partial(cluster.apply, self._client, turns.gated(manifest)))
        begun = self._retries.now()
        while observing := [each.name for each in await self._agents() if each.labels.get(turns.TURN_LABEL) != self._name]:
            if self._is_over(begun):
                left = f"{nodes(observing)} still observed after {self._rollout.progress_deadline}"
                raise click.ClickException(f"{left}: see that the operator runs, and continue with start")
            self._say(f"waiting for {node_count(len(observing))} to end observing; {observing[0]}")
            await asyncio.sleep(POLL_S)

    async def waves(self) -> Fleet:
        """Give nodes their turn, wave by wave, until all have it that are not down. Raises ClickException if more than maxFailures of them
        were not ready in time."""
        number = 0
        while wave := (fleet := await self._settled()).wave(self._rollout):
            number += 1
            click.echo(f"wave {number}: {', '.join(wave)}")
            self._said = ""
            await self._give(wave, self._name)
        return fleet

    async def open(self, manifest: Mapping[str, Any], fleet: Fleet) -> None:
        """Have the ProxyConfig select all its nodes again: those that are down, and those that join."""
        await self.ask(partial(cluster.apply, self._client, manifest))
        await self._give(fleet.taken, None)

    def result(self, fleet: Fleet) -> str:
        late = sorted(fleet.absent | self._failed)
        if not late:
            return click.style(f"{self._name}: {node_count(len(fleet.nodes))} taken over", fg="green")
        done = f"{self._name}: {len(fleet.nodes) - len(late)} of {node_count(len(fleet.nodes))} taken over"
        return f"{done}; to follow when ready: {listed(late)}"

    async def _settled(self) -> Fleet:
        """Wait until the nodes that had their turn were ready for holdPeriod, but those that have failed."""
        begun, ready_since = self._retries.now(), None
        while True:
            fleet = await self._fleet()
            late = self._late(fleet, over=self._is_over(begun))
            ready_since = None if late else ready_since if ready_since is not None else self._retries.now()
            if not fleet.taken and not late:
                return fleet
            if ready_since is not None and self._retries.now() - ready_since >= self._rollout.hold_period:
                return fleet
            self._say(_words(late) or f"ready; holdPeriod is {self._rollout.hold_period}")
            await asyncio.sleep(POLL_S)

    def _late(self, fleet: Fleet, *, over: bool) -> dict[str, str]:
        """What is still waited for. What is late when the time is over has failed; one that gets ready has not."""
        late = fleet.late()
        self._failed &= late.keys()
        new = {name: words for name, words in late.items() if name not in self._failed}
        if not over or not new:
            return new
        self._failed |= new.keys()
        words = f"{listed(list(new))} not ready after {self._rollout.progress_deadline}: {next(iter(new.values()))}"
        if len(self._failed) > self._rollout.max_failures.of(len(fleet.nodes)):
            raise click.ClickException(f"{words}; continue with start, or go back with takeover undo")
        self._say(f"{words}; passed over, as spec.rollout.maxFailures is {self._rollout.max_failures}")
        return {}

    async def _fleet(self) -> Fleet:
        fleet = await self.ask(partial(cluster.fleet, self._client, self._config))
        if self._absent is None:
            self._absent = frozenset(fleet.down)
            if self._absent:
                self._say(f"left out of the waves, as they are not ready: {listed(sorted(self._absent))}")
        self._absent &= fleet.down.keys()
        return dataclasses.replace(fleet, absent=self._absent)

    async def _agents(self) -> list[Metadata]:
        """The nodes that the operator has given to the ProxyConfig, and that are not left out."""
        every = [node.metadata for node in await self.ask(partial(cluster.nodes, self._client))]
        return [each for each in every if each.labels.get(CONFIG_LABEL) == self._name and each.name not in (self._absent or ())]

    async def _give(self, wave: tuple[str, ...] | list[str], name: str | None) -> None:
        await self.ask(partial(cluster.give_turn, self._client, wave, name))

    def _is_over(self, begun: float) -> bool:
        return self._retries.now() - begun > self._rollout.progress_deadline

    def _say(self, words: str) -> None:
        if words != self._said:
            click.echo(words, err=True)
            self._said = words


def _words(late: Mapping[str, str]) -> str:
    return f"waiting for {node_count(len(late))}; {': '.join(next(iter(late.items())))}" if late else ""
