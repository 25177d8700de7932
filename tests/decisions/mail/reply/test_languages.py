"""The line before a quoted mail in the languages that mail programs speak."""

from __future__ import annotations

import unicodedata

import pytest

from decisions.mail.reply.visible import without_quotes

ANSWER = "Friday suits me.\nShall I bring the plans?"

# Gmail's, with an address and a day in each; languages by their tag (RFC 5646).
GMAIL = {
    "af": "Op Di. 3 Nov. 2026 om 11:20 het Some One <a@example.com> geskryf:",
    "ar": "في الثلاثاء، 3 نوفمبر 2026 في 11:20 ص تمت كتابة ما يلي بواسطة \u202bSome One\u202c\u200e <\u202aa@example.com\u202c\u200f>:\u200f",
    "bg": "На вт, 3.11.2026 г. в 11:20 Some One <a@example.com> написа:",
    "bn": "মঙ্গল, ৩ নভে, ২০২৬ তারিখে ১১:২০ AM টায় তারিখে Some One <a@example.com> লিখেছেন:",
    "ca": "Missatge de Some One <a@example.com> del dia dt., 3 de nov. 2026 a les 11:20:",
    "cs": "út 3. 11. 2026 v 11:20 odesílatel Some One <a@example.com> napsal:",
    "da": "Den tirs. 3. nov. 2026 kl. 11.20 skrev Some One <a@example.com>:",
    "el": "Στις Τρί 3 Νοε 2026 στις 11:20 π.μ., ο χρήστης Some One <a@example.com> έγραψε:",
    "et": "Kuupäev T, 3. november 2026 kell 11:20 kirjutas kasutaja Some One <a@example.com>:",
    "eu": "Some One erabiltzaileak (<a@example.com>) hau idatzi du (2026 aza. 3, ar. (11:20)):",
    "fa": "در تاریخ سه‌شنبه ۳ نوامبر ۲۰۲۶،‏ ۱۱:۲۰ Some One <a@example.com> نوشت:",
    "fi": "ti 3.11.2026 klo 11.20 Some One (a@example.com) kirjoitti:",
    "fil": "Noong Mar, Nob 3, 2026 nang 11:20 AM, sinulat ni Some One <a@example.com> ang:",
    "gl": "O mar, 3 nov 2026 ás 11:20, Some One (<a@example.com>) escribiu:",
    "gu": "મંગળ, 3 નવે, 2026 એ 11:20 AM વાગ્યે, Some One <a@example.com> એ લખ્યું:",
    "he": "\u202bבתאריך יום ג׳, 3 בנוב׳ 2026 ב-11:20 מאת \u202aSome One\u202c\u200f <\u202aa@example.com\u202c\u200f>:\u202c",
    "hi": "मंगल, 3 नव॰ 2026 को 11:20 am बजे को Some One <a@example.com> ने लिखा:",
    "hr": "uto, 3. stu 2026. u 11:20 Some One <a@example.com> napisao je:",
    "hu": "Some One <a@example.com> ezt írta (időpont: 2026. nov. 3., K, 11:20):",
    "id": "Pada tanggal Sel, 3 Nov 2026 pukul 11.20 Some One <a@example.com> menulis:",
    "is": "Þann þri., 3. nóv. 2026 kl. 11:20 skrifaði Some One <a@example.com>:",
    "lt": "2026-11-03, an, 11:20 Some One <a@example.com> rašė:",
    "lv": "otrd., 2026. g. 3. nov., plkst. 11:20 — lietotājs Some One (<a@example.com>) rakstīja:",
    "mr": "मंगळ, ३ नोव्हें, २०२६ रोजी ११:२० AM वाजता Some One <a@example.com> ने लिहिले:",
    "ms": "Pada Sel, 3 Nov 2026 pada 11:20 PG Some One <a@example.com> menulis:",
    "no": "tir. 3. nov. 2026 kl. 11:20 skrev Some One <a@example.com>:",
    "pl": "wt., 3 lis 2026 o 11:20 Some One <a@example.com> napisał(a):",
    "pt-PT": "Some One <a@example.com> escreveu (terça, 3/11/2026 à(s) 11:20):",
    "ro": "În mar., 3 nov. 2026 la 11:20, Some One <a@example.com> a scris:",
    "ru": "вт, 3 нояб. 2026 г. в 11:20, Some One <a@example.com>:",
    "sk": "ut 3. 11. 2026 o 11:20 Some One <a@example.com> napísal(a):",
    "sl": "V V tor., 3. nov. 2026 ob 11:20 je oseba Some One <a@example.com> napisala:",
    "sr": "уто, 3. нов 2026. у 11:20 Some One <a@example.com> је написао/ла:",
    "sv": "Den tis 3 nov. 2026 kl 11:20 skrev Some One <a@example.com>:",
    "sw": "Mnamo Jnn, 3 Nov 2026 saa 11:20 AM Some One <a@example.com> aliandika:",
    "ta": "செவ்., 3 நவ., 2026, முற்பகல் 11:20 அன்று, Some One <a@example.com> எழுதியது:",
    "te": "మంగళ, 3 నవం, 2026న 11:20 AMకి Some One <a@example.com> ఇలా రాసారు:",
    "th": "ในวันที่ อ. 3 พ.ย. 2026 เวลา 11:20 Some One <a@example.com> เขียนว่า:",
    "tr": "Some One <a@example.com>, 3 Kas 2026 Sal, 11:20 tarihinde şunu yazdı:",
    "uk": "вт, 3 лист. 2026 р. о 11:20 Some One <a@example.com> пише:",
    "ur": "منگل، 3 نومبر، 2026 کو 11:20 AM پر Some One <a@example.com> نے لکھا:",
    "vi": "Vào Th 3, 3 thg 11, 2026 vào lúc 11:20 Some One <a@example.com> đã viết:",
    "zh-TW": "Some One <a@example.com> 於 2026年11月3日 週二 上午11:20寫道：",
    "a language no table has": "Zo dat 3 Xob. 2026 vu 11:20 ka Some One <a@example.com> vopolad:",
}  # fmt: skip

