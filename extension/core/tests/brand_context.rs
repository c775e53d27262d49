//! The rules of the brand context, over sessions of every kind.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;

use percytech_core::brand::authority::{allowed, may_act_as, token_brands};
use percytech_core::brand::context::{
    Request, Source, authorise, check_change, current, lend, of_request, report, require,
};
use percytech_core::brand::refused::Refused;
use percytech_core::brand::seal::Seal;
use percytech_core::brand::session::{Session, Setting};
use percytech_core::brand::{Brand, Brands};
use percytech_core::error::Refusal;
use proptest::prelude::*;

const LABELS: [&str; 3] = ["gnymble", "percymd", "percytext"];

/// A session made of what it answers.
#[derive(Debug, Clone)]
struct Fake {
    brands: Brands,
    login: String,
    is_superuser: bool,
    member_of: Vec<String>,
    definer_member_of: Vec<String>,
    is_restricted: bool,
    settings: HashMap<Setting, String>,
}

impl Session for Fake {
    fn brands(&self) -> &Brands {
        &self.brands
    }
    fn role(&self) -> String {
        "shop".to_owned()
    }
    fn login(&self) -> String {
        self.login.clone()
    }
    fn is_superuser(&self) -> bool {
        self.is_superuser
    }
    fn is_member_of(&self, group: &str) -> bool {
        self.member_of.iter().any(|member_of| member_of == group)
    }
    fn definer_is_member_of(&self, group: &str) -> bool {
        self.definer_member_of.iter().any(|member_of| member_of == group)
    }
    fn is_restricted(&self) -> bool {
        self.is_restricted
    }
    fn setting(&self, setting: Setting) -> Option<String> {
        self.settings.get(&setting).cloned()
    }
}

impl Fake {
    /// A login of the application, which may act as no brand.
    fn new() -> Self {
        let settings = [
            (Setting::TrustedLogins, "authenticator".to_owned()),
            (Setting::BrandClaim, "app_metadata.brand_id".to_owned()),
        ];
        Self {
            brands: Brands::new(LABELS.map(str::to_owned).to_vec()),
            login: "shop".to_owned(),
            is_superuser: false,
            member_of: Vec::new(),
            definer_member_of: Vec::new(),
            is_restricted: false,
            settings: settings.into(),
        }
    }

    /// The same session while somebody's code runs in the course of its maintenance.
    fn restricted(mut self) -> Self {
        self.is_restricted = true;
        self
    }

    fn member_of(mut self, role: &str) -> Self {
        self.member_of.push(role.to_owned());
        self
    }

    /// The same session within a SECURITY DEFINER function of a member of this role.
    fn within_function_of(mut self, role: &str) -> Self {
        self.definer_member_of.push(role.to_owned());
        self
    }

    fn superuser(mut self) -> Self {
        self.is_superuser = true;
        self
    }

    fn with(mut self, setting: Setting, value: &str) -> Self {
        self.settings.insert(setting, value.to_owned());
        self
    }

