//! How well replies are classified, on the corpus in `tests/corpus/replies`: ours beside what else one might do.

use std::collections::{BTreeMap, HashSet};
use std::{fmt::Write, fs, path::PathBuf};

use percytech_core::optout::reply::{Intent, classify};
use serde_json::Value;

/// A reply of the corpus.
pub struct Labelled {
    pub text: String,
    pub intent: String,
    pub language: String,
}

/// The sets that the table of the documents has.
pub const SETS: [&str; 3] = ["tuning", "held-out", UNSEEN];

/// The held-out replies but for those, such as STOP, that somebody wrote for tuning too.
pub const UNSEEN: &str = "held-out, and not in tuning";

/// The replies of a set by file. Panics where there are none: a measure of nothing is none.
pub fn corpus(set: &str) -> BTreeMap<String, Vec<Labelled>> {
    if set != UNSEEN {
        return folder(set);
    }
    let plain = |reply: &Labelled| reply.text.trim().to_lowercase();
    let seen: HashSet<_> = folder("tuning").values().flatten().map(plain).collect();
    let mut files = folder("held-out");
    for replies in files.values_mut() {
        replies.retain(|reply| !seen.contains(&plain(reply)));
    }
    files
}

fn folder(set: &str) -> BTreeMap<String, Vec<Labelled>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/replies").join(set);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let replies = text.lines().map(|line| labelled(line, &path.display().to_string())).collect();
        files.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), replies);
    }
    assert!(!files.is_empty(), "{} has no replies", folder.display());
    files
}

fn labelled(line: &str, file: &str) -> Labelled {
    let reply: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}: {line}"));
    let field =
        |name: &str| reply[name].as_str().unwrap_or_else(|| panic!("{file}: no {name}: {line}")).to_owned();
    Labelled { text: field("text"), intent: field("intent"), language: field("language") }
}

/// Whether a reply is an opt-out, in somebody's opinion.
pub type Classifier = fn(&str) -> bool;

/// The classifiers that the table compares.
pub const CLASSIFIERS: [(&str, Classifier); 3] = [
    ("`classify_reply`", ours),
    ("the providers' exact words", exact_words),
    ("a search for the words", any_word),
];

/// The classifier of this crate.
pub fn ours(body: &str) -> bool {
    classify(body).intent == Intent::OptOut
}

/// The words that Twilio and the carriers take for an opt-out by default, with the Spanish and French ones.
const WORDS: [&str; 16] = [
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "unsub",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt out",
    "opt-out",
    "remove",
    "arret",
    "arrêt",
    "alto",
];
const MORE_WORDS: [&str; 3] = ["parar", "baja", "cancelar"];

fn words() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().chain(MORE_WORDS)
}

/// What messaging providers do: the whole body is one of the words, in any case, with space round it.
pub fn exact_words(body: &str) -> bool {
    let body = body.trim().to_lowercase();
    words().any(|word| word == body)
}

/// What comes to mind first: one of the words is somewhere in the body, as a whole word.
pub fn any_word(body: &str) -> bool {
    let body = body.to_lowercase();
    words().any(|word| {
        body.match_indices(word).any(|(at, _)| {
            let before = body[..at].chars().next_back();
            let after = body[at + word.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    })
}

/// How a classifier has done: opt-outs found, taken for one wrongly, missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub found: usize,
    pub wrong: usize,
    pub missed: usize,
}

impl Score {
    pub fn of<'a>(classifier: Classifier, replies: impl IntoIterator<Item = &'a Labelled>) -> Self {
        let mut score = Self::default();
        for reply in replies {
            match (classifier(&reply.text), reply.intent == "opt_out") {
                (true, true) => score.found += 1,
                (true, false) => score.wrong += 1,
                (false, true) => score.missed += 1,
                (false, false) => {}
            }
        }
        score
    }

    /// Of those taken for opt-outs, how many are.
    pub fn precision(self) -> f64 {
        ratio(self.found, self.wrong)
    }

    /// Of the opt-outs, how many were found.
    pub fn recall(self) -> f64 {
        ratio(self.found, self.missed)
    }
}

fn ratio(good: usize, bad: usize) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    if good + bad == 0 { 1.0 } else { count(good) / count(good + bad) }
}

/// The table of the documents, as lines of Markdown: each classifier on each of `sets`.
pub fn table(sets: &[&str]) -> String {
    let mut table = String::from(
        "| Replies | Classifier | Opt-outs found | Missed | Wrongly taken for one | Recall | Precision |\n",
    );
    table += "|---|---|---:|---:|---:|---:|---:|\n";
    for set in sets {
        let files = corpus(set);
        let all = files.values().flatten().count();
        for (name, classifier) in CLASSIFIERS {
            let score = Score::of(classifier, files.values().flatten());
            writeln!(
                table,
                "| {set} ({all}) | {name} | {} | {} | {} | {:.3} | {:.3} |",
                score.found,
                score.missed,
                score.wrong,
                score.recall(),
                score.precision()
            )
            .unwrap();
        }
    }
    table
}
