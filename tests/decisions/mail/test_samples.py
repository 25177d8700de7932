"""Bounces, reports, complaints and replies in the formats of many systems, written for this test: kind and recipients."""

from __future__ import annotations

import pytest

from decisions.mail.read import read_mail
from tests.corpus.mails import OWN, Sample, own_samples


@pytest.mark.parametrize("sample", own_samples(), ids=lambda sample: sample.file)
def test_a_mail_is_read_as_what_it_is(sample: Sample) -> None:
    verdict = read_mail((OWN / sample.file).read_bytes())
    assert verdict.kind == sample.kind, verdict.reason
    assert [(one.address, one.bounce_class) for one in verdict.recipients] == sample.recipients


def test_every_sample_has_its_label() -> None:
    assert sorted(sample.file for sample in own_samples()) == sorted(path.name for path in OWN.glob("*.eml"))
