"""German."""

from dsar.models import Outcome, RequestType, State
from dsar.public.words.language import PageWords, Wish

WORDS = PageWords(
    tag="de",
    texts={
        "title": "Ihre Daten, Ihre Rechte",
        "not_sent": "Nicht gesendet:",
        "was_not_sent": "Es wurde nicht gesendet.",
        "ask_lead": "Wenden Sie sich an {tenant} wegen der Daten, die dort über Sie vorliegen. Sie brauchen kein"
        " Konto, nur eine"
        " E-Mail-Adresse: Dorthin senden wir einen Code, um sicher zu sein, dass Sie es sind.",
        "rights_under": "Dies sind Ihre Rechte. Maßgeblich ist {law}.",
        "kind": "Was möchten Sie?",
        "address": "Ihre E-Mail-Adresse",
        "address_help": "Die, unter der wir Sie kennen. Wenn Sie mehrere haben, fragen Sie mit jeder einmal.",
        "number": "Ihre Kundennummer",
        "number_help": "Wenn mehrere Personen die Adresse nutzen, sagt sie, wer von ihnen Sie sind.",
        "details": "Was wir wissen sollten",
        "details_help": "Für eine Berichtigung, eine Einschränkung, einen Widerspruch oder eine Beschwerde: in Ihren"
        " eigenen"
        " Worten. Bitte keine Passwörter und keine Kopien von Ausweisen.",
        "optional": "(freiwillig)",
        "trap": "Lassen Sie das leer",
        "send": "Senden",
        "ask_fine": "Was Sie hier schreiben, wird verschlüsselt aufbewahrt und allein für Ihren Antrag verwendet."
        " Ohne den Code aus"
        " der E-Mail wird nichts daraus, und es wird gelöscht.",
        "kind_missing": "Wählen Sie, was Sie möchten.",
        "address_missing": "Geben Sie Ihre E-Mail-Adresse an: Dorthin geht der Code.",
        "address_wrong": "Das ist keine E-Mail-Adresse. Schreiben Sie sie wie name@example.com.",
        "number_wrong": "Eine Kundennummer enthält keine Steuerzeichen.",
        "details_missing": "Sagen Sie uns, {what}.",
        "trapped": "Ein Feld, das niemand sieht, wurde ausgefüllt. Senden Sie das Formular noch einmal ohne dieses.",
        "stale": "Diese Seite war zu lange offen. Sehen Sie sie durch und senden Sie sie noch einmal.",
        "fast": "Das ging sehr schnell. Sehen Sie es durch und senden Sie es noch einmal.",
        "code_title": "Geben Sie den Code ein",
        "code_lead": "Wir haben eine E-Mail an die angegebene Adresse gesendet. Darin steht ein Code aus acht"
        " Ziffern, der {minutes}"
        " Minuten gilt. Sobald Sie ihn eingegeben haben, zählt Ihr Antrag, und zwar ab dem Tag, an dem Sie ihn"
        " gesendet haben.",
        "code": "Der Code aus der E-Mail",
        "code_help": "Nur Ziffern; Leerzeichen schaden nicht.",
        "code_missing": "Geben Sie den Code aus der E-Mail ein.",
        "code_form": "Ein Code hat acht Ziffern.",
        "confirm": "Bestätigen",
        "nothing_came": "Nichts gekommen?",
        "nothing_came_says": "Es kann einige Minuten dauern. Sehen Sie auch im Ordner für unerwünschte Nachrichten"
        " nach.",
        "send_another": "Neuen Code senden",
        "begin_anew": "Neu beginnen",
        "wrong_code": "Das ist nicht der Code, den wir gesendet haben. Sehen Sie in die neueste E-Mail.",
        "code_expired": "Dieser Code ist abgelaufen. Lassen Sie sich einen neuen senden oder beginnen Sie neu.",
        "identity_locked": "Es wurden {most} falsche Codes eingegeben; nun gilt keiner mehr. Beginnen Sie neu.",
        "too_many_codes": "Hierfür können keine weiteren Codes gesendet werden. Beginnen Sie neu.",
        "no_mail": "Im Augenblick kann keine E-Mail gesendet werden. Versuchen Sie es später noch einmal.",
        "too_soon": "Eben wurde schon etwas gesendet. Warten Sie {seconds} Sekunden.",
        "another_sent": "Ein neuer Code ist unterwegs. Der vorige gilt nicht mehr.",
        "confirmed_title": "Ihr Antrag ist bestätigt",
        "confirmed_says": "Er gilt von dem Tag an, an dem Sie ihn gesendet haben. Wir haben Ihnen einen"
        " Link gemailt: Über ihn sehen Sie, wie weit Ihr Antrag ist.",
        "confirmed_follow": "Sehen, wie weit er ist",
        "received_title": "Ihr Antrag ist eingegangen",
        "received_says": "Sie müssen dafür nichts nachweisen. Wir haben eine E-Mail an die angegebene Adresse"
        " gesendet: Über den Link"
        " darin sehen Sie, wie weit Ihr Antrag ist.",
        "busy_title": "Zu viele Versuche",
        "busy_says": "Das wurde in kurzer Zeit zu oft versucht. Warten Sie {seconds} Sekunden und versuchen Sie es"
        " dann noch"
        " einmal. Es wurde nichts geändert.",
        "to_beginning": "Zum Anfang",
        "ended_title": "Dieser Link gilt nicht mehr",
        "ended_says": "Oder Sie kamen ohne einen. Öffnen Sie den Link in unserer neuesten E-Mail, oder lassen Sie"
        " sich einen"
        " senden. Sie können den Antrag auch neu stellen: Ihr früherer wird gefunden und verliert keinen Tag.",
        "ask_anew": "Neu beantragen",
        "lost": "Link verloren?",
        "lost_link": "Noch einmal senden lassen",
        "lost_title": "Den Link noch einmal senden lassen",
        "lost_lead": "Geben Sie die Adresse an, mit der Sie den Antrag gestellt haben. Dorthin geht ein Link zu jedem"
        " Antrag, der von"
        " ihr aus verfolgt wird; Links, die Sie noch haben, gelten weiter.",
        "lost_send": "Senden Sie ihn mir",
        "lost_sent_title": "Sehen Sie in Ihre E-Mails",
        "lost_sent_says": "Wenn es unter dieser Adresse Anträge gibt, ist eine E-Mail mit den Links unterwegs. Kommt"
        " in einigen Minuten"
        " keine, so gibt es keine: Sehen Sie im Ordner für unerwünschte Nachrichten nach, versuchen Sie eine andere"
        " Adresse,"
        " oder stellen Sie den Antrag neu.",
        "your_request": "Ihr Antrag: {what}",
        "needed": "Wir brauchen etwas von Ihnen.",
        "waits_for": "Wir warten auf {what}.",
        "send_here": "Senden Sie es hierher: {contact}",
        "nothing_needed": "Sie müssen nichts weiter tun.",
        "refused": "Der Grund: {reason} Sie können sich bei der Aufsichtsbehörde beschweren und vor Gericht gehen.",
        "your_data": "Ihre Daten",
        "fetched_until": "Sie können bis zum {day} abgerufen werden.",
        "became": "Was aus Ihren Daten geworden ist",
        "erased_one": "{count} Eintrag gelöscht.",
        "erased": "{count} Einträge gelöscht.",
        "had_to_stay": "Das musste bleiben:",
        "kept": "{count}, {why}",
        "times": "Die Fristen",
        "received": "Eingegangen",
        "answered": "Beantwortet",
        "answer_by": "Antwort bis",
        "stands_still": "Die Frist läuft nicht, solange wir auf Sie warten.",
        "longer": "Es dauert länger: {reason}",
        "why_days": "Warum diese Tage",
        "how_far": "Wie weit es ist",
        "to_come": "steht noch aus",
        "times_of": "Zeiten: {zone}.",
        "more": "Mehr",
        "withdraw": "Antrag zurückziehen",
        "another_link": "Neuen Link senden",
        "leave": "Seite verlassen",
        "more_fine": "Ein neuer Link beendet die, die Sie haben. Verlassen Sie die Seite, wenn auch andere diesen"
        " Rechner nutzen.",
        "with_staff": "Ihr Antrag liegt bei unseren Mitarbeitern.",
        "waits_its_turn": "Ihr Antrag wartet, bis er an der Reihe ist.",
        "with_earlier": "Sie haben dasselbe schon einmal beantragt; beides wird zusammen beantwortet.",
        "late": "Die Antwort ist überfällig. Fragen Sie nach, oder beschweren Sie sich bei der Aufsichtsbehörde.",
        "step_received": "Eingegangen",
        "step_confirmed": "Von Ihnen bestätigt",
        "step_began": "Bearbeitung begonnen",
        "step_extended": "Frist verlängert",
        "step_erased": "Daten gelöscht",
        "step_answered": "Beantwortet",
        "step_withdrawn": "Von Ihnen zurückgezogen",
        "step_rejected": "Abgelehnt",
        "link_sent": "Der Link gilt nicht mehr; ein neuer ist zu Ihnen unterwegs.",
        "no_address": "Ihre Adresse wurde mit Ihren Daten gelöscht: Wir können Ihnen nichts mehr senden.",
        "withdraw_title": "Den Antrag zurückziehen?",
        "withdraw_says": "„{what}“, eingegangen am {day}. Er endet ohne Antwort. Sie können ihn jederzeit neu stellen.",
        "withdraw_do": "Zurückziehen",
        "withdraw_not": "Behalten",
        "withdraw_never": "Er kann nicht mehr zurückgezogen werden.",
        "back": "Zurück zum Antrag",
        "has_ended": "Dieser Antrag ist bereits beendet.",
        "erased_already": "Ihre Daten sind bereits gelöscht: Das kann nicht mehr zurückgezogen werden.",
        "fetch_title": "Meine Daten abrufen",
        "fetch_lead": "Dafür senden wir jedes Mal einen Code an Ihre Adresse: Der Link allein öffnet nichts. Jeder"
        " Abruf wird"
        " festgehalten. Möglich bis zum {day}.",
        "send_code": "Code senden",
        "as_format": "Als",
        "as_zip": "Seiten zum Lesen (zip)",
        "as_json": "Für Programme (JSON)",
        "fetch": "Abrufen",
        "nothing_to_fetch": "Es gibt nichts abzurufen, oder die Zeit dafür ist vorbei. Fordern Sie Ihre Daten neu an.",
        "code_sent": "Ein Code ist unterwegs. Ein früher gesendeter gilt nicht mehr.",
        "package_gone": "Das Paket ist abgelaufen. Fordern Sie Ihre Daten neu an.",
        "away": "Ihre Daten können im Augenblick nicht abgerufen werden. Der Code gilt weiter: Versuchen Sie es in"
        " einigen Minuten.",
        "reach_us": "Sie erreichen uns auch hier: {contact}",
        "language": "Sprache",
        "mail_code_subject": "Ihr Code für {tenant}",
        "mail_code_ask": "Jemand, wir nehmen an Sie, hat sich wegen Ihrer Daten an {tenant} gewandt.",
        "mail_code_fetch": "Jemand, wir nehmen an Sie, möchte bei {tenant} abrufen, was dort über Sie bekannt ist.",
        "mail_code": "Ihr Code: {code}",
        "mail_code_use": "Er gilt {minutes} Minuten. Geben Sie ihn dort ein, wo Sie gefragt haben, und nirgends sonst.",
        "mail_code_not_you": "Wenn Sie es nicht waren, tun Sie nichts: Ohne den Code geschieht nichts.",
        "mail_link_subject": "Ihr Antrag an {tenant}",
        "mail_link_received": "{tenant} hat Ihren Antrag zu Ihren Daten erhalten.",
        "mail_link": "Sehen Sie, wie weit er ist, oder ziehen Sie ihn zurück:",
        "mail_link_use": "Behalten Sie diesen Link für sich: Wer ihn hat, sieht Ihren Antrag. Er gilt längstens bis"
        " zum {day}.",
        "mail_links_subject": "Ihre Anträge an {tenant}",
        "mail_links": "Jemand, wir nehmen an Sie, hat den Link zu Anträgen an {tenant} verloren. Hier sehen Sie, wie"
        " weit sie sind:",
        "mail_links_one": "{what}, eingegangen am {day}:",
        "mail_links_use": "Behalten Sie diese Links für sich: Wer einen hat, sieht Ihren Antrag. Sie gelten längstens"
        " bis zum {day}.",
        "mail_links_not_you": "Wenn Sie es nicht waren, tun Sie nichts: Niemand sonst hat sie.",
    },
    wishes={
        RequestType.EXPORT: Wish(
            title="Meine Daten sehen", says="Eine Kopie dessen, was über Sie vorliegt, und wofür es verwendet wird."
        ),
        RequestType.PORTABILITY: Wish(
            title="Meine Daten mitnehmen",
            says="Was Sie bereitgestellt haben, in einer Form, die andere Dienste lesen können.",
        ),
        RequestType.DELETE: Wish(
            title="Meine Daten löschen",
            says="Was kein Gesetz aufzubewahren verlangt, wird endgültig gelöscht. Sie erfahren, was bleibt und warum.",
        ),
        RequestType.RECTIFICATION: Wish(
            title="Meine Daten berichtigen",
            says="Was falsch oder unvollständig ist, wird richtiggestellt.",
            details="was falsch ist und wie es lauten soll",
        ),
        RequestType.RESTRICTION: Wish(
            title="Die Nutzung meiner Daten einschränken",
            says="Sie werden aufbewahrt und nicht genutzt, solange etwas geklärt wird.",
            details="was nicht genutzt werden soll und warum",
        ),
        RequestType.OBJECTION: Wish(
            title="Der Nutzung meiner Daten widersprechen",
            says="Eine Nutzung, die Sie nicht wollen, endet, sofern keine stärkeren Gründe für sie sprechen.",
            details="welcher Nutzung Sie widersprechen und warum",
        ),
        RequestType.OPT_OUT: Wish(
            title="Kein Kontakt mehr",
            says="Niemand schreibt Ihnen mehr, und was Sie erlaubt hatten, ist widerrufen.",
        ),
        RequestType.GRIEVANCE: Wish(
            title="Mich beschweren",
            says="Jemand sieht sich an, wie Sie behandelt wurden, und antwortet Ihnen.",
            details="was geschehen ist",
        ),
    },
    in_law={
        ("ccpa", RequestType.RESTRICTION): Wish(
            title="Die Nutzung meiner sensiblen Daten begrenzen",
            says="Sie werden für das genutzt, worum Sie gebeten haben, und für nichts sonst.",
            details="was begrenzt werden soll",
        ),
        ("ccpa", RequestType.OPT_OUT): Wish(
            title="Meine Daten nicht verkaufen oder weitergeben",
            says="Sie werden weder verkauft noch weitergegeben, und niemand schreibt Ihnen mehr.",
        ),
    },
    states={
        State.WINDOW: "Ihr Antrag wird in Kürze ausgeführt. Noch können Sie ihn zurückziehen.",
        State.RUNNING: "Ihr Antrag wird bearbeitet.",
        State.FINISHING: "Ihre Daten sind gelöscht. Die letzten gespeicherten Dateien werden entfernt.",
        State.REVIEW: "Die Antwort ist fertig und wird von unseren Mitarbeitern durchgesehen.",
        State.DEFERRED: "Ihr Antrag ist beantwortet. Etwas muss vorerst bleiben und wird später von selbst gelöscht.",
    },
    outcomes={
        Outcome.COMPLETED: "Ihr Antrag ist erledigt.",
        Outcome.PARTIALLY_COMPLETED: "Ihr Antrag ist zum Teil erledigt.",
        Outcome.NO_DATA: "Unter dieser Adresse liegt nichts über Sie vor.",
        Outcome.REJECTED: "Ihr Antrag wurde abgelehnt.",
        Outcome.WITHDRAWN: "Sie haben Ihren Antrag zurückgezogen.",
        Outcome.DUPLICATE: "Ihr Antrag ist erledigt, zusammen mit einem früheren von Ihnen über dasselbe.",
    },
    awaited={
        "identity": "Angaben, die bestätigen, wer den Antrag stellt",
        "fee": "ein Entgelt, das erhoben wurde",
        "clarification": "die Angabe, welche Informationen oder welche Verarbeitung gemeint sind",
    },
    rules={
        "received": "Eingegangen am {received}; von da an wird gezählt.",
        "right": "Das Recht, das Sie ausüben.",
        "respond": "Die Antwort ist bis zum {due} fällig.",
        "extend": "Die Frist kann einmal verlängert werden, bis längstens zum {longest}, mit Gründen.",
        "extend_never": "Eine Verlängerung kennt das Gesetz nicht.",
        "notice": "Eine Verlängerung und ihre Gründe müssen Ihnen vorher mitgeteilt werden.",
        "acknowledge": "Der Eingang wird Ihnen bis zum {acknowledged} bestätigt.",
        "no_pause": "Nichts hält diese Frist an.",
        "pause": "Während auf etwas von Ihnen gewartet wird, kann die Frist stillstehen.",
        "roll": "Der letzte Tag war kein Arbeitstag; die Frist endet am {due}.",
        "duplicate": "Ein früherer Antrag über dasselbe wird mit diesem beantwortet, bis zum {due}.",
        "extended": "Die Frist wurde verlängert.",
        "paused": "Die Frist stand still.",
        "resumed": "Die Frist lief weiter.",
    },
)
