"""What a person wrote, without what they quote and how they sign."""

from __future__ import annotations

import pytest

from decisions.mail.html import html_text
from decisions.mail.read import read_mail
from decisions.mail.reply.visible import without_quotes

# Text that looks a little like an attribution and must stay.
WRITTEN = """Thank you, that works.
I asked: what did she write on 3 May 2015? Nobody knows.

Let me note two things: one and two.
I wrote 3 mails to them:
Gestern schrieb ich dir drei Punkte und diese Frage:
On Monday we meet at 10:30."""

ATTRIBUTIONS = [
    "On Mon, Feb 1, 2016 at 6:32 PM, Some One <a@example.com> wrote:",
    "On Mon, Feb 1, 2016 at 6:32 PM, Some One via Lists <\na@example.com> wrote:",
    "On 2016-02-01 18:32, Some One wrote:",
    "At 06:32 PM 2/1/2016, you wrote:",
    "Some One <a@example.com> wrote:",
    "Am 01.02.2016 um 18:32 schrieb Some One:",
    "Am Mo., 1. Feb. 2016 um 18:32 Uhr schrieb Some One <a@example.com>:",
    "Some One <a@example.com> schrieb am Mo., 1. Feb. 2016\num 18:32 Uhr:",
    "Le lun. 1 févr. 2016 à 18:32, Some One <a@example.com> a écrit :",
    'Le 4 janv. 2016 19:03, "Some One"\n<a@example.com>\na écrit :',
    "El lun, 1 feb 2016 a las 18:32, Some One (<a@example.com>) escribió:",
    "2016-02-01 18:32 GMT+01:00 Some One <a@example.com>:",
    "Il giorno lun 1 feb 2016 alle ore 18:32 Some One <a@example.com> ha scritto:",
    "Em seg., 1 de fev. de 2016 às 18:32, Some One <a@example.com> escreveu:",
    "Op ma 1 feb. 2016 om 18:32 schreef Some One <a@example.com>:",
    "Den mån 1 feb. 2016 kl 18:32 skrev Some One <a@example.com>:",
    "ma 1. helmik. 2016 klo 18.32 Some One (a@example.com) kirjoitti:",
    "pon., 1 lut 2016 o 18:32 Some One <a@example.com> napisał(a):",
    "po 1. 2. 2016 v 18:32 odesílatel Some One <a@example.com> napsal:",
    "Some One <a@example.com> ezt írta (időpont: 2016. febr. 1., H, 18:32):",
    "Some One <a@example.com>, 1 Şub 2016 Pzt, 18:32 tarihinde şunu yazdı:",
    "1 февраля 2016 г., 18:32 пользователь Some One <a@example.com> написал:",
    "Понедельник, 1 февраля 2016, 18:32 +03:00 от Some One <a@example.com>:",
    "Στις Δευ, 1 Φεβ 2016 στις 6:32 μ.μ., ο/η Some One <a@example.com> έγραψε:",
    "Some One <a@example.com> 于2016年2月1日周一 18:32写道：",
    "2016年2月1日(月) 18:32 Some One <a@example.com>:",
    "2016/02/01 18:32、Some One <a@example.com>のメール:",
    "2016년 2월 1일 (월) 오후 6:32, Some One <a@example.com>님이 작성:",
    "Vào Th 2, 1 thg 2, 2016 lúc 18:32 Some One <a@example.com> đã viết:",
    "-----Original Message-----",
    "-------- Weitergeleitete Nachricht --------",
    "-----原始邮件-----",
    "Begin forwarded message:",
    "From: Some One <a@example.com>\nSent: Monday, February 1, 2016 6:32 PM\nTo: B\nSubject: Re: x",
    "*From:* Some One <a@example.com>\n*Sent:* Monday, February 1, 2016\n*To:* B\n*Subject:* Re: x",
    "Von: Some One <a@example.com>\nGesendet: Montag, 1. Februar 2016 18:32\nAn: B\nBetreff: Re: x",
    "De : Some One <a@example.com>\nEnvoyé : lundi 1 février 2016 18:32\nÀ : B\nObjet : Re: x",
    "De: Some One <a@example.com>\nEnviado el: lunes\nPara: B\nAsunto: Re: x",
    "Da: Some One\nInviato: lunedì\nA: B\nOggetto: Re: x",
    "Od: Some One <a@example.com>\nWysłano: poniedziałek\nDo: B\nTemat: Re: x",
    "От: Some One <a@example.com>\nОтправлено: понедельник\nКому: B\nТема: Re: x",
    "发件人: Some One <a@example.com>\n发送时间: 2016年2月1日\n收件人: B\n主题: Re: x",
    "差出人: Some One <a@example.com>\n送信日時: 2016年2月1日\n宛先: B\n件名: Re: x",
]


