from __future__ import annotations

from typing import Any

import pytest

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.nodeproxy import NodeProxy, NodeProxySpec, NodeProxyStatus
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.spec.changes import changed
from proxyconfig_cli.rollout.history import Revision, entries
from proxyconfig_cli.rollout.undo import changes, owner, target, undone


def revision(number: int, **spec: Any) -> Revision:
    return Revision(metadata=Metadata(name=f"default-{number}"), revision=number, data={"spec": spec})


HISTORY = (revision(3, conntrack={"min": 5}), revision(1), revision(2, mode="iptables", conntrack={"min": 5}))


def proxy(name: str, revision_name: str) -> NodeProxy:
    spec = NodeProxySpec(config_name="default", revision_name="default-3")
    return NodeProxy(metadata=Metadata(name=name), spec=spec, status=NodeProxyStatus(observed_revision=revision_name))


def test_history_is_the_oldest_first_with_the_nodes_that_run_each() -> None:
    listed = entries(HISTORY, [proxy("a", "default-3"), proxy("b", "default-2"), proxy("c", "default-3")])
    assert [(entry.revision.revision, entry.nodes, entry.changes) for entry in listed] == [
        (1, 0, ()),
        (2, 1, ("conntrack.min", "mode")),
        (3, 2, ("mode",)),
    ]


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({}, {}, ()),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ("a.c",)),
        ({"a": {"b": 1}}, {}, ("a.b",)),
        ({"a": [1]}, {"a": [2]}, ("a",)),
        ({"kernel": {"sysctls": {"net.core.somaxconn": "1"}}}, {}, ("kernel.sysctls.net.core.somaxconn",)),
    ],
)
def test_changes_are_paths_of_fields(before: dict[str, Any], after: dict[str, Any], paths: tuple[str, ...]) -> None:
    assert changed(before, after) == changed(after, before) == paths


def test_without_a_number_the_newest_but_the_current_one_is_meant() -> None:
    assert target(HISTORY, 0, "default-3").revision == 2
    assert target(HISTORY, 0, "default-2").revision == 3
    assert target(HISTORY, 1, "default-3").revision == 1


@pytest.mark.parametrize(
    ("good", "number"),
    [
        pytest.param("default-1", 1, id="it-was-complete-and-the-second-has-failed"),
        pytest.param("default-3", 2, id="the-current-one-was-it-as-after-a-change-of-pods"),
        pytest.param("default-0", 2, id="it-is-no-longer-kept"),
        pytest.param("", 2, id="there-is-none"),
    ],
)
def test_without_a_number_one_that_was_complete_goes_before_newer_ones(good: str, number: int) -> None:
    assert target(HISTORY, 0, "default-3", good).revision == number
    assert target(HISTORY, 2, "default-3", good).revision == 2


def test_a_revision_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidSpec, match="--to-revision: there is no revision 7, only 1, 2, 3"):
        target(HISTORY, 7)
    with pytest.raises(InvalidSpec, match="there is no earlier revision to go back to, only 1"):
        target(HISTORY[1:2], 0, "default-1")


def test_an_undo_gives_the_revision_back_and_keeps_the_rest() -> None:
    """The revision that follows from the spec is the same by its name."""
    before = {"mode": "iptables", "conntrack": {"min": 5}, "nodeSelector": {"matchLabels": {"a": "b"}}, "rollout": {"paused": True}}
    config = ProxyConfig.parse({"metadata": {"name": "default"}, "spec": before})
    made = revision_of("default", config.spec)
    now = {"mode": "nftables", "sync": {"minSyncPeriod": "1s"}, "nodeSelector": {"matchLabels": {"a": "c"}}, "agent": {"logLevel": "debug"}}
    spec = undone(now, Revision(metadata=Metadata(name=made.name), revision=1, data=made.content))
    assert spec == {
        "mode": "iptables",
        "conntrack": {"min": 5},
        "nodeSelector": {"matchLabels": {"a": "c"}},
        "agent": {"logLevel": "debug"},
    }
    assert revision_of("default", ProxyConfig.parse({"metadata": {"name": "default"}, "spec": spec}).spec) == made


def test_defaults_that_the_api_server_has_filled_in_are_no_changes() -> None:
    now = {"mode": "nftables", "conntrack": {"min": 131072, "maxPerCore": 32768}, "sync": {"minSyncPeriod": "0s"}}
    assert changes("default", now, revision(1)) == ()
    assert changes("default", now, revision(2, mode="iptables")) == ("mode",)


@pytest.mark.parametrize(
    ("metadata", "program"),
    [
        ({}, ""),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}, "labels": None}, "Argo CD"),
    ],
)
def test_objects_from_git_are_told_by_their_marks(metadata: dict[str, Any], program: str) -> None:
    assert owner(metadata) == program
