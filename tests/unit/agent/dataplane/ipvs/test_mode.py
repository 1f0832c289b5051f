"""The modules of ipvs mode."""

from __future__ import annotations

from proxyconfig_agent.dataplane.ipvs.mode import SPEC
from proxyconfig_agent.ingest.services import SCHEDULERS
from proxyconfig_agent.node.host import module_report
from proxyconfig_agent.node.modules.module_states import Modules
from proxyconfig_api.spec.sections import Ipvs, Mode, ProxyConfigSpec

LC = ProxyConfigSpec(mode=Mode.IPVS, ipvs=Ipvs(scheduler="lc"))


def test_the_init_container_loads_every_scheduler_that_a_service_may_name() -> None:
    assert {f"ip_vs_{scheduler}" for scheduler in SCHEDULERS} <= set(SPEC.optional_modules)


def test_the_scheduler_of_the_spec_is_needed_and_those_of_services_are_listed() -> None:
    without = Modules("6.1", loaded=frozenset({"nf_conntrack", *SPEC.modules}), options={"CONFIG_IP_VS": "m"})
    report = module_report(LC, without)
    assert [finding.message.partition(":")[0] for finding in report.findings] == ["module ip_vs_lc"]
    assert "CONFIG_IP_VS_LC" in report.findings[0].message
    assert {"ip_vs_lc", "ip_vs_rr", "ip_vs_twos"} <= {module.name for module in report.modules}
