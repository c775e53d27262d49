//! What a brand answers with to begin with: each brand changes its own in `reply_texts`.

/// Kind, language, text; `{brand}` stands for the brand's name. A confirmation says that it is one, and nothing that sells
/// (47 CFR 64.1200(a)(12)).
pub const DEFAULT_TEXTS: [(&str, &str, &str); 9] = [
    (
        "opt_out",
        "en",
        "{brand}: You are unsubscribed and will receive no more messages. Reply START to resubscribe.",
    ),
    (
        "opt_out",
        "es",
        "{brand}: Su suscripción está cancelada y no recibirá más mensajes. Responda START para suscribirse de nuevo.",
    ),
    (
        "opt_out",
        "fr",
        "{brand} : vous êtes désabonné et ne recevrez plus de messages. Répondez START pour vous réabonner.",
    ),
    (
        "opt_in",
        "en",
        "{brand}: You are subscribed to messages. Msg & data rates may apply. Reply HELP for help, STOP to unsubscribe.",
    ),
    (
        "opt_in",
        "es",
        "{brand}: Está suscrito a los mensajes. Pueden aplicarse tarifas. Responda AYUDA para ayuda, ALTO para cancelar.",
    ),
    (
        "opt_in",
        "fr",
        "{brand} : vous êtes abonné aux messages. Des frais peuvent s'appliquer. Répondez AIDE pour de l'aide, ARRET pour vous désabonner.",
    ),
    (
        "help",
        "en",
        "{brand}: These are messages from {brand}. Msg & data rates may apply. Reply STOP to unsubscribe.",
    ),
    (
        "help",
        "es",
        "{brand}: Estos mensajes son de {brand}. Pueden aplicarse tarifas. Responda ALTO para cancelar.",
    ),
    (
        "help",
        "fr",
        "{brand} : ces messages sont de {brand}. Des frais peuvent s'appliquer. Répondez ARRET pour vous désabonner.",
    ),
];