# Without an address: Apple Mail's, and those of Evolution, Roundcube and KMail.
NAMED = {
    "ar": "في ٣ نوفمبر ٢٠٢٦، الساعة ١١:٢٠ ص، كتب Some One:",
    "be": "03-11-2026, аўт а 11:20 +0300, Some One напісаў:",
    "bs": "U uto, 03. 11. 2026. u 11:20 +0100, Some One piše:",
    "ca": "El dia 3 nov 2026, a les 11:20, Some One va escriure:",
    "cs": "Some One píše v Út 03. 11. 2026 v 11:20 +0100:",
    "cy": "Ar Maw, 2026-11-03 am 11:20 +0000, ysgrifennodd Some One:",
    "de": "Am Dienstag, dem 03.11.2026 um 11:20 +0100 schrieb Some One:",
    "el": "3 Νοε 2026, 11:20 π.μ., ο χρήστης Some One έγραψε:",
    "eo": "Je mar, 2026-11-03 je 11:20 +0100, Some One skribis:",
    "et": "03.11.2026 kell 11:20, kirjutas Some One:",
    "eu": "2026-11-03 egunean, Some One-(e)k idatzi du:",
    "fi": "Some One kirjoitti 3.11.2026 kello 11.20:",
    "ga": "Ar an 2026-11-03 11:20, scríobh Some One:",
    "gl": "O Mar, 03-11-2026 ás 11:20 +0100, Some One escribiu:",
    "he": "ב-3 בנוב׳ 2026, בשעה 11:20, ‏Some One כתב/ה:",
    "hr": "Dana 03.11.2026. 11:20, Some One je napisao/la:",
    "hu": "2026. nov. 3. dátummal, 11:20 időpontban Some One írta:",
    "hy": "2026-11-03 11:20-ին, Some One-ը գրեց.",
    "ka": "2026-11-03 11:20-ში, Some One დაწერა:",
    "ko": "2026-11-03 11:20에 Some One이(가) 쓴 내용:",
    "ko, Apple": "2026. 11. 3. 오전 11:20, Some One 작성:",
    "lb": "Den 2026-11-03 11:20, Some One schreift:",
    "lt": "An, 2026 11 03 11:20 +0200, Some One rašė:",
    "mk": "На вто, 2026-11-03 во 11:20 +0100, Some One напиша:",
    "nl, Apple": "Op 3 nov. 2026 om 11:20 heeft Some One het volgende geschreven:",
    "nn": "ty. den 03. 11. 2026 klokka 11.20 (+0100) skreiv Some One:",
    "oc": "Lo dimarç 03 de-11-de 2026, at 11:20 +0100, Some One escriguèt :",
    "pl, Apple": "Wiadomość napisana przez Some One w dniu 3 lis 2026, o godz. 11:20:",
    "pt, Apple": "Some One escreveu no dia 03/11/2026, às 11:20:",
    "ro, Apple": "Pe 3 nov. 2026, la 11:20, Some One a scris:",
    "sl": "Dne 03.11.2026 (tor) ob 11:20 +0100 je Some One napisal(a):",
    "sq": "Ditën e Mar, 03/11/2026 më 11.20 +0100, Some One ka shkruar:",
    "sv": "tis 2026-11-03 klockan 11:20 +0100 skrev Some One:",
    "th": "เมื่อ 3 พ.ย. 2569 เวลา 11:20 Some One เขียนว่า:",
    "tr, Apple": "Some One şunları yazdı (3 Kas 2026 11:20):",
    "uz": "Some One yozgan kun 2026-11-03 11:20:",
    "zh-HK": "於 二，2026-11-03 於 11:20 +0800，Some One 提到：",
}  # fmt: skip


