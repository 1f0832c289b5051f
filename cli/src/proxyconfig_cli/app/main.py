"""`kubectl proxyconfig`: the commands together, and errors as sentences.

Exit codes: 0 done; 1 failed, or differences or problems found; 2 wrong use.
"""

from __future__ import annotations

from typing import Any

import click

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_cli import __version__
from proxyconfig_cli.commands import import_command, plan_command, preflight_command, rollout_command, takeover_command
from proxyconfig_client.connection.errors import ClientError

PROGRAM = "kubectl proxyconfig"


class Commands(click.Group):
    """A group whose commands end with a sentence instead of a traceback for what a person can mend."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except InvalidSpec as error:
            raise click.ClickException("; ".join(map(str, error.problems))) from None
        except ClientError as error:
            raise click.ClickException(str(error)) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """Move a cluster from kube-proxy to ProxyConfigs, and roll changes of them out.

    \b
    Completion: put kubectl_complete-proxyconfig on PATH, beside kubectl-proxyconfig; kubectl asks it.
    Exit codes: 0 done; 1 failed, or something found; 2 wrong use.
    """


for each in (import_command, preflight_command, plan_command, takeover_command, rollout_command):
    main.add_command(each.command)


def run() -> None:
    """The console script `kubectl-proxyconfig`."""
    main(prog_name=PROGRAM)
