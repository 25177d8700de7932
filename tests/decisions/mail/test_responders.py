"""Programs that answer for a person, without any header that says so; and people who say the same and more."""

from __future__ import annotations

import pytest

from decisions.mail.read import explain_mail, read_mail
from decisions.mail.verdict import MailVerdict


def answer(
    body: str, subject: str = "Re: Our seeds", sender: str = "Ben Hill <ben@shop.example>", headers: str = ""
) -> bytes:
    headers = headers or "In-Reply-To: <m@farm.example>\n"
    return (
        f"From: {sender}\nTo: Carla Voss <carla@farm.example>\nSubject: {subject}\n{headers}"
        f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
    ).encode()


def read(body: str, **fields: str) -> MailVerdict:
    return read_mail(answer(body, **fields))


@pytest.mark.parametrize(
    "body",
    [
        # English
        "Hi,\n\nI'm on annual leave from 3 to 14 August and will reply when I am back.\n\nBen",
        "Thank you for your message. I am currently travelling and have limited access to my inbox.\nFor anything urgent"
        " please contact my colleague Dan (dan@shop.example, +44 20 7946 0018).\n\nBest wishes\nBen Hill\nHead of Seeds",
        "Our office is closed until 2 January. Your e-mail will not be forwarded.",
        # German
        "Guten Tag,\n\nvielen Dank für Ihre Nachricht. Ich bin bis einschließlich 14. August nicht im Büro. Ihre E-Mail wird"
        " nicht weitergeleitet.\nIn dringenden Fällen wenden Sie sich bitte an dan@shop.example.\n\nFreundliche Grüße\nBen Hill",
        "Hallo, ich befinde mich derzeit im Urlaub und bin ab dem 17.8. wieder erreichbar.",
        "Sehr geehrte Damen und Herren,\n\nbis zum 20. Mai bin ich in Elternzeit. Meine Vertretung übernimmt Frau Dann"
        " (dan@shop.example).\n\nMit freundlichen Grüßen\nBen Hill",
        # French
        "Bonjour,\n\nJe suis actuellement en congés jusqu'au 14 août. Je vous répondrai dès mon retour.\n\nBien cordialement\nBen",
        "Je suis absent du 3 au 14 août et je n'aurai pas accès à mes mails. Pour toute urgence, vous pouvez joindre mon"
        " collègue au 01 99 00 12 34.",
        "Bonjour, merci pour votre message. Je ne suis pas au bureau cette semaine. Cordialement, Ben Hill",
        # Spanish
        "Gracias por su mensaje. Me encuentro de vacaciones hasta el 14 de agosto y no tendré acceso al correo.\n\nUn saludo\nBen",
        "Buenos días:\n\nEstaré fuera de la oficina del 3 al 14 de agosto. Si es urgente, póngase en contacto con mi compañera"
        " en dan@shop.example.\n\nAtentamente,\nBen Hill",
        "No estoy en la oficina esta semana. Responderé a mi regreso.",
        # Italian
        "Buongiorno,\n\nsono in ferie fino al 14 agosto. Per urgenze potete contattare dan@shop.example.\n\nCordiali saluti\nBen",
        "Grazie per il messaggio. Sarò fuori ufficio fino a lunedì e leggerò la posta al mio rientro.",
        "Gentile mittente, sono assente dal lavoro per maternità. In mia assenza scrivere a dan@shop.example.",
        # Dutch
        "Goedendag,\n\nVan 3 tot 14 augustus ben ik met vakantie. Uw e-mail wordt niet doorgestuurd.\n\nMet vriendelijke groet,\nBen",
        "Bedankt voor uw bericht. Ik ben momenteel niet op kantoor en heb beperkt toegang tot mijn mail. Bij spoed kunt u"
        " contact opnemen met mijn collega Dan.",
        "Ik ben op dit moment met zwangerschapsverlof. Na mijn verlof beantwoord ik uw mail zo spoedig mogelijk.",
        # Polish
        "Dzień dobry,\n\njestem na urlopie do 14 sierpnia. W pilnych sprawach proszę o kontakt z dan@shop.example.\n\n"
        "Z poważaniem\nBen Hill",
        "Dziękuję za wiadomość. Od 3 do 14 sierpnia jestem nieobecny w biurze. Odpowiem po powrocie.",
        "Przebywam na zwolnieniu i nie mam dostępu do poczty.",
        # Portuguese
        "Bom dia,\n\nEncontro-me de férias até 14 de agosto. Em caso de urgência, contacte dan@shop.example.\n\nCumprimentos\nBen",
        "Obrigado pelo seu e-mail. Estou ausente do escritório e responderei no meu regresso.",
        "Estou de licença até setembro, sem acesso ao e-mail.",
        # Others
        "Hej,\n\nJag är på semester till den 14 augusti. Vid brådskande ärenden kontakta dan@shop.example.\n\nVänliga hälsningar\nBen",
        "Jeg er på ferie til og med den 14. august og svarer, når jeg er tilbage.",
        "Vacation until Nov 9. Urgent: call Dan, 020 7946 0011.",
        "现在我在休假，11月9日回来。紧急事宜请联系 dan@shop.example。",
        "Beste afzender, ik ben vrij tot en met 9 november. Groet, Ben",
        "Olen lomalla 14.8. saakka. Kiireellisissä asioissa ottakaa yhteyttä dan@shop.example.",
        "Dobrý den, do 14. srpna čerpám dovolenou. Odpovím po návratu, v nutných případech pište na dan@shop.example.",
    ],
)  # fmt: skip
def test_who_is_away_and_says_nothing_else_has_not_replied(body: str) -> None:
    verdict = read(body)
    assert (verdict.kind, verdict.text != "") == ("auto_reply", True), verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "I am on holiday until Monday. Could you send me the price list in the meantime?",
        "I'm out of the office this week, let's talk on the 12th.",
        "Thanks Carla, I'm travelling until Friday and will answer then.",
        "I am away until Thursday but we would like two sacks of the red beans.",
        "We grow beans on four fields. In August I am on vacation, and my brother does the watering.",
        "Not interested, and I am on leave until October anyway.",
        "Ich bin bis Freitag im Urlaub, schicken Sie mir das Angebot bitte an meine private Adresse.",
        "Danke, klingt gut. Ich bin nächste Woche nicht im Büro.",
        "Ich bin ab Montag im Urlaub. Die Bohnen sind angekommen, zwei Säcke waren nass.",
        "Je suis en congés jusqu'au 14 août mais votre offre m'intéresse.",
        "Estoy de vacaciones hasta el lunes, pero llámeme el martes.",
        "Sono in ferie, ma la vostra proposta va bene: mandate il contratto.",
        "Ik ben met vakantie tot maandag. Stuur de offerte maar naar mijn collega, hij tekent.",
        "Jestem na urlopie do piątku, ale proszę przesłać ofertę.",
        "Estou de férias até segunda. Gostei das sementes vermelhas, falamos depois.",
        "Your colleague wrote this to me:\n\n> I am out of the office until 14 August.\n> Please contact dan@shop.example.\n\n"
        "So I ask you instead.",
        # A clause of the same sentence that is about something else.
        "Nie ma mnie w biurze do piątku, ale próbki dotarły.",
        "I am away until Friday, but the peas have come.",
        "We have a supplier of our own and I am away until June anyway.",
        # What only who has read our mail asks for.
        "Siamo chiusi per ferie fino al 20, consegnate il 21.",
        "Wij zijn gesloten tot maandag, lever dinsdag maar.",
        # Not there for a moment, and no responder's absence.
        "I am not available at 10, but 11 works.",
        "I am unavailable for a call this week.",
        "Hello, I am attending the fair in Berlin, hall 4.",
        "Got this one back from Dan:\n\nI am out of the office until 14 August.\n\nWho else knows the beans?",
    ],
)  # fmt: skip
def test_who_is_away_and_says_more_has_replied(body: str) -> None:
    verdict = read(body)
    assert verdict.kind == "reply", verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "Your message has been received and registered under the number 2026-1187. We will get back to you shortly.",
        "Hello,\n\nthis is an automatic reply: we have received your enquiry and answer within 24 hours.\n\nShop Team",
        "We got your mail. This message was generated automatically, replies to this address are not read.",
        "Ihre Nachricht ist bei uns eingegangen (Ticket 55012). Wir kümmern uns so schnell wie möglich darum.",
        "Sehr geehrte Damen und Herren,\n\ndiese E-Mail wurde automatisch erstellt. Bitte antworten Sie nicht auf diese E-Mail.",
        "Ihre E-Mail ist eingegangen. Bitte beachten Sie, dass dies eine automatisch erstellte Nachricht ist.",
        "Vielen Dank für Ihre Anfrage. Dies ist eine automatische Eingangsbestätigung.",
        "Bonjour,\n\nvotre demande a bien été enregistrée sous le numéro 55012. Nous vous répondrons dans les meilleurs délais.",
        "Ceci est un message automatique, merci de ne pas y répondre.",
        "Hemos recibido su consulta. Su número de caso es 55012 y le responderemos a la mayor brevedad.",
        "Este es un mensaje automático. Por favor, no responda a este correo.",
        "La sua richiesta è stata registrata con il numero 55012. Le risponderemo quanto prima.",
        "Questo messaggio è stato generato automaticamente, si prega di non rispondere.",
        "Uw vraag is ontvangen en geregistreerd onder nummer 55012. Wij nemen zo spoedig mogelijk contact met u op.",
        "Dit is een automatisch bericht. U hoeft hier niet op te antwoorden.",
        "Dziękujemy za kontakt. Zgłoszenie zostało przyjęte, numer sprawy 55012. Odpowiemy wkrótce.",
        "Ta wiadomość została wygenerowana automatycznie. Prosimy nie odpowiadać.",
        "Recebemos a sua mensagem. O número do pedido é 55012 e responderemos em breve.",
        "Esta é uma mensagem automática, por favor não responda.",
        "Tack för ditt mejl! Det här är ett autosvar. Vi återkommer inom två arbetsdagar.",
        "Hej, dette er et autosvar. Vi svarer hurtigst muligt.",
        "Hello, your enquiry has been registered under no. 55012.",
        "Detta är ett automatiskt svar. Vi har mottagit ditt meddelande.",
        "Это автоматическое сообщение, отвечать на него не нужно.",
    ],
)
def test_an_acknowledgement_is_no_reply(body: str) -> None:
    verdict = read(body, sender="Seed Shop <info@shop.example>")
    assert verdict.kind == "auto_reply", verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "We have received your offer and will come back to you next week. Regards, Ben",
        "I received your message, number 2026 is the year we mean. Send it over.",
        "Thanks for your mail. Order 55012 was right, but invoice 55013 was not.",
        "Is this an automated message? Please answer yourself.",
        "I guess your mail was sent automatically, so nobody reads this. Please take me off the list.",
        "Wir suchen ein System, das diese Aufgaben automatisch erledigt.",
        "Please do not reply to this thread any more, Dan is in charge now. He would like the offer.",
        "Your message was received with joy! We take ten sacks.",
        # What a help desk's program says too, without a number and without a word that it is one.
        "Thank you, we have received your message and will get back to you.",
        "Wir haben Ihre Nachricht erhalten und melden uns in Kürze bei Ihnen.\n\nBen Hill",
        "Merci, nous avons bien reçu votre demande et vous répondrons dans les meilleurs délais.",
        "Votre message a bien été reçu, le dossier 4711 est clos, nous ne souhaitons pas donner suite.",
        "Your request has been received and declined. Ref 4711.",
        # A number that is a telephone's.
        "I have received your message. My direct number is 020 7946 0011, mornings are fine.",
        "Ich habe Ihre Nachricht erhalten. Meine Nummer ist 0171 2345678.",
        "Hemos recibido su mensaje. Mi número es 600 123 456.",
        "Potwierdzam otrzymanie oferty. Numer telefonu 600 123 456.",
        "Ik heb uw bericht ontvangen, mijn nummer is 06 12345678.",
        "Nous avons bien reçu votre offre, elle nous convient.",
        "Yes, let us do that.\n\nBen\n\nThis message was sent automatically through our gateway, do not reply to this e-mail"
        " if you are not who it is for.",
    ],
)
def test_a_person_who_has_received_something_has_replied(body: str) -> None:
    verdict = read(body, sender="Ben Hill <info@shop.example>")
    assert verdict.kind == "reply", verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "My inbox is protected by Spam Gate. Please confirm that you are a real person by following this link:\n\n"
        "https://gate.example/c/71\n\nYou have to do this only once.",
        "Your message to ben@shop.example is being held because your address is not yet recognised. To release it, click"
        " here: http://gate.example/r?71",
        "Your e-mail has been quarantined until you verify your address. Reply to this message, and it is delivered.",
        "Mein Postfach ist gegen Spam geschützt. Klicken Sie bitte einmalig auf diesen Link, damit Ihre Nachricht zugestellt"
        " wird: https://gate.example/c/71",
        "Votre message est en attente. Pour prouver que vous n'êtes pas un robot, cliquez sur ce lien : https://gate.example/c/71",
        "Pour lutter contre le spam, je vous demande de valider votre adresse une seule fois en cliquant ici :"
        " https://gate.example/c/71",
        "Dit is tegen spam: klik op deze link, dan wordt uw bericht afgeleverd. https://gate.example/c/71",
        "Als Schutz gegen Spam bitten wir Sie, auf diesen Link zu klicken: https://gate.example/c/71",
        "Su mensaje está retenido por nuestro filtro antispam. Haga clic en el enlace siguiente para entregarlo:"
        " https://gate.example/c/71",
        "Il suo messaggio è in attesa: clicchi sul link per entrare tra i mittenti autorizzati. https://gate.example/c/71",
        "Chronię swoją skrzynkę przed spamem. Proszę kliknąć link, aby wiadomość dotarła: https://gate.example/c/71",
    ],
)
def test_a_challenge_is_a_machines(body: str) -> None:
    verdict = read(body)
    assert (verdict.kind, verdict.reason) == ("auto_reply", "challenge")


