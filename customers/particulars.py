"""What the law wants said of each kind of personal data beside the data itself, by its section of a dossier.

Article 15(1) GDPR: purposes, categories, recipients, source, and decisions made without a person. How long it is kept
says the policy in force. `provided` marks what a person gave or what was seen of their use, by consent or contract:
that is theirs to take along (Article 20; Article 29 Working Party, WP 242 rev.01, section II). What was inferred, and
what is kept because a law asks for it, is not.
"""

from dataclasses import dataclass

FROM_SUBJECT = "You, or your use of the service."
DERIVED = "Worked out from other data about you."
OFFICE = "Recorded by us in the course of our duties."
STAFF = "Our staff who need it for their work"
PROCESSORS = "those who process data on our behalf under contract"


@dataclass(frozen=True, kw_only=True)
class Particulars:
    """Sentences and phrases for the person concerned. `automated` says what is decided without a person, or nothing."""

    title: str
    categories: str
    purposes: str
    recipients: str = f"{STAFF}, and {PROCESSORS}."
    source: str = FROM_SUBJECT
    automated: str = ""
    provided: bool = False


# In the order in which a person reads.
PARTICULARS: dict[str, Particulars] = {
    "profile": Particulars(
        title="Your profile",
        categories="Who you are and how to reach you; what else is noted about you as a customer.",
        purposes="To serve you as a customer and to recognise you.",
        provided=True,
    ),
    "identityLinks": Particulars(
        title="Identifiers",
        categories="Addresses, devices and numbers by which you are recognised.",
        purposes="To know that it is you, whichever of them you use.",
        provided=True,
    ),
    "interactions": Particulars(
        title="What you did",
        categories="Visits, clicks, purchases and other contacts, with their time, channel and amount.",
        purposes="To carry out what you ordered, and to understand what is useful to you.",
        provided=True,
    ),
    "summaries": Particulars(
        title="Summaries of your activity",
        categories="Counts and sums of what you did, by period; how lately and how often, and whether more or less.",
        purposes="To understand what is useful to you without looking at each event.",
        source=DERIVED,
    ),
    "journeyEnrollments": Particulars(
        title="Series of messages",
        categories="Which series of messages you were or are part of, and since when.",
        purposes="To send you what fits, once and in the right order.",
        source=DERIVED,
        automated="A rule puts you into a series of messages; nothing else follows from it.",
    ),
    "deliveries": Particulars(
        title="Messages sent to you",
        categories="What was sent to you, where, when, and whether it arrived.",
        purposes="To reach you, and to show that we did.",
        recipients=f"{STAFF}, {PROCESSORS}, and the carriers of messages.",
        source=OFFICE,
    ),
    "consentRecords": Particulars(
        title="Your consents",
        categories="What you allowed and what you forbade, on which channel, for which purpose, and when.",
        purposes="To do what you want, and to show that you did say so.",
        provided=True,
    ),
    "suppressions": Particulars(
        title="Do not contact",
        categories="Channels on which you are not to be contacted, and since when.",
        purposes="To leave you alone where you asked for it.",
    ),
    "decisionTraces": Particulars(
        title="Decisions about offers",
        categories="What was chosen for you, from which facts and for which reasons.",
        purposes="To choose what is offered or shown to you, and to be able to explain it.",
        source=DERIVED,
        automated="A program chooses what is offered to you. Its inputs and reasons stand in each row. You may ask for"
        " a person to look at a decision, state your view and contest it.",
    ),
    "variantAssignments": Particulars(
        title="Comparisons you took part in",
        categories="Which variant of a page or message you are shown.",
        purposes="To find out which variant is better.",
        source=DERIVED,
        automated="Chance puts you into a group; nothing else follows from it.",
    ),
    "attributionResults": Particulars(
        title="What led to a purchase",
        categories="Which message or channel a purchase of yours is credited to.",
        purposes="To know which messages are worth sending.",
        source=DERIVED,
    ),
    "dynamicSchemaRows": Particulars(
        title="Further records",
        categories="Records of kinds that this organisation defined for itself; `schema` names the kind.",
        purposes="As the organisation states for each kind.",
        provided=True,
    ),
    "attachments": Particulars(
        title="Files",
        categories="Files that you sent or that were kept about you: name, type, size, time.",
        purposes="To deal with what they are about.",
        provided=True,
    ),
    "dsarRequests": Particulars(
        title="Your requests",
        categories="Requests about your data, under which law, when they were due and how they ended.",
        purposes="To answer them, and to show that we did.",
        recipients=f"{STAFF}, and supervisory authorities that ask for it.",
    ),
    "auditLogs": Particulars(
        title="Records of changes",
        categories="When data about you was made, changed or deleted, and what changed.",
        purposes="To be able to show what happened to your data. The names of our staff are left out: they are"
        " personal data of others.",
        recipients=f"{STAFF}, auditors, and supervisory authorities that ask for it.",
        source=OFFICE,
    ),
}
PROVIDED = tuple(section for section, said in PARTICULARS.items() if said.provided)
