from __future__ import annotations

import pytest

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_cli.kubeproxy import flags
from proxyconfig_cli.kubeproxy.fields import FIELDS, PROCESS_FLAGS, Field, Kind

SAMPLES = {Kind.BOOLEAN: "true", Kind.NUMBER: "7", Kind.LIST: "a,b", Kind.MAP: "A=true,B=false", Kind.TEXT: "10.0.0.1:80"}
PARSED = {Kind.BOOLEAN: True, Kind.NUMBER: 7, Kind.LIST: ("a", "b"), Kind.MAP: {"A": True, "B": False}, Kind.TEXT: "10.0.0.1:80"}


@pytest.mark.parametrize("field", [each for each in FIELDS if each.flag], ids=lambda each: each.flag)
def test_a_flag_sets_its_field(field: Field) -> None:
    for words in (
        [f"{field.flag}={SAMPLES[field.kind]}"],
        [field.flag] if field.kind is Kind.BOOLEAN else [field.flag, SAMPLES[field.kind]],
    ):
        assert flags.parse(["/usr/local/bin/kube-proxy", *words]).values == {field.path: PARSED[field.kind]}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["proxy-mode=ipvs", "ipvs-scheduler=lc"], {"mode": "ipvs", "ipvs.scheduler": "lc"}),
        (["-v4"], {"logging.verbosity": 4}),
        (["--v=4"], {"logging.verbosity": 4}),
        (["-v", "4"], {"logging.verbosity": 4}),
        (["--masquerade-all", "--proxy-mode", "nftables"], {"mode": "nftables", "nftables.masqueradeAll": True}),
        (["--masquerade-all=false"], {"iptables.masqueradeAll": False}),
        (["--cluster-cidr="], {}),
        (["--kube-api-qps=2.5"], {"clientConnection.qps": 2.5}),
        (["--healthz-port=0", "--metrics-port=9999"], {"healthzBindAddress": "", "metricsBindAddress": "127.0.0.1:9999"}),
        (["--metrics-bind-address=::", "--metrics-port=9999"], {"metricsBindAddress": "[::]:9999"}),
        (["--healthz-bind-address=192.0.2.1"], {"healthzBindAddress": "192.0.2.1:10256"}),
        (["/bin/sh", "-c", "kube-proxy --proxy-mode=ipvs -v 2 1>>/var/log/kube-proxy.log"], {"mode": "ipvs", "logging.verbosity": 2}),
    ],
)
def test_flags_are_read_as_pflag_reads_them(words: list[str], values: dict[str, object]) -> None:
    assert flags.parse(words).values == values


def test_beside_a_file_kube_proxy_reads_few_flags() -> None:
    """options.go, Complete."""
    words = ["--config=/etc/kube-proxy.conf", "--proxy-mode=ipvs", "--hostname-override=n1", "-v=4"]
    assert flags.config_file(words) == "/etc/kube-proxy.conf"
    assert flags.parse(words).values == {"hostnameOverride": "n1", "logging.verbosity": 4}


@pytest.mark.parametrize("flag", [name for name, why in PROCESS_FLAGS.items() if why])
def test_a_flag_without_a_field_has_a_reason(flag: str) -> None:
    assert flags.parse([f"{flag}=x"]).unknown == {flag: PROCESS_FLAGS[flag]}


def test_a_word_that_is_no_flag_has_a_note() -> None:
    words = ["/bin/sh", "-c", "kube-proxy --proxy-mode ipvs lc 1>>/var/log/kube-proxy.log"]
    assert list(flags.parse(words).unknown) == ["lc", "1>>/var/log/kube-proxy.log"]
    assert flags.unread(["proxy-mode", "ipvs", "proxy-mode=ipvs", "-v", "4"]) == ("proxy-mode", "ipvs")


def test_a_flag_that_no_kube_proxy_has_is_named() -> None:
    assert list(flags.parse(["--nonsense", "--proxy-mode=ipvs"]).unknown) == ["--nonsense"]


@pytest.mark.parametrize(
    "word",
    [
        "--masquerade-all=perhaps",
        "--conntrack-min=many",
        "--conntrack-min=inf",
        "--oom-score-adj=nan",
        "--feature-gates=A=perhaps",
        "--metrics-port=x",
    ],
)
def test_a_value_of_another_kind_is_one_sentence(word: str) -> None:
    with pytest.raises(InvalidSpec, match=f"^{word.partition('=')[0]}: must be a "):
        flags.parse([word])
