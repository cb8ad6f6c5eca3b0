//! Invented names, and the texts of their payments.

use super::rng::Rng;

const FIRST: &[&str] = &[
    "Anna", "Ben", "Clara", "David", "Elif", "Finn", "Greta", "Hannes", "Ida", "Jakob", "Katrin",
    "Lukas", "Mia", "Noah", "Olga", "Paul", "Rosa", "Samuel", "Thea", "Yusuf",
];
const LAST: &[&str] = &[
    "Müller", "Weiß", "Schmidt", "Kowalski", "Yılmaz", "Becker", "Hoffmann", "Krüger", "Nguyen",
    "Larsen", "Peters", "Wagner", "Böhm", "Rossi", "Novák", "Jansen", "Sommer", "Vogel", "Zimmer",
];
const SHOPS: &[&str] = &[
    "Markthalle am Tor",
    "Bäckerei Kornblume",
    "Bücher & Bild OHG",
    "Fahrrad Freund",
    "Grünkost eG",
    "Kino Lichtspiel",
    "Apotheke zur Linde",
    "Tankhof Süd",
    "Möbelwerk Nord",
    "Café Zwischenhalt",
];
const COLLECTORS: &[&str] = &[
    "Stadtwerke Auental GmbH",
    "Fernnetz Telefon AG",
    "Hausverwaltung Stein & Söhne",
    "Versicherungsverein Elbtal",
    "Sportverein Blau-Gold e.V.",
    "Rundfunkdienst West",
];
const EMPLOYERS: &[&str] = &[
    "Maschinenbau Ritter GmbH",
    "Klinikum Sonnenberg",
    "Softwarehaus Delta AG",
    "Spedition Weitblick",
    "Landesamt für Vermessung",
];

pub(super) struct Payment {
    pub(super) name: String,
    pub(super) remittance: String,
    pub(super) cents: u64,
    /// Bank transaction code: family and sub-family.
    pub(super) code: (&'static str, &'static str),
}

/// Makes an outgoing payment.
pub(super) fn debit(rng: &mut Rng) -> Payment {
    match rng.below(10) {
        0..=4 => Payment {
            name: (*rng.pick(SHOPS)).to_owned(),
            remittance: format!("Kartenzahlung Terminal {:08}", rng.below(100_000_000)),
            cents: 150 + rng.below(12_000),
            code: ("CCRD", "POSD"),
        },
        5..=7 => Payment {
            name: (*rng.pick(COLLECTORS)).to_owned(),
            remittance: format!("Vertrag {:07} Abschlag", rng.below(10_000_000)),
            cents: 900 + rng.below(90_000),
            code: ("RDDT", "ESDD"),
        },
        _ => Payment {
            name: person(rng),
            remittance: format!("Rechnung {:06} vielen Dank", rng.below(1_000_000)),
            cents: 500 + rng.below(150_000),
            code: ("ICDT", "ESCT"),
        },
    }
}

/// Makes an incoming payment.
pub(super) fn credit(rng: &mut Rng) -> Payment {
    if rng.percent(20) {
        return Payment {
            name: (*rng.pick(EMPLOYERS)).to_owned(),
            remittance: format!("Lohn/Gehalt Personalnummer {:06}", rng.below(1_000_000)),
            cents: 140_000 + rng.below(420_000),
            code: ("RCDT", "SALA"),
        };
    }
    Payment {
        name: person(rng),
        remittance: format!("Auftrag {:08} <Anteil & Auslagen>", rng.below(100_000_000)),
        cents: 300 + rng.below(200_000),
        code: ("RCDT", "ESCT"),
    }
}

fn person(rng: &mut Rng) -> String {
    format!("{} {}", rng.pick(FIRST), rng.pick(LAST))
}
