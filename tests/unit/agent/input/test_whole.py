"""Everything that the API server accepts goes through all stages, and what cannot be served is reported in sentences."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scenarios.scenario import Object
from tests.unit.agent.input.pipeline import Pipeline
from tests.unit.agent.input.whole import Whole

from proxyconfig_agent.ingest.model import Family

seeds = st.integers(0, 1 << 32)


@settings(max_examples=500)
@given(seeds)
def test_any_sequence_of_objects_ends_as_if_only_the_last_of_each_had_been(seed: int) -> None:
    pipeline, last, random = Pipeline(), dict[tuple[str, str, str], Object](), Random(seed)
    for one in Whole(random).several(12):
        event = random.choice(("ADDED", "MODIFIED", "DELETED"))
        pipeline.take(one, event=event)
        pipeline.sync()
        key = (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])
        last.pop(key, None)
        if event != "DELETED":
            last[key] = one
    fresh = Pipeline()
    fresh.put(last.values())
    assert pipeline.selected() == fresh.selected()
    assert pipeline.addresses() == fresh.addresses()
    assert pipeline.sentences() == fresh.sentences()
    for family in Family:
        assert set(pipeline.tables[family].book.records) == set(fresh.tables[family].book.records)


@settings(max_examples=500)
@given(seeds)
def test_what_is_not_served_is_said_in_short_sentences(seed: int) -> None:
    pipeline = Pipeline()
    pipeline.put(Whole(Random(seed)).several(6))
    for sentences in pipeline.sentences().values():
        for sentence in sentences:
            assert sentence.isprintable()
            assert len(sentence) < 1000
            assert json.dumps(sentence)
