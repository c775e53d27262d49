//! In which time zones a number may be, by its area code: what quiet hours go by.

use std::collections::HashMap;
use std::sync::LazyLock;

type Zones = HashMap<&'static str, Vec<&'static str>>;

static AREA_CODES: LazyLock<Zones> = LazyLock::new(|| read(include_str!("time_zone/area_codes.tsv")));
static COUNTRY_CODES: LazyLock<Zones> = LazyLock::new(|| read(include_str!("time_zone/country_codes.tsv")));

fn read(table: &'static str) -> Zones {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(code, zones)| (code, zones.split(' ').collect()))
        .collect()
}

/// The time zones, by their IANA names, in which a number in E.164 may be; none where nothing is known of it.
///
/// Within the North American Numbering Plan the area code says it, elsewhere the country code. A code that reaches into
/// several zones has all of them: which one a telephone is in cannot be told, since numbers move from exchange to exchange.
/// A number of no place (toll free, personal, satellite) has none.
#[must_use]
pub fn of_number(e164: &str) -> &'static [&'static str] {
    let zones = match e164.strip_prefix("+1") {
        Some(national) if national.len() == 10 => national.get(..3).and_then(|code| AREA_CODES.get(code)),
        Some(_) => None,
        // No country code is the beginning of another.
        None => e164.strip_prefix('+').and_then(|number| {
            (1..=3).find_map(|length| number.get(..length).and_then(|code| COUNTRY_CODES.get(code)))
        }),
    };
    zones.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::{AREA_CODES, COUNTRY_CODES, of_number};

    #[test]
    fn a_number_is_where_its_area_code_is() {
        assert_eq!(of_number("+14155552671"), ["America/Los_Angeles"]);
        assert_eq!(of_number("+12125552671"), ["America/New_York"]);
        assert_eq!(of_number("+16025552671"), ["America/Phoenix"]);
        assert_eq!(of_number("+18085552671"), ["Pacific/Honolulu"]);
        assert_eq!(of_number("+15145552671"), ["America/Toronto"]);
    }

    #[test]
    fn an_area_code_over_a_border_is_on_both_sides() {
        assert_eq!(of_number("+18505552671"), ["America/Chicago", "America/New_York"]);
    }

    #[test]
    fn a_number_of_another_country_is_in_all_of_its_zones() {
        assert_eq!(of_number("+33612345678"), ["Europe/Paris"]);
        assert!(of_number("+447911123456").contains(&"Europe/London"));
        assert!(of_number("+525512345678").len() > 1);
    }

    #[test]
    fn a_number_of_no_place_has_no_zone() {
        for number in
            ["+18005552671", "+15005552671", "+80012345678", "+1415555", "", "4155552671", "+1é55552671"]
        {
            assert!(of_number(number).is_empty(), "{number}");
        }
    }

    #[test]
    fn every_line_is_a_code_and_its_zones() {
        let tables = [
            (&AREA_CODES, include_str!("time_zone/area_codes.tsv")),
            (&COUNTRY_CODES, include_str!("time_zone/country_codes.tsv")),
        ];
        for (codes, table) in tables {
            assert_eq!(codes.len(), table.lines().filter(|line| !line.starts_with('#')).count());
            for (code, zones) in codes.iter() {
                assert!((1..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
                assert!(
                    !zones.is_empty() && zones.iter().all(|zone| zone.contains('/')),
                    "{code}: {zones:?}"
                );
            }
        }
    }
}
