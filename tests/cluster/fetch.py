"""The client of demos and tests: GETs a URL again and again, each time on a new connection, and counts who answered. Also in the web image.

fetch.py URL [--requests N | --seconds S]; status 1 if an answer is missing.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import urllib.request
from collections.abc import Iterator

TIMEOUT_S = 10  # a connection that is led to nobody is never answered; a busy machine may take seconds
PAUSE_S = 0.02
REQUESTS = 80  # that one of three endpoints is chosen by none of them does not happen


def main() -> int:
    """Fetch and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seconds", type=float)
    chosen = parser.parse_args()
    answers: collections.Counter[str] = collections.Counter()
    lost: collections.Counter[str] = collections.Counter()
    for _ in _turns(chosen.requests, chosen.seconds):
        try:
            with urllib.request.urlopen(chosen.url, timeout=TIMEOUT_S) as response:  # noqa: S310 – the user says what to fetch
                answers[_who(response.read().decode())] += 1
        except OSError as error:
            lost[str(error)] += 1
    _tell(answers, lost)
    return 1 if lost else 0


def _turns(requests: int, seconds: float | None) -> Iterator[None]:
    end = None if seconds is None else time.monotonic() + seconds
    done = 0
    while done < requests if end is None else time.monotonic() < end:
        yield
        done += 1
        time.sleep(PAUSE_S)


def _who(answer: str) -> str:
    words = dict(word.partition("=")[::2] for word in answer.split())
    return f"{words.get('pod', '?')} on {words.get('node') or '?'}"


def _tell(answers: collections.Counter[str], lost: collections.Counter[str]) -> None:
    total = answers.total() + lost.total()
    print(f"{total} requests, {answers.total()} answered by {len(answers)} pods, {lost.total()} lost")
    for who, count in sorted(answers.items()):
        print(f"  {count:5} {who}")
    for error, count in lost.items():
        print(f"  {count:5} lost: {error}")


if __name__ == "__main__":
    sys.exit(main())
