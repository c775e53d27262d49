//! Free text: what is said in several words.

use std::collections::BTreeMap;

use super::{
    Intent,
    fold::{Gap, Word},
    rules::{Pattern, RULES, Rule, Turn},
};

/// What stands in a text for words that a rule has set aside.
const ASIDE: &str = " _ ";

/// The words as text that the patterns of the rules are for: a sentence a line, with commas, quotation marks and the
/// question mark at the end.
pub(super) fn text(words: &[Word]) -> String {
    let staccato = is_staccato(words);
    let mut text = String::new();
    for word in words {
        if word.quoted {
            text.push('"');
        }
        text.push_str(&word.text);
        text.push_str(match word.gap {
            Gap::Stop if staccato => " ",
            Gap::Space => " ",
            Gap::Pause => ", ",
            Gap::Stop => "\n",
            Gap::Question => "?\n",
        });
    }
    text
}

/// Take. Me. Off. Your. List.
fn is_staccato(words: &[Word]) -> bool {
    words.len() >= 3 && words.iter().all(|word| word.gap == Gap::Stop || word.gap == Gap::Question)
}

/// What a rule has found: itself and the words.
pub(super) type Found = (&'static Rule, String);

/// Whether a rule says of the reply as a whole that it asks for nothing.
pub(super) fn first(text: &str) -> Option<Found> {
    let spoken = Spoken::of(text);
    rules(Turn::First).filter(|rule| spoken.may_be(rule)).find_map(|rule| matched(rule, text))
}

/// The rule by which the reply asks for something; failing that, the first that has set words aside.
pub(super) fn later(text: &str) -> Option<Found> {
    let spoken = Spoken::of(text);
    if let Some(found) =
        rules(Turn::Early).filter(|rule| spoken.may_be(rule)).find_map(|rule| matched(rule, text))
    {
        return Some(found);
    }
    let (text, aside) = set_aside(text, &spoken);
    [Intent::OptOut, Intent::OptIn, Intent::Help]
        .into_iter()
        .find_map(|intent| {
            rules(Turn::Late)
                .filter(|rule| rule.intent == intent && spoken.may_be(rule))
                .find_map(|rule| matched(rule, &text))
        })
        .or(aside)
}

fn rules(turn: Turn) -> impl Iterator<Item = &'static Rule> {
    RULES.rules.iter().filter(move |rule| rule.turn == turn && rule.pattern.is_some())
}

/// How many words of a text are of one language only.
struct Spoken(BTreeMap<&'static str, usize>);

impl Spoken {
    fn of(text: &str) -> Self {
        let mut words = BTreeMap::new();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            if let Some(language) = RULES.telltale.get(word) {
                *words.entry(language.as_str()).or_default() += 1;
            }
        }
        Self(words)
    }

    /// Whether the text may be in the language of the rule: it has a word of it, or hardly any of another.
    fn may_be(&self, rule: &Rule) -> bool {
        rule.language == "mul"
            || self.0.contains_key(rule.language.as_str())
            || self.0.values().all(|&words| words < 2)
    }
}

/// `text` without the words that the rules for `none` set aside, and what the first of them found.
fn set_aside(text: &str, spoken: &Spoken) -> (String, Option<Found>) {
    let mut kept = text.to_owned();
    let mut found = None;
    for rule in rules(Turn::Late).filter(|rule| rule.intent == Intent::None && spoken.may_be(rule)) {
        let Some(pattern) = rule.pattern.as_ref().map(Pattern::regex) else { continue };
        if rule.within.as_ref().is_some_and(|words| !words.regex().is_match(text)) {
            continue;
        }
        let mut rest = String::new();
        let mut end = 0;
        let mut unless = Unless::new(rule, &kept);
        for hit in pattern.find_iter(&kept).filter(|hit| !unless.holds(hit.start())) {
            rest.push_str(&kept[end..hit.start()]);
            rest.push_str(ASIDE);
            end = hit.end();
            found.get_or_insert_with(|| (rule, words(hit.as_str())));
        }
        rest.push_str(&kept[end..]);
        if end > 0 {
            kept = rest;
        }
    }
    (kept, found)
}

fn matched(rule: &'static Rule, text: &str) -> Option<Found> {
    let mut unless = Unless::new(rule, text);
    let hit = rule.pattern.as_ref()?.regex().find_iter(text).find(|hit| !unless.holds(hit.start()))?;
    Some((rule, words(hit.as_str())))
}

/// The words of a match, for the record.
fn words(hit: &str) -> String {
    hit.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(24)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What keeps a rule from a sentence. Asked for one match after another, it looks at each sentence once.
struct Unless<'a> {
    rule: &'static Rule,
    text: &'a str,
    sentence: std::ops::Range<usize>,
    holds: bool,
}

impl<'a> Unless<'a> {
    fn new(rule: &'static Rule, text: &'a str) -> Self {
        Self { rule, text, sentence: 0..0, holds: false }
    }

    fn holds(&mut self, at: usize) -> bool {
        let Some(unless) = &self.rule.unless else { return false };
        if !self.sentence.contains(&at) {
            let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1);
            self.sentence = start..end;
            self.holds = unless.regex().is_match(&self.text[start..end]);
        }
        self.holds
    }
}
