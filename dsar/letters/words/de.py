"""German."""

from dsar.letters.words.citing import Place, cited
from dsar.letters.words.language import Language


def cite(article: str) -> str:
    """`GDPR Art. 17(3)(b), 21(1)` is `Art. 17 Abs. 3 Buchst. b, Art. 21 Abs. 1 DSGVO`. Other laws stand as they are."""
    return cited(article, listed=lambda places: f"{', '.join(_place(place) for place in places)} DSGVO")


def _place(place: Place) -> str:
    said = f"Art. {place.number}"
    if place.paragraph:
        said += f" Abs. {place.paragraph}"
    if place.letter:
        said += f" Buchst. {place.letter}"
    return f"{said} bis {place.last}" if place.last else said


WORDS = Language(
    name="Deutsch",
    date="j. F Y",
    cite=cite,
    laws={
        "gdpr": "die Datenschutz-Grundverordnung (DSGVO)",
        "uk_gdpr": "die UK GDPR",
        "ccpa": "der California Consumer Privacy Act (CCPA)",
        "dpdpa": "der Digital Personal Data Protection Act, 2023 (DPDP Act)",
    },
    requests={
        "export": "Auskunft über Ihre personenbezogenen Daten",
        "portability": "Herausgabe der von Ihnen bereitgestellten personenbezogenen Daten (Datenübertragbarkeit)",
        "delete": "Löschung Ihrer personenbezogenen Daten",
        "rectification": "Berichtigung Ihrer personenbezogenen Daten",
        "restriction": "Einschränkung der Verarbeitung Ihrer personenbezogenen Daten",
        "objection": "Widerspruch gegen die Verarbeitung Ihrer personenbezogenen Daten",
        "opt_out": "Beendigung aller Kontaktaufnahmen und Widerruf Ihrer Einwilligungen",
        "grievance": "Beschwerde über unseren Umgang mit Ihren personenbezogenen Daten",
    },
    contact="antworten Sie bitte auf dieses Schreiben.",
    authorities={
        "gdpr": "etwa der Ihres Aufenthaltsorts, Ihres Arbeitsplatzes oder des Orts des mutmaßlichen Verstoßes",
        "uk_gdpr": "dem Information Commissioner (ico.org.uk)",
        "ccpa": "der California Privacy Protection Agency (cppa.ca.gov) oder dem Attorney General von Kalifornien",
        "dpdpa": "dem Data Protection Board of India",
    },
    authority_named="insbesondere: {authority}",
    remedies={
        "gdpr": "Wenn Sie damit nicht einverstanden sind, können Sie sich bei einer Datenschutz-Aufsichtsbehörde"
        " beschweren, {authority} (Art. 77 DSGVO). Außerdem können Sie einen gerichtlichen Rechtsbehelf einlegen"
        " (Art. 79 DSGVO).",
        "uk_gdpr": "Wenn Sie damit nicht einverstanden sind, können Sie sich bei uns beschweren (Data Protection Act"
        " 2018 s. 164A): {contact}\nSie können sich auch bei der Aufsicht beschweren, {authority} (UK GDPR Art. 77),"
        " und einen gerichtlichen Rechtsbehelf einlegen (UK GDPR Art. 79).",
        "ccpa": "Wenn Sie damit nicht einverstanden sind, können Sie sich bei der Aufsicht beschweren, {authority}"
        " (Cal. Civ. Code § 1798.199.45). Niemandem entstehen Nachteile daraus, ein Recht auszuüben (Cal. Civ. Code"
        " § 1798.125).",
        "dpdpa": "Wenn Sie damit nicht einverstanden sind, richten Sie Ihre Beschwerde bitte an uns (DPDP Act 2023,"
        " s. 13): {contact}\nWird ihr nicht abgeholfen, können Sie sich an die Aufsicht wenden, {authority} (DPDP Act"
        " 2023, s. 13(3)).",
    },
    grounds={
        "manifestly_unfounded": "Der Antrag ist offenkundig unbegründet.",
        "excessive": "Der Antrag ist exzessiv, insbesondere wegen häufiger Wiederholung.",
        "identity_not_proven": "Wir konnten nicht sicherstellen, dass der Antrag von der betroffenen Person stammt.",
        "fraudulent": "Wir haben dokumentierte Gründe für die Annahme, dass der Antrag betrügerisch ist.",
        "rights_of_others": "Die Rechte und Freiheiten anderer Personen würden beeinträchtigt.",
        "legal_obligation": "Eine rechtliche Verpflichtung gebietet uns, die Daten aufzubewahren.",
        "legal_claims": "Die Daten sind zur Geltendmachung, Ausübung oder Verteidigung von Rechtsansprüchen"
        " erforderlich.",
        "compelling_grounds": "Zwingende schutzwürdige Gründe für die Verarbeitung überwiegen Ihre Interessen.",
        "accurate": "Die Daten sind richtig.",
        "not_applicable": "Das geltend gemachte Recht besteht in diesem Fall nicht.",
    },
    done={
        "export": "Wir haben die personenbezogenen Daten zusammengestellt, die wir über Sie verarbeiten.",
        "portability": "Wir haben die von Ihnen bereitgestellten personenbezogenen Daten in einem maschinenlesbaren"
        " Format zusammengestellt.",
        "delete": "Wir haben Ihre personenbezogenen Daten gelöscht.",
        "rectification": "Wir haben Ihre personenbezogenen Daten berichtigt.",
        "restriction": "Wir haben die Verarbeitung Ihrer personenbezogenen Daten eingeschränkt.",
        "objection": "Wir haben die Verarbeitung beendet, der Sie widersprochen haben.",
        "opt_out": "Wir nehmen keinen Kontakt mehr zu Ihnen auf.",
        "grievance": "Wir haben Ihre Beschwerde geprüft.",
    },
    in_part="Wir haben Ihrem Antrag zum Teil entsprochen.",
    no_data="Zu Ihren Angaben haben wir keine personenbezogenen Daten über Sie gefunden.",
    resolution="Im Einzelnen:\n{resolution}",
    opted_out="Widerrufene Einwilligungen: {count}.",
    erased="Gelöscht:",
    reduced="Ohne Ihren Namen, nur noch als Nachweis aufbewahrt:",
    kept_lead="Vorerst aufbewahrt, mit dem Grund:",
    kept={
        "legal_hold": "erforderlich für Rechtsansprüche oder aufgrund einer rechtlichen Verpflichtung ({article})",
        "referenced_by_held_rows": "ein geleerter Eintrag, auf den sich das Vorgenannte bezieht",
        "tells_of_held_rows": "der Schlüssel zu Einträgen unseres Protokolls über das Vorgenannte",
    },
    until="erneute Prüfung am {date}",
    package="Die Daten stehen bis zum {date} bereit. {handover}",
    handover="Um sie zu erhalten: {contact}",
    when="Sobald der Grund entfallen ist, löschen wir auch diese Daten von uns aus und schreiben Ihnen noch einmal. Sie"
    " müssen dafür nichts tun. Allein für dieses Schreiben bewahren wir Ihre Adresse verschlüsselt auf.",
    data={
        "interactionHistory": "Ihre Vorgänge bei uns",
        "decisionTrace": "Entscheidungen über Angebote",
        "interactionSummary": "Auswertungen Ihrer Vorgänge",
        "engagementHealth": "Kennzahlen, wie rege Sie sind",
        "attributionResult": "Zuordnungen von Käufen",
        "variantAssignment": "Vergleichsgruppen, denen Sie angehörten",
        "journeyEnrollment": "Nachrichtenreihen",
        "delivery": "an Sie gesendete Nachrichten",
        "attachment": "Dateien",
        "dynamicSchemaRows": "weitere Datensätze",
        "suppression": "Kontaktsperren",
        "consentRecord": "Ihre Einwilligungen",
        "outboxPayload": "noch nicht zugestellte Nachrichten",
        "archivedDeadLetter": "unzustellbare Nachrichten",
        "dossier": "für Sie zusammengestellte Auskünfte",
        "letterText": "Schreiben an Sie",
        "publicFiling": "was Sie über unsere Seite gesendet haben",
        "dsarRequest": "Ihre Anträge",
        "identityLink": "Kennungen",
        "customer": "Ihr Kundenprofil",
        "subjectKey": "der Schlüssel zu Einträgen unseres Protokolls über Sie",
    },
    told_lead="Diese Empfänger Ihrer Daten haben wir unterrichtet{article}:",
    not_told_lead="Diese Empfänger konnten wir nicht oder nur mit unverhältnismäßigem Aufwand unterrichten:",
    being_told="Diese Empfänger Ihrer Daten werden unterrichtet{article}:",
)