@pytest.mark.parametrize("quoted", ["> old text\n> more", "old text\nmore"], ids=["marked", "bare"])
@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_what_follows_the_words_before_a_quote_is_cut_in_many_languages(attribution: str, quoted: str) -> None:
    assert without_quotes(f"{WRITTEN}\n\n{attribution}\n\n{quoted}\n") == WRITTEN


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Sent from Mail for Windows 10",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
        "Von meinem iPhone gesendet",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Inviato da iPhone",
        "Verstuurd vanaf mijn iPad",
        "Sendt fra min iPad",
        "Wysłane z iPhone'a",
        "Отправлено с iPhone",
        "iPhoneから送信",
        "发自我的 iPhone",
    ],
)
def test_the_line_a_phone_signs_with_is_cut(line: str) -> None:
    assert without_quotes(f"Yes please.\n\n{line}\n") == "Yes please."
    assert without_quotes(f"Yes please.\n\n{line}\n\nOn 2016-02-01 18:32, A wrote:\n> x") == "Yes please."


@pytest.mark.parametrize(
    "words",
    [
        "Gönderen:Gönderme Tarihi:Kime:Konu",
        "Dari:Dikirim:Kepada:Subjek",
        "Từ:Đã gửi:Đến:Chủ đề",
        "Saatja:Saadetud:Adressaat:Teema",
        "Nuo:Išsiųsta:Kam:Tema",
        "Pošiljatelj:Poslano:Prima:Predmet",
        "Frá:Sent:Til:Efni",
        "מאת:נשלח:אל:נושא",
        "من:تم الإرسال:إلى:الموضوع",
        "จาก:ส่ง:ถึง:เรื่อง",
    ],
)
def test_the_headers_above_a_quote_are_cut_in_many_languages(words: str) -> None:
    values = ("Shop <news@example.com>", "23.11.2026 09:00", "ada@example.com", "Our offer")
    quoted = "\n".join(f"{name}: {value}" for name, value in zip(words.split(":"), values, strict=True))
    assert without_quotes(f"Yes please.\n\n{quoted}\n\nHello\n") == "Yes please."


def test_a_signature_is_cut_and_a_greeting_stays() -> None:
    assert without_quotes("Yes.\n\nBest regards\nAda\n\n-- \nAda Example\n+1 555 0100") == "Yes.\n\nBest regards\nAda"


def test_an_answer_below_the_quote_is_what_is_visible() -> None:
    assert without_quotes("On 2016-02-01 18:32, A wrote:\n> old\n> text\n\nI agree.") == "I agree."


def test_an_answer_below_the_quote_stays_where_only_a_greeting_stands_above() -> None:
    quoted = "On 2016-02-01 18:32, A wrote:\n> old\n> text\n"
    assert without_quotes(f"Dear A,\n\n{quoted}\nI agree.") == "Dear A,\n\n> old\n> text\n\nI agree."
    assert without_quotes(f"I agree.\n\n{quoted}\nSome One") == "I agree."


def test_an_answer_point_by_point_keeps_the_points() -> None:
    text = "See below.\n\n> Does it work?\n\nYes.\n\n> And this?\n\nNo."
    assert without_quotes(text) == text
    assert (
        without_quotes("Hello,\n\nOn 2016-02-01 18:32, A wrote:\n> one?\nyes\n> two?\nno")
        == "Hello,\n\n> one?\nyes\n> two?\nno"
    )


def test_a_mail_of_quotes_alone_keeps_them() -> None:
    assert without_quotes("> All quoted.") == "> All quoted."


def test_a_forwarded_mail_is_shown_without_its_headers() -> None:
    text = "---------- Forwarded message ----------\nFrom: A <a@example.com>\nDate: today\nSubject: a long\nsubject\nTo: b@example.com\n\nLook at this."
    assert without_quotes(text) == "Look at this."


def test_an_html_reply_is_read_as_text_without_what_the_client_marked_as_quoted() -> None:
    raw = (
        b"From: a@example.com\r\nSubject: Re: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b"<html><head><style>p{color:red}</style></head><body><div>Yes &amp; thank <b>you</b>.</div><div>Ada</div>"
        b'<div class="gmail_quote">On Monday S wrote:<blockquote>Hello</blockquote></div></body></html>'
    )
    assert read_mail(raw).text == "Yes & thank you.\nAda"


def test_a_blockquote_is_a_quote() -> None:
    assert html_text("<p>Yes.</p><blockquote><p>Hello<br>there</p></blockquote>") == "Yes.\n\n> Hello\n> there"


def test_the_plain_part_is_preferred_to_the_html() -> None:
    raw = (
        b"From: a@example.com\r\nSubject: Re: x\r\nContent-Type: multipart/alternative; boundary=B\r\n\r\n"
        b"--B\r\nContent-Type: text/plain\r\n\r\nplain\r\n--B\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--B--\r\n"
    )
    assert read_mail(raw).text == "plain"
