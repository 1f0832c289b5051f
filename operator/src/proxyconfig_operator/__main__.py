"""`python -m proxyconfig_operator`. Ends with 0 after a signal, 1 when it cannot go on (one sentence says why), 2 for bad arguments."""

from __future__ import annotations

import asyncio
import logging
import sys

import aiohttp
import structlog

from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_client.process import logs
from proxyconfig_operator.app import operator, options
from proxyconfig_operator.apply.workqueue import RetryError


def main() -> int:
    given = options.parse(sys.argv[1:])
    logs.configure(given.log_level, given.log_format)
    logging.getLogger("kopf").setLevel(logging.WARNING)  # a line for each call of a handler says nothing about decisions
    try:
        asyncio.run(operator.run(given))
    except (ConfigurationError, RetryError, aiohttp.ClientError) as error:
        structlog.get_logger("operator").error(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