    /// A request of the trusted login, whose token has this at the claim.
    fn request(brand_id: &str) -> Self {
        let claims = format!(r#"{{"app_metadata": {{"brand_id": {brand_id}}}}}"#);
        Self { login: "authenticator".to_owned(), ..Self::new() }.with(Setting::Claims, &claims)
    }

    fn header(self, brand: &str) -> Self {
        self.with(Setting::Headers, &format!(r#"{{"accept": "*/*", "x-brand-id": "{brand}"}}"#))
    }

    fn sealed(self, brand: Option<&str>) -> Self {
        let brand = brand.map(|label| self.brand(label));
        self.with(Setting::Seal, &Seal::to(brand.as_ref()).to_setting())
    }

    fn brand(&self, label: &str) -> Brand {
        self.brands.find(label).unwrap()
    }

    fn current(&self) -> Option<String> {
        current(self).brand.map(Brand::into_string)
    }

    fn allowed(&self) -> Vec<String> {
        allowed(self).into_iter().map(Brand::into_string).collect()
    }
}

fn words(refused: &Refused) -> String {
    format!("{refused}. {} {}", refused.detail().unwrap(), refused.hint().unwrap())
}

#[test]
fn nobody_may_act_as_a_brand_by_default() {
    let session = Fake::new();
    assert_eq!(session.allowed(), [] as [String; 0]);
    for label in LABELS {
        let refused = authorise(&session, label).unwrap_err();
        assert_eq!(refused.sqlstate(), "42501");
        assert!(
            words(&refused).contains(&format!("GRANT \"brand_{label}\" TO \"shop\"")),
            "{}",
            words(&refused)
        );
    }
}

#[test]
fn a_member_of_the_brands_role_may_act_as_it_and_as_no_other() {
    let session = Fake::new().member_of("brand_percymd");
    assert_eq!(session.allowed(), ["percymd"]);
    assert!(authorise(&session, "percymd").is_ok());
    assert!(authorise(&session, "gnymble").is_err());
}

#[test]
fn a_member_of_brand_all_and_a_superuser_may_act_as_every_brand() {
    assert_eq!(Fake::new().member_of("brand_all").allowed(), LABELS);
    assert_eq!(Fake::new().superuser().allowed(), LABELS);
}

#[test]
fn a_brand_whose_role_could_not_be_told_from_another_has_none() {
    let long = "x".repeat(57);
    let longest = "x".repeat(57).replace("xx", "é");
    let brands = Brands::new(vec!["all".into(), long.clone(), format!("{long}y"), longest.clone()]);
    let role = |label: &str| brands.find(label).unwrap().role();
    assert_eq!(role("all"), None);
    assert_eq!(role(&long), Some(format!("brand_{long}")));
    assert_eq!(role(&longest), Some(format!("brand_{longest}")));
    assert_eq!(role(&format!("{long}y")), None);
}

#[test]
fn the_claims_of_a_trusted_login_name_what_it_may_act_as() {
    assert_eq!(Fake::request(r#""percymd""#).allowed(), ["percymd"]);
    assert_eq!(
        Fake::request(r#"["percytext", "gnymble", "gone", "gnymble"]"#).allowed(),
        ["gnymble", "percytext"]
    );
    assert_eq!(Fake::request("[]").allowed(), [] as [String; 0]);
}

#[test]
fn the_claims_of_any_other_login_count_for_nothing() {
    for login in ["shop", "", "Authenticator", "authenticator2", "authentica", "*", "authenticator, shop"] {
        let mut session = Fake::request(r#""percymd""#);
        session.login = login.to_owned();
        assert_eq!(session.allowed(), [] as [String; 0], "{login}");
        assert_eq!(session.current(), None, "{login}");
        let refused = authorise(&session, "percymd").unwrap_err();
        assert!(words(&refused).contains("are not believed of login"), "{}", words(&refused));
    }
}

#[test]
fn a_login_that_was_dropped_is_not_trusted() {
    for list in ["", ",", "authenticator,", "a, ,b"] {
        let mut session = Fake::request(r#""percymd""#).with(Setting::TrustedLogins, list);
        session.login = String::new();
        assert_eq!(session.current(), None, "{list}");
    }
}

#[test]
fn trusted_logins_are_a_list_of_names() {
    for (list, trusted) in [
        ("authenticator", true),
        ("a, authenticator ,b", true),
        ("", false),
        (" ", false),
        (",", false),
        ("authenticators", false),
        ("authen ticator", false),
        ("*", false),
        ("a,,b", false),
    ] {
        let session = Fake::request(r#""percymd""#).with(Setting::TrustedLogins, list);
        assert_eq!(session.current().is_some(), trusted, "{list}");
    }
}

#[test]
fn where_nothing_is_set_a_token_of_one_brand_is_the_context() {
    let session = Fake::request(r#""percymd""#);
    assert_eq!(session.current().as_deref(), Some("percymd"));
    assert_eq!(current(&session).source, Source::Jwt);
    // A setting that a transaction has left behind is empty.
    assert_eq!(session.with(Setting::CurrentBrand, "").current().as_deref(), Some("percymd"));
}

#[test]
fn where_a_token_names_several_none_is_the_context_until_one_is_chosen() {
    let session = Fake::request(r#"["gnymble", "percymd"]"#);
    assert_eq!(session.current(), None);
    assert!(words(&require(&session).unwrap_err()).contains("names gnymble, percymd"));
    let chosen = session.clone().with(Setting::CurrentBrand, "percymd");
    assert_eq!(chosen.current().as_deref(), Some("percymd"));
    assert_eq!(current(&chosen).source, Source::Setting);
    assert_eq!(session.with(Setting::CurrentBrand, "percytext").current(), None);
}

#[test]
fn who_comes_with_a_token_is_not_told_to_have_everybodys_role_granted_a_brand() {
    let session = Fake::request(r#""percymd""#);
    for refused in [
        authorise(&session, "gnymble").unwrap_err(),
        require(&session.clone().with(Setting::CurrentBrand, "gnymble")).unwrap_err(),
        require(&Fake::request("null")).unwrap_err(),
    ] {
        let words = words(&refused);
        assert!(words.contains("in the claim app_metadata.brand_id") && !words.contains("GRANT"), "{words}");
    }
}

#[test]
fn within_somebodys_code_that_maintenance_runs_there_is_no_context_and_none_can_be_chosen() {
    let sessions = [
        Fake::new().superuser(),
        Fake::new().member_of("brand_all"),
        Fake::request(r#""percymd""#),
        Fake::new().superuser().sealed(Some("percymd")),
        Fake::new().member_of("brand_all").sealed(Some("percymd")),
    ];
    for session in sessions {
        let session = session.with(Setting::CurrentBrand, "percymd").restricted();
        assert_eq!(session.current(), None);
        assert_eq!(session.allowed(), [] as [String; 0]);
        for label in ["percymd", ""] {
            assert_eq!(check_change(&session, label).unwrap_err().sqlstate(), "42501");
        }
        assert!(words(&require(&session).unwrap_err()).contains("on behalf of whoever maintains"));
    }
}

#[test]
fn who_may_not_act_as_any_brand_is_not_told_which_there_are() {
    let told = |session: &Fake| words(&authorise(session, "acme").unwrap_err());
    assert!(told(&Fake::new()).contains("The session may act as no brand."));
    assert!(told(&Fake::new().member_of("brand_percymd")).contains("The session may act as percymd."));
    assert!(
        told(&Fake::new().member_of("brand_all")).contains("The brands are: gnymble, percymd, percytext.")
    );
}

#[test]
fn a_setting_that_is_not_allowed_is_not_made_good_by_a_token() {
    assert_eq!(Fake::request(r#""percymd""#).with(Setting::CurrentBrand, "gnymble").current(), None);
    assert_eq!(Fake::request(r#""percymd""#).with(Setting::CurrentBrand, "acme").current(), None);
}

#[test]
fn a_sealed_context_is_what_it_was_sealed_to_whatever_is_set() {
    let session = Fake::new().member_of("brand_all").sealed(Some("gnymble"));
    for label in ["", "percymd", "acme"] {
        assert_eq!(session.clone().with(Setting::CurrentBrand, label).current().as_deref(), Some("gnymble"));
        let refused = check_change(&session, label).unwrap_err();
        assert_eq!(refused.to_string(), "the brand context is sealed");
        assert_eq!(refused.sqlstate(), "42501");
    }
    // To the same brand too: for the session, it would outlast the transaction.
    assert!(check_change(&session, "gnymble").is_err());
}

#[test]
fn a_context_that_is_sealed_without_a_brand_stays_without_one() {
    let session = Fake::request(r#""percymd""#).sealed(None);
    assert_eq!(session.current(), None);
    assert!(check_change(&session, "percymd").is_err());
    assert!(words(&require(&session).unwrap_err()).contains("sealed without a brand"));
}

#[test]
fn a_seal_does_not_bind_a_superuser() {
    let session = Fake::new().superuser().sealed(Some("gnymble")).with(Setting::CurrentBrand, "percymd");
    assert_eq!(session.current().as_deref(), Some("percymd"));
    assert!(check_change(&session, "percytext").is_ok());
    assert!(current(&session).sealed);
}

#[test]
fn a_request_is_of_the_one_brand_of_its_token_or_of_the_one_that_its_header_chooses() {
    let sealed =
        |session: &Fake, label: Option<&str>| Ok(Request::Sealed(label.map(|label| session.brand(label))));
    let one = Fake::request(r#""percymd""#);
    assert_eq!(of_request(&one), sealed(&one, Some("percymd")));
    assert_eq!(of_request(&one.clone().header("percymd")), sealed(&one, Some("percymd")));
    let several = Fake::request(r#"["gnymble", "percymd"]"#);
    assert_eq!(of_request(&several), sealed(&several, None));
    assert_eq!(of_request(&several.clone().header("gnymble")), sealed(&several, Some("gnymble")));
    let none = Fake::request("null");
    assert_eq!(of_request(&none), sealed(&none, None));
}

#[test]
fn a_header_chooses_nothing_beyond_the_token() {
    for session in [
        Fake::request(r#""percymd""#),
        Fake::request(r#"["gnymble", "percymd"]"#),
        Fake::request("null"),
        Fake::request("null").member_of("brand_all"),
        Fake::new(),
        Fake { login: "shop".to_owned(), ..Fake::request(r#""percytext""#) },
    ] {
        let refused = of_request(&session.clone().header("percytext")).unwrap_err();
        assert_eq!(refused.to_string(), "the token of this request does not name brand \"percytext\"");
        assert_eq!(refused.sqlstate(), "42501");
        // One that does not exist is answered alike.
        let unknown = of_request(&session.header("acme")).unwrap_err();
        assert_eq!(words(&unknown).replace("acme", "percytext"), words(&refused));
        assert_eq!(unknown.sqlstate(), "42501");
    }
}

#[test]
fn a_request_of_a_role_that_may_act_as_all_leaves_the_choice_to_what_it_calls() {
    assert_eq!(of_request(&Fake::request("null").member_of("brand_all")), Ok(Request::Open));
    // Left open, a forged token would make of one brand another.
    assert_eq!(of_request(&Fake::request("null").member_of("brand_percymd")), Ok(Request::Sealed(None)));
    let named = Fake::request(r#""gnymble""#).member_of("brand_all");
    assert_eq!(of_request(&named), Ok(Request::Sealed(Some(named.brand("gnymble")))));
}

#[test]
fn headers_that_are_none_choose_nothing() {
    for headers in [
        "",
        "no JSON",
        "[]",
        "{}",
        r#"{"x-brand-id": ""}"#,
        r#"{"x-brand-id": 7}"#,
        r#"{"x-brand-id": {}}"#,
        "null",
    ] {
        let session = Fake::request(r#""percymd""#).with(Setting::Headers, headers);
        assert_eq!(of_request(&session), Ok(Request::Sealed(Some(session.brand("percymd")))), "{headers}");
    }
}

#[test]
fn what_is_required_and_is_not_there_is_explained() {
    let cases = [
        (Fake::new(), "GRANT brand_<label> TO \"shop\""),
        (Fake::new().member_of("brand_percymd"), "may act as percymd"),
        (Fake::new().with(Setting::CurrentBrand, "percymd"), "which role \"shop\" may not act as"),
        (
            Fake::new().with(Setting::CurrentBrand, "acme"),
            "\"acme\", which is no brand. The session may act as no brand",
        ),
        (
            Fake { login: "shop".to_owned(), ..Fake::request(r#""percymd""#) },
            "not believed of login \"shop\"",
        ),
        (
            Fake::request("null"),
            "names no brand. The token of a request names its brands in the claim app_metadata.brand_id",
        ),
        (Fake::request("null").member_of("brand_all"), "no token names a brand. Choose one first"),
    ];
    for (session, expected) in cases {
        let refused = require(&session).unwrap_err();
        assert_eq!(refused.to_string(), "no brand is in context");
        assert_eq!(refused.sqlstate(), "42501");
        assert!(words(&refused).contains(expected), "{}", words(&refused));
    }
}

#[test]
fn the_report_says_what_is_and_what_could_be() {
    let json = |session: &Fake| serde_json::to_value(report(session)).unwrap().to_string();
    assert_eq!(json(&Fake::new()), r#"{"allowed":[],"brand":null,"sealed":false,"source":"none"}"#);
    assert_eq!(
        json(&Fake::request(r#""percymd""#)),
        r#"{"allowed":["percymd"],"brand":"percymd","sealed":false,"source":"jwt"}"#
    );
    assert_eq!(
        json(&Fake::new().member_of("brand_all").sealed(Some("gnymble"))),
        r#"{"allowed":["gnymble","percymd","percytext"],"brand":"gnymble","sealed":true,"source":"setting"}"#
    );
}

/// What a setting may hold: what it should, and anything else.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "(gnymble|percymd|percytext|acme)?",
        2 => r#"\{"app_metadata": ?\{"brand_id": ?("(gnymble|percymd|acme)"|\["(gnymble|percymd)"(, ?"(percytext|acme)")?\]|7|null)\}\}"#,
        1 => r#"\{"x-brand-id": ?("(gnymble|percymd|acme)"|7)\}"#,
        1 => "sealed(:(gnymble|percymd|acme)?)?",
        1 => "(authenticator|shop)(, ?(authenticator|shop))?",
        1 => "app_metadata.brand_id",
        1 => any::<String>(),
    ]
}

fn any_session() -> impl Strategy<Value = Fake> {
    let settings = [
        Setting::CurrentBrand,
        Setting::Seal,
        Setting::LentBrand,
        Setting::TrustedLogins,
        Setting::BrandClaim,
        Setting::Claims,
        Setting::Headers,
    ];
    let roles = [
        "brand_gnymble",
        "brand_percymd",
        "brand_acme",
        "brand_all",
        "brand_",
        "gnymble",
        "percytech_analyst",
    ];
    (
        prop::sample::subsequence(LABELS.to_vec(), 0..=3),
        prop_oneof!["authenticator", "shop"],
        prop::bool::weighted(0.1),
        prop::sample::subsequence(roles.to_vec(), 0..=2),
        prop::collection::hash_map(prop::sample::select(settings.to_vec()), any_value(), 0..=7),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(labels, login, is_superuser, roles, settings, is_usual, is_restricted)| {
            let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let usual = if is_usual { Fake::new().settings } else { HashMap::new() };
            Fake {
                brands: Brands::new(owned(labels)),
                login,
                is_superuser,
                member_of: owned(roles),
                // Brands are lent to functions only, so that whatever is set by hand counts for nothing.
                definer_member_of: Vec::new(),
                is_restricted,
                settings: settings.into_iter().chain(usual).collect(),
            }
        })
}

/// Who may act as a brand, said once more in the plainest way.
fn is_entitled(session: &Fake, label: &str) -> bool {
    let setting = |setting| session.settings.get(&setting).cloned().unwrap_or_default();
    let claims: serde_json::Value = serde_json::from_str(&setting(Setting::Claims)).unwrap_or_default();
    let named = &claims["app_metadata"]["brand_id"];
    let is_trusted = setting(Setting::TrustedLogins).split(',').any(|name| name.trim() == session.login)
        && setting(Setting::BrandClaim) == "app_metadata.brand_id";
    let is_named = is_trusted
        && (named == label
            || named.as_array().is_some_and(|names| {
                names.iter().all(serde_json::Value::is_string) && names.iter().any(|name| name == label)
            }));
    !session.is_restricted && (is_of_role(session, label) || is_named)
}

fn is_of_role(session: &Fake, label: &str) -> bool {
    session.is_superuser
        || session.member_of.contains(&format!("brand_{label}"))
        || session.member_of.contains(&"brand_all".to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn no_session_is_ever_in_the_context_of_a_brand_that_it_may_not_act_as(session in any_session()) {
        let seal = session.settings.get(&Setting::Seal).cloned().unwrap_or_default();
        if let Some(label) = session.current() {
            prop_assert!(session.brands.find(&label).is_ok());
            // What a seal says was checked when it was made.
            let is_sealed_to_it = seal.strip_prefix("sealed:") == Some(&label);
            prop_assert!(is_entitled(&session, &label) || is_sealed_to_it);
            prop_assert!(!session.is_restricted);
        }
    }

    #[test]
    fn no_session_is_ever_allowed_a_brand_that_it_may_not_act_as(session in any_session()) {
        for label in LABELS.into_iter().filter(|label| session.brands.find(label).is_ok()) {
            let brand = session.brand(label);
            let entitled = is_entitled(&session, label);
            prop_assert_eq!(may_act_as(&session, &brand), entitled);
            prop_assert_eq!(authorise(&session, label).is_ok(), entitled);
            prop_assert_eq!(session.allowed().contains(&label.to_owned()), entitled);
            prop_assert!(check_change(&session, label).is_err() || entitled);
        }
    }

    #[test]
    fn a_request_is_never_of_a_brand_that_its_token_does_not_name(session in any_session()) {
        if let Ok(Request::Sealed(Some(brand))) = of_request(&session) {
            prop_assert!(token_brands(&session).contains(&brand));
        }
    }

    #[test]
    fn a_context_is_required_where_there_is_one_and_refused_in_words_where_there_is_none(session in any_session()) {
        match require(&session) {
            Ok(brand) => prop_assert_eq!(Some(brand.into_string()), session.current()),
            Err(refused) => {
                prop_assert_eq!(session.current(), None);
                prop_assert!(refused.detail().is_some() && refused.hint().is_some());
            }
        }
    }
}

#[test]
fn a_brand_is_lent_to_a_function_that_analysts_call_of_who_may_act_as_every_brand() {
    let analyst = Fake::new().member_of("percytech_analyst");
    let within = analyst.clone().within_function_of("brand_all");
    for sealed in [None, Some("gnymble")] {
        let within = within.clone().sealed(sealed);
        assert_eq!(lend(&within, "percymd").unwrap().as_str(), "percymd");
        assert_eq!(lend(&within, "acme").unwrap_err().sqlstate(), "22023");
        let lent = within.with(Setting::LentBrand, "percymd");
        assert_eq!(lent.current(), Some("percymd".to_owned()), "whatever the caller's context is sealed to");
        assert!(authorise(&lent, "percymd").is_err(), "and nobody may choose it");
    }
    let lent_nothing = within.clone().with(Setting::LentBrand, "");
    assert_eq!(lent_nothing.current(), None);
}

#[test]
fn a_brand_is_lent_to_nobody_else() {
    let analyst = Fake::new().member_of("percytech_analyst");
    for (who, sqlstate) in [
        (analyst.clone(), "42501"),
        (analyst.clone().within_function_of("brand_percymd"), "42501"),
        (analyst.clone().within_function_of("percytech_owner"), "42501"),
        (Fake::new().within_function_of("brand_all"), "42501"),
        (Fake::new().member_of("brand_all").within_function_of("brand_all"), "42501"),
        (Fake::new().member_of("percytech_app").within_function_of("brand_all"), "42501"),
        (analyst.member_of("brand_all").within_function_of("brand_all").restricted(), "42501"),
    ] {
        assert_eq!(lend(&who, "percymd").unwrap_err().sqlstate(), sqlstate, "{who:?}");
        let lent = who.with(Setting::LentBrand, "percymd");
        assert_eq!(lent.current(), None, "{lent:?}");
    }
}
