"""`preflight`: what will change when a ProxyConfig takes over from kube-proxy."""

from __future__ import annotations

from typing import TextIO

import click

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_api.status.messages import counted, listed, node_count
from proxyconfig_cli.cluster import proxyconfigs, survey
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands.manifest import manifest_of, name_of, read
from proxyconfig_cli.commands.options import asynchronous, connection, examples
from proxyconfig_cli.kubeproxy import configuration, sections
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.conversion import imported, mode_of
from proxyconfig_cli.output.formats import formatted
from proxyconfig_cli.preflight.facts import Facts, KubeProxy
from proxyconfig_cli.preflight.findings import Finding, Severity
from proxyconfig_cli.preflight.report import report, summary
from proxyconfig_client.apiserver.client import ApiClient

_COLOURS = {Severity.PROBLEM: "red", Severity.CHANGE: "yellow", Severity.NOTE: "cyan"}


@click.command(
    "preflight",
    short_help="what will change for nodes and Services",
    epilog=examples(
        "preflight", "preflight --mode nftables", "preflight -f proxyconfig.yaml -o wide", "preflight --kube-proxy config.conf"
    ),
)
@click.option("-f", "--filename", "file", type=click.File(), help="The ProxyConfig to come  [default: what import prints]")
@click.option("--mode", type=click.Choice([each.value for each in Mode]), help="Mode of the ProxyConfig to come, without -f")
@click.option("--kube-proxy", "kube_proxy_file", type=click.File(), help="kube-proxy's configuration  [default: its ConfigMap]")
@click.option("-o", "--output", type=click.Choice(["json", "yaml", "wide"]), help="Format; wide names all nodes and Services")
@connection("kube-system", "kube-proxy")
@asynchronous
async def command(
    *, file: TextIO | None, mode: str | None, kube_proxy_file: TextIO | None, output: str | None, connection: Connection
) -> None:
    """Check nodes and Services before a ProxyConfig takes over from kube-proxy. Nothing is changed.

    Of what only a node knows there is what its agent reports, if it has one: modules, the back end of iptables, and a kube-proxy that
    answers or whose rules are left. Rules of other programs, such as a firewall's, are not looked at.

    Exit code 1 if there is a problem. Changes and notes do not count.
    """
    if file is not None and mode:
        raise click.UsageError("--mode is for a ProxyConfig that is not there yet: leave it out, or leave out -f")
    async with connection.open() as client:
        read = await _kube_proxy(client, connection.namespace, kube_proxy_file)
        after = (
            ProxyConfig.parse(manifest_of(file)).spec
            if file is not None
            else imported(read, name="default", mode=Mode(mode) if mode else None).spec
        )
        facts = await _facts(client, connection.namespace, read, after)
    findings = report(facts)
    if output in ("json", "yaml"):
        click.echo(formatted([_as_object(finding) for finding in findings], output), nl=False)
    else:
        for finding in findings:
            click.echo(_line(finding, wide=output == "wide"))
        compared = f"{node_count(len(facts.nodes))}, {counted(len(facts.services), 'Service')}, {facts.before.mode} to {after.mode}"
        click.echo(f"{compared}: {summary(findings)}")
    if any(finding.severity is Severity.PROBLEM for finding in findings):
        raise click.exceptions.Exit(1)


async def _kube_proxy(client: ApiClient, namespace: str, file: TextIO | None) -> Configuration:
    """Without a configuration, kube-proxy's defaults."""
    if file is not None:
        return configuration.parse(read(file), name_of(file))
    text, source = await survey.kube_proxys_file(client, namespace)
    if not text:
        click.echo("kube-proxy has no ConfigMap here: its defaults are compared with; name its configuration with --kube-proxy", err=True)
    return configuration.parse(text, source) if text else Configuration()


async def _facts(client: ApiClient, namespace: str, read: Configuration, after: ProxyConfigSpec) -> Facts:
    source = mode_of(read)
    nodes, services = await survey.nodes_and_services(client)
    return Facts(
        before=KubeProxy(
            mode=source,
            spec=imported(read, name="default").spec,
            serves_localhost=sections.serves_localhost(read, source),
            serves_external_ips=read["featureGates"].get("AllowServiceExternalIPs", True),
        ),
        after=after,
        nodes=tuple(node for node in nodes if after.node_selector.matches(node.metadata.labels)),
        services=services,
        agents={agent.metadata.name: agent for agent in await proxyconfigs.nodes(client, "")},
        proxies=await survey.other_proxies(client, namespace),
    )


def _line(finding: Finding, *, wide: bool) -> str:
    severity = click.style(finding.severity, fg=_COLOURS[finding.severity])
    objects = listed(finding.objects, most=len(finding.objects) if wide else 5)
    return f"{severity} {finding.check}: {f'{objects}: ' if objects else ''}{finding.message}"


def _as_object(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.value,
        "check": finding.check,
        "message": finding.message,
        "objects": list(finding.objects),
    }
