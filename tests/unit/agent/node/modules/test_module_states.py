"""What is said of each module, with the command or the option of the kernel that brings it."""

from __future__ import annotations

import pytest

from proxyconfig_agent.node.modules.kernel_options import option_of
from proxyconfig_agent.node.modules.module_states import Modules, findings, states, summary
from proxyconfig_agent.state.findings import Topic
from proxyconfig_api.objects.nodeproxy import ModuleState

KERNEL = Modules("6.1.0-test", loaded=frozenset({"nf_conntrack"}), available=frozenset({"nft_masq"}))
NO_MODULES = Modules("6.1.0-test", loadable=False)
UNKNOWN = Modules("6.1.0-test", built_in=None)


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("ip_vs", "CONFIG_IP_VS"),
        ("ip_vs_wlc", "CONFIG_IP_VS_WLC"),
        ("nf_conntrack_netlink", "CONFIG_NF_CT_NETLINK"),
        ("nft_chain_nat", "CONFIG_NFT_NAT"),
        ("nft_fib_ipv6", "CONFIG_NFT_FIB_IPV6"),
        ("xt_comment", "CONFIG_NETFILTER_XT_MATCH_COMMENT"),
        ("xt_MASQUERADE", "CONFIG_NETFILTER_XT_TARGET_MASQUERADE"),
        ("xt_mark", "CONFIG_NETFILTER_XT_MARK"),
        ("ipt_REJECT", "CONFIG_IP_NF_TARGET_REJECT"),
        ("br_netfilter", "CONFIG_BRIDGE_NETFILTER"),
        ("ip_tables", ""),
        ("zfs", ""),
    ],
)
def test_the_option_of_a_module_is_that_of_the_kernels_makefiles(module: str, option: str) -> None:
    assert option_of(module) == option


@pytest.mark.parametrize(
    ("kernel", "state", "words"),
    [
        pytest.param(Modules("6.1", options={}), "Missing", "is built without CONFIG_IP_VS", id="not in the kernel's configuration"),
        pytest.param(Modules("6.1", disabled=True), "NotPermitted", "kernel.modules_disabled is 1", id="loading is off"),
        pytest.param(
            Modules("6.1", failures={"ip_vs": "Key was rejected by service"}), "NotPermitted", "run `modprobe ip_vs`", id="not signed"
        ),
        pytest.param(Modules("6.1", available=frozenset({"ip_vs"})), "NotLoaded", "run `modprobe ip_vs`", id="nobody has loaded it"),
        pytest.param(Modules("6.1", failures={"ip_vs": "FATAL: not found"}), "Missing", "FATAL: not found (CONFIG_IP_VS)", id="no file"),
        pytest.param(Modules("6.1"), "Missing", "install it and run `modprobe ip_vs`", id="no file, not tried"),
        pytest.param(NO_MODULES, "Missing", "loads no modules (CONFIG_IP_VS)", id="no loadable modules"),
        pytest.param(UNKNOWN, "Unknown", "(CONFIG_IP_VS)", id="no list of what is built in"),
    ],
)
def test_a_module_that_is_not_there_has_its_state_and_what_to_do(kernel: Modules, state: str, words: str) -> None:
    (module,) = states(["ip_vs"], kernel)
    assert module.state.value == state
    assert words in module.message


def test_a_module_is_told_once_by_its_canonical_name() -> None:
    assert [each.name for each in states(["nf-conntrack", "nf_conntrack"], KERNEL)] == ["nf_conntrack"]


def test_a_summary_counts_by_state() -> None:
    assert summary(states(["nf_conntrack", "nft_masq", "ip_vs", "ip_vs_rr"], KERNEL)) == "1 loaded, 1 not loaded, 2 missing"
    assert summary(()) == ""


def test_a_module_that_the_spec_asks_for_and_is_not_there_is_a_finding_with_the_way_out() -> None:
    (finding,) = findings([], ["nft_masq"], [], KERNEL)
    assert (finding.topic, finding.reason, finding.harmless) == (Topic.MODULES, "ModuleMissing", False)
    assert finding.message.endswith("run `modprobe nft_masq` on the node; or remove it from spec.kernel.modules")


def test_a_module_of_the_mode_that_the_kernel_may_still_load_is_no_finding() -> None:
    assert findings([], [], ["nft_masq"], KERNEL) == ()
    assert findings([], [], ["nft_masq"], UNKNOWN) == ()


def test_a_module_of_the_mode_that_the_kernel_cannot_have_is_a_finding() -> None:
    (finding,) = findings([], [], ["ip_vs"], NO_MODULES)
    assert (finding.reason, finding.harmless) == ("ModuleMissing", False)
    assert "CONFIG_IP_VS" in finding.message


def test_a_module_that_may_not_be_loaded_has_a_reason_of_its_own() -> None:
    (finding,) = findings(["nf_conntrack"], [], [], Modules("6.1", disabled=True))
    assert finding.reason == "ModuleNotPermitted"


def test_states_are_those_of_the_api() -> None:
    assert [state.value for state in ModuleState] == ["Loaded", "BuiltIn", "NotLoaded", "Missing", "NotPermitted", "Unknown"]
