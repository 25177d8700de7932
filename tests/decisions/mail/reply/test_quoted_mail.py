"""Where the mail that is answered begins, as programs mark it that write no "wrote:" or wrap their lines."""

from __future__ import annotations

import pytest

from decisions.mail.reply.visible import without_quotes

ANSWER = "Friday suits me.\nShall I bring the plans?"
BARE = "Dear Ada,\nwhich day suits you?"
MARKED = "> Dear Ada,\n> which day suits you?"

PROGRAMS = {
    "Zoho": "---- On Tue, 03 Nov 2026 11:20:00 +0100 Some One <a@example.com> wrote ---",
    "Zoho, an address alone": "---- On Tue, 03 Nov 2026 11:20:00 +0530 a@example.com wrote ----",
    "Zoho in German": "---- Am Di, 03 Nov 2026 11:20:00 +0100 Some One <a@example.com> schrieb ----",
    "Zoho, wrapped": "---- On Tue, 03 Nov 2026 11:20:00 +0100 Some Longer Name\n<a@example.com> wrote ----",
    "no colon": "On Tue, 3 Nov 2026 11:20:00 +0100 Some One <a@example.com> wrote",
    "no colon, no address": "On Tue, 3 Nov 2026 11:20:00 +0100 Some One wrote",
    "no colon, the verb before": "Am 3. November 2026 um 11:20 schrieb Some One <a@example.com>",
    "Zimbra": "- Le 2026-11-03 11:20, Some One a écrit :",
    "Zimbra, dashes": "----- On Nov 3, 2026, at 11:20 AM, Some One a@example.com wrote:",
    "Zimbra in French": "----- Mail original -----\nDe: Some One <a@example.com>\nÀ: ada@example.net\nEnvoyé: Mardi 3 Novembre 2026 11:20:00\nObjet: x",
    "Airmail": "On Tuesday, November 3, 2026 at 11:20 AM, Some One <a@example.com> said:",
    "Airmail, no address": "On 3 November 2026 at 11:20:00, Some One said:",
    "iNotes": '-----"Some One" <a@example.com> wrote: -----\nTo: ada@example.net\nFrom: "Some One" <a@example.com>\nDate: 11/03/2026 11:20AM\nSubject: x',
    "Tutanota": "3. Nov. 2026, 11:20 von a@example.com:",
    "Superhuman": "On Tue, Nov 03, 2026 at 11:20 AM, Some One < a@example.com > wrote:",
    "AOL": "In a message dated 11/3/2026 11:20:00 AM Eastern Standard Time, a@example.com writes:",
    "Zoho in Chinese": "---- 在 星期二, 2026-11-03 11:20:00 Some One<a@example.com> 撰写 ----",
    "no colon, the day behind": "Some One <a@example.com> wrote on Tue, 3 Nov 2026 11:20:00",
    "the following": "Some One wrote the following on 11/3/2026 11:20 AM:",
    "Mutt": "* Some One [2026-11-03 11:20 +0100]:",
    "Horde": "Quoting Some One <a@example.com>:",
    "Horde in German": "Zitat von Some One <a@example.com>:",
    "NetEase": "---- Replied Message ----\n| From | Some One<a@example.com> |\n| Date | 11/03/2026 11:20 |\n| To | ada@example.net |\n| Subject | x |",
    "Notes, once HTML": "Inactive hide details for Some One ---11/03/2026 11:20:00 AM---Dear AdaSome One ---11/03/2026 11:20:00 AM---Dear Ada\n\nFrom: Some One <a@example.com>\nTo: ada@example.net\nDate: 11/03/2026 11:20 AM\nSubject: x",
    "Notes, a table": "|------------>\n| From:      |\n|------------>\n  >-------------------------------|\n  |Some One <a@example.com>       |\n  >-------------------------------|",
    "GroupWise in German": ">>> Some One <a@example.com> schrieb am 03.11.2026 um 11:20 in Nachricht\n<5CE0A1B2.1D2@example.com>:",
    "GroupWise, a name, a message": ">>> On 11/3/2026 at 11:20 AM, Some One wrote:",
    "GroupWise": ">>> Some One 03.11.2026 11:20 >>>",
    "GroupWise, an address": '>>> "Some One" <a@example.com> 11/3/2026 11:20 AM >>>',
    "GroupWise, a message": ">>> On 11/3/2026 at 11:20 AM, in message\n<5CE0A1B2.1D2@example.com>, Some One <a@example.com> wrote:",
    "Libero": "----Messaggio originale----\nDa: a@example.com\nData: 03/11/2026 11.20\nA: ada@example.net\nOgg: x",
    "Naver": "-----원본 메일-----\n보낸사람: Some One <a@example.com>\n받는사람: ada@example.net\n날짜: 2026-11-03 11:20\n제목: x",
    "headers of no language we know": "Xa: Some One <a@example.com>\nXed: 2026-11-03 11:20\nXo: ada@example.net\nXub: x",
    "headers of no language we know, under their name": "----- Xriginal Xessage -----\nXa: Some One <a@example.com>\nXo: ada@example.net\nXub: x",
    "two headers": "From: Some One <a@example.com>\nDate: Tue, 3 Nov 2026 11:20:00 +0100",
}  # fmt: skip


