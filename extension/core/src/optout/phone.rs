//! Telephone numbers, as the suppression list is keyed by them: E.164, so that a number is found however it was written.

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, country};
use unicode_normalization::UnicodeNormalization;

use crate::error::Refusal;

/// No number is written in more characters; what is longer is not parsed.
const LONGEST: usize = 250;

/// A region that a number without a country code cannot be of.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" is no region", .0.chars().take(63).collect::<String>())]
pub struct UnknownRegion(String);

impl Refusal for UnknownRegion {
    fn sqlstate(&self) -> &'static str {
        "22023"
    }

    fn detail(&self) -> Option<String> {
        None
    }

    fn hint(&self) -> Option<String> {
        Some("Write the two letters of ISO 3166-1, such as US, CA or MX.".to_owned())
    }
}

/// A telephone number in E.164: `+`, the country code, the national number; none where the text is no number.
///
/// `region` says which country a number without a country code is of. A number counts where its country has numbers of that
/// length, whether or not the country is known to have assigned it: plans change faster than tables of them, and a
/// wish not to be texted counts for a number that is too new to be known. An extension is left out.
pub fn normalize(phone: &str, region: &str) -> Result<Option<String>, UnknownRegion> {
    let region: country::Id =
        region.to_ascii_uppercase().parse().map_err(|_| UnknownRegion(region.to_owned()))?;
    if is_nanp(phone) {
        return Ok(Some(phone.to_owned()));
    }
    if phone.len() > LONGEST {
        return Ok(None);
    }
    let phone: String = phone.nfkc().filter(|c| !is_invisible(*c)).collect();
    let number = parse(region, phone.trim());
    // What is found in a table must be found again: a number that is read as another one is none.
    Ok(number.filter(|number| parse(region, number).as_ref() == Some(number)))
}

fn parse(region: country::Id, phone: &str) -> Option<String> {
    phonenumber::parse(Some(region), phone).ok().and_then(|number| e164(&number))
}

/// What a brand sends from and is written to: a telephone number in E.164, or a short code of three to six digits.
pub fn sender(phone: &str, region: &str) -> Result<Option<String>, UnknownRegion> {
    let number = normalize(phone, region)?;
    let is_short_code = (3..=6).contains(&phone.len()) && phone.bytes().all(|b| b.is_ascii_digit());
    Ok(number.or_else(|| is_short_code.then(|| phone.to_owned())))
}

/// Whether it is a number of the North American Numbering Plan, in E.164 already, as providers write nearly all.
fn is_nanp(phone: &str) -> bool {
    matches!(phone.as_bytes(), [b'+', b'1', b'2'..=b'9', rest @ ..] if rest.len() == 9 && rest.iter().all(u8::is_ascii_digit))
}

fn e164(number: &phonenumber::PhoneNumber) -> Option<String> {
    let national = number.national().to_string();
    let is_possible = DATABASE.by_code(&number.code().value()).is_some_and(|countries| {
        let kinds = countries.iter().flat_map(|country| {
            let of = country.descriptors();
            [of.fixed_line(), of.mobile(), of.toll_free(), of.personal_number(), of.voip(), of.uan()]
        });
        kinds
            .flatten()
            .any(|kind| kind.possible_length().iter().any(|length| usize::from(*length) == national.len()))
    });
    is_possible.then(|| number.format().mode(Mode::E164).to_string())
}

/// What copied numbers bring along: marks of direction, joiners, the soft hyphen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{normalize, sender};

    fn us(phone: &str) -> Option<String> {
        normalize(phone, "US").expect("US is a region")
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for written in [
            "+14155552671",
            "14155552671",
            "4155552671",
            "(415) 555-2671",
            "415.555.2671",
            " +1 415 555 2671 ",
            "+1 (415) 555-2671",
            "tel:+1-415-555-2671",
            "\u{202a}+14155552671\u{202c}",
            "＋１４１５５５５２６７１",
        ] {
            assert_eq!(us(written).as_deref(), Some("+14155552671"), "{written}");
        }
    }

    #[test]
    fn a_number_of_another_country_keeps_its_code() {
        for written in ["+33612345678", "+33 6 12 34 56 78", "0033612345678", "011 33 6 12 34 56 78"] {
            let expected = (!written.starts_with("0033")).then_some("+33612345678");
            assert_eq!(us(written).as_deref(), expected, "{written}");
        }
        assert_eq!(normalize("06 12 34 56 78", "fr").expect("a region").as_deref(), Some("+33612345678"));
        assert_eq!(us("+390612345678").as_deref(), Some("+390612345678"), "whose numbers may begin with 0");
    }

    #[test]
    fn a_number_that_is_not_assigned_yet_counts() {
        assert_eq!(us("+15550000001").as_deref(), Some("+15550000001"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for written in [
            "",
            " ",
            "+",
            "12",
            "72645",
            "STOP",
            "+1415555267",
            "+141555526711",
            "+999123456789",
            "a@b.example",
            "\u{0}",
        ] {
            assert_eq!(us(written), None, "{written}");
        }
        assert_eq!(us(&"1".repeat(10_000_000)), None);
    }

    #[test]
    fn a_region_that_is_none_is_refused() {
        for region in ["", "USA", "XX", "é", "\u{0}"] {
            assert!(normalize("4155552671", region).is_err(), "{region:?}");
        }
    }

    #[test]
    fn a_brand_may_send_from_a_short_code() {
        for (written, expected) in [
            ("72645", Some("72645")),
            ("262966", Some("262966")),
            ("(415) 555-2671", Some("+14155552671")),
            ("12", None),
            ("1234567", None),
            ("", None),
        ] {
            assert_eq!(sender(written, "US").expect("a region").as_deref(), expected, "{written}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_answered(phone in any::<String>(), digits in "[+()0-9 xX;=a-zA-Z٠-٩-]{0,40}", number in "[+][1-9][0-9]{5,14}") {
            for written in [phone, digits, number] {
                if let Some(number) = us(&written) {
                    prop_assert!(number.len() <= 20, "{number}");
                    prop_assert!(number.starts_with('+') && number[1..].bytes().all(|b| b.is_ascii_digit()), "{number}");
                    prop_assert_eq!(us(&number), Some(number.clone()), "it is a fixed point");
                }
            }
        }

        #[test]
        fn a_number_in_e164_is_itself(national in "[2-9][0-9]{9}") {
            let number = format!("+1{national}");
            prop_assert_eq!(us(&number), Some(number.clone()));
        }
    }
}
