"""English."""

from dsar.models import Outcome, RequestType, State
from dsar.public.words.language import PageWords, Wish

WORDS = PageWords(
    tag="en",
    texts={
        # The form.
        "title": "Your data, your rights",
        "not_sent": "Not sent:",
        "was_not_sent": "It was not sent.",
        "ask_lead": "Ask {tenant} about the data it has on you. You need no account, only an e-mail address: we send"
        " a code"
        " there to be sure that it is you who asks.",
        "rights_under": "These are your rights under {law}.",
        "kind": "What do you want?",
        "address": "Your e-mail address",
        "address_help": "The one we know you by. If you have several, ask once with each.",
        "number": "Your customer number",
        "number_help": "Where several people share the address, it says which of them you are.",
        "details": "What we should know",
        "details_help": "For a correction, a restriction, an objection or a complaint: in your own words. Please no"
        " passwords"
        " and no copies of papers.",
        "optional": "(optional)",
        "trap": "Leave this empty",
        "send": "Send",
        "ask_fine": "What you write here is kept sealed, and is used for nothing but your request. Without the code"
        " from the"
        " mail nothing comes of it, and it is deleted.",
        "kind_missing": "Choose what you want.",
        "address_missing": "Give your e-mail address: the code goes there.",
        "address_wrong": "This is no e-mail address: write it like name@example.com.",
        "number_wrong": "A customer number has no control characters.",
        "details_missing": "Tell us: {what}.",
        "trapped": "A field that nobody sees was filled in. Send the form again without it.",
        "stale": "This page was open for too long. Look it over and send it again.",
        "fast": "That was very fast. Look it over and send it again.",
        # The code.
        "code_title": "Enter the code",
        "code_lead": "We sent a mail to the address that you gave. In it is a code of eight digits, good for {minutes}"
        " minutes. Once you have entered it your request counts, from the day on which you sent it.",
        "code": "The code from the mail",
        "code_help": "Digits alone; spaces do no harm.",
        "code_missing": "Enter the code from the mail.",
        "code_form": "A code is eight digits.",
        "confirm": "Confirm",
        "nothing_came": "Nothing came?",
        "nothing_came_says": "It can take some minutes. Look into the folder for unwanted mail too.",
        "send_another": "Send another code",
        "begin_anew": "Begin anew",
        "wrong_code": "This is not the code that we sent. Look at the newest mail.",
        "code_expired": "This code has ended. Have another one sent, or begin anew.",
        "identity_locked": "{most} wrong codes were entered, and none counts any more. Begin anew.",
        "too_many_codes": "No more codes can be sent for this. Begin anew.",
        "no_mail": "No mail can be sent at the moment. Try again later.",
        "too_soon": "Something was sent a moment ago. Wait {seconds} seconds.",
        "another_sent": "Another code is on its way. The one before has ended.",
        # Between.
        "confirmed_title": "Your request is confirmed",
        "confirmed_says": "It counts, from the day on which you sent it. We mailed you a link: with it you see how far"
        " your request has come.",
        "confirmed_follow": "See how far it is",
        "received_title": "Your request is received",
        "received_says": "You have nothing to prove for this. We sent a mail to the address that you gave: with the"
        " link in it"
        " you see how far your request has come.",
        "busy_title": "Too many tries",
        "busy_says": "This was asked for too often in a short time. Wait {seconds} seconds, then try again. Nothing was"
        " changed.",
        "to_beginning": "Go to the beginning",
        "ended_title": "This link has ended",
        "ended_says": "Or you came without one. Open the link in the newest mail that we sent you, or have one"
        " mailed. You can"
        " also ask anew: your earlier request is found, and loses no day.",
        "ask_anew": "Ask anew",
        # Who lost their link.
        "lost": "Link lost?",
        "lost_link": "Have it mailed again",
        "lost_title": "Have the link mailed again",
        "lost_lead": "Give the address with which you asked. A link to each request that is followed from there goes"
        " to it; links"
        " that you have still go on.",
        "lost_send": "Mail it to me",
        "lost_sent_title": "Look into your mail",
        "lost_sent_says": "If there are requests under this address, a mail with the links is on its way. If nothing"
        " comes within"
        " some minutes, there are none: look into the folder for unwanted mail, try another address, or ask anew.",
        # The request.
        "your_request": "Your request: {what}",
        "needed": "Something is needed from you.",
        "waits_for": "We wait for {what}.",
        "send_here": "Send it here: {contact}",
        "nothing_needed": "Nothing is needed from you.",
        "refused": "The reason: {reason} You can complain to the supervisory authority, and go to court.",
        "your_data": "Your data",
        "fetched_until": "It can be fetched until {day}.",
        "became": "What became of your data",
        "erased_one": "{count} entry erased.",
        "erased": "{count} entries erased.",
        "had_to_stay": "This had to stay:",
        "kept": "{count}, {why}",
        "times": "The times",
        "received": "Received",
        "answered": "Answered",
        "answer_by": "Answer by",
        "stands_still": "The time stands still while we wait for you.",
        "longer": "It takes longer: {reason}",
        "why_days": "Why these days",
        "how_far": "How far it is",
        "to_come": "to come",
        "times_of": "Times of {zone}.",
        "more": "More",
        "withdraw": "Withdraw the request",
        "another_link": "Mail me another link",
        "leave": "Leave this page",
        "more_fine": "Another link ends those that you have. Leave the page when others use this computer too.",
        "with_staff": "Your request is with our staff.",
        "waits_its_turn": "Your request waits for its turn.",
        "with_earlier": "You asked for the same before, and both are answered together.",
        "late": "The answer is late. Ask for it, or complain to the supervisory authority.",
        "step_received": "Received",
        "step_confirmed": "Confirmed by you",
        "step_began": "Work began",
        "step_extended": "Time extended",
        "step_erased": "Data erased",
        "step_answered": "Answered",
        "step_withdrawn": "Withdrawn by you",
        "step_rejected": "Refused",
        "link_sent": "The link has ended, and another one is on its way to you.",
        "no_address": "Your address was erased with your data: nothing can be mailed to you any more.",
        # Withdrawing it.
        "withdraw_title": "Withdraw the request?",
        "withdraw_says": "“{what}”, received on {day}. It ends without an answer. You can ask again at any time.",
        "withdraw_do": "Withdraw it",
        "withdraw_not": "Keep it",
        "withdraw_never": "It cannot be withdrawn any more.",
        "back": "Back to the request",
        "has_ended": "This request has ended already.",
        "erased_already": "Your data is erased already: this cannot be withdrawn any more.",
        # Fetching the package.
        "fetch_title": "Fetch my data",
        "fetch_lead": "For this we send a code to your address each time: the link alone opens nothing. Each fetching"
        " is recorded."
        " Until {day}.",
        "send_code": "Send me a code",
        "as_format": "As",
        "as_zip": "Pages to read (zip)",
        "as_json": "For programs (JSON)",
        "fetch": "Fetch",
        "nothing_to_fetch": "There is nothing to fetch, or its time is over. Ask for your data anew.",
        "code_sent": "A code is on its way. One that was sent before has ended.",
        "package_gone": "The package has ended. Ask for your data anew.",
        "away": "Your data cannot be fetched at the moment. The code stays good: try again in some minutes.",
        # Around it.
        "reach_us": "You can also reach us here: {contact}",
        "language": "Language",
        # Mails.
        "mail_code_subject": "Your code for {tenant}",
        "mail_code_ask": "Somebody, we think you, asked {tenant} about your data.",
        "mail_code_fetch": "Somebody, we think you, wants to fetch from {tenant} what it knows about you.",
        "mail_code": "Your code: {code}",
        "mail_code_use": "It is good for {minutes} minutes. Enter it where you asked, and nowhere else.",
        "mail_code_not_you": "If it was not you, do nothing: without the code nothing happens.",
        "mail_link_subject": "Your request to {tenant}",
        "mail_link_received": "{tenant} has received your request about your data.",
        "mail_link": "See how far it has come, or withdraw it:",
        "mail_link_use": "Keep this link to yourself: whoever has it sees your request. It ends on {day} at the"
        " latest.",
        "mail_links_subject": "Your requests to {tenant}",
        "mail_links": "Somebody, we think you, lost the link to what they asked {tenant}. Here you see how far it has"
        " come:",
        "mail_links_one": "{what}, received on {day}:",
        "mail_links_use": "Keep these links to yourself: whoever has one sees your request. They end on {day} at the"
        " latest.",
        "mail_links_not_you": "If it was not you, do nothing: nobody else has them.",
    },
    wishes={
        RequestType.EXPORT: Wish(
            title="See my data", says="A copy of what is held about you, and what it is used for."
        ),
        RequestType.PORTABILITY: Wish(
            title="Take my data along", says="What you provided, in a form that other services can read."
        ),
        RequestType.DELETE: Wish(
            title="Erase my data",
            says="What no law demands to be kept is erased, for good. You are told what stays and why.",
        ),
        RequestType.RECTIFICATION: Wish(
            title="Correct my data",
            says="What is wrong or incomplete is put right.",
            details="what is wrong, and what it should say",
        ),
        RequestType.RESTRICTION: Wish(
            title="Restrict the use of my data",
            says="It is kept, and not used, while something is being settled.",
            details="what shall not be used, and why",
        ),
        RequestType.OBJECTION: Wish(
            title="Object to the use of my data",
            says="A use that you do not want ends, unless there are stronger grounds for it.",
            details="which use you object to, and why",
        ),
        RequestType.OPT_OUT: Wish(
            title="No more contact", says="Nobody writes to you any more, and what you had agreed to is withdrawn."
        ),
        RequestType.GRIEVANCE: Wish(
            title="Complain", says="Somebody looks at how you were treated and answers you.", details="what happened"
        ),
    },
    in_law={
        ("ccpa", RequestType.RESTRICTION): Wish(
            title="Limit the use of my sensitive data",
            says="It is used for what you asked for, and for nothing else.",
            details="what shall be limited",
        ),
        ("ccpa", RequestType.OPT_OUT): Wish(
            title="Do not sell or share my data",
            says="It is neither sold nor shared, and nobody writes to you any more.",
        ),
    },
    states={
        State.WINDOW: "Your request is about to be carried out. You can still withdraw it.",
        State.RUNNING: "Your request is being worked on.",
        State.FINISHING: "Your data is erased. The last stored files are being removed.",
        State.REVIEW: "The answer is ready, and our staff is looking it over.",
        State.DEFERRED: "Your request is answered. Something has to stay for now, and is erased by itself later.",
    },
    outcomes={
        Outcome.COMPLETED: "Your request is completed.",
        Outcome.PARTIALLY_COMPLETED: "Your request is completed in part.",
        Outcome.NO_DATA: "Nothing is held about you under this address.",
        Outcome.REJECTED: "Your request was refused.",
        Outcome.WITHDRAWN: "You withdrew your request.",
        Outcome.DUPLICATE: "Your request is completed, together with an earlier one of yours for the same.",
    },
    awaited={
        "identity": "information that confirms who asks",
        "fee": "a fee that was charged",
        "clarification": "which information or processing is meant",
    },
    # The clock speaks English.
    rules={},
)
