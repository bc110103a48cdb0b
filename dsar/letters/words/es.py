"""Spanish."""

from dsar.letters.words.citing import Place, cited, joined
from dsar.letters.words.language import Language


def cite(article: str) -> str:
    """`GDPR Art. 17(3)(b)` is `artículo 17, apartado 3, letra b), del RGPD`, as the Spanish text has it."""
    return cited(article, listed=lambda places: joined([_place(p) for p in places], conjunction="y", law="del RGPD"))


def _place(place: Place) -> str:
    if place.last:
        return f"artículos {place.number} a {place.last}"
    said = f"artículo {place.number}"
    if place.paragraph:
        said += f", apartado {place.paragraph}"
    return f"{said}, letra {place.letter})" if place.letter else said


WORDS = Language(
    name="Español",
    date=r"j \d\e F \d\e Y",
    cite=cite,
    laws={
        "gdpr": "el Reglamento General de Protección de Datos (RGPD)",
        "uk_gdpr": "el UK GDPR",
        "ccpa": "la California Consumer Privacy Act (CCPA)",
        "dpdpa": "la Digital Personal Data Protection Act, 2023 (DPDP Act)",
    },
    requests={
        "export": "acceso a sus datos personales",
        "portability": "portabilidad de los datos personales que nos facilitó",
        "delete": "supresión de sus datos personales",
        "rectification": "rectificación de sus datos personales",
        "restriction": "limitación del tratamiento de sus datos personales",
        "objection": "oposición al tratamiento de sus datos personales",
        "opt_out": "cese de todo contacto y retirada de sus consentimientos",
        "grievance": "reclamación sobre el modo en que tratamos sus datos personales",
    },
    contact="responda a esta carta.",
    authorities={
        "gdpr": "por ejemplo la de su residencia habitual, la de su lugar de trabajo o la del lugar de la supuesta"
        " infracción (en España, la Agencia Española de Protección de Datos, www.aepd.es)",
        "uk_gdpr": "el Information Commissioner (ico.org.uk)",
        "ccpa": "la California Privacy Protection Agency (cppa.ca.gov) o el Attorney General de California",
        "dpdpa": "el Data Protection Board of India",
    },
    authority_named="en particular {authority}",
    remedies={
        "gdpr": "Si no está de acuerdo, puede presentar una reclamación ante una autoridad de control, {authority}"
        " (artículo 77 del RGPD). También puede solicitar la tutela judicial (artículo 79 del RGPD).",
        "uk_gdpr": "Si no está de acuerdo, puede presentarnos una reclamación (Data Protection Act 2018 s. 164A):"
        " {contact}\nTambién puede presentar una reclamación ante la autoridad de control, {authority} (UK GDPR Art."
        " 77), y solicitar la tutela judicial (UK GDPR Art. 79).",
        "ccpa": "Si no está de acuerdo, puede presentar una reclamación ante la autoridad competente, {authority} (Cal."
        " Civ. Code § 1798.199.45). Ejercer un derecho no supone ningún perjuicio (Cal. Civ. Code § 1798.125).",
        "dpdpa": "Si no está de acuerdo, envíenos su reclamación (DPDP Act 2023, s. 13): {contact}\nSi no se atiende,"
        " puede dirigirse a la autoridad competente, {authority} (DPDP Act 2023, s. 13(3)).",
    },
    grounds={
        "manifestly_unfounded": "La solicitud es manifiestamente infundada.",
        "excessive": "La solicitud es excesiva, especialmente debido a su carácter repetitivo.",
        "identity_not_proven": "No hemos podido asegurarnos de que la solicitud proceda de la persona interesada.",
        "fraudulent": "Tenemos motivos documentados para creer que la solicitud es fraudulenta.",
        "rights_of_others": "Se verían afectados los derechos y libertades de otras personas.",
        "legal_obligation": "Una obligación legal nos exige conservar los datos.",
        "legal_claims": "Los datos son necesarios para la formulación, el ejercicio o la defensa de reclamaciones.",
        "compelling_grounds": "Motivos legítimos imperiosos para el tratamiento prevalecen sobre sus intereses.",
        "accurate": "Los datos son exactos.",
        "not_applicable": "El derecho que ejerce no es aplicable en este caso.",
    },
    done={
        "export": "Hemos reunido los datos personales que tratamos sobre usted.",
        "portability": "Hemos reunido los datos personales que nos facilitó, en un formato estructurado y de lectura"
        " mecánica.",
        "delete": "Hemos suprimido sus datos personales.",
        "rectification": "Hemos rectificado sus datos personales.",
        "restriction": "Hemos limitado el tratamiento de sus datos personales.",
        "objection": "Hemos cesado el tratamiento al que se opuso.",
        "opt_out": "No volveremos a ponernos en contacto con usted.",
        "grievance": "Hemos examinado su reclamación.",
    },
    in_part="Hemos atendido su solicitud en parte.",
    no_data="Con lo que nos indicó no hemos encontrado datos personales sobre usted.",
    resolution="En concreto:\n{resolution}",
    opted_out="Consentimientos retirados: {count}.",
    erased="Suprimido:",
    reduced="Conservado sin su nombre, únicamente como prueba:",
    kept_lead="Conservado por ahora, con el motivo:",
    kept={
        "legal_hold": "necesario para reclamaciones o en virtud de una obligación legal ({article})",
        "referenced_by_held_rows": "una entrada vaciada a la que se refiere lo anterior",
        "tells_of_held_rows": "la clave de las entradas de nuestro registro sobre lo anterior",
    },
    until="se revisará de nuevo el {date}",
    package="Los datos están a su disposición hasta el {date}. {handover}",
    handover="Para recibirlos: {contact}",
    when="En cuanto desaparezca el motivo suprimiremos también esos datos por iniciativa propia y volveremos a"
    " escribirle: no tiene que pedirlo. Solo para esa carta conservamos su dirección, cifrada.",
    data={
        "interactionHistory": "sus operaciones con nosotros",
        "decisionTrace": "decisiones sobre ofertas",
        "interactionSummary": "resúmenes de su actividad",
        "engagementHealth": "indicadores de su grado de actividad",
        "attributionResult": "lo que condujo a una compra",
        "variantAssignment": "grupos de comparación de los que formó parte",
        "journeyEnrollment": "series de mensajes",
        "delivery": "mensajes que se le enviaron",
        "attachment": "archivos",
        "dynamicSchemaRows": "otros registros",
        "suppression": "canales por los que no se le debe contactar",
        "consentRecord": "sus consentimientos",
        "outboxPayload": "mensajes en camino",
        "archivedDeadLetter": "mensajes que no se pudieron entregar",
        "dossier": "informes preparados para usted",
        "letterText": "cartas dirigidas a usted",
        "publicFiling": "lo que envió desde nuestra página",
        "dsarRequest": "sus solicitudes",
        "identityLink": "identificadores",
        "customer": "su perfil",
        "subjectKey": "la clave de las entradas de nuestro registro sobre usted",
    },
    told_lead="Hemos informado a estos destinatarios de sus datos{article}:",
    not_told_lead="No hemos podido informar a estos destinatarios, o solo con un esfuerzo desproporcionado:",
    being_told="Se está informando a estos destinatarios de sus datos{article}:",
)