@pytest.mark.parametrize(
    "body",
    [
        "Your mail was in our spam folder. Please click here to book a call with me: https://cal.example/ben",
        "Our network is protected by a firewall, so I cannot open https://farm.example. Send me a PDF file.",
        "I have put you on our list of approved suppliers, see https://shop.example/list. Call me on Monday.",
        "Klicken Sie auf https://shop.example/termine und wählen Sie einen Tag, dann sprechen wir über den Preis.",
    ],
)
def test_a_person_who_sends_a_link_has_replied(body: str) -> None:
    verdict = read(body)
    assert verdict.kind == "reply", verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "Ben Hill has left the company. Please contact dan@shop.example instead.",
        "I no longer work at Seed Shop. For questions about seeds please write to dan@shop.example.",
        "Please note that my e-mail address has changed. My new address is ben@new.example. This mailbox is no longer read.",
        "Ben Hill hat unser Haus zum 31. Oktober verlassen. Bitte wenden Sie sich an dan@shop.example.",
        "Herr Hill ist nicht mehr in unserem Unternehmen tätig. Bitte wenden Sie sich an dan@shop.example.",
        "Diese Adresse wird nicht mehr verwendet. Bitte schreiben Sie an dan@shop.example.",
        "Ben Hill a quitté l'entreprise. Merci de contacter dan@shop.example.",
        "Ben Hill ya no trabaja en la empresa. Para cualquier consulta escriba a dan@shop.example.",
        "Questa casella non è più attiva. Si prega di scrivere a dan@shop.example.",
        "Ben Hill is niet meer in dienst. U kunt contact opnemen met dan@shop.example.",
        "Ben Hill nie pracuje już w naszej firmie. Prosimy o kontakt z dan@shop.example.",
        "Este endereço de e-mail já não é utilizado. Contacte dan@shop.example.",
    ],
)
def test_a_notice_that_somebody_has_left_is_a_machines(body: str) -> None:
    verdict = read(body)
    assert verdict.kind == "auto_reply", verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "Ben has left the company, I have taken over from him. Which beans do you have?",
        "Dan no longer works here. Please write to Eve instead, eve@shop.example.",
        "We have left the old supplier and are looking for a new one.",
        "I am no longer interested, please contact somebody else.",
        "I no longer work with seeds. Please contact the growers at office@growers.example.",
        "My address has changed, send the offer to ben@new.example please.",
        "Herr Dann ist nicht mehr bei uns, ich bin seine Nachfolgerin und möchte das Angebot sehen.",
    ],
)
def test_a_colleague_who_answers_for_somebody_who_left_has_replied(body: str) -> None:
    verdict = read(body)
    assert verdict.kind == "reply", verdict.reason


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Case study you created for us", "We read it with pleasure and would like a second one."),
        ("We have received your sample", "The sample has been received and we will get back to you with the results."),
        ("Ticket to the fair received", "Thank you, the ticket came this morning. See you in Hanover."),
        ("We have received your sample", "The beans are fine, the peas less so. What about the lentils?"),
        ("Your request for a quote, created by Dan", "Please find it attached, valid until May."),
        ("Thank you for contacting the growers", "Nobody has written to us in years. Do call, mornings are best."),
    ],
)
@pytest.mark.parametrize("headers", ["", "In-Reply-To: <m@farm.example>\n"])
def test_a_persons_subject_that_looks_like_a_help_desks_stays_theirs(subject: str, body: str, headers: str) -> None:
    verdict = read(body, subject=subject, headers=headers or "X-Mailer: Post\n")
    assert verdict.kind == "reply", verdict.reason


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Ticket #55012 received", "We have received your request and will respond within two working days."),
        ("We have received your message", "Thank you for writing. Our team will get back to you as soon as possible."),
        ("Your request has been received", "Your request 55012 has been registered. You can follow its status at https://shop.example/55012"),
    ],
)  # fmt: skip
def test_a_help_desks_subject_with_its_words_is_a_machines(subject: str, body: str) -> None:
    assert read(body, subject=subject).kind == "auto_reply"


@pytest.mark.parametrize("sender", ["no-reply@shop.example", "donotreply@shop.example", "auto-reply@shop.example"])
def test_an_address_that_nobody_reads_is_no_persons(sender: str) -> None:
    assert read("Thank you!", sender=sender).kind == "auto_reply"
    form = "In-Reply-To: <m@farm.example>\nReply-To: ben@shop.example\n"
    assert read("Thank you!", sender=sender, headers=form).kind == "reply"


def test_the_signs_that_prove_a_responder_are_kept_as_evidence() -> None:
    _, evidence = explain_mail(answer("I am on holiday until 14 August. Please contact dan@shop.example."))
    assert [each.name for each in evidence][:3] == ["written", "away", "asks-nothing"]
    assert evidence[1].where.endswith("I am on holiday")


def test_what_exims_autoreply_returns_is_not_its_text() -> None:
    headers = "Auto-Submitted: auto-replied\n"
    said = "I am on vacation until 9 November."
    for mark in (
        "message, including all the headers.\n------",
        "body of the message, without the headers.",
        "message's header lines.",
    ):
        returned = f"{said}\n\n------ This is a copy of the {mark}\n\nFrom: carla@farm.example\nSubject: x\n\nHello"
        assert read(returned, headers=headers).text == said
