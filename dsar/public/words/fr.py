"""French."""

from dsar.models import Outcome, RequestType, State
from dsar.public.words.language import PageWords, Wish

WORDS = PageWords(
    tag="fr",
    texts={
        "title": "Vos données, vos droits",
        "not_sent": "Non envoyé :",
        "was_not_sent": "Le formulaire n'a pas été envoyé.",
        "ask_lead": "Adressez-vous à {tenant} au sujet des données détenues sur vous. Il ne vous faut pas de compte,"
        " seulement une"
        " adresse électronique : nous y envoyons un code pour nous assurer que la demande vient bien de vous.",
        "rights_under": "Voici vos droits. Le texte applicable est {law}.",
        "kind": "Que souhaitez-vous ?",
        "address": "Votre adresse électronique",
        "address_help": "Celle sous laquelle nous vous connaissons. Si vous en avez plusieurs, faites une demande"
        " avec chacune.",
        "number": "Votre numéro de client",
        "number_help": "Si plusieurs personnes utilisent l'adresse, il indique laquelle vous êtes.",
        "details": "Ce que nous devons savoir",
        "details_help": "Pour une rectification, une limitation, une opposition ou une réclamation : avec vos propres"
        " mots. Pas de mot"
        " de passe ni de copie de pièce d'identité, s'il vous plaît.",
        "optional": "(facultatif)",
        "trap": "Laissez ce champ vide",
        "send": "Envoyer",
        "ask_fine": "Ce que vous écrivez ici est conservé chiffré et ne sert qu'à votre demande. Sans le code envoyé"
        " par courriel, il"
        " n'y est pas donné suite et tout est effacé.",
        "kind_missing": "Choisissez ce que vous souhaitez.",
        "address_missing": "Indiquez votre adresse électronique : le code y est envoyé.",
        "address_wrong": "Ce n'est pas une adresse électronique. Écrivez-la comme name@example.com.",
        "number_wrong": "Un numéro de client ne contient pas de caractères de contrôle.",
        "details_missing": "Dites-nous {what}.",
        "trapped": "Un champ que personne ne voit a été rempli. Renvoyez le formulaire sans ce champ.",
        "stale": "Cette page est restée ouverte trop longtemps. Relisez-la et envoyez-la de nouveau.",
        "fast": "C'était très rapide. Relisez et envoyez de nouveau.",
        "code_title": "Saisissez le code",
        "code_lead": "Nous avons envoyé un courriel à l'adresse indiquée. Il contient un code de huit chiffres,"
        " valable {minutes}"
        " minutes. Une fois le code saisi, votre demande compte, à partir du jour où vous l'avez envoyée.",
        "code": "Le code reçu par courriel",
        "code_help": "Uniquement des chiffres ; les espaces ne gênent pas.",
        "code_missing": "Saisissez le code reçu par courriel.",
        "code_form": "Un code a huit chiffres.",
        "confirm": "Confirmer",
        "nothing_came": "Rien reçu ?",
        "nothing_came_says": "Cela peut prendre quelques minutes. Regardez aussi dans le dossier des courriers"
        " indésirables.",
        "send_another": "Envoyer un autre code",
        "begin_anew": "Recommencer",
        "wrong_code": "Ce n'est pas le code que nous avons envoyé. Regardez le courriel le plus récent.",
        "code_expired": "Ce code n'est plus valable. Faites-en envoyer un autre ou recommencez.",
        "identity_locked": "{most} codes erronés ont été saisis, et plus aucun ne compte. Recommencez.",
        "too_many_codes": "Aucun autre code ne peut être envoyé pour cette demande. Recommencez.",
        "no_mail": "Aucun courriel ne peut être envoyé pour le moment. Réessayez plus tard.",
        "too_soon": "Un envoi vient d'avoir lieu. Attendez {seconds} secondes.",
        "another_sent": "Un autre code est en route. Le précédent n'est plus valable.",
        "confirmed_title": "Votre demande est confirmée",
        "confirmed_says": "Elle compte à partir du jour où vous l'avez envoyée. Nous vous avons envoyé un"
        " courriel : le lien qu'il contient vous montre où en est votre demande.",
        "confirmed_follow": "Voir où elle en est",
        "received_title": "Votre demande est reçue",
        "received_says": "Vous n'avez rien à prouver pour cela. Nous avons envoyé un courriel à l'adresse indiquée :"
        " le lien qu'il contient"
        " vous montre où en est votre demande.",
        "busy_title": "Trop d'essais",
        "busy_says": "Trop de demandes en peu de temps. Attendez {seconds} secondes, puis réessayez. Rien n'a été"
        " modifié.",
        "to_beginning": "Aller au début",
        "ended_title": "Ce lien n'est plus valable",
        "ended_says": "Ou bien vous êtes venu sans lien. Ouvrez celui de notre courriel le plus récent, ou faites-en"
        " envoyer un. Vous pouvez"
        " aussi refaire la demande : la précédente est retrouvée et ne perd aucun jour.",
        "ask_anew": "Refaire la demande",
        "lost": "Lien perdu ?",
        "lost_link": "Le recevoir de nouveau",
        "lost_title": "Recevoir de nouveau le lien",
        "lost_lead": "Indiquez l'adresse avec laquelle vous avez fait la demande. Un lien vers chaque demande suivie"
        " depuis cette adresse y est"
        " envoyé ; les liens que vous avez encore restent valables.",
        "lost_send": "Me l'envoyer",
        "lost_sent_title": "Consultez vos courriels",
        "lost_sent_says": "S'il existe des demandes sous cette adresse, un courriel avec les liens est en route. Si"
        " rien n'arrive en quelques"
        " minutes, il n'y en a pas : regardez dans le dossier des courriers indésirables, essayez une autre adresse"
        " ou refaites"
        " la demande.",
        "your_request": "Votre demande : {what}",
        "needed": "Nous avons besoin de quelque chose de votre part.",
        "waits_for": "Nous attendons {what}.",
        "send_here": "Envoyez-le ici : {contact}",
        "nothing_needed": "Vous n'avez rien à faire.",
        "refused": "Le motif : {reason} Vous pouvez introduire une réclamation auprès de l'autorité de contrôle et"
        " saisir la justice.",
        "your_data": "Vos données",
        "fetched_until": "Elles peuvent être récupérées jusqu'au {day}.",
        "became": "Ce que sont devenues vos données",
        "erased_one": "{count} entrée effacée.",
        "erased": "{count} entrées effacées.",
        "had_to_stay": "Ceci a dû rester :",
        "kept": "{count}, {why}",
        "times": "Les délais",
        "received": "Reçue",
        "answered": "Réponse donnée",
        "answer_by": "Réponse au plus tard",
        "stands_still": "Le délai ne court pas tant que nous attendons votre réponse.",
        "longer": "Cela prend plus de temps : {reason}",
        "why_days": "Pourquoi ces dates",
        "how_far": "Où en est la demande",
        "to_come": "à venir",
        "times_of": "Heures : {zone}.",
        "more": "Plus",
        "withdraw": "Retirer la demande",
        "another_link": "M'envoyer un autre lien",
        "leave": "Quitter cette page",
        "more_fine": "Un autre lien met fin à ceux que vous avez. Quittez la page si d'autres personnes utilisent"
        " aussi cet ordinateur.",
        "with_staff": "Votre demande est entre les mains de notre personnel.",
        "waits_its_turn": "Votre demande attend son tour.",
        "with_earlier": "Vous avez déjà demandé la même chose ; les deux demandes reçoivent une réponse ensemble.",
        "late": "La réponse est en retard. Réclamez-la ou adressez-vous à l'autorité de contrôle.",
        "step_received": "Reçue",
        "step_confirmed": "Confirmée par vous",
        "step_began": "Traitement commencé",
        "step_extended": "Délai prolongé",
        "step_erased": "Données effacées",
        "step_answered": "Réponse donnée",
        "step_withdrawn": "Retirée par vous",
        "step_rejected": "Refusée",
        "link_sent": "Le lien n'est plus valable ; un autre vous est envoyé.",
        "no_address": "Votre adresse a été effacée avec vos données : plus rien ne peut vous être envoyé.",
        "withdraw_title": "Retirer la demande ?",
        "withdraw_says": "« {what} », reçue le {day}. Elle prend fin sans réponse. Vous pouvez la refaire à tout"
        " moment.",
        "withdraw_do": "La retirer",
        "withdraw_not": "La maintenir",
        "withdraw_never": "Elle ne peut plus être retirée.",
        "back": "Retour à la demande",
        "has_ended": "Cette demande est déjà terminée.",
        "erased_already": "Vos données sont déjà effacées : la demande ne peut plus être retirée.",
        "fetch_title": "Récupérer mes données",
        "fetch_lead": "Pour cela, nous envoyons chaque fois un code à votre adresse : le lien seul n'ouvre rien."
        " Chaque récupération est"
        " consignée. Possible jusqu'au {day}.",
        "send_code": "M'envoyer un code",
        "as_format": "Sous forme de",
        "as_zip": "Pages à lire (zip)",
        "as_json": "Pour des programmes (JSON)",
        "fetch": "Récupérer",
        "nothing_to_fetch": "Il n'y a rien à récupérer, ou le délai est écoulé. Demandez de nouveau vos données.",
        "code_sent": "Un code est en route. Un code envoyé auparavant n'est plus valable.",
        "package_gone": "Le dossier n'est plus disponible. Demandez de nouveau vos données.",
        "away": "Vos données ne peuvent pas être récupérées pour le moment. Le code reste valable : réessayez dans"
        " quelques minutes.",
        "reach_us": "Vous pouvez aussi nous joindre ici : {contact}",
        "language": "Langue",
        "mail_code_subject": "Votre code pour {tenant}",
        "mail_code_ask": "Quelqu'un, vous sans doute, s'est adressé à {tenant} au sujet de vos données.",
        "mail_code_fetch": "Quelqu'un, vous sans doute, souhaite récupérer auprès de {tenant} ce qui est connu sur"
        " vous.",
        "mail_code": "Votre code : {code}",
        "mail_code_use": "Il est valable {minutes} minutes. Saisissez-le là où vous avez fait la demande, et nulle"
        " part ailleurs.",
        "mail_code_not_you": "Si ce n'était pas vous, ne faites rien : sans le code, rien ne se passe.",
        "mail_link_subject": "Votre demande à {tenant}",
        "mail_link_received": "{tenant} a reçu votre demande au sujet de vos données.",
        "mail_link": "Voyez où elle en est, ou retirez-la :",
        "mail_link_use": "Gardez ce lien pour vous : quiconque l'a voit votre demande. Il est valable au plus tard"
        " jusqu'au {day}.",
        "mail_links_subject": "Vos demandes à {tenant}",
        "mail_links": "Quelqu'un, vous sans doute, a perdu le lien vers des demandes à {tenant}. Voici où elles en"
        " sont :",
        "mail_links_one": "{what}, reçue le {day} :",
        "mail_links_use": "Gardez ces liens pour vous : quiconque en a un voit votre demande. Ils sont valables au"
        " plus tard jusqu'au {day}.",
        "mail_links_not_you": "Si ce n'était pas vous, ne faites rien : personne d'autre ne les a.",
    },
    wishes={
        RequestType.EXPORT: Wish(
            title="Voir mes données", says="Une copie de ce qui est détenu sur vous, et à quoi cela sert."
        ),
        RequestType.PORTABILITY: Wish(
            title="Emporter mes données",
            says="Ce que vous avez fourni, sous une forme que d'autres services peuvent lire.",
        ),
        RequestType.DELETE: Wish(
            title="Effacer mes données",
            says="Ce qu'aucune loi n'oblige à conserver est effacé définitivement. Vous apprenez ce qui reste et"
            " pourquoi.",
        ),
        RequestType.RECTIFICATION: Wish(
            title="Rectifier mes données",
            says="Ce qui est faux ou incomplet est corrigé.",
            details="ce qui est faux, et ce qui devrait y figurer",
        ),
        RequestType.RESTRICTION: Wish(
            title="Limiter l'utilisation de mes données",
            says="Elles sont conservées sans être utilisées tant qu'une question est en suspens.",
            details="ce qui ne doit pas être utilisé, et pourquoi",
        ),
        RequestType.OBJECTION: Wish(
            title="M'opposer à l'utilisation de mes données",
            says="Une utilisation que vous ne voulez pas prend fin, sauf motifs plus forts.",
            details="à quelle utilisation vous vous opposez, et pourquoi",
        ),
        RequestType.OPT_OUT: Wish(
            title="Ne plus être contacté",
            says="Plus personne ne vous écrit, et ce que vous aviez accepté est retiré.",
        ),
        RequestType.GRIEVANCE: Wish(
            title="Faire une réclamation",
            says="Quelqu'un examine la manière dont vous avez été traité et vous répond.",
            details="ce qui s'est passé",
        ),
    },
    in_law={
        ("ccpa", RequestType.RESTRICTION): Wish(
            title="Limiter l'utilisation de mes données sensibles",
            says="Elles servent à ce que vous avez demandé, et à rien d'autre.",
            details="ce qui doit être limité",
        ),
        ("ccpa", RequestType.OPT_OUT): Wish(
            title="Ne pas vendre ni partager mes données",
            says="Elles ne sont ni vendues ni partagées, et plus personne ne vous écrit.",
        ),
    },
    states={
        State.WINDOW: "Votre demande est sur le point d'être exécutée. Vous pouvez encore la retirer.",
        State.RUNNING: "Votre demande est en cours de traitement.",
        State.FINISHING: "Vos données sont effacées. Les derniers fichiers sont en cours de suppression.",
        State.REVIEW: "La réponse est prête, et notre personnel la relit.",
        State.DEFERRED: "Votre demande a reçu une réponse. Une partie doit rester pour le moment et sera effacée"
        " d'elle-même.",
    },
    outcomes={
        Outcome.COMPLETED: "Votre demande est traitée.",
        Outcome.PARTIALLY_COMPLETED: "Votre demande est traitée en partie.",
        Outcome.NO_DATA: "Rien n'est détenu sur vous sous cette adresse.",
        Outcome.REJECTED: "Votre demande a été refusée.",
        Outcome.WITHDRAWN: "Vous avez retiré votre demande.",
        Outcome.DUPLICATE: "Votre demande est traitée, avec une demande antérieure de votre part sur le même sujet.",
    },
    awaited={
        "identity": "des informations qui confirment qui fait la demande",
        "fee": "des frais qui ont été demandés",
        "clarification": "une précision : de quelles informations ou de quel traitement il s'agit",
    },
    rules={
        "received": "Reçue le {received} ; le délai se compte à partir de là.",
        "right": "Le droit que vous exercez.",
        "respond": "La réponse est due au plus tard le {due}.",
        "extend": "Le délai peut être prolongé une fois, au plus tard jusqu'au {longest}, avec des motifs.",
        "extend_never": "La loi ne prévoit pas de prolongation.",
        "notice": "Une prolongation et ses motifs doivent vous être communiqués auparavant.",
        "acknowledge": "La réception vous est confirmée au plus tard le {acknowledged}.",
        "no_pause": "Rien n'arrête ce délai.",
        "pause": "Pendant que l'on attend quelque chose de votre part, le délai peut être suspendu.",
        "roll": "Le dernier jour n'était pas ouvrable ; le délai prend fin le {due}.",
        "duplicate": "Une demande antérieure sur le même sujet reçoit sa réponse avec celle-ci, au plus tard le {due}.",
        "extended": "Le délai a été prolongé.",
        "paused": "Le délai a été suspendu.",
        "resumed": "Le délai a repris.",
    },
)