@pytest.mark.parametrize("quoted", [BARE, MARKED], ids=["bare", "marked"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_puts_before_the_quoted_mail_ends_the_answer(program: str, quoted: str) -> None:
    assert without_quotes(f"{ANSWER}\n\n{PROGRAMS[program]}\n\n{quoted}\n") == ANSWER


WRITTEN = [
    "On Tuesday at 11:20 the boss said:\nno.",
    "You asked on 3 November 2026 at 11:20:\nwho pays? We do.",
    "--- 3 Nov 2026 11:20 ---\n\nMet Ada, all agreed.",
    "I saw him on 3 Nov 2026 at 11:20 and wrote\nit down at once.",
    "Regarding 4.2:\nno.",
    "Please invite:\nAda <ada@example.net>\nBob <bob@example.net>\n\nThe call is on 3 Nov 2026 at 11:20:\nhttps://call.example.com/x",
    "Date: Tuesday 3 Nov 2026 11:20\nPlace: Berlin\nContact: ada@example.net\nTopic: prices\n\nSee you.",
    "Name: Ada\nEmail: ada@example.net\nPhone: +44 20 7946 0000\nCompany: Example\n\nCall me.",
    "As we said on 3 Nov 2026 at 11:20:\n\nthe price stays.",
    "I wrote to a@example.com on 3 Nov 2026 at 11:20 and they wrote\nback at once.",
    "Ja, wie am 3.11.2026 um 11:20 Uhr besprochen schrieb ich Ihnen:\nwir nehmen es.",
    "Wir haben am 03.11.2026 um 11:20 Uhr mit Ihnen geschrieben.\n\nGruß",
    "Yes. a@example.com wrote to me too:\nhe is in.",
    "Mon 2 Nov 2026 9:00:\ncall\n\nTue 3 Nov 2026 9:00:\nsign",
    "* Mon 2 Nov 2026 9:00: call\n* Tue 3 Nov 2026 9:00: sign",
    "Answers:\n\nPrice: fine\nTo: everyone\nSubject: anything",
    "+-----+-----+\n| a   | b   |\n+-----+-----+\n| 1   | 2   |\n+-----+-----+",
    "Call a@example.com from 3 Nov 2026 on.\n\nNot before 11:20.",
    "To\nthe point:\nSubject\nto contract.",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_writer_who_names_days_and_times_is_not_cut(text: str) -> None:
    assert without_quotes(text) == text
    assert without_quotes(f"{text}\n\n{PROGRAMS['Mutt']}\n{MARKED}") == text


@pytest.mark.parametrize("line", ["Some One wrote:", "Some One schrieb:", "Some One a écrit :", "Some One skrev:"])
def test_a_name_alone_is_enough_above_a_quote(line: str) -> None:
    assert without_quotes(f"{ANSWER}\n\n{line}\n\n{MARKED}") == ANSWER
    assert without_quotes(f"Hi,\n\nyou wrote:\n{MARKED}\n\nFriday.") == f"Hi,\n\nyou wrote:\n{MARKED}\n\nFriday."


def test_an_answer_under_a_point_that_has_a_number_stays() -> None:
    text = "Hi,\n\nregarding 4.2:\n> Who pays?\n\nWe do."
    assert without_quotes(text) == text


@pytest.mark.parametrize(
    "quoted",
    [
        "> We would like to come to you on Friday with the plans for the new house,\nif that suits you.\n> Some One",
        ">\n> Some of the rooms that you saw on the old plan are larger now and some are\nsmaller, of course.\n> Some One",
        "> The drawings that you asked for are with the printer and will be sent out at noon.\nat the latest.\n>\n> Some One",
    ],
    ids=["a comma", "no stop", "a full stop"],
)
def test_the_rest_of_a_quoted_line_that_was_wrapped_is_quoted_too(quoted: str) -> None:
    before = "On Tue, 3 Nov 2026 at 11:20, Some One <a@example.com> wrote:"
    assert without_quotes(f"{ANSWER}\n\n{before}\n{quoted}\n") == ANSWER


def test_an_answer_between_long_quoted_lines_stays() -> None:
    text = (
        "> Would it be possible for you to let us have the figures by Friday evening?\nYes.\n"
        "> And may we print them on the second page of the catalogue for the spring?\nNo."
    )
    before = "On Tue, 3 Nov 2026 at 11:20, Some One <a@example.com> wrote:"
    assert without_quotes(f"Hi,\n\n{before}\n{text}") == f"Hi,\n\n{text}"


NOTES = {
    "release 6": "Some One <a@example.com>\n03.11.2026 11:20\nPlease respond to\nSome One <a@example.com>\n\n\nTo\nada@example.net\ncc\n\nSubject\nThe plans",
    "release 6, sent by": "Some One/Berlin/Example\nSent by: Else One/Berlin/Example\n11/03/2026 11:20 AM\n\nTo\nAda/Example\ncc\nElse One/Berlin/Example\nSubject\nRe: The plans",
    "release 5": "Some One <a@example.com> on 11/03/2026 11:20:00 AM\n\nPlease respond to a@example.com\n\nTo:   ada@example.net\ncc:\nSubject:  The plans",
    "on one line each": "Some One <a@example.com>\n03/11/2026 11:20\n\nTo ada@example.net\ncc\nSubject The plans",
    "French": "Some One <a@example.com>\n03/11/2026 11:20\nVeuillez répondre à\na@example.com\n\nA\nada@example.net\ncc\n\nObjet\nLes plans",
    "Spanish": "Some One <a@example.com>\n03/11/2026 11:20\n\nPara\nada@example.net\ncc\n\nAsunto\nLos planos",
    "Dutch": "Some One <a@example.com>\n03-11-2026 11:20\n\nAan\nada@example.net\ncc\n\nOnderwerp\nDe tekeningen",
    "Japanese": "Some One <a@example.com>\n2026/11/03 11:20\n\n宛先\nada@example.net\ncc\n\n件名\n図面",
}  # fmt: skip


@pytest.mark.parametrize("notes", NOTES)
def test_lotus_notes_puts_headers_without_colons_before_the_quoted_mail(notes: str) -> None:
    quoted = "     Dear Ada,\n     which day suits you?"
    assert without_quotes(f"{ANSWER}\n\nAda\n\n\n\n{NOTES[notes]}\n\n\n\n{quoted}\n") == f"{ANSWER}\n\nAda"
