//! Strings out of JSON that a stranger may have written: the claims of a token, the headers of a request.
//!
//! Whatever is not as expected names nothing. Nothing here fails.

use serde_json::Value;

/// The strings at `path`: of a string, itself; of an array of strings, each. Anything else is no answer, an array with
/// something else in it included.
///
/// A path is of keys with dots between them, `app_metadata.brand_id`; or it starts with a slash and is a JSON Pointer
/// (RFC 6901), for keys that have dots in them: `/https:~1~1example.com~1brand`.
#[must_use]
pub fn strings_at(json: &str, path: &str) -> Vec<String> {
    let Ok(document) = serde_json::from_str::<Value>(json) else { return Vec::new() };
    match find(&document, path) {
        Some(Value::String(only)) => vec![only.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path.starts_with('/') {
        return document.pointer(path);
    }
    path.split('.').try_fold(document, |value, key| value.as_object()?.get(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "app_metadata.brand_id";

    #[test]
    fn a_string_and_an_array_of_strings_are_read() {
        assert_eq!(strings_at(r#"{"app_metadata": {"brand_id": "gnymble"}}"#, PATH), ["gnymble"]);
        assert_eq!(
            strings_at(r#"{"app_metadata": {"brand_id": ["gnymble", "percymd"]}}"#, PATH),
            ["gnymble", "percymd"]
        );
    }

    #[test]
    fn a_path_may_be_one_key_or_a_pointer() {
        assert_eq!(strings_at(r#"{"brand": "gnymble"}"#, "brand"), ["gnymble"]);
        let namespaced = r#"{"https://example.com/brand": "gnymble"}"#;
        assert_eq!(strings_at(namespaced, "/https:~1~1example.com~1brand"), ["gnymble"]);
        assert!(strings_at(namespaced, "https://example.com/brand").is_empty());
    }

    #[test]
    fn whatever_is_odd_names_nothing() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_within = format!(r#"{{"app_metadata": {{"brand_id": {deep}}}}}"#);
        for json in [
            "",
            "null",
            "not JSON",
            r#"{"app_metadata": "#,
            r#"{"app_metadata": null}"#,
            r#"{"app_metadata": "gnymble"}"#,
            r#"{"app_metadata": ["gnymble"]}"#,
            r#"{"app_metadata": {"brand_id": null}}"#,
            r#"{"app_metadata": {"brand_id": 7}}"#,
            r#"{"app_metadata": {"brand_id": {"gnymble": true}}}"#,
            r#"{"app_metadata": {"brand_id": []}}"#,
            r#"{"app_metadata": {"brand_id": ["gnymble", 7]}}"#,
            r#"{"app_metadata": {"brand_id": [["gnymble"]]}}"#,
            r#"{"app_metadata.brand_id": "gnymble"}"#,
            r#"{"user_metadata": {"brand_id": "gnymble"}}"#,
            r#"{"app_metadata": {"brand_id": "gnymble"}} and more"#,
            deep.as_str(),
            deep_within.as_str(),
        ] {
            assert!(strings_at(json, PATH).is_empty(), "{json:.60}");
        }
        for path in
            ["", ".", "..", "app_metadata.", ".brand_id", "/", "/app_metadata/brand_id/0", "app_metadata"]
        {
            let json = r#"{"app_metadata": {"brand_id": "gnymble"}}"#;
            assert!(strings_at(json, path).is_empty(), "{path}");
        }
    }

    #[test]
    fn an_escaped_nul_is_a_character_like_any_other() {
        let json = r#"{"app_metadata": {"brand_id": "gnymble\u0000"}}"#;
        assert_eq!(strings_at(json, PATH), ["gnymble\0"]);
    }

    #[test]
    fn a_megabyte_is_read() {
        let json =
            format!(r#"{{"x": "{}", "app_metadata": {{"brand_id": "gnymble"}}}}"#, "y".repeat(1 << 20));
        assert_eq!(strings_at(&json, PATH), ["gnymble"]);
    }

    /// JSON of any shape, with the keys of the path in it more often than chance would have them.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "gnymble|percymd|percytext|acme".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            let key = prop_oneof!["app_metadata|brand_id", any::<String>()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// What may stand at the claim, from usual to absurd: nested a thousand deep, ten thousand long, a string of a hundred
    /// thousand characters.
    fn any_claim() -> impl Strategy<Value = String> {
        prop_oneof![
            any_json().prop_map(|json| json.to_string()),
            (0..1_000_usize, any::<bool>()).prop_map(|(depth, is_object)| {
                let (open, close) = if is_object { (r#"{"brand_id":"#, "}") } else { ("[", "]") };
                format!("{}1{}", open.repeat(depth), close.repeat(depth))
            }),
            (0..10_000_usize, any::<bool>()).prop_map(|(length, is_odd)| {
                let mut names = vec!["\"gnymble\""; length];
                names.extend(is_odd.then_some("7"));
                format!("[{}]", names.join(","))
            }),
            (0..100_000_usize, any::<char>())
                .prop_map(|(length, character)| Value::from(character.to_string().repeat(length)).to_string()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn nothing_at_the_claim_fails_however_deep_or_long(claim in any_claim()) {
            let found = strings_at(&format!(r#"{{"app_metadata": {{"brand_id": {claim}}}}}"#), PATH);
            match serde_json::from_str(&claim) {
                Ok(Value::String(only)) => prop_assert_eq!(found, [only]),
                Ok(Value::Array(items)) if items.iter().all(Value::is_string) => prop_assert_eq!(found.len(), items.len()),
                _ => prop_assert!(found.is_empty()),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_text_fails(json in any::<String>(), path in any::<String>()) {
            prop_assert!(strings_at(&json, &path).len() <= json.len());
        }

        #[test]
        fn no_json_cut_or_spliced_fails(json in any_json(), at in any::<prop::sample::Index>(), with in any::<String>()) {
            let text = json.to_string();
            let places: Vec<usize> = (0..=text.len()).filter(|&place| text.is_char_boundary(place)).collect();
            let place = *at.get(&places);
            for text in [text[..place].to_owned(), format!("{}{with}{}", &text[..place], &text[place..])] {
                prop_assert!(strings_at(&text, PATH).len() <= text.len());
            }
        }

        #[test]
        fn what_is_read_is_what_stands_at_the_path(json in any_json()) {
            let text = json.to_string();
            let found = strings_at(&text, PATH);
            let stands = &json["app_metadata"]["brand_id"];
            match stands {
                Value::String(only) => prop_assert_eq!(found, [only.clone()]),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    prop_assert_eq!(Value::from(found), stands.clone());
                }
                _ => prop_assert!(found.is_empty()),
            }
        }
    }
}
