"""The page and the plan of a run."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.__main__ import plan_of
from tests.bench.machine import fact_of, version_of
from tests.bench.report import Report
from tests.bench.results import Change, ColdStart, FirstSync, Measurement
from tests.bench.subjects import AGENT, KUBE_PROXY

THEIRS = Measurement(KUBE_PROXY, "nftables", 5000, 10, first_syncs=(FirstSync(4.0, 5.0),), changes=(Change(5, 4, 1500),), tool_rss_mib=49.4)
OURS = Measurement(
    AGENT, "nftables", 5000, 10, first_syncs=(FirstSync(2.0, 0.4),), changes=(Change(5, 4, 9),), remarks=("the burst did not finish",)
)
REPORT = Report([THEIRS, OURS], ["2 CPUs"], "Kubernetes v1.36.3")


def test_the_page_says_where_against_what_and_what_went_wrong() -> None:
    page = REPORT.page()

    assert "- 2 CPUs" in page
    assert "Kubernetes v1.36.3" in page
    assert "up to 49 MiB" in page
    assert "- proxyconfig, nftables, 5,000 Services: the burst did not finish." in page
    assert "$" not in page


def test_the_page_compares_only_what_both_did() -> None:
    page = Report([THEIRS], ["2 CPUs"], "Kubernetes v1.36.3").page()

    assert "ratio |" not in page
    assert "4.00 s" in page


def test_missed_goals_are_named() -> None:
    assert [one.quantity.name for one in REPORT.missed()] == ["first_sync_s"]


def test_kube_proxy_is_left_out_at_sizes_that_take_it_minutes_unless_it_was_asked_for() -> None:
    assert [step[:2] for step in plan_of("nftables", (), ())] == [
        *((1000, KUBE_PROXY), (1000, AGENT), (5000, KUBE_PROXY), (5000, AGENT), (20000, AGENT)),
    ]
    assert [step[:2] for step in plan_of("nftables", [20000], [KUBE_PROXY])] == [(20000, KUBE_PROXY)]


def test_iptables_is_measured_at_the_sizes_of_its_goals() -> None:
    assert {step[0] for step in plan_of("iptables-legacy", (), ())} == {1000, 5000}


def test_kube_proxy_in_ipvs_mode_is_measured_at_the_size_of_its_goals_alone() -> None:
    assert list(plan_of("ipvs", (), ())) == [(1000, KUBE_PROXY, "ipvs"), (1000, AGENT, "ipvs"), (5000, AGENT, "ipvs")]


def test_the_page_says_which_mode_was_measured_on_another_kernel() -> None:
    ipvs = [replace(one, mode="ipvs", services=1000) for one in (THEIRS, OURS)]
    measured = Report([*ipvs, THEIRS, OURS], ["2 CPUs"], "Kubernetes v1.36.3", kernels={"ipvs": "Linux 6.1.170 as an ordinary process"})

    nftables, _, of_ipvs = measured.page().partition("## Ipvs mode")
    assert "Measured on" not in nftables
    assert "Measured on Linux 6.1.170 as an ordinary process" in of_ipvs


def test_sizes_are_measured_from_the_smallest_as_the_world_only_grows() -> None:
    assert [step[0] for step in plan_of("nftables", [5000, 1000], [AGENT])] == [1000, 5000]


def test_a_later_run_of_a_mode_takes_the_place_of_an_earlier_one_and_leaves_other_modes() -> None:
    iptables = replace(OURS, mode="iptables")
    later = Report([replace(iptables, cpu_ms_per_change=7.0)], ["2 CPUs"], "Kubernetes v1.36.3", busy_cpus={"iptables": 1.5})

    both = Report([OURS, iptables], ["2 CPUs"], "Kubernetes v1.36.3", [ColdStart(5000, 50, 3.0)], {"nftables": 0.5}).renewed(later)

    assert [(one.mode, one.cpu_ms_per_change) for one in both.measurements] == [("nftables", None), ("iptables", 7.0)]
    assert both.cold_starts
    assert "nftables 0.5, iptables 1.5" in both.page()


def test_facts_of_a_machine_are_read_by_their_key() -> None:
    assert fact_of('NAME="Debian"\nPRETTY_NAME="Debian 12"\n', "PRETTY_NAME", "=") == "Debian 12"
    assert fact_of("processor\t: 0\n", "model name", ":") == "unknown"
    assert version_of("6.1.0-25-cloud-amd64") == "6.1.0"
