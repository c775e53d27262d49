//! Bodies that nobody writes, and somebody sends: each is answered, and kept as it came.

use percytech_tests::{refusal, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::optout::{ANA, sendable, sender_of, with_numbers};

const TEN_MB: usize = 10 << 20;

#[test]
fn a_body_of_ten_megabytes_is_answered_and_kept_whatever_it_is_made_of() {
    let mut app = with_numbers().app_of("gnymble");
    let call = app
        .prepare(&format!(
            "select answer ->> 'intent', answer ->> 'message_id'
             from process_inbound_message('{ANA}', '{}', $1, $2) as answer",
            sender_of("gnymble")
        ))
        .unwrap();
    let kept = app.prepare("select content = $1 from messages where id::text = $2").unwrap();
    let intent_of = |app: &mut Client, body: String, id: &str| -> String {
        let row = app.query_one(&call, &[&body, &id]).unwrap();
        let is_kept: bool = app.query_one(&kept, &[&body, &row.get::<_, &str>(1)]).unwrap().get(0);
        assert!(is_kept, "{id}");
        row.get(0)
    };
    let pieces = [
        "a",
        " ",
        "\u{301}",
        "\u{200b}",
        "\u{fdfa}",
        "\u{1f600}",
        "\u{1f1f8}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{e000}",
        "\u{202e}",
        "don't ",
        "s\u{338}t\u{338}o\u{338}p\u{338}z",
    ];
    for (number, piece) in pieces.iter().enumerate() {
        let body = piece.repeat(TEN_MB / piece.len());
        assert_eq!(intent_of(&mut app, body, &format!("SM{number}")), "none", "{piece:?}");
    }
    assert_eq!(sendable(&mut app, ANA), "allowed");
    // Hidden in as much decoration, a STOP is one.
    let decorated = format!("{0}S{0}T{0}O{0}P{0}", "\u{200b}\u{301}".repeat(TEN_MB / 25));
    assert_eq!(intent_of(&mut app, decorated, "stop"), "opt_out");
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    let proof: bool = value(
        &mut app,
        "select message = (select content from messages where id = message_id) from consent_events",
    );
    assert!(proof, "the ledger has every byte of it");
}

#[test]
fn bytes_that_are_no_text_are_refused_and_nothing_is_kept() {
    let mut app = with_numbers().app_of("gnymble");
    for bytes in ["\\xff", "\\xc3", "\\xed a0 80", "\\xf4 90 80 80", "\\x53544f5000"] {
        let statement = format!(
            "select process_inbound_message('{ANA}', '{}', convert_from('{}', 'UTF8'), 'SM1')",
            sender_of("gnymble"),
            bytes.replace(' ', "")
        );
        assert_eq!(refusal(&mut app, &statement), SqlState::CHARACTER_NOT_IN_REPERTOIRE, "{bytes}");
    }
    assert_eq!(value::<i64>(&mut app, "select count(*) from messages"), 0);
}
