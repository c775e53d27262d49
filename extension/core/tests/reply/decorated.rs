//! Keywords, decorated in all the ways in which people decorate them.

use proptest::{prelude::*, sample::select};

/// The words of the law and of the carriers.
pub const KEYWORDS: [&str; 22] = [
    "stop",
    "quit",
    "end",
    "revoke",
    "opt out",
    "cancel",
    "unsubscribe",
    "stopall",
    "stop all",
    "optout",
    "opt-out",
    "unsub",
    "remove",
    "arret",
    "arrêt",
    "alto",
    "parar",
    "baja",
    "cancelar",
    "STOP",
    "Arrêt",
    "ARRET",
];

/// What may stand round a keyword or within it: each is a set, and the words of a decoration are of one.
const ROUND: [&[&str]; 6] = [
    &[" ", "\t", "\n", "\r\n", "\u{a0}", "\u{3000}", "\u{2009}"],
    &[
        ".", "!", "?", ",", ";", ":", "...", "-", "--", "(", ")", "\"", "'", "“", "”", "«", "»", "*", "_",
        "~", "/", "#", "&", "¡", "¿",
    ],
    &["🙏", "😡", "🛑", "👍🏽", "❤️", "👨‍👩‍👧", "✋", "‼️", "❌", "🚫", "™", "💯", "🔚", "🏁", "😂"],
    &[
        "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{200e}", "\u{202e}",
        "\u{202c}", "\u{2066}", "\u{2069}", "\u{3164}",
    ],
    &["\u{301}", "\u{336}", "\u{489}", "\u{fe0f}"],
    &["", "", ""],
];

/// How letters are written: the first of an alphabet, from which the others follow, in capitals or not.
const ALPHABETS: [(char, bool); 11] = [
    ('a', false),
    ('A', true),
    ('ａ', false),
    ('Ａ', true),
    ('𝐚', false),
    ('𝗔', true),
    ('ⓐ', false),
    ('Ⓐ', true),
    ('🅐', true),
    ('🅰', true),
    ('🇦', true),
];

/// Letters of other scripts that look like those of the keywords, and digits that do.
const LOOK_ALIKES: [(char, &str); 14] = [
    ('a', "аα@4ａ𝒂ạ"),
    ('b', "Ьᖯｂ𝐛"),
    ('c', "сϲⅽｃ𝐜"),
    ('e', "еé3ｅ𝑒ё"),
    ('i', "іι1ｉⅰí"),
    ('j', "јｊ𝐣"),
    ('l', "ⅼｌ1|𝐥"),
    ('n', "ո𝐧ｎñ"),
    ('o', "оο0ｏ𝐨öо"),
    ('p', "рρｐ𝐩"),
    ('r', "гｒ𝐫"),
    ('s', "ѕ5$ｓ𝐬š"),
    ('t', "тτｔ𝐭7"),
    ('u', "υսｕ𝐮ü"),
];

fn written(letter: char, alphabet: (char, bool), look: usize) -> char {
    if look > 0
        && let Some((_, same)) = LOOK_ALIKES.iter().find(|(plain, _)| *plain == letter)
    {
        return same.chars().nth(look % same.chars().count()).unwrap();
    }
    let position = u32::from(letter) - u32::from('a');
    char::from_u32(u32::from(alphabet.0) + position).unwrap()
}

prop_compose! {
    /// A keyword in some disguise; where its letters stand apart, each by the same means.
    pub fn decorated()(
        keyword in select(KEYWORDS.as_slice()),
        alphabet in select(ALPHABETS.as_slice()),
        apart in select(["", "", "", " ", ".", "-", "\u{200b}", "\u{301}", "  ", "\n", "*"].as_slice()),
        letters in prop::collection::vec((prop_oneof![3 => Just(0usize), 1 => 1usize..8], prop_oneof![4 => Just(1usize), 1 => 1usize..9]), 12),
        round in prop::collection::vec((select(ROUND.as_slice()), 0usize..30, any::<bool>()), 0..8),
    ) -> String {
        let plain = keyword.to_lowercase().replace('ê', "e");
        let mut body = String::new();
        for (letter, (look, times)) in plain.chars().zip(letters.iter().cycle()) {
            if !letter.is_ascii_alphabetic() {
                body.push(letter);
                continue;
            }
            for _ in 0..*times {
                body.push(written(letter, alphabet, *look));
            }
            body.push_str(apart);
        }
        for (set, index, before) in round {
            let piece = set[index % set.len()];
            if before { body.insert_str(0, piece) } else { body.push_str(piece) }
        }
        body
    }
}
