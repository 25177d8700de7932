"""The evidence for a verdict: votes, proofs, and that every mail's verdict comes with what decided it."""

from __future__ import annotations

from decisions.mail.bounce.claims import IN_A_LINE, IN_THE_BOUNCE
from decisions.mail.bounce.rules import RULES
from decisions.mail.evidence import KIND, Proof, Sign, prove, weigh
from decisions.mail.kinds import RULES as KINDS
from decisions.mail.read import explain_mail, read_mail
from tests.corpus.mails import OWN

_VOTES: tuple[Sign[int], ...] = (
    Sign("even", 3, lambda n: n % 2 == 0),
    Sign("small", -1, lambda n: n < 10),
)
_PROOFS = (Proof("both", ("a", "b")), Proof("one-of", ("a",), ("c", "d")))


def test_a_vote_is_the_sum_of_the_signs_that_hold() -> None:
    assert [weigh(_VOTES, n)[0] for n in (2, 12, 3, 13)] == [2, 3, -1, 0]
    assert [sign.name for sign in weigh(_VOTES, 2)[1]] == ["even", "small"]


def test_the_first_proof_decides_and_says_where_its_signs_were_found() -> None:
    def found(*signs: str) -> tuple[str, list[tuple[str, str]]]:
        return prove(_PROOFS, lambda sign: f"at {sign}" if sign in signs else "")

    assert found("a", "b", "c") == ("both", [("a", "at a"), ("b", "at b")])
    assert found("a", "d") == ("one-of", [("a", "at a"), ("d", "at d")])
    assert found("a") == found("b", "c") == ("", [])


def test_no_two_rows_of_a_table_have_one_name() -> None:
    names = [sign.name for table in (IN_A_LINE, IN_THE_BOUNCE) for sign in table]
    assert len(set(names)) == len(names)
    assert len({rule.__name__ for rule in RULES}) == len(RULES)


def test_every_verdict_has_evidence_and_every_failed_recipient_too() -> None:
    kinds = {rule.__name__.replace("_", "-") for rule in KINDS}
    seen = set()
    for file in sorted(OWN.glob("*.eml")):
        verdict, evidence = explain_mail(file.read_bytes())
        assert verdict == read_mail(file.read_bytes())
        assert evidence[0].about == KIND
        assert evidence[0].where == verdict.reason
        seen.add(evidence[0].name)
        about = {each.about for each in evidence[1:]} - {KIND}
        if evidence[0].name in ("delivery-status", "report-in-words"):
            assert about == {each.address for each in verdict.recipients}, file.name
    assert {"delivery-status", "report-in-words", "written", "feedback-report"} <= seen <= kinds


def test_the_weights_of_the_best_line_and_of_the_bounce_make_the_vote() -> None:
    _, evidence = explain_mail((OWN / "exim.eml").read_bytes())
    weights = [(each.name, each.weight) for each in evidence if each.about == "ada@example.com" and each.weight]
    assert weights == [("alone-on-its-line", 3), ("listed-as-failed", 2), ("returned-mail-went-to-it", 3)]
