//! What replies ask for: the keywords however they are written, free text, and the corpus.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "reply/decorated.rs"]
mod decorated;
#[path = "reply/measure.rs"]
mod measure;

use decorated::{KEYWORDS, decorated};
use measure::{SETS, Score, UNSEEN, corpus, ours, table};
use percytech_core::optout::reply::{Intent, RULES_VERSION, classify, rules};
use proptest::{prelude::*, sample::select};

fn errors(set: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for (file, replies) in corpus(set) {
        for reply in replies {
            let decision = classify(&reply.text);
            if decision.intent.as_str() != reply.intent {
                errors.push(format!(
                    "{file} ({}): {:?} is {}, not {} by {:?}: {:?}",
                    reply.language,
                    reply.text,
                    reply.intent,
                    decision.intent.as_str(),
                    decision.rule,
                    decision.keyword,
                ));
            }
        }
    }
    errors
}

/// Prints what was misread and the table, and holds the classifier to what the documents promise.
fn assert_understood(set: &str) {
    println!("{}\n{}", errors(set).join("\n"), table(&[set]));
    let score = Score::of(ours, corpus(set).values().flatten());
    assert!(score.recall() >= 0.98 && score.precision() >= 0.98, "{set}: {score:?}");
}

#[test]
fn the_tuning_replies_are_understood() {
    assert_understood("tuning");
}

#[test]
fn the_held_out_replies_are_understood() {
    assert_understood("held-out");
    assert_understood(UNSEEN);
}

#[test]
fn the_readme_says_what_was_measured() {
    let readme = include_str!("../../../README.md");
    let measured = table(&SETS);
    assert!(readme.contains(&measured), "the README is to have this table:\n{measured}");
}

/// Bodies that cost most, by what they are made of.
fn long_bodies(bytes: usize) -> Vec<(&'static str, String)> {
    [
        "a",
        " ",
        "\u{301}",
        "🎉",
        "\u{200b}",
        "stop ",
        "do not ",
        "\u{fdfa}",
        "don't text me before 9 ",
        "a.",
        "🇸",
        "s t o p ",
        "ab",
        "remove me from the order, ",
        "no one ",
        "i ",
        "no ",
        "please ",
        "the ",
        "please stop it now ",
        "que ",
        "de ",
        "i said stop. ",
        "?",
        "\"",
        "you ",
        "why do you still ",
        "wrong number? not ",
    ]
    .into_iter()
    .map(|piece| (piece, piece.repeat(bytes / piece.len())))
    .collect()
}

#[test]
fn a_long_reply_means_what_a_longer_one_of_the_same_means() {
    for ((piece, long), (_, longer)) in long_bodies(1 << 16).iter().zip(&long_bodies(1 << 17)) {
        assert_eq!(classify(long).intent, classify(longer).intent, "{piece:?}");
    }
}

fn assert_opts_out(body: &str) {
    let decision = classify(body);
    assert_eq!(decision.intent, Intent::OptOut, "{body:?} by {:?}", decision.rule);
    assert!(decision.rule.is_some() && decision.keyword.is_some() && decision.language.is_some(), "{body:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_decoration_hides_a_keyword(body in decorated()) {
        assert_opts_out(&body);
    }

    #[test]
    fn politeness_hides_no_keyword(
        keyword in select(KEYWORDS.as_slice()),
        before in select(["please", "Pls,", "ok", "Yes", "Hi,", "kindly", "por favor", "svp", "no,", "Hello."].as_slice()),
        after in select(["please", "thanks!", "thank you", "NOW", "por favor", "svp", "merci", "!!!", "🙏 ty", "right now"].as_slice()),
    ) {
        assert_opts_out(&format!("{before} {keyword}"));
        assert_opts_out(&format!("{keyword} {after}"));
        assert_opts_out(&format!("{before} {keyword}, {after}"));
    }

    #[test]
    fn a_statutory_word_as_the_first_sentence_decides_whatever_follows(
        keyword in select(["STOP", "quit", "End", "Revoke", "opt out", "Cancel", "unsubscribe", "ALTO", "Arrêt"].as_slice()),
        mark in select([". ", "! ", "\n", "!!! "].as_slice()),
        rest in "[A-Za-z ,.]{0,80}",
    ) {
        assert_opts_out(&format!("{keyword}{mark}{rest}"));
    }

    #[test]
    fn any_text_is_classified_and_in_one_way_only(body in any::<String>()) {
        prop_assert_eq!(classify(&body), classify(&body));
    }

    #[test]
    fn any_words_are_classified(words in prop::collection::vec(select(
        ["stop", "dont", "text", "me", "i", "\n", "?", "\"", "never", "no", "more", "messages", "🇸", "s", "é", "*", "wrong", "number", "que", "ne"].as_slice()
    ), 0..60)) {
        let decision = classify(&words.join(" "));
        prop_assert_eq!(decision.rule.is_some(), decision.keyword.is_some());
    }
}

#[test]
fn every_decision_names_a_rule_of_the_list() {
    let names: Vec<_> = rules().iter().map(|rule| rule.name.as_str()).collect();
    for reply in corpus("tuning").values().flatten() {
        let decision = classify(&reply.text);
        assert!(decision.rule.is_some() || decision.intent == Intent::None, "{}", reply.text);
        assert!(decision.rule.is_none_or(|rule| names.contains(&rule)), "{}", reply.text);
    }
    assert_eq!(RULES_VERSION.len(), "2026-11-22".len());
}

#[test]
fn yes_has_a_rule_of_its_own_and_is_none_with_anything_beside_it() {
    for body in ["YES", "yes", " Yes!!! ", "yesss", "Y E S", "\u{200b}YES 👍"] {
        let decision = classify(body);
        assert_eq!((decision.intent, decision.rule), (Intent::OptIn, Some("carrier-yes")), "{body:?}");
    }
    for body in ["yes please", "yes, at 5", "Yes I will be there", "yes thanks"] {
        assert_eq!(classify(body).intent, Intent::None, "{body:?}");
    }
}

#[test]
fn a_keyword_is_found_among_megabytes_of_decoration() {
    for piece in [" ", "\u{301}", "🎉", "\u{200b}", "!", "🇺🇸"] {
        let around = piece.repeat(1 << 18);
        assert_opts_out(&format!("{around}STOP{around}"));
        assert_opts_out(&format!("S{around}T{around}O{around}P"));
    }
    assert_opts_out(&format!("s{}top", "t".repeat(1 << 20)));
    assert_opts_out(&"stop ".repeat(1 << 18));
}

#[test]
fn words_that_look_like_a_keyword_are_no_typo_of_it() {
    for body in [
        "shop", "step", "top", "bend", "send", "and", "ended", "quiet", "quite", "cancer", "remote", "para",
        "caja", "also", "huit", "prêt", "hello", "into", "jaja", "qui",
    ] {
        assert_ne!(classify(body).intent, Intent::OptOut, "{body}");
    }
    for body in [
        "sotp",
        "stpo",
        "stp",
        "unsubscibe",
        "unsuscribe",
        "cancle",
        "qiut",
        "remvoe",
        "optuot",
        "edn",
        "5TOP",
        "3ND",
        "c4ncel",
    ] {
        assert_opts_out(body);
    }
}