def _folded(line: str) -> list[str]:
    """The line as a program may send it: as it is, broken before the address, and broken within the day."""
    folds = [line]
    if " <" in line:
        at = line.index(" <")
        folds += [line[:at] + "\n" + line[at + 1 :], line.replace("<a@", "<\na@").replace("<\u202aa@", "<\n\u202aa@")]
    if line.find(" 2026") > 20:
        folds.append(line.replace(" 2026", "\n2026", 1))
    return folds


@pytest.mark.parametrize("quoted", ["> Dear Ada,\n> which day?", "Dear Ada,\nwhich day?"], ids=["marked", "bare"])
@pytest.mark.parametrize("language", GMAIL)
def test_gmail_names_who_wrote_and_when_in_many_languages(language: str, quoted: str) -> None:
    for line in _folded(GMAIL[language]):
        assert without_quotes(f"{ANSWER}\n\n{line}\n\n{quoted}\n") == ANSWER


@pytest.mark.parametrize("language", NAMED)
def test_other_programs_name_who_wrote_and_when_without_an_address(language: str) -> None:
    assert without_quotes(f"{ANSWER}\n\n{NAMED[language]}\n\n> Dear Ada,\n> which day?\n") == ANSWER


@pytest.mark.parametrize("language", ["af", "cy", "de", "ga", "lb", "nn", "oc", "sq", "sv", "th"])
def test_of_these_the_words_are_known_so_that_no_mark_of_a_quote_is_needed(language: str) -> None:
    line = NAMED.get(language, "Op Di, 2026-11-03 om 11:20 +0200 skryf Some One:")
    assert without_quotes(f"{ANSWER}\n\n{line}\n\nDear Ada,\nwhich day?\n") == ANSWER


def test_a_blank_that_does_not_break_is_a_blank() -> None:
    line = "Le mar. 3 nov. 2026 à 11:20, Some One a écrit\u202f:"
    assert without_quotes(f"{ANSWER}\n\n{line}\n\nDear Ada\n") == ANSWER


def test_in_a_language_no_table_has_a_day_and_a_time_above_a_quote_that_ends_the_mail_are_enough() -> None:
    line = "Zo dat 3 Xob. 2026 vu 11:20 ka Some One vopolad:"
    assert without_quotes(f"{ANSWER}\n\n{line}\n> Dear Ada\n") == ANSWER
    answered = f"{ANSWER}\n\n{line}\n> Dear Ada\n\nYes."
    assert without_quotes(answered) == answered


@pytest.mark.parametrize("language", GMAIL)
def test_the_line_may_come_with_its_letters_taken_apart(language: str) -> None:
    line = unicodedata.normalize("NFD", GMAIL[language])
    assert without_quotes(f"{ANSWER}\n\n{line}\n\n> Dear Ada\n") == ANSWER


@pytest.mark.parametrize(
    "marker",
    [
        "-----Missatge original-----",
        "-------- Oorspronklike boodskap --------",
        "-----Eredeti üzenet-----",
        "-------- Sākotnējā vēstule --------",
        "-----Originalus laiškas-----",
        "-----Algupärane sõnum-----",
        "-----Izvirno sporočilo-----",
        "-----Izvorna poruka-----",
        "-------- Препратено писмо --------",
        "-------- Прослеђена порука --------",
        "-----Арыгінальнае паведамленне-----",
        "-----Mensaxe orixinal-----",
        "-----Jatorrizko mezua-----",
        "-----Mesazhi Origjinal-----",
        "-----Pesan Asli-----",
        "-----Thư gốc-----",
        "-----پیام اصلی-----",
        "-------- ข้อความเดิม --------",
        "-----Özgün İleti-----",
        "-------- オリジナルのメッセージ --------",
        "-------- 原始信息 --------",
        "-----Upprunaleg skilaboð-----",
        "---------- Preposlaná správa ----------",
        "-------- Treść przekazanej wiadomości --------",
        "Začátek přeposílané zprávy:",
        "Početak proslijeđene poruke:",
        "Начало переадресованного сообщения:",
    ],
)
def test_the_line_above_an_original_or_forwarded_mail_ends_the_answer(marker: str) -> None:
    assert without_quotes(f"{ANSWER}\n\n{marker}\n\nDear Ada,\nwhich day?\n") == ANSWER
