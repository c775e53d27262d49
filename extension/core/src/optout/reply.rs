//! What a reply to a text message asks for: no more texts, texts again, help, or none of these.
//!
//! A reply is folded to the words that a reader sees in it (`fold`), whatever it is written with. A keyword by itself
//! or as the first sentence decides (`keyword`); else phrases do (`phrases`). What the keywords and the phrases are is
//! data, in TOML files that name their source (`rules`).
//!
//! - **No keyword of the law or of the carriers is missed** when a reply consists of it, however it is decorated: case,
//!   space, punctuation, emoji, invisible and look-alike letters, letters apart or repeated, politeness round it.
//! - Time and memory are linear in the length of the reply. Of a long one, the first 2,000 words are looked at; what is
//!   no word, such as spaces and emoji, does not count. A keyword is still found among megabytes of decoration.
//! - Nothing here fails or panics.

mod fold;
mod keyword;
mod letters;
mod phrases;
mod rules;

use fold::{Folded, Reading};
use rules::RULES;
pub use rules::Rule;
use serde::Deserialize;

/// The version of the rules: the day from which replies are classified by them.
pub const RULES_VERSION: &str = "2026-11-22";

/// The checksum of the rule files of this version; a test compares them.
#[cfg(test)]
const RULES_CHECKSUM: u64 = 0x151e_954e_6518_ec49;

/// What a reply asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// No more texts from this sender.
    OptOut,
    /// The texts again.
    OptIn,
    /// Who writes, and how to opt out.
    Help,
    /// Anything else.
    None,
}

impl Intent {
    /// Its name in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptOut => "opt_out",
            Self::OptIn => "opt_in",
            Self::Help => "help",
            Self::None => "none",
        }
    }
}

/// What a reply asks for, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it asks for.
    pub intent: Intent,
    /// The rule that decided. With [`Intent::None`]: the rule that kept the reply from asking for something, if one did.
    pub rule: Option<&'static str>,
    /// The words of the reply that decided, as folded: the first dozen or two of them.
    pub keyword: Option<String>,
    /// The language of the rule, `mul` where it is for all.
    pub language: Option<&'static str>,
}

impl Decision {
    const NONE: Self = Self { intent: Intent::None, rule: None, keyword: None, language: None };

    fn by((rule, keyword): (&'static Rule, String)) -> Self {
        Self {
            intent: rule.intent,
            rule: Some(&rule.name),
            keyword: Some(keyword),
            language: Some(&rule.language),
        }
    }
}

/// The rules, in the order in which the files have them.
#[must_use]
pub fn rules() -> &'static [Rule] {
    &RULES.rules
}

/// What `body`, a whole reply, asks for.
///
/// It knows nothing of the conversation: YES by itself opts in, by the rule `carrier-yes`, and whoever calls this takes
/// it for an opt-in only from a number that has opted out.
#[must_use]
pub fn classify(body: &str) -> Decision {
    let folded = fold::fold(body, Reading::Letters);
    if let Some(found) = whole(&folded, body) {
        return Decision::by(found);
    }
    if let Some(found) = keyword::first_sentence(&folded) {
        return Decision::by(found);
    }
    let text = phrases::text(&keyword::mended(&folded.words));
    phrases::first(&text).or_else(|| phrases::later(&text)).map_or(Decision::NONE, Decision::by)
}

/// The keyword that the reply consists of, in whichever reading it does.
fn whole(folded: &Folded, body: &str) -> Option<phrases::Found> {
    let found = keyword::whole(folded);
    if found.is_some() || !folded.signs {
        return found;
    }
    [Reading::NoFlags, Reading::NoSigns]
        .iter()
        .find_map(|&reading| keyword::whole(&fold::fold(body, reading)))
}
