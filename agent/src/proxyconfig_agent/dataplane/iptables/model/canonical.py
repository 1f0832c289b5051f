"""One form for rules that mean the same: iptables-save does not print a rule as it was written. Pure.

It orders the matches, names the size of a single address (`/32`), writes marks and probabilities as the kernel holds them, and adds
what is the default. The forms of both sides are compared, and nothing is ever written from one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

Normal = tuple[str, ...]
"""The options of a rule, sorted. Matches are not named: their options identify them."""

COMMENT = "--comment"
_DEFAULTS = frozenset(
    {
        "--rsource",
        "--mask 255.255.255.255",
        "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "--reject-with icmp-port-unreachable",
        "--reject-with icmp6-port-unreachable",
    }
)


def normal(rule: str, *, comment: bool = True) -> Normal:
    """The form of what stands behind `-A CHAIN `, as written by us or as printed. Without `comment`, a comment does not count."""
    options = [_form(option) for option in _options(rule) if option[0] != "-m" and (comment or option[0] != COMMENT)]
    return tuple(sorted(option for option in options if option not in _DEFAULTS))


def digest(rules: Iterable[str]) -> int:
    """Tells chains apart whose rules differ in more than comments. Good within this process alone."""
    value = EMPTY
    for rule in rules:
        value = digested(value, rule)
    return value


EMPTY = 0
"""The digest of a chain without rules."""


def digested(before: int, rule: str) -> int:
    """The digest of a chain that had `before` and gets one rule more."""
    return hash((before, normal(rule, comment=False)))


def _options(rule: str) -> Iterator[list[str]]:
    """Each with its values, and with the `!` before it."""
    option: list[str] = []
    for word in _words(rule):
        if option and (word == "!" or (word.startswith("-") and option not in (["!"], [COMMENT]))):
            yield option
            option = []
        option.append(word)
    if option:
        yield option


def _words(rule: str) -> list[str]:
    """A quoted text is one word; ours have no quotes inside."""
    if '"' not in rule:
        return rule.split()
    words: list[str] = []
    for index, part in enumerate(rule.split('"')):
        if index % 2:
            words.append(part)
        else:
            words += part.split()
    return words


def _form(option: list[str]) -> str:
    if form := _FORMS.get(option[-2]) if len(option) > 1 else None:
        option = [*option[:-2], form(option[-2], option[-1])]
    return " ".join(option)


def _address(name: str, value: str) -> str:
    return f"{name} {value.removesuffix('/128' if ':' in value else '/32')}"


def _mark(name: str, value: str) -> str:
    return f"{name} {'/'.join(f'{int(number, 0):#x}' for number in value.split('/'))}"


def _or_mark(_name: str, value: str) -> str:
    return _mark("--set-xmark", f"{value}/{value}")


def _xor_mark(_name: str, value: str) -> str:
    return _mark("--set-xmark", f"{value}/0")


def _probability(name: str, value: str) -> str:
    """The kernel has it as a number of 31 bits."""
    return f"{name} {round(float(value) * (1 << 31))}"


def _set(name: str, value: str) -> str:
    return f"{name} {','.join(sorted(value.split(',')))}"


_FORMS: dict[str, Callable[[str, str], str]] = {
    "-s": _address,
    "-d": _address,
    "--mark": _mark,
    "--set-xmark": _mark,
    "--or-mark": _or_mark,
    "--xor-mark": _xor_mark,
    "--probability": _probability,
    "--ctstate": _set,
}
