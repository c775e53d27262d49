//! Replies that consist of a keyword, or whose first sentence does.

use std::ops::Range;

use strsim::osa_distance;

use super::{
    fold::{Folded, Gap, Word, squeezed},
    rules::{Keyword, RULES, Rule},
};

/// How many words one keyword may be written in: "un sub scribe".
const PIECES: usize = 4;

/// The rule by which the whole reply is a keyword, and its words.
pub(super) fn whole(folded: &Folded) -> Option<(&'static Rule, String)> {
    let only = folded.letters.as_deref().and_then(exact);
    let found = only.or_else(|| framed(&folded.words, exact)).or_else(|| framed(&folded.words, typo))?;
    Some((&RULES.rules[found.rule], spelled(&folded.words)))
}

/// The rule by which the first sentence is a keyword, and its words.
pub(super) fn first_sentence(folded: &Folded) -> Option<(&'static Rule, String)> {
    let words = &folded.words;
    let ends = (0..words.len().min(12)).filter(|&at| words[at].gap >= Gap::Pause || capitals_end(words, at));
    for end in ends {
        let sentence = &words[..=end];
        if words[end].gap != Gap::Question
            && let Some(found) = framed(sentence, exact)
        {
            let rule = &RULES.rules[found.rule];
            if rule.first && (words[end].gap == Gap::Stop || rule.strong) {
                return Some((rule, spelled(sentence)));
            }
        }
        if words[end].gap >= Gap::Stop {
            break;
        }
    }
    None
}

/// STOP in capitals, and then words that are not: a sentence has ended, though no mark says so.
fn capitals_end(words: &[Word], at: usize) -> bool {
    let mut after = words[at + 1..].iter().filter(|word| word.text != "i");
    words[..=at].iter().all(|word| word.capitals)
        && words[at].text.len() > 2
        && after.next().is_some_and(|word| !word.capitals)
}

/// The words that decided, for the record. A reply may be of any length, what is kept of it not.
fn spelled(words: &[Word]) -> String {
    words.iter().take(12).map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn exact(letters: &str) -> Option<&'static Keyword> {
    RULES.by_letters.get(letters).map(|&at| &RULES.keywords[at])
}

/// The keyword of which `letters` are a typo: a letter too many, too few, another, or two in the wrong order.
fn typo(letters: &str) -> Option<&'static Keyword> {
    if let Some(found) = exact(letters) {
        return Some(found);
    }
    if RULES.no_typos.iter().any(|word| word == letters) {
        return None;
    }
    RULES.keywords.iter().find(|word| {
        word.typos > 0
            && word.letters.len().abs_diff(letters.len()) <= word.typos
            && osa_distance(&word.letters, letters) <= word.typos
    })
}

/// The keyword of `words`, where all others among them are of politeness.
///
/// Of several keywords the one whose rule comes first in the files decides.
fn framed(words: &[Word], read: fn(&str) -> Option<&'static Keyword>) -> Option<&'static Keyword> {
    let mut found: Option<&'static Keyword> = None;
    let mut at = 0;
    while at < words.len() {
        if let Some((keyword, length)) =
            keyword_at(words, at, read).filter(|(keyword, _)| may_stand(words, keyword))
        {
            found =
                Some(found.map_or(keyword, |other| if other.rule <= keyword.rule { other } else { keyword }));
            at += length;
        } else {
            at += manner_at(words, at)?;
        }
    }
    found
}

/// Whether `keyword` may be among `words`: some decide only by themselves, once or several times.
fn may_stand(words: &[Word], keyword: &Keyword) -> bool {
    !RULES.rules[keyword.rule].alone || words.iter().all(|word| squeezed(&word.text) == keyword.letters)
}

/// The keyword that starts with the word at `at`, and how many words it takes.
fn keyword_at(
    words: &[Word],
    at: usize,
    read: fn(&str) -> Option<&'static Keyword>,
) -> Option<(&'static Keyword, usize)> {
    // By itself, "stp" is STOP; beside a keyword it is "s'il te plaît".
    let is_manner = words.len() > 1 && manner_at(words, at).is_some();
    letters_apart(words, at).or_else(|| {
        let most = PIECES.min(words.len() - at);
        (1..=most).rev().find_map(|length| {
            let letters = squeezed(&joined(&words[at..at + length]));
            let keyword = if is_manner { exact(&letters) } else { read(&letters) }?;
            // Of two pieces that are no typo by themselves, one may be a word of its own.
            let fits = length == 1 || letters == keyword.letters || keyword.letters.len() > 5;
            fits.then_some((keyword, length))
        })
    })
}

/// A keyword whose letters stand apart: S T O P.
fn letters_apart(words: &[Word], at: usize) -> Option<(&'static Keyword, usize)> {
    let singles = words[at..].iter().take(40).take_while(|word| word.text.len() == 1).count();
    (3..=singles).rev().find_map(|length| {
        exact(&squeezed(&joined(&words[at..at + length]))).map(|keyword| (keyword, length))
    })
}

fn joined(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect()
}

/// How many words a phrase of politeness takes that starts with the word at `at`.
fn manner_at(words: &[Word], at: usize) -> Option<usize> {
    let rest = &words[at..];
    RULES
        .manner
        .iter()
        .find(|phrase| {
            phrase.len() <= rest.len() && phrase.iter().zip(rest).all(|(word, own)| *word == own.text)
        })
        .map(Vec::len)
}

/// Replaces keywords that are written with letters apart, or with digits for letters, and what is often misspelled, by
/// what is meant, so that "S T O P texting", "5top texting" and "stahp texting" are read as "stop texting".
pub(super) fn mended(words: &[Word]) -> Vec<Word> {
    let mut mended = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        if let Some((range, text)) = replacement(words, at) {
            mended.push(Word { text, gap: words[range.end - 1].gap, ..word.clone() });
            at = range.end;
        } else {
            mended.push(word.clone());
            at += 1;
        }
    }
    mended
}

fn replacement(words: &[Word], at: usize) -> Option<(Range<usize>, String)> {
    if words[at].text.len() == 1 {
        let (_, length) = letters_apart(words, at)?;
        return Some((at..at + length, joined(&words[at..at + length])));
    }
    let text = &words[at].text;
    if let Some(meant) = RULES.respelled.get(text) {
        return Some((at..at + 1, meant.clone()));
    }
    let digits = text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().any(|b| b.is_ascii_alphabetic());
    let letters = squeezed(text);
    (digits && exact(&letters).is_some()).then(|| (at..at + 1, plain(text)))
}

/// `text` with letters for the digits that look like them.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0' => 'o',
            '1' => 'i',
            '3' => 'e',
            '4' => 'a',
            '5' | '2' => 's',
            '7' => 't',
            '8' => 'b',
            '9' => 'g',
            _ => c,
        })
        .collect()
}
