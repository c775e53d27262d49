//! Opting out: what the schema's functions ask of the rules.

use percytech_core::optout::{delivery, phone, reply, texts, time_zone};
use pgrx::prelude::*;

use crate::refusal::or_raise;

/// What a reply asks for, in one row: `intent` is `opt_out`, `opt_in`, `help` or `none`, and the rule, the words and their
/// language say why.
#[expect(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
#[pg_extern(immutable, parallel_safe)]
fn classify_reply(
    body: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(intent, &'static str),
        name!(rule, Option<&'static str>),
        name!(keyword, Option<String>),
        name!(language, Option<&'static str>),
    ),
> {
    let decision = reply::classify(body.unwrap_or_default());
    TableIterator::once((decision.intent.as_str(), decision.rule, decision.keyword, decision.language))
}

/// The version of the rules that `classify_reply` goes by.
#[pg_extern(immutable, parallel_safe)]
fn reply_rules_version() -> &'static str {
    reply::RULES_VERSION
}

/// The rules that `classify_reply` goes by, each with where it comes from.
#[pg_extern(immutable, parallel_safe)]
fn reply_rules() -> TableIterator<
    'static,
    (
        name!(rule, &'static str),
        name!(intent, &'static str),
        name!(language, &'static str),
        name!(source, &'static str),
        name!(version, &'static str),
    ),
> {
    let rules = reply::rules().iter();
    TableIterator::new(rules.map(|rule| {
        (
            rule.name.as_str(),
            rule.intent.as_str(),
            rule.language.as_str(),
            rule.source.as_str(),
            reply::RULES_VERSION,
        )
    }))
}

/// A telephone number in E.164, or NULL where the text is none; 22023 where `region` is no region.
#[pg_extern(immutable, parallel_safe, strict)]
fn normalize_phone(phone: &str, region: default!(&str, "'US'")) -> Option<String> {
    or_raise(phone::normalize(phone, region))
}

/// A telephone number in E.164, or a short code, or NULL where the text is neither; 22023 where `region` is no region.
#[pg_extern(immutable, parallel_safe, strict)]
fn normalize_sender(phone: &str, region: default!(&str, "'US'")) -> Option<String> {
    or_raise(phone::sender(phone, region))
}

/// The time zones in which a number in E.164 may be, by its area code; empty where nothing is known of it.
#[pg_extern(immutable, parallel_safe, strict)]
fn phone_time_zones(phone: &str) -> Vec<&'static str> {
    time_zone::of_number(phone).to_vec()
}

/// How much a message's status says: a status never gives way to one of a lower rank. NULL where it is no status.
#[pg_extern(immutable, parallel_safe, strict)]
fn delivery_rank(status: &str) -> Option<i32> {
    delivery::rank(status).and_then(|rank| i32::try_from(rank).ok())
}

/// Whether a provider's error code says that the number has opted out with the provider.
#[pg_extern(immutable, parallel_safe, strict)]
fn is_provider_opt_out(error_code: &str) -> bool {
    delivery::is_opt_out(error_code)
}

/// What a brand answers with to begin with: what a new brand's `reply_texts` are filled from.
#[pg_extern(immutable, parallel_safe)]
fn default_reply_texts() -> TableIterator<
    'static,
    (name!(kind, &'static str), name!(language, &'static str), name!(content, &'static str)),
> {
    TableIterator::new(texts::DEFAULT_TEXTS)
}

extension_sql_file!(
    "optout/grants.sql",
    name = "optout_grants_and_comments",
    requires = [
        classify_reply,
        reply_rules_version,
        reply_rules,
        normalize_phone,
        normalize_sender,
        phone_time_zones,
        delivery_rank,
        is_provider_opt_out,
        default_reply_texts
    ]
);
