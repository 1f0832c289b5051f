"""`import`: kube-proxy's configuration as a ProxyConfig."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TextIO

import click

from proxyconfig_api.spec.contradictions import NAME_LIMIT
from proxyconfig_api.spec.sections import Mode
from proxyconfig_cli.cluster import kube_proxy
from proxyconfig_cli.cluster.connection import Connection
from proxyconfig_cli.commands import candidates, manifest
from proxyconfig_cli.commands.options import NODE, ObjectName, asynchronous, connection
from proxyconfig_cli.kubeproxy import configuration, flags
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.conversion import imported
from proxyconfig_cli.kubeproxy.notes import Note
from proxyconfig_cli.output.formats import formatted

EXAMPLES = """\b
Examples:
  # of a cluster made by kubeadm; look at what is printed, then pipe it to kubectl apply -f -
  kubectl proxyconfig import
  # for one node first
  kubectl proxyconfig import --node node-7 --name canary | kubectl apply -f -
  # of EKS
  kubectl proxyconfig import --from eks
  # of a command line, such as k3s's kube-proxy-arg
  kubectl proxyconfig import --from flags -- --proxy-mode=ipvs --ipvs-scheduler=lc
  # of a file, or of what a running kube-proxy answers at /configz
  kubectl proxyconfig import --from file -f config.conf
  # iptables mode now, nftables mode in the ProxyConfig, and the same behaviour
  kubectl proxyconfig import --mode nftables
"""


class Source(enum.StrEnum):
    CONFIGMAP = "configmap"
    CONFIGZ = "configz"
    FILE = "file"
    FLAGS = "flags"
    EKS = "eks"


@dataclass(frozen=True, slots=True)
class Names:
    """Of what a source reads in the cluster."""

    config_map: str
    key: str
    daemon_set: str
    node: str


_EKS = ("kube-proxy-config", "config")


@click.command("import", epilog=EXAMPLES, short_help="kube-proxy's configuration as a ProxyConfig")
@click.option("--from", "source", type=click.Choice([each.value for each in Source]), default=Source.CONFIGMAP.value, show_default=True)
@click.option("-f", "--filename", "file", type=click.File(), help="File of --from file; - is standard input")
@click.option("--configmap", "config_map", default="kube-proxy", show_default=True, help="ConfigMap of --from configmap")
@click.option("--key", default="config.conf", show_default=True, help="Its key")
@click.option("--daemonset", "daemon_set", default="kube-proxy", show_default=True, help="DaemonSet of --from flags without flags")
@click.option("--configz-node", type=NODE, default="", shell_complete=candidates.nodes, help="Node whose kube-proxy --from configz asks")
@click.option("--name", type=ObjectName(NAME_LIMIT), default="default", show_default=True, help="Name of the ProxyConfig")
@click.option(
    "--node",
    type=NODE,
    default="",
    shell_complete=candidates.nodes,
    help="Select this node alone, for a first try  [default: all nodes]",
)
@click.option("--mode", type=click.Choice([each.value for each in Mode]), help="Mode of the ProxyConfig  [default: kube-proxy's]")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), default="yaml", show_default=True)
@connection("kube-system", "kube-proxy's ConfigMap or DaemonSet")
@click.argument("words", metavar="[-- FLAG...]", nargs=-1, type=click.UNPROCESSED)
@asynchronous
async def command(
    *,
    source: str,
    file: TextIO | None,
    config_map: str,
    key: str,
    daemon_set: str,
    configz_node: str,
    name: str,
    node: str,
    mode: str | None,
    output: str,
    connection: Connection,
    words: tuple[str, ...],
) -> None:
    """Print the ProxyConfig that behaves as the cluster's kube-proxy does.

    Each setting that has no counterpart is a line on standard error, with the reason. Nothing is changed in the cluster.
    """
    _check_use(Source(source), file, configz_node, words)
    if file is not None:
        read = configuration.parse(manifest.read(file), manifest.name_of(file))
    elif words:
        read = _of_flags(words, "")
    else:
        read = await _of_cluster(Source(source), Names(config_map, key, daemon_set, configz_node), connection)
    result = imported(read, name=name, mode=Mode(mode) if mode else None, node=node)
    for note in result.notes:
        click.echo(_line(note), err=True)
    click.echo(formatted(result.manifest, output), nl=False)


def _check_use(source: Source, file: TextIO | None, configz_node: str, words: tuple[str, ...]) -> None:
    if (source is Source.FILE) != (file is not None):
        raise click.UsageError("-f FILE belongs to --from file, and --from file needs it")
    if words and source is not Source.FLAGS:
        raise click.UsageError(f"flags belong to --from flags, not to --from {source}")
    if (source is Source.CONFIGZ) != bool(configz_node):
        raise click.UsageError("--configz-node NODE belongs to --from configz, which needs it")


async def _of_cluster(source: Source, names: Names, connection: Connection) -> Configuration:
    async with connection.open() as client:
        match source:
            case Source.FLAGS:
                words = await kube_proxy.command_line(client, connection.namespace, names.daemon_set)
                return _of_flags(words, f"DaemonSet {connection.namespace}/{names.daemon_set}")
            case Source.CONFIGZ:
                return configuration.parse(await kube_proxy.configz(client, names.node), f"/configz on {names.node}")
            case _:
                name, key = _EKS if source is Source.EKS else (names.config_map, names.key)
                text = await kube_proxy.config_map(client, connection.namespace, name, key)
                return configuration.parse(text, f"ConfigMap {connection.namespace}/{name}, key {key}")


def _of_flags(words: tuple[str, ...], where: str) -> Configuration:
    if path := flags.config_file(words):
        fix = "import that file with --from file -f FILE, or its ConfigMap with --from configmap"
        raise click.UsageError(
            f"{where or 'this command line'} names the configuration file {path}, and kube-proxy reads no flags beside it: {fix}"
        )
    if not where and (left := flags.unread(words)):
        raise click.UsageError(f"{' '.join(left)}: not a flag: write --name=value, as --proxy-mode=ipvs")
    return flags.parse(words)


def _line(note: Note) -> str:
    value = f" ({note.value})" if note.value else ""
    return f"{click.style(note.name, fg='yellow')}{value}: not carried over: {note.why}"
