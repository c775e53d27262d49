//! One character of a reply: the Latin letters that a reader sees in it, or what it does between letters.

use decancer::Translation;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// What a character is to a reader of Latin letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glyph {
    /// A lower-case ASCII letter or digit.
    Letter(char),
    /// A sign that some write for a letter and others for itself: 🇸, 🅾, $, €.
    Sign(char),
    /// A letter of another script, which looks like no Latin one.
    Foreign,
    /// An apostrophe, within a word.
    Apostrophe,
    /// A quotation mark, opening or closing.
    Quote,
    /// Nothing that can be seen: a combining mark, a zero-width or bidirectional control.
    Nothing,
    /// Space, or a sign that joins or adorns words.
    Space,
    /// What parts the words of one sentence: a comma, a bracket, an emoji.
    Pause,
    /// A full stop.
    Stop,
    /// A question mark.
    Question,
    /// What ends a sentence whatever is round it: an exclamation mark, the end of a line.
    End,
    /// A hyphen or a dash: within a word a space, between words a pause.
    Dash,
}

/// Gives `emit` what a reader sees in `c`, as one glyph or, for a ligature, several.
///
/// The look-alikes are those of the crate `decancer`, which goes beyond the confusables of Unicode (UTS 39) in small
/// capitals, squared letters and the alphabets of "fancy text" generators. It also reads letters into emoji and
/// mathematical signs, which here are decoration: only letters, digits and [`is_sign`] are looked up.
pub(super) fn glyphs(c: char, emit: &mut impl FnMut(Glyph)) {
    if c.is_ascii() {
        emit(ascii(c));
    } else if is_invisible(c) {
        emit(Glyph::Nothing);
    } else if is_sign(c) {
        look_alike(c, &mut |l| emit(Glyph::Sign(l)));
    } else if let Some(mark) = mark(c) {
        emit(mark);
    } else if is_combining_mark(c) {
        emit(Glyph::Nothing);
    } else if c.is_alphanumeric() {
        if !look_alike(c, &mut |l| emit(Glyph::Letter(l))) {
            decompose(c, emit);
        }
    } else {
        emit(Glyph::Pause);
    }
}

/// A letter that has no look-alike of its own may be made of letters: `㏌`. What is made of others is one foreign letter,
/// however many they are: U+FDFA is made of eighteen.
fn decompose(c: char, emit: &mut impl FnMut(Glyph)) {
    let mut latin = true;
    decompose_compatible(c, |part| latin &= part.is_ascii_alphanumeric() || is_combining_mark(part));
    if latin {
        decompose_compatible(c, |part| {
            if part.is_ascii() {
                emit(ascii(part));
            }
        });
    } else {
        emit(Glyph::Foreign);
    }
}

/// Whether `c` looks like ASCII letters or digits, which `emit` is given.
fn look_alike(c: char, emit: &mut impl FnMut(char)) -> bool {
    let mut take = |seen: char| {
        if seen.is_ascii_alphanumeric() {
            emit(seen.to_ascii_lowercase());
        }
    };
    match decancer::cure_char!(c) {
        Translation::Character(seen) if seen.is_ascii() => take(seen),
        Translation::String(seen) if seen.is_ascii() => seen.chars().for_each(take),
        _ => return false,
    }
    true
}

fn ascii(c: char) -> Glyph {
    match c {
        'a'..='z' | '0'..='9' => Glyph::Letter(c),
        'A'..='Z' => Glyph::Letter(c.to_ascii_lowercase()),
        '$' => Glyph::Sign('s'),
        '@' => Glyph::Sign('a'),
        '|' => Glyph::Sign('l'),
        '\'' | '`' => Glyph::Apostrophe,
        '"' => Glyph::Quote,
        '.' => Glyph::Stop,
        '?' => Glyph::Question,
        '!' | '\n' | '\r' => Glyph::End,
        '-' => Glyph::Dash,
        ',' | ';' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' => Glyph::Pause,
        _ if c.is_ascii_control() && !c.is_ascii_whitespace() => Glyph::Nothing,
        _ => Glyph::Space,
    }
}

/// Punctuation outside ASCII that does more than part words.
fn mark(c: char) -> Option<Glyph> {
    Some(match c {
        '’' | '‘' | 'ʼ' | 'ʹ' | '′' | '´' | '＇' | '‛' | 'ꞌ' => Glyph::Apostrophe,
        '“' | '”' | '„' | '‟' | '«' | '»' | '＂' | '「' | '」' => Glyph::Quote,
        '。' | '．' | '｡' => Glyph::Stop,
        '？' | '⁇' | '⁉' | '⁈' => Glyph::Question,
        '¿' | '¡' | '…' => Glyph::Pause,
        '！' | '‼' | '\u{2028}' | '\u{2029}' | '\u{85}' => Glyph::End,
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '－' => Glyph::Dash,
        '\u{2800}' => Glyph::Space,
        _ if c.is_whitespace() => Glyph::Space,
        _ => return None,
    })
}

/// Default-ignorable code points, and controls.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_control() && !c.is_whitespace())
}

/// Signs that are letters to some who write them: regional indicators, currency, letters in brackets, and the letters
/// that are emoji of their own.
fn is_sign(c: char) -> bool {
    is_flag(c)
        || matches!(c,
            '\u{20a0}'..='\u{20cf}' | '¢' | '£' | '¥' | '†' | '\u{249c}'..='\u{24b5}' | '\u{1f110}'..='\u{1f129}'
            | 'ℹ' | 'Ⓜ' | '🅰' | '🅱' | '🅾' | '🅿')
}

/// A regional indicator: two of them are a flag.
pub(super) fn is_flag(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}
