"""What goes over the wire is what Kafka's own format says: kafka-python reads and writes the same bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.protocol.producer import ProduceRequest, ProduceResponse
from kafka.record.memory_records import MemoryRecords

from stream.produce.produce_request import produce_request, produce_response
from stream.produce.record_batch import record_batch

Topic = ProduceRequest.TopicProduceData
Answer = ProduceResponse.TopicProduceResponse
IDS = {"producer_id": 2**40, "producer_epoch": 3, "sequence": 2**31 - 1}


@given(st.binary(max_size=300))
# Around each length at which a number grows by a byte.
@example(b"x" * 57)
@example(b"x" * 58)
@example(b"x" * 63)
@example(b"x" * 64)
@example(b"x" * 8_185)
@example(b"x" * 8_192)
@example(b"x" * 1_048_576)
def test_a_batch_holds_the_record(value: bytes) -> None:
    batches = list(MemoryRecords(record_batch(value, 1_790_000_000_123, **IDS)))
    assert len(batches) == 1
    assert batches[0].validate_crc()
    assert {name: getattr(batches[0], name.replace("sequence", "base_sequence")) for name in IDS} == IDS
    (record,) = batches[0]
    assert (record.key, record.value, record.headers, record.timestamp) == (None, value, [], 1_790_000_000_123)


@given(st.dictionaries(st.integers(0, 2**31 - 1), st.binary(max_size=40), min_size=1))
def test_a_request_is_the_one_that_kafka_python_writes(batches: dict[int, bytes]) -> None:
    parts = [Topic.PartitionProduceData(index=number, records=batch) for number, batch in batches.items()]
    theirs = ProduceRequest(
        transactional_id=None, acks=-1, timeout_ms=30_000, topic_data=[Topic(name="t-hits", partition_data=parts)]
    )
    theirs.with_header(correlation_id=17, client_id="us")
    ours = produce_request(17, b"us", b"t-hits", 30_000, batches.items())
    assert ours == bytes(theirs.encode(version=7, header=True, framed=True))


def response(codes: dict[int, int]) -> bytes:
    """Correlation id 17 and the response, as a broker writes it after the size."""
    parts = [
        Answer.PartitionProduceResponse(
            index=number, error_code=code, base_offset=5, log_append_time_ms=-1, log_start_offset=0
        )
        for number, code in codes.items()
    ]
    said = ProduceResponse(responses=[Answer(name="t-hits", partition_responses=parts)], throttle_time_ms=0)
    return (17).to_bytes(4, "big") + bytes(said.encode(version=7))


@given(st.dictionaries(st.integers(0, 2**31 - 1), st.integers(-1, 120)))
def test_a_response_gives_each_partitions_error(codes: dict[int, int]) -> None:
    assert dict(produce_response(response(codes))) == codes


@given(st.binary(max_size=200))
def test_what_is_no_response_is_read_or_refused(frame: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(dict(produce_response(frame))) <= len(frame)


def test_a_response_that_ends_early_is_refused() -> None:
    whole = response({0: 0, 1: 0})
    for length in range(len(whole) - 4):  # the last four bytes say how long to hold back, which we do not read
        with pytest.raises(ValueError, match="ends early"):
            list(produce_response(whole[:length]))
