"""What is compared is what is printed, also while somebody writes."""

from __future__ import annotations

from tests.kernel.iptables.tables import differences, parse

WHOLE = """*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
-A KUBE-EXTERNAL-SERVICES -m comment --comment "default/web" -j DROP
COMMIT
"""


def test_a_table_that_is_not_written_yet_is_a_difference() -> None:
    lines = ["filter KUBE-EXTERNAL-SERVICES --", 'filter KUBE-EXTERNAL-SERVICES --m comment --comment "default/web" -j DROP']
    assert differences(parse(WHOLE), parse("")) == lines


def test_the_same_is_no_difference() -> None:
    assert differences(parse(WHOLE), parse(WHOLE)) == []
