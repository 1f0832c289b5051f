"""`kubectl proxyconfig`: the commands together, and errors as sentences.

Exit codes: 0 done; 1 failed, or differences or problems found; 2 wrong use; 130 interrupted.
"""

from __future__ import annotations

from typing import Any

import click

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_cli import __version__
from proxyconfig_cli.app.commandline import as_click
from proxyconfig_cli.commands import import_command, plan_command, preflight_command, rollout_command, takeover_command
from proxyconfig_client.connection.errors import ClientError

PROGRAM = "kubectl proxyconfig"
INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""


class Commands(click.Group):
    """A group whose commands end with a sentence instead of a traceback for what a person can mend."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, as_click(args, self))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
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
    Of the single file, that is a link: ln -s kubectl-proxyconfig kubectl_complete-proxyconfig
    Exit codes: 0 done; 1 failed, or something found; 2 wrong use; 130 interrupted.
    """


for each in (import_command, preflight_command, plan_command, takeover_command, rollout_command):
    main.add_command(each.command)


def run() -> None:
    """The console script `kubectl-proxyconfig`."""
    main(prog_name=PROGRAM)
