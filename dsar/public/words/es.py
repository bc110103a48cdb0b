"""Spanish."""

from dsar.models import Outcome, RequestType, State
from dsar.public.words.language import PageWords, Wish

WORDS = PageWords(
    tag="es",
    texts={
        "title": "Sus datos, sus derechos",
        "not_sent": "No enviado:",
        "was_not_sent": "El formulario no se ha enviado.",
        "ask_lead": "Diríjase a {tenant} sobre los datos que tiene de usted. No necesita ninguna cuenta, solo una"
        " dirección de correo"
        " electrónico: enviamos allí un código para asegurarnos de que es usted quien lo pide.",
        "rights_under": "Estos son sus derechos. La norma aplicable es {law}.",
        "kind": "¿Qué desea?",
        "address": "Su dirección de correo electrónico",
        "address_help": "Aquella por la que le conocemos. Si tiene varias, pregunte una vez con cada una.",
        "number": "Su número de cliente",
        "number_help": "Si varias personas comparten la dirección, indica cuál de ellas es usted.",
        "details": "Lo que debemos saber",
        "details_help": "Para una rectificación, una limitación, una oposición o una reclamación: con sus propias"
        " palabras. Por favor, sin"
        " contraseñas ni copias de documentos.",
        "optional": "(opcional)",
        "trap": "Deje esto vacío",
        "send": "Enviar",
        "ask_fine": "Lo que escriba aquí se guarda cifrado y se usa únicamente para su solicitud. Sin el código del"
        " correo no se tramita nada"
        " y se borra.",
        "kind_missing": "Elija lo que desea.",
        "address_missing": "Indique su dirección de correo electrónico: allí se envía el código.",
        "address_wrong": "Esto no es una dirección de correo electrónico. Escríbala como name@example.com.",
        "number_wrong": "Un número de cliente no contiene caracteres de control.",
        "details_missing": "Díganos {what}.",
        "trapped": "Se ha rellenado un campo que nadie ve. Envíe el formulario de nuevo sin él.",
        "stale": "Esta página estuvo abierta demasiado tiempo. Revísela y envíela de nuevo.",
        "fast": "Ha sido muy rápido. Revíselo y envíelo de nuevo.",
        "code_title": "Introduzca el código",
        "code_lead": "Hemos enviado un correo a la dirección que indicó. Contiene un código de ocho cifras, válido"
        " durante {minutes}"
        " minutos. Cuando lo haya introducido, su solicitud cuenta, desde el día en que la envió.",
        "code": "El código del correo",
        "code_help": "Solo cifras; los espacios no molestan.",
        "code_missing": "Introduzca el código del correo.",
        "code_form": "Un código tiene ocho cifras.",
        "confirm": "Confirmar",
        "nothing_came": "¿No ha llegado nada?",
        "nothing_came_says": "Puede tardar unos minutos. Mire también en la carpeta de correo no deseado.",
        "send_another": "Enviar otro código",
        "begin_anew": "Empezar de nuevo",
        "wrong_code": "Este no es el código que enviamos. Mire el correo más reciente.",
        "code_expired": "Este código ha caducado. Pida otro o empiece de nuevo.",
        "identity_locked": "Se introdujeron {most} códigos erróneos y ya no vale ninguno. Empiece de nuevo.",
        "too_many_codes": "No se pueden enviar más códigos para esto. Empiece de nuevo.",
        "no_mail": "En este momento no se puede enviar correo. Inténtelo más tarde.",
        "too_soon": "Se acaba de enviar algo. Espere {seconds} segundos.",
        "another_sent": "Otro código está en camino. El anterior ya no vale.",
        "confirmed_title": "Su solicitud está confirmada",
        "confirmed_says": "Cuenta desde el día en que la envió. Le hemos enviado un correo: con el enlace que"
        " contiene puede ver cómo va su solicitud.",
        "confirmed_follow": "Ver cómo va",
        "received_title": "Su solicitud se ha recibido",
        "received_says": "Para esto no tiene que demostrar nada. Hemos enviado un correo a la dirección que indicó:"
        " con el enlace que contiene"
        " puede ver cómo va su solicitud.",
        "busy_title": "Demasiados intentos",
        "busy_says": "Se ha pedido demasiadas veces en poco tiempo. Espere {seconds} segundos e inténtelo de nuevo."
        " No se ha cambiado"
        " nada.",
        "to_beginning": "Ir al principio",
        "ended_title": "Este enlace ya no vale",
        "ended_says": "O ha venido sin ninguno. Abra el enlace de nuestro correo más reciente, o pida que se lo"
        " enviemos. También puede"
        " solicitarlo de nuevo: su solicitud anterior se encuentra y no pierde ningún día.",
        "ask_anew": "Solicitar de nuevo",
        "lost": "¿Ha perdido el enlace?",
        "lost_link": "Recibirlo de nuevo",
        "lost_title": "Recibir de nuevo el enlace",
        "lost_lead": "Indique la dirección con la que hizo la solicitud. Se envía allí un enlace a cada solicitud que"
        " se sigue desde ella; los"
        " enlaces que aún tenga siguen valiendo.",
        "lost_send": "Enviármelo",
        "lost_sent_title": "Mire su correo",
        "lost_sent_says": "Si hay solicitudes con esta dirección, un correo con los enlaces está en camino. Si en"
        " unos minutos no llega nada, no"
        " las hay: mire en la carpeta de correo no deseado, pruebe con otra dirección o solicítelo de nuevo.",
        "your_request": "Su solicitud: {what}",
        "needed": "Necesitamos algo de usted.",
        "waits_for": "Esperamos {what}.",
        "send_here": "Envíelo aquí: {contact}",
        "nothing_needed": "No tiene que hacer nada.",
        "refused": "El motivo: {reason} Puede presentar una reclamación ante la autoridad de control y acudir a los"
        " tribunales.",
        "your_data": "Sus datos",
        "fetched_until": "Se pueden recoger hasta el {day}.",
        "became": "Qué ha sido de sus datos",
        "erased_one": "{count} entrada suprimida.",
        "erased": "{count} entradas suprimidas.",
        "had_to_stay": "Esto ha tenido que quedarse:",
        "kept": "{count}, {why}",
        "times": "Los plazos",
        "received": "Recibida",
        "answered": "Respondida",
        "answer_by": "Respuesta hasta",
        "stands_still": "El plazo no corre mientras esperamos su respuesta.",
        "longer": "Tarda más: {reason}",
        "why_days": "Por qué estas fechas",
        "how_far": "Cómo va",
        "to_come": "pendiente",
        "times_of": "Horas: {zone}.",
        "more": "Más",
        "withdraw": "Retirar la solicitud",
        "another_link": "Enviarme otro enlace",
        "leave": "Salir de esta página",
        "more_fine": "Otro enlace pone fin a los que tiene. Salga de la página si otras personas usan también este"
        " ordenador.",
        "with_staff": "Su solicitud está en manos de nuestro personal.",
        "waits_its_turn": "Su solicitud espera su turno.",
        "with_earlier": "Ya solicitó lo mismo; ambas solicitudes se responden juntas.",
        "late": "La respuesta se retrasa. Pídala o reclame ante la autoridad de control.",
        "step_received": "Recibida",
        "step_confirmed": "Confirmada por usted",
        "step_began": "Tramitación iniciada",
        "step_extended": "Plazo ampliado",
        "step_erased": "Datos suprimidos",
        "step_answered": "Respondida",
        "step_withdrawn": "Retirada por usted",
        "step_rejected": "Denegada",
        "link_sent": "El enlace ya no vale; otro está en camino.",
        "no_address": "Su dirección se suprimió con sus datos: ya no se le puede enviar nada.",
        "withdraw_title": "¿Retirar la solicitud?",
        "withdraw_says": "«{what}», recibida el {day}. Termina sin respuesta. Puede volver a solicitarlo en cualquier"
        " momento.",
        "withdraw_do": "Retirarla",
        "withdraw_not": "Mantenerla",
        "withdraw_never": "Ya no se puede retirar.",
        "back": "Volver a la solicitud",
        "has_ended": "Esta solicitud ya ha terminado.",
        "erased_already": "Sus datos ya están suprimidos: la solicitud ya no se puede retirar.",
        "fetch_title": "Recoger mis datos",
        "fetch_lead": "Para ello enviamos cada vez un código a su dirección: el enlace por sí solo no abre nada. Cada"
        " recogida queda registrada."
        " Hasta el {day}.",
        "send_code": "Enviarme un código",
        "as_format": "Como",
        "as_zip": "Páginas para leer (zip)",
        "as_json": "Para programas (JSON)",
        "fetch": "Recoger",
        "nothing_to_fetch": "No hay nada que recoger, o su plazo ha terminado. Solicite de nuevo sus datos.",
        "code_sent": "Un código está en camino. Uno enviado antes ya no vale.",
        "package_gone": "El paquete ha caducado. Solicite de nuevo sus datos.",
        "away": "Sus datos no se pueden recoger en este momento. El código sigue valiendo: inténtelo dentro de unos"
        " minutos.",
        "reach_us": "También puede contactarnos aquí: {contact}",
        "language": "Idioma",
        "mail_code_subject": "Su código para {tenant}",
        "mail_code_ask": "Alguien, suponemos que usted, se ha dirigido a {tenant} sobre sus datos.",
        "mail_code_fetch": "Alguien, suponemos que usted, quiere recoger de {tenant} lo que sabe sobre usted.",
        "mail_code": "Su código: {code}",
        "mail_code_use": "Es válido durante {minutes} minutos. Introdúzcalo donde hizo la solicitud y en ningún otro"
        " lugar.",
        "mail_code_not_you": "Si no fue usted, no haga nada: sin el código no ocurre nada.",
        "mail_link_subject": "Su solicitud a {tenant}",
        "mail_link_received": "{tenant} ha recibido su solicitud sobre sus datos.",
        "mail_link": "Vea cómo va, o retírela:",
        "mail_link_use": "No comparta este enlace: quien lo tenga verá su solicitud. Vale como máximo hasta el {day}.",
        "mail_links_subject": "Sus solicitudes a {tenant}",
        "mail_links": "Alguien, suponemos que usted, ha perdido el enlace a sus solicitudes a {tenant}. Aquí puede"
        " ver cómo van:",
        "mail_links_one": "{what}, recibida el {day}:",
        "mail_links_use": "No comparta estos enlaces: quien tenga uno verá su solicitud. Valen como máximo hasta el"
        " {day}.",
        "mail_links_not_you": "Si no fue usted, no haga nada: nadie más los tiene.",
    },
    wishes={
        RequestType.EXPORT: Wish(
            title="Ver mis datos", says="Una copia de lo que se tiene sobre usted y para qué se utiliza."
        ),
        RequestType.PORTABILITY: Wish(
            title="Llevarme mis datos", says="Lo que usted facilitó, en una forma que otros servicios puedan leer."
        ),
        RequestType.DELETE: Wish(
            title="Suprimir mis datos",
            says="Lo que ninguna ley exige conservar se suprime para siempre. Se le informa de lo que queda y por qué.",
        ),
        RequestType.RECTIFICATION: Wish(
            title="Rectificar mis datos",
            says="Lo que es erróneo o incompleto se corrige.",
            details="qué es erróneo y qué debería decir",
        ),
        RequestType.RESTRICTION: Wish(
            title="Limitar el uso de mis datos",
            says="Se conservan sin utilizarse mientras se aclara algo.",
            details="qué no debe utilizarse y por qué",
        ),
        RequestType.OBJECTION: Wish(
            title="Oponerme al uso de mis datos",
            says="Un uso que usted no quiere termina, salvo que haya motivos de más peso.",
            details="a qué uso se opone y por qué",
        ),
        RequestType.OPT_OUT: Wish(
            title="No recibir más mensajes",
            says="Nadie vuelve a escribirle, y lo que había aceptado queda retirado.",
        ),
        RequestType.GRIEVANCE: Wish(
            title="Reclamar",
            says="Alguien examina cómo se le ha tratado y le responde.",
            details="qué ha ocurrido",
        ),
    },
    in_law={
        ("ccpa", RequestType.RESTRICTION): Wish(
            title="Limitar el uso de mis datos sensibles",
            says="Se utilizan para lo que usted pidió y para nada más.",
            details="qué debe limitarse",
        ),
        ("ccpa", RequestType.OPT_OUT): Wish(
            title="No vender ni compartir mis datos",
            says="No se venden ni se comparten, y nadie vuelve a escribirle.",
        ),
    },
    states={
        State.WINDOW: "Su solicitud está a punto de ejecutarse. Todavía puede retirarla.",
        State.RUNNING: "Su solicitud se está tramitando.",
        State.FINISHING: "Sus datos están suprimidos. Se están eliminando los últimos archivos.",
        State.REVIEW: "La respuesta está lista y nuestro personal la está revisando.",
        State.DEFERRED: "Su solicitud está respondida. Algo debe quedarse por ahora y se suprimirá más adelante por"
        " sí solo.",
    },
    outcomes={
        Outcome.COMPLETED: "Su solicitud está atendida.",
        Outcome.PARTIALLY_COMPLETED: "Su solicitud está atendida en parte.",
        Outcome.NO_DATA: "No hay nada sobre usted con esta dirección.",
        Outcome.REJECTED: "Su solicitud ha sido denegada.",
        Outcome.WITHDRAWN: "Usted retiró su solicitud.",
        Outcome.DUPLICATE: "Su solicitud está atendida, junto con una anterior suya sobre lo mismo.",
    },
    awaited={
        "identity": "información que confirme quién hace la solicitud",
        "fee": "un importe que se le ha cobrado",
        "clarification": "que se aclare a qué información o tratamiento se refiere",
    },
    rules={
        "received": "Recibida el {received}; el plazo se cuenta desde entonces.",
        "right": "El derecho que ejerce.",
        "respond": "La respuesta debe darse a más tardar el {due}.",
        "extend": "El plazo puede ampliarse una vez, como máximo hasta el {longest}, con motivos.",
        "extend_never": "La ley no prevé ninguna ampliación.",
        "notice": "Una ampliación y sus motivos deben comunicársele antes.",
        "acknowledge": "La recepción se le confirma a más tardar el {acknowledged}.",
        "no_pause": "Nada detiene este plazo.",
        "pause": "Mientras se espera algo de usted, el plazo puede detenerse.",
        "roll": "El último día no era laborable; el plazo termina el {due}.",
        "duplicate": "Una solicitud anterior sobre lo mismo se responde con esta, a más tardar el {due}.",
        "extended": "El plazo se amplió.",
        "paused": "El plazo se detuvo.",
        "resumed": "El plazo volvió a correr.",
    },
)
