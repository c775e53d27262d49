//! In which time zones a number may be, by its area code: what quiet hours go by.

use std::collections::HashMap;
use std::sync::LazyLock;

static AREA_CODES: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("time_zone/area_codes.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(area_code, zones)| (area_code, zones.split(' ').collect()))
        .collect()
});

/// The time zones, by their IANA names, in which a number in E.164 may be; none where nothing is known of it.
///
/// Known are the geographic area codes of the North American Numbering Plan. A code that reaches into several zones has
/// all of them: which one a telephone is in cannot be told, since numbers move from exchange to exchange. A number of
/// no place (toll free, personal) and one of another country have none.
#[must_use]
pub fn of_number(e164: &str) -> &'static [&'static str] {
    let area_code = e164
        .strip_prefix("+1")
        .filter(|national| national.len() == 10)
        .and_then(|national| national.get(..3));
    area_code.and_then(|area_code| AREA_CODES.get(area_code)).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::{AREA_CODES, of_number};

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
    fn a_number_of_no_place_has_no_zone() {
        for number in
            ["+18005552671", "+15005552671", "+33612345678", "+1415555", "", "4155552671", "+1é55552671"]
        {
            assert!(of_number(number).is_empty(), "{number}");
        }
    }

    #[test]
    fn every_line_is_an_area_code_and_its_zones() {
        let lines =
            include_str!("time_zone/area_codes.tsv").lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(AREA_CODES.len(), lines);
        for (area_code, zones) in AREA_CODES.iter() {
            assert!(area_code.len() == 3 && area_code.bytes().all(|b| b.is_ascii_digit()), "{area_code}");
            assert!(
                !zones.is_empty() && zones.iter().all(|zone| zone.contains('/')),
                "{area_code}: {zones:?}"
            );
        }
    }
}
