//! A reply as the words that a reader sees in it, whatever it is written with.
//!
//! One pass over the body, each character by itself: nothing is reordered or composed, so that time is linear in the
//! body's length however many combining marks it stacks up. What is kept is bounded: the first [`MAX_WORDS`] words of
//! at most [`MAX_WORD`] letters, and the first [`MAX_LETTERS`] letters of the reply as one string, repeated letters
//! counted once. Decoration takes up no room, so that a keyword among megabytes of it is still read.

use super::letters::{Glyph, glyphs, is_flag};

/// How many words are looked at.
pub(super) const MAX_WORDS: usize = 2000;
/// How many letters of a word are.
const MAX_WORD: usize = 40;
/// How many letters a reply that is one keyword may have, repetitions not counted.
const MAX_LETTERS: usize = 64;

/// Which signs are letters. A keyword may be written in signs, 🇸🇹🇴🇵, or have them round it, STOP 🇺🇸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    /// Each sign is a letter, except two regional indicators by themselves, which are a flag.
    Letters,
    /// Regional indicators are decoration, other signs letters.
    NoFlags,
    /// All signs are decoration.
    NoSigns,
}

/// What follows a word, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Space, or a sign that is as good as space.
    #[default]
    Space,
    /// A comma, a dash, an emoji, three dots.
    Pause,
    /// The end of a sentence or of a line.
    Stop,
    /// The end of a question.
    Question,
}

/// A word of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its letters and digits, in lower-case ASCII; `*` for those of another script.
    pub text: String,
    /// Whether a quotation mark stands before it.
    pub quoted: bool,
    /// Whether it is in capitals.
    pub capitals: bool,
    /// What follows it.
    pub gap: Gap,
}

/// A reply, folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    /// Its words.
    pub words: Vec<Word>,
    /// Its letters as one string, as [`squeezed`] has them; `None` if there are more than a keyword has.
    pub letters: Option<String>,
    /// Whether it has signs, so that other readings may differ.
    pub signs: bool,
}

/// The words of `body`.
pub(super) fn fold(body: &str, reading: Reading) -> Folded {
    let mut folder = Folder { reading, ..Folder::default() };
    for c in body.chars() {
        glyphs(c, &mut |glyph| folder.take(glyph, c));
    }
    folder.end_word();
    let letters = (folder.squeezer.length <= MAX_LETTERS).then_some(folder.squeezer.letters);
    Folded { words: folder.words, letters, signs: folder.signs }
}

/// `letters` with repeated letters once and look-alike digits as letters: the form in which a keyword is compared.
///
/// `l` and `i` are one letter in it, since `1` and `|` stand for both.
pub(super) fn squeezed(letters: &str) -> String {
    let mut squeezer = Squeezer::default();
    letters.chars().filter(char::is_ascii_alphanumeric).for_each(|c| squeezer.push(c));
    squeezer.letters
}

#[derive(Default)]
struct Squeezer {
    letters: String,
    length: usize,
    last: char,
}

impl Squeezer {
    fn push(&mut self, c: char) {
        let c = match c {
            '0' => 'o',
            '2' | '5' => 's',
            '3' => 'e',
            '4' => 'a',
            '7' => 't',
            '8' => 'b',
            '9' => 'g',
            _ => c,
        };
        // "quilt" is not "quit": l after i repeats nothing, but 1 after either does.
        let one = (c == '1' || self.last == '1') && "1il".contains(c) && "1il".contains(self.last);
        if c != self.last && !one {
            self.length += 1;
            if self.length <= MAX_LETTERS {
                self.letters.push(if c == '1' || c == 'l' { 'i' } else { c });
            }
        }
        self.last = c;
    }
}

#[derive(Default)]
struct Folder {
    reading: Reading,
    words: Vec<Word>,
    squeezer: Squeezer,
    signs: bool,
    /// The word that is being read: its letters, how many are capitals, how many are regional indicators.
    word: String,
    length: usize,
    capitals: usize,
    flags: usize,
    /// How often the last letter has been repeated.
    run: usize,
    quoted: bool,
    /// Whether the last glyph was a full stop right after a word, and which it was: the next one throws light on it.
    dot: bool,
    last: Option<Glyph>,
}

impl Folder {
    fn take(&mut self, glyph: Glyph, written: char) {
        let follows = !self.word.is_empty() || self.dot;
        match glyph {
            Glyph::Nothing => return,
            Glyph::Letter(c) => self.letter(c, written),
            Glyph::Foreign => self.letter('*', written),
            Glyph::Sign(c) => self.sign(c, written),
            Glyph::Apostrophe => self.apostrophe(),
            Glyph::Quote => {
                self.end_word();
                self.quoted = true;
            }
            Glyph::Space if self.last != Some(Glyph::Dash) => self.part(Gap::Space),
            Glyph::Space | Glyph::Pause => self.part(Gap::Pause),
            // Three dots hesitate, they end nothing.
            Glyph::Stop if self.dot => self.weaken(),
            Glyph::Stop | Glyph::End => self.part(Gap::Stop),
            Glyph::Question => self.part(Gap::Question),
            Glyph::Dash if self.word.is_empty() => self.part(Gap::Pause),
            Glyph::Dash => self.part(Gap::Space),
        }
        self.dot = glyph == Glyph::Stop && follows;
        self.last = Some(glyph);
    }

    fn letter(&mut self, c: char, written: char) {
        // "opt.out", "bit.ly": a full stop with a letter right after it ends no sentence.
        if self.dot {
            self.weaken();
        }
        self.squeezer.push(c);
        self.capitals += usize::from(written.is_uppercase());
        self.flags += usize::from(is_flag(written));
        self.length += 1;
        self.run = if self.word.ends_with(c) { self.run + 1 } else { 1 };
        match self.run {
            // From the third on it is emphasis, and the word is written as without it.
            3 => _ = self.word.pop(),
            4.. => {}
            _ if self.word.len() < MAX_WORD => self.word.push(c),
            _ => {}
        }
    }

    fn sign(&mut self, c: char, written: char) {
        self.signs = true;
        let decoration = match self.reading {
            Reading::Letters => false,
            Reading::NoFlags => is_flag(written),
            Reading::NoSigns => true,
        };
        if decoration { self.part(Gap::Pause) } else { self.letter(c, written) }
    }

    /// English drops it, "don't"; French parts the words there, "l'arrêt", and so do we after what it elides.
    fn apostrophe(&mut self) {
        const ELIDED: [&str; 13] =
            ["c", "d", "j", "l", "m", "n", "s", "t", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu"];
        if ELIDED.contains(&self.word.as_str()) {
            self.part(Gap::Space);
        }
    }

    fn part(&mut self, gap: Gap) {
        self.end_word();
        if let Some(last) = self.words.last_mut() {
            last.gap = last.gap.max(gap);
        }
    }

    fn weaken(&mut self) {
        if let Some(last) = self.words.last_mut().filter(|last| last.gap == Gap::Stop && self.word.is_empty())
        {
            last.gap = Gap::Pause;
        }
    }

    fn end_word(&mut self) {
        let is_flag = self.flags == 2 && self.length == 2;
        let capitals = self.capitals == self.length;
        let text = std::mem::take(&mut self.word);
        (self.length, self.capitals, self.flags, self.run) = (0, 0, 0, 0);
        if text.is_empty() || is_flag || self.words.len() >= MAX_WORDS {
            return;
        }
        self.words.push(Word { text, quoted: std::mem::take(&mut self.quoted), capitals, gap: Gap::Space });
    }
}
