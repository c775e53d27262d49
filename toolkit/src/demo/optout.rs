//! A customer replies STOP: nothing more is sent but the confirmation, once.

use postgres::Client;

use super::{Error, Stage, rows_of};

/// The number that the demo's conversations of gnymble are with.
const REGISTER: &str = "insert into brand_phone_numbers (brand_id, phone) values ('gnymble', '+15559000001')";

const QUEUE: &str =
    "select content, status::text as status from queue_message($conversation, 'Last day of our sale!')";

const REPLY: &str = "\
select answer ->> 'intent' as intent, answer ->> 'rule' as rule, answer ->> 'duplicate' as duplicate
from process_inbound_message($phone, '+15559000001', 'STOP', 'SM1') as answer";

const CANCELLED: &str = "\
select content, status::text as status, cancel_reason from messages
where conversation_id = $conversation and cancelled_at is not null";

const CLAIM: &str = "select kind, to_phone, content from claim_outbound(10, 'worker-1')";

const CAN_SEND: &str = "select allowed::text as allowed, reason from can_send($phone)";

const EVENT: &str = "\
select to_char(occurred_at, 'YYYY-MM-DD HH24:MI') as said_at, kind, source, actor, message, rule, rule_version
from consent_events where phone = $phone";

/// Each is a transaction of its own, as a webhook's and a worker's are. The provider delivers the reply twice, which
/// changes nothing; the queue is asked twice, and has nothing the second time.
const STATEMENTS: [&str; 8] = [QUEUE, REPLY, REPLY, CANCELLED, CLAIM, CLAIM, CAN_SEND, EVENT];

/// How many rows each of them shows.
const ROWS: [usize; 8] = [1, 1, 1, 1, 1, 0, 1, 1];

/// A customer of gnymble replies STOP while a message to them is queued.
pub fn show(stage: &Stage, owner: &mut Client, application: &mut Client) -> Result<(), Error> {
    stage.heading(
        "A customer of gnymble replies STOP: what was queued is cancelled, and the opt-out confirmed once",
    );
    stage.sql(REGISTER);
    owner.execute(REGISTER, &[])?;
    let mut context = application.transaction()?;
    context.query("select percytech.set_brand_context('gnymble')", &[])?;
    let latest = "select quote_literal(id), quote_literal(customer_phone_e164) from conversations \
         where status = 'active' order by created_at desc, id limit 1";
    let thread = context.query_one(latest, &[])?;
    context.commit()?;
    let (conversation, phone): (String, String) = (thread.get(0), thread.get(1));

    for (sql, expected) in STATEMENTS.into_iter().zip(ROWS) {
        stage.sql(sql);
        let sql = sql.replace("$conversation", &conversation).replace("$phone", &phone);
        let mut transaction = application.transaction()?;
        transaction.query("select percytech.set_brand_context('gnymble', seal => true)", &[])?;
        let (header, rows) = rows_of(&transaction.simple_query(&sql)?);
        transaction.commit()?;
        if rows.len() != expected {
            return Err(Error::NotKept(format!("{sql}: {} rows", rows.len())));
        }
        if rows.is_empty() {
            stage.refused("0 rows");
        } else {
            stage.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
        }
    }
    Ok(())
}
