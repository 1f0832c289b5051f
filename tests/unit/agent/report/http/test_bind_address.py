"""Where the agent's pages listen, as the command line says it."""

from __future__ import annotations

import pytest

from proxyconfig_agent.report.http.bind_address import Bind


@pytest.mark.parametrize(
    ("text", "bind"),
    [("0.0.0.0:10256", Bind("0.0.0.0", 10256)), ("[::1]:80", Bind("::1", 80)), (":80", Bind("", 80)), ("", None)],
)
def test_addresses_to_listen_on(text: str, bind: Bind | None) -> None:
    assert Bind.parse(text) == bind


@pytest.mark.parametrize("text", ["10256", "localhost:80", "1.2.3.4:0", "1.2.3.4:70000", "::1:80"])
def test_other_texts_are_refused_with_the_syntax(text: str) -> None:
    with pytest.raises(ValueError, match=r"write IP:PORT, \[IPv6\]:PORT or :PORT"):
        Bind.parse(text)
