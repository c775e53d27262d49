//! What a provider says of a message that was sent.

/// The statuses of a message, from the least that can be said of it to the most: the status of a message is the last of
/// those here that the provider has ever reported, so that callbacks may come late, twice and in any order.
///
/// `delivered` is last: the telephone has it, and a failure that is reported after or before is another attempt's, or a
/// carrier's guess. `undelivered` is after `failed`: the carrier had it. Twilio and Telnyx use these words.
pub const STATUSES: [&str; 5] = ["pending", "sent", "failed", "undelivered", "delivered"];

/// How much a status says; none where it is no status.
#[must_use]
pub fn rank(status: &str) -> Option<usize> {
    STATUSES.iter().position(|known| *known == status)
}

/// The codes by which providers say that they keep a message back, since its number has opted out with them.
///
/// Twilio's error 21610, "Attempt to send to unsubscribed recipient"; Telnyx's 40300, "Blocked due to STOP message".
const BLOCKED: [&str; 2] = ["21610", "40300"];

/// Whether an error code says that the number has opted out with the provider.
#[must_use]
pub fn is_opt_out(error_code: &str) -> bool {
    BLOCKED.contains(&error_code.trim())
}
