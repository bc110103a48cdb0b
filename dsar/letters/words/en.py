"""English."""

from dsar.letters.words.language import Language


def _as_it_stands(article: str) -> str:
    return article


WORDS = Language(
    name="English",
    date="j F Y",
    cite=_as_it_stands,
    laws={
        "gdpr": "the General Data Protection Regulation (GDPR)",
        "uk_gdpr": "the UK GDPR",
        "ccpa": "the California Consumer Privacy Act (CCPA)",
        "dpdpa": "the Digital Personal Data Protection Act, 2023 (DPDP Act)",
    },
    requests={
        "export": "access to your personal data",
        "portability": "a copy of the personal data you provided, to take along",
        "delete": "erasure of your personal data",
        "rectification": "correction of your personal data",
        "restriction": "restriction of the processing of your personal data",
        "objection": "objection to the processing of your personal data",
        "opt_out": "not to be contacted, and your consents withdrawn",
        "grievance": "a complaint about how we handle your personal data",
    },
    contact="answer to this letter.",
    authorities={
        "gdpr": "for example where you live or work, or where you think that the law was broken",
        "uk_gdpr": "the Information Commissioner (ico.org.uk)",
        "ccpa": "the California Privacy Protection Agency (cppa.ca.gov) or the Attorney General of California",
        "dpdpa": "the Data Protection Board of India",
    },
    authority_named="in particular {authority}",
    remedies={
        "gdpr": "If you do not agree, you can complain to a supervisory authority, {authority} (GDPR Art. 77)."
        " You can also seek a judicial remedy (GDPR Art. 79).",
        "uk_gdpr": "If you do not agree, you can complain to us (Data Protection Act 2018 s. 164A): {contact}\n"
        "You can also complain to {authority} (UK GDPR Art. 77), and seek a judicial remedy (UK GDPR Art. 79).",
        "ccpa": "If you do not agree, you can file a complaint with {authority} (Cal. Civ. Code § 1798.199.45)."
        " We do not treat anybody worse for exercising a right (Cal. Civ. Code § 1798.125).",
        "dpdpa": "If you do not agree, send us your grievance (DPDP Act 2023, s. 13): {contact}\n"
        "If it is not redressed, you can complain to {authority} (DPDP Act 2023, s. 13(3)).",
    },
    grounds={
        "manifestly_unfounded": "The request is manifestly unfounded.",
        "excessive": "The request is excessive, in particular because it is repeated.",
        "identity_not_proven": "We could not make sure that the request comes from the person concerned.",
        "fraudulent": "We have documented reasons to believe that the request is fraudulent.",
        "rights_of_others": "It would harm the rights and freedoms of others.",
        "legal_obligation": "A law obliges us to keep the data.",
        "legal_claims": "The data is needed to establish, exercise or defend legal claims.",
        "compelling_grounds": "Compelling legitimate grounds for the processing override your interests.",
        "accurate": "The data is accurate.",
        "not_applicable": "The right that you exercise does not apply here.",
    },
    done={
        "export": "We have put together the personal data that we hold about you.",
        "portability": "We have put together the personal data that you provided, in a machine-readable form.",
        "delete": "We have erased your personal data.",
        "rectification": "We have corrected your personal data.",
        "restriction": "We have restricted the processing of your personal data.",
        "objection": "We have stopped the processing that you objected to.",
        "opt_out": "We do not contact you any more.",
        "grievance": "We have looked into your complaint.",
    },
    in_part="We have complied with your request in part.",
    no_data="We hold no personal data about you under what you gave us to find it by.",
    resolution="In particular:\n{resolution}",
    opted_out="Consents withdrawn: {count}.",
    erased="Erased:",
    reduced="Kept without your name, as evidence only:",
    kept_lead="Kept for now, and why:",
    kept={
        "legal_hold": "needed for legal claims or by an obligation under law ({article})",
        "referenced_by_held_rows": "an emptied entry that the above refers to",
        "tells_of_held_rows": "the key to entries of our log about the above",
    },
    until="to be looked at again on {date}",
    package="It is ready until {date}. {handover}",
    handover="To receive it: {contact}",
    when="As soon as the reason has ended we erase the rest by ourselves, and write to you again: you do not have to"
    " ask. For that letter alone we keep your address, sealed.",
    data={
        "interactionHistory": "what you did with us",
        "decisionTrace": "decisions about offers",
        "interactionSummary": "summaries of your activity",
        "engagementHealth": "figures of how engaged you are",
        "attributionResult": "what led to a purchase",
        "variantAssignment": "comparisons you took part in",
        "journeyEnrollment": "series of messages",
        "delivery": "messages sent to you",
        "attachment": "files",
        "dynamicSchemaRows": "further records",
        "suppression": "channels on which you are not to be contacted",
        "consentRecord": "your consents",
        "outboxPayload": "messages on their way",
        "archivedDeadLetter": "messages that could not be delivered",
        "dossier": "packages made for you",
        "letterText": "letters to you",
        "publicFiling": "what you sent from our page",
        "dsarRequest": "your requests",
        "identityLink": "identifiers",
        "customer": "your profile",
        "subjectKey": "the key to entries of our log about you",
    },
    told_lead="We told these recipients of your data{article}:",
    not_told_lead="We could not tell these recipients, or only with disproportionate effort:",
    being_told="These recipients of your data are being told{article}:",
)
