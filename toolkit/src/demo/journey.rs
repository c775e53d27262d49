//! A customer's journey: along the rules of the brand, and recorded.

use postgres::Client;

use super::{Error, Stage, refusal, rows_of};

/// The first is allowed, by either way; the others are not.
const MOVES: [&str; 4] = [
    "select to_stage::text as stage, actor, reason from transition_stage($customer, 'trial', 'asked for it')",
    "update customers set stage = 'active' where id = $customer returning stage::text as stage, subscribed_at is not null as \"subscribed\"",
    "update customers set stage = 'lead' where id = $customer",
    "delete from customer_stage_transitions where customer_id = $customer",
];

const HISTORY: &str = "select stage::text as stage, coalesce(from_stage::text, '-') as from, coalesce(reason, '-') as reason, actor \
     from stage_history($customer)";

/// Moves the brand's oldest lead.
pub fn show(stage: &Stage, application: &mut Client) -> Result<(), Error> {
    stage.heading(
        "The journey of one lead of gnymble: along the brand's rules, and recorded, by function or by UPDATE",
    );
    let mut transaction = application.transaction()?;
    transaction.query("select percytech.set_brand_context('gnymble', seal => true)", &[])?;
    let oldest = "select quote_literal(id) from customers where stage = 'lead' order by created_at limit 1";
    let customer: String = transaction.query_one(oldest, &[])?.get(0);
    for sql in MOVES.into_iter().chain([HISTORY]) {
        stage.sql(sql);
        let sql = sql.replace("$customer", &customer);
        let mut attempt = transaction.transaction()?;
        match attempt.simple_query(&sql) {
            Ok(messages) => {
                let (header, rows) = rows_of(&messages);
                if rows.is_empty() {
                    return Err(Error::NotIsolated(format!("{sql}: succeeded")));
                }
                attempt.commit()?;
                stage.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
            }
            Err(error) => stage.refused(&refusal(error)?),
        }
    }
    transaction.commit()?;
    Ok(())
}
