//! The rules, read from the TOML files beside this one.
//!
//! A file has `[fragments]`, which patterns name as `<fragment>`, and `[[rule]]`s. A pattern is a regular expression
//! over the folded words of a reply: a space in it matches whatever parts words within a sentence, ` ?` the same or
//! nothing, `~` one that no comma is in, `.*` the rest of the sentence, and `^` and `$` are its ends. It matches whole words.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, OnceLock},
};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{Intent, fold::squeezed};

/// The rule files, in the order in which their rules are tried.
const FILES: &[(&str, &str)] = &[
    ("statutory.toml", include_str!("rules/statutory.toml")),
    ("carriers.toml", include_str!("rules/carriers.toml")),
    ("manner.toml", include_str!("rules/manner.toml")),
    ("reactions.toml", include_str!("rules/reactions.toml")),
    ("english.toml", include_str!("rules/english.toml")),
    ("english-meanings.toml", include_str!("rules/english-meanings.toml")),
    ("english-none.toml", include_str!("rules/english-none.toml")),
    ("spanish.toml", include_str!("rules/spanish.toml")),
    ("spanish-meanings.toml", include_str!("rules/spanish-meanings.toml")),
    ("spanish-none.toml", include_str!("rules/spanish-none.toml")),
    ("french.toml", include_str!("rules/french.toml")),
    ("french-meanings.toml", include_str!("rules/french-meanings.toml")),
    ("french-none.toml", include_str!("rules/french-none.toml")),
    ("opt-in.toml", include_str!("rules/opt-in.toml")),
    ("help.toml", include_str!("rules/help.toml")),
];

/// When the patterns of a rule are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Turn {
    /// Before all others: the reply as a whole is not its writer's, or takes back what it says.
    First,
    /// Before the rules that set words aside: what they would set aside is meant.
    Early,
    /// After them.
    #[default]
    Late,
}

/// A rule by which a reply is classified.
#[derive(Debug)]
pub struct Rule {
    /// Its name, which a decision carries. It never changes its meaning.
    pub name: String,
    /// What it decides. A rule for `none` sets the words that it matches aside, and the others do not see them.
    pub intent: Intent,
    /// The language of the replies that it is for, `en`, `es`, `fr`, or `mul` for all.
    pub language: String,
    /// Where it comes from: the regulation, the provider's documentation, the reason.
    pub source: String,
    pub(super) turn: Turn,
    pub(super) first: bool,
    pub(super) strong: bool,
    pub(super) alone: bool,
    pub(super) pattern: Option<Pattern>,
    pub(super) unless: Option<Pattern>,
    pub(super) within: Option<Pattern>,
}

/// An expression that is compiled when a reply first needs it: most processes see replies in few languages.
#[derive(Debug)]
pub(super) struct Pattern {
    source: String,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub fn regex(&self) -> &Regex {
        #[expect(
            clippy::expect_used,
            reason = "the expressions are in the program, and a test compiles them"
        )]
        self.compiled.get_or_init(|| compile(&self.source).expect("the patterns are well-formed"))
    }
}

/// A word, or several, that decides where a reply consists of it.
#[derive(Debug)]
pub(super) struct Keyword {
    pub rule: usize,
    /// Its letters, as [`squeezed`] has them.
    pub letters: String,
    /// How many typos it is recognised with.
    pub typos: usize,
}

/// The rules, ready for use.
#[derive(Debug)]
pub(super) struct RuleSet {
    pub rules: Vec<Rule>,
    pub keywords: Vec<Keyword>,
    /// By their letters, which keyword.
    pub by_letters: HashMap<String, usize>,
    /// Words of politeness and impatience that a keyword may be among, each as its words.
    pub manner: Vec<Vec<String>>,
    /// What is meant by what is often misspelled.
    pub respelled: HashMap<String, String>,
    /// Words that are no typo of a keyword, as [`squeezed`] has them.
    pub no_typos: Vec<String>,
    /// Of frequent words of one language only, which language.
    pub telltale: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fragments: BTreeMap<String, String>,
    /// Words of the language: the rules of the file are for replies that have one of them.
    #[serde(default)]
    within: Vec<String>,
    #[serde(default)]
    manner: Vec<String>,
    #[serde(default)]
    respelled: BTreeMap<String, String>,
    #[serde(default)]
    no_typos: Vec<String>,
    /// By language, frequent words that no other language has.
    #[serde(default)]
    telltale: BTreeMap<String, String>,
    #[serde(default)]
    rule: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    intent: Intent,
    language: String,
    source: String,
    #[serde(default)]
    turn: Turn,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    typos: usize,
    /// Whether its words decide as the first sentence, too.
    #[serde(default)]
    first: bool,
    /// Whether they do so before a comma.
    #[serde(default)]
    strong: bool,
    /// Whether they decide only without words of politeness round them.
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
}

/// The rules that replies are classified by.
pub(super) static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the files are in the program, and a test reads them")]
    read(FILES).expect("the rule files are well-formed")
});

