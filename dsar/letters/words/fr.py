"""French."""

from dsar.letters.words.citing import Place, cited, joined
from dsar.letters.words.language import Language


def cite(article: str) -> str:
    """`GDPR Art. 17(3)(b)` is `article 17, paragraphe 3, point b), du RGPD`, as the French text has it."""
    return cited(article, listed=lambda places: joined([_place(p) for p in places], conjunction="et", law="du RGPD"))


def _place(place: Place) -> str:
    if place.last:
        return f"articles {place.number} à {place.last}"
    said = f"article {place.number}"
    if place.paragraph:
        said += f", paragraphe {place.paragraph}"
    return f"{said}, point {place.letter})" if place.letter else said


WORDS = Language(
    name="Français",
    date="j F Y",
    first="1er",
    cite=cite,
    laws={
        "gdpr": "le règlement général sur la protection des données (RGPD)",
        "uk_gdpr": "le UK GDPR",
        "ccpa": "le California Consumer Privacy Act (CCPA)",
        "dpdpa": "le Digital Personal Data Protection Act, 2023 (DPDP Act)",
    },
    requests={
        "export": "accès à vos données personnelles",
        "portability": "portabilité des données personnelles que vous avez fournies",
        "delete": "effacement de vos données personnelles",
        "rectification": "rectification de vos données personnelles",
        "restriction": "limitation du traitement de vos données personnelles",
        "objection": "opposition au traitement de vos données personnelles",
        "opt_out": "arrêt de toute prise de contact et retrait de vos consentements",
        "grievance": "réclamation sur la manière dont nous traitons vos données personnelles",
    },
    contact="répondez à ce courrier.",
    authorities={
        "gdpr": "par exemple celle de votre résidence habituelle, de votre lieu de travail ou du lieu de la violation"
        " présumée (en France, la CNIL, www.cnil.fr)",
        "uk_gdpr": "l'Information Commissioner (ico.org.uk)",
        "ccpa": "la California Privacy Protection Agency (cppa.ca.gov) ou l'Attorney General de Californie",
        "dpdpa": "le Data Protection Board of India",
    },
    authority_named="notamment {authority}",
    remedies={
        "gdpr": "Si vous n'êtes pas d'accord, vous pouvez introduire une réclamation auprès d'une autorité de contrôle,"
        " {authority} (article 77 du RGPD). Vous pouvez également former un recours juridictionnel (article 79 du"
        " RGPD).",
        "uk_gdpr": "Si vous n'êtes pas d'accord, vous pouvez nous adresser une réclamation (Data Protection Act 2018"
        " s. 164A) : {contact}\nVous pouvez également introduire une réclamation auprès de l'autorité de contrôle,"
        " {authority} (UK GDPR Art. 77), et former un recours juridictionnel (UK GDPR Art. 79).",
        "ccpa": "Si vous n'êtes pas d'accord, vous pouvez introduire une réclamation auprès de l'autorité compétente,"
        " {authority} (Cal. Civ. Code § 1798.199.45). L'exercice d'un droit n'entraîne aucun désavantage (Cal. Civ."
        " Code § 1798.125).",
        "dpdpa": "Si vous n'êtes pas d'accord, adressez-nous votre réclamation (DPDP Act 2023, s. 13) : {contact}\n"
        "S'il n'y est pas remédié, vous pouvez saisir l'autorité compétente, {authority} (DPDP Act 2023, s. 13(3)).",
    },
    grounds={
        "manifestly_unfounded": "La demande est manifestement infondée.",
        "excessive": "La demande est excessive, notamment en raison de son caractère répétitif.",
        "identity_not_proven": "Nous n'avons pas pu nous assurer que la demande émane de la personne concernée.",
        "fraudulent": "Nous avons des raisons documentées de penser que la demande est frauduleuse.",
        "rights_of_others": "Il serait porté atteinte aux droits et libertés d'autrui.",
        "legal_obligation": "Une obligation légale nous impose de conserver les données.",
        "legal_claims": "Les données sont nécessaires à la constatation, à l'exercice ou à la défense de droits en"
        " justice.",
        "compelling_grounds": "Des motifs légitimes et impérieux pour le traitement prévalent sur vos intérêts.",
        "accurate": "Les données sont exactes.",
        "not_applicable": "Le droit que vous exercez ne s'applique pas dans ce cas.",
    },
    done={
        "export": "Nous avons réuni les données personnelles que nous traitons à votre sujet.",
        "portability": "Nous avons réuni les données personnelles que vous avez fournies, dans un format structuré et"
        " lisible par machine.",
        "delete": "Nous avons effacé vos données personnelles.",
        "rectification": "Nous avons rectifié vos données personnelles.",
        "restriction": "Nous avons limité le traitement de vos données personnelles.",
        "objection": "Nous avons cessé le traitement visé par votre opposition.",
        "opt_out": "Nous ne vous contacterons plus.",
        "grievance": "Nous avons examiné votre réclamation.",
    },
    in_part="Nous avons donné suite en partie à votre demande.",
    no_data="À partir de vos indications, nous n'avons trouvé aucune donnée personnelle vous concernant.",
    resolution="En détail :\n{resolution}",
    opted_out="Consentements retirés : {count}.",
    erased="Effacé :",
    reduced="Conservé sans votre nom, à titre de preuve uniquement :",
    kept_lead="Conservé pour le moment, avec le motif :",
    kept={
        "legal_hold": "nécessaire pour des droits en justice ou en vertu d'une obligation légale ({article})",
        "referenced_by_held_rows": "une entrée vidée à laquelle se rapporte ce qui précède",
        "tells_of_held_rows": "la clé des entrées de notre journal sur ce qui précède",
    },
    until="nouvel examen le {date}",
    package="Les données sont à votre disposition jusqu'au {date}. {handover}",
    handover="Pour les recevoir : {contact}",
    when="Dès que le motif aura disparu, nous effacerons aussi ces données de notre propre initiative et vous écrirons"
    " de nouveau : vous n'avez rien à demander. Pour ce seul courrier, nous conservons votre adresse, chiffrée.",
    data={
        "interactionHistory": "vos échanges avec nous",
        "decisionTrace": "décisions relatives à des offres",
        "interactionSummary": "synthèses de votre activité",
        "engagementHealth": "indicateurs de votre engagement",
        "attributionResult": "ce qui a conduit à un achat",
        "variantAssignment": "groupes de comparaison dont vous avez fait partie",
        "journeyEnrollment": "séries de messages",
        "delivery": "messages qui vous ont été envoyés",
        "attachment": "fichiers",
        "dynamicSchemaRows": "autres enregistrements",
        "suppression": "canaux par lesquels vous ne devez pas être contacté",
        "consentRecord": "vos consentements",
        "outboxPayload": "messages en cours d'acheminement",
        "archivedDeadLetter": "messages qui n'ont pas pu être remis",
        "dossier": "dossiers constitués pour vous",
        "letterText": "courriers qui vous sont adressés",
        "publicFiling": "ce que vous avez envoyé depuis notre page",
        "dsarRequest": "vos demandes",
        "identityLink": "identifiants",
        "customer": "votre profil",
        "subjectKey": "la clé des entrées de notre journal vous concernant",
    },
    told_lead="Nous avons informé ces destinataires de vos données{article} :",
    not_told_lead="Nous n'avons pas pu informer ces destinataires, ou seulement au prix d'efforts disproportionnés :",
    being_told="Ces destinataires de vos données sont en train d'être informés{article} :",
)
