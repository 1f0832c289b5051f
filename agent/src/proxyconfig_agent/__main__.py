"""`python -m proxyconfig_agent`: parse the command line and do what it says. A message to the user is one sentence."""

from __future__ import annotations

import sys
from functools import partial

from proxyconfig_agent.app.main import serve_node
from proxyconfig_agent.app.options import Options, parse
from proxyconfig_agent.controller import garbage
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.report.metrics import eventloop
from proxyconfig_agent.sync import worker
from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_client.process import logs


def run(options: Options) -> int:
    """Return the exit status: 0 when it was asked to stop, 1 for what a person has to look at."""
    logs.configure(options.log_level, options.log_format)
    garbage.configure()
    worker.configure()
    status = 0
    try:
        if options.init:
            from proxyconfig_agent.node import init  # noqa: PLC0415 - what an agent does without

            status = init.run(options.mode, options.modules)
        elif options.cleanup:
            from proxyconfig_agent.app.cleanup import clean_up  # noqa: PLC0415
            from proxyconfig_agent.state.checkpoint import CheckpointFile  # noqa: PLC0415

            status = clean_up(CheckpointFile(options.state, options.node) if options.state else None)
        else:
            eventloop.run(partial(serve_node, options))
    except* (ConfigurationError, DataplaneError, PermissionError) as group:
        for error in _leaves(group):
            sys.stderr.write(f"proxyconfig-agent: {error}\n")
        status = 1
    return status


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors themselves: task groups wrap them once per level."""
    return [leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])]


if __name__ == "__main__":
    sys.exit(run(parse(sys.argv[1:])))