/// A checksum of the rule files: FNV-1a, 64 bits.
#[cfg(test)]
pub(super) fn checksum() -> u64 {
    let bytes = FILES.iter().flat_map(|(name, text)| name.bytes().chain(text.bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn read(files: &[(&str, &str)]) -> Result<RuleSet, String> {
    let mut set = RuleSet {
        rules: Vec::new(),
        keywords: Vec::new(),
        by_letters: HashMap::new(),
        manner: Vec::new(),
        respelled: HashMap::new(),
        no_typos: Vec::new(),
        telltale: HashMap::new(),
    };
    let mut fragments = BTreeMap::new();
    for (name, text) in files {
        let file: File = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
        // One may name another of its file, wherever that stands.
        let mut waiting: Vec<_> = file.fragments.iter().collect();
        while let Some((key, pattern)) = ready(&mut waiting) {
            let expanded = expand(pattern, &fragments).map_err(|error| format!("{name}: {key}: {error}"))?;
            fragments.insert(key.clone(), format!("(?:{expanded})"));
        }
        set.manner.extend(file.manner.iter().map(|phrase| words_of(phrase)));
        set.respelled.extend(file.respelled);
        set.no_typos.extend(file.no_typos.iter().map(|word| squeezed(word)));
        for (language, words) in &file.telltale {
            set.telltale.extend(words.split(' ').map(|word| (word.to_owned(), language.clone())));
        }
        for entry in file.rule {
            let rule = entry.name.clone();
            add(&mut set, entry, &file.within, &fragments)
                .map_err(|error| format!("{name}: {rule}: {error}"))?;
        }
    }
    set.manner.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    Ok(set)
}

/// Takes the first of `waiting` that names none of the others, or the first where they name each other in a circle.
fn ready<'a>(waiting: &mut Vec<(&'a String, &'a String)>) -> Option<(&'a String, &'a String)> {
    let names_none = |(_, pattern): &(&String, &String)| {
        !waiting.iter().any(|(other, _)| pattern.contains(&format!("<{other}>")))
    };
    let at = waiting.iter().position(names_none).unwrap_or_default();
    (at < waiting.len()).then(|| waiting.remove(at))
}

fn words_of(phrase: &str) -> Vec<String> {
    phrase.split(' ').map(str::to_owned).collect()
}

fn add(
    set: &mut RuleSet,
    entry: Entry,
    within: &[String],
    fragments: &BTreeMap<String, String>,
) -> Result<(), String> {
    let rule = set.rules.len();
    for word in &entry.words {
        let letters = squeezed(word);
        set.by_letters.insert(letters.clone(), set.keywords.len());
        set.keywords.push(Keyword { rule, letters, typos: entry.typos });
    }
    set.rules.push(Rule {
        pattern: any_of(&entry.patterns, fragments)?,
        unless: any_of(&entry.unless, fragments)?,
        within: any_of(within, fragments)?,
        name: entry.name,
        intent: entry.intent,
        language: entry.language,
        source: entry.source,
        turn: entry.turn,
        first: entry.first,
        strong: entry.strong,
        alone: entry.alone,
    });
    Ok(())
}

/// One expression that matches what any of `patterns` does; `None` where there are none.
fn any_of(patterns: &[String], fragments: &BTreeMap<String, String>) -> Result<Option<Pattern>, String> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let source = patterns
        .iter()
        .map(|pattern| expand(pattern, fragments).map(|expanded| whole_words(&expanded)))
        .collect::<Result<Vec<_>, _>>()?
        .join("|");
    Ok(Some(Pattern { source, compiled: OnceLock::new() }))
}

/// Sentences are lines of ASCII, see `phrases::text`.
fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source)
        .unicode(false)
        .multi_line(true)
        .size_limit(1 << 26)
        .dfa_size_limit(1 << 24)
        .build()
}

fn whole_words(pattern: &str) -> String {
    // A pattern may end in the question mark of a sentence, or start with nothing.
    format!(r"(?:^|\b)(?:{pattern})(?:\b|$)")
}

/// `pattern` with its fragments, and with spaces as the class of what parts words.
fn expand(pattern: &str, fragments: &BTreeMap<String, String>) -> Result<String, String> {
    let spaced = pattern
        .replace(" ?", r#"[,"\x20]*"#)
        .replace(' ', r#"[,"\x20]+"#)
        .replace('~', r#"["\x20]+"#)
        .replace(".*", r"[\x20-\x7e]*");
    let mut expanded = String::new();
    let mut rest = spaced.as_str();
    while let Some((before, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>').ok_or_else(|| format!("unclosed fragment in {pattern}"))?;
        let fragment = fragments.get(name).ok_or_else(|| format!("no fragment <{name}>"))?;
        expanded.push_str(before);
        expanded.push_str(fragment);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_rule_files_are_well_formed() {
        let set = read(FILES).unwrap();
        let names: HashSet<_> = set.rules.iter().map(|rule| &rule.name).collect();
        assert_eq!(names.len(), set.rules.len(), "two rules have one name");
        for rule in &set.rules {
            assert!(!rule.source.is_empty(), "{} has no source", rule.name);
            assert!(["en", "es", "fr", "mul"].contains(&rule.language.as_str()), "{}", rule.name);
            let words = set.keywords.iter().any(|word| set.rules[word.rule].name == rule.name);
            assert!(words || rule.pattern.is_some(), "{} matches nothing", rule.name);
            for pattern in [&rule.pattern, &rule.unless, &rule.within].into_iter().flatten() {
                assert!(compile(&pattern.source).is_ok(), "{}", rule.name);
            }
        }
    }

    #[test]
    fn no_two_rules_claim_one_keyword() {
        let set = read(FILES).unwrap();
        assert_eq!(set.by_letters.len(), set.keywords.len());
        for word in &set.keywords {
            assert!(!set.no_typos.contains(&word.letters), "{} is a keyword and no typo", word.letters);
        }
    }

    #[test]
    fn the_version_is_of_these_rules() {
        assert_eq!(
            checksum(),
            super::super::RULES_CHECKSUM,
            "the rules have changed: date RULES_VERSION anew and set RULES_CHECKSUM to {:#x}",
            checksum()
        );
    }
}
