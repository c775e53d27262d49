//! A funnel of 1.5 million events of 500,000 customers: in each of the ways there are, in turns, each of which has to say the
//! same; and by ClickHouse, where Python's `chdb` is there.

use std::process::Command;
use std::time::Instant;

use percytech_tests::{APP, TestDatabase, directory_of};
use postgres::{Client, SimpleQueryMessage};

use crate::{ROUNDS, median};

pub const NAME: &str = "a funnel";

const PLAIN: &str = "plain SQL";
const STEPS: &str = "to_stage = 'lead', to_stage = 'marketing', to_stage = 'trial', to_stage = 'active'";

struct Form {
    name: &'static str,
    query: String,
    settings: &'static str,
    target: &'static str,
}

fn forms() -> [Form; 5] {
    let levels = format!(
        "select count(*) filter (where level >= 1), count(*) filter (where level >= 2),
           count(*) filter (where level >= 3), count(*) filter (where level >= 4)
         from (
           select percytech.window_funnel('30 days', occurred_at, {STEPS}) as level
           from customer_stage_transitions
           where brand_id = 'gnymble'
           group by customer_id
         ) as levels"
    );
    [
        Form {
            name: "funnel, of the whole table",
            query: "select max(subjects) filter (where step = 1), max(subjects) filter (where step = 2),
                      max(subjects) filter (where step = 3), max(subjects) filter (where step = 4)
                    from unnest((
                      select percytech.funnel(
                        customer_id, occurred_at, to_stage, '{lead,marketing,trial,active}', '30 days', 'infinity', now()
                      )
                      from customer_stage_transitions
                      where brand_id = 'gnymble'
                    ))"
            .to_owned(),
            settings: "",
            target: "0.20",
        },
        Form {
            name: "journey_funnel, as the application",
            query: "select max(customers) filter (where step = 1), max(customers) filter (where step = 2),
                      max(customers) filter (where step = 3), max(customers) filter (where step = 4)
                    from journey_funnel()"
                .to_owned(),
            settings: "",
            target: "0.20",
        },
        Form {
            name: "window_funnel, by customer, over a covering index",
            query: levels.clone(),
            settings: "set enable_hashagg = off; set enable_seqscan = off; set enable_bitmapscan = off",
            target: "",
        },
        Form { name: "window_funnel, by customer, hashed", query: levels, settings: "set enable_sort = off", target: "" },
        Form { name: PLAIN, query: include_str!("plain_funnel.sql").to_owned(), settings: "", target: "" },
    ]
}

/// For each form: its time, and the ratio to that of plain SQL, as the server is set up and in one process.
pub fn measure() -> Vec<Vec<String>> {
    let database = TestDatabase::migrated();
    eprintln!("loading 1,500,000 events of 500,000 customers");
    let mut superuser = database.superuser();
    superuser.batch_execute(include_str!("funnel.sql")).unwrap();
    superuser.batch_execute("vacuum (analyze)").unwrap();

    let (mut parallel, answer) = series(&database, "");
    let (alone, same_answer) = series(&database, "set max_parallel_workers_per_gather = 0");
    assert_eq!(answer, same_answer);
    let mut clickhouse = clickhouse(&mut superuser, &answer).into_iter();
    parallel.extend(clickhouse.next());
    let alone = alone.into_iter().chain(clickhouse.next());
    let alone = alone.map(|(name, time, target)| (format!("{name}, in one process"), time, target)).collect();
    [parallel, alone].into_iter().flat_map(rows).collect()
}

/// A name, milliseconds, and the ratio that is aimed at.
type Measured = (String, f64, &'static str);

fn rows(series: Vec<Measured>) -> Vec<Vec<String>> {
    let plain =
        series.iter().find(|(name, ..)| name.starts_with(PLAIN)).map_or(f64::NAN, |(_, time, _)| *time);
    let row = |(name, time, target): Measured| {
        vec![name, format!("{time:.0}"), format!("{:.2}", time / plain), target.to_owned()]
    };
    series.into_iter().map(row).collect()
}

/// How long each form takes, and what all of them say.
fn series(database: &TestDatabase, settings: &str) -> (Vec<Measured>, String) {
    let forms = forms();
    let mut clients: Vec<Client> = forms.iter().map(|form| client(database, form, settings)).collect();
    let mut times = vec![Vec::new(); forms.len()];
    let mut answer = None;
    for round in 1..=ROUNDS {
        for ((form, client), times) in forms.iter().zip(&mut clients).zip(&mut times) {
            eprintln!("{}, round {round} of {ROUNDS}", form.name);
            let begun = Instant::now();
            let said = said(client, &form.query);
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(*answer.get_or_insert_with(|| said.clone()), said, "{}", form.name);
        }
    }
    let measured =
        forms.iter().zip(times).map(|(form, times)| (form.name.to_owned(), median(times), form.target));
    (measured.collect(), answer.unwrap_or_default())
}

fn client(database: &TestDatabase, form: &Form, settings: &str) -> Client {
    let mut client =
        if form.name.starts_with("journey") { database.connect(APP) } else { database.superuser() };
    client.batch_execute("set app.current_brand = 'gnymble'").unwrap();
    client.batch_execute(settings).unwrap();
    client.batch_execute(form.settings).unwrap();
    client
}

/// The only row, its columns with commas between them.
fn said(client: &mut Client, query: &str) -> String {
    let rows = client.simple_query(query).unwrap();
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.unwrap();
    (0..row.len()).map(|column| row.get(column).unwrap_or_default()).collect::<Vec<_>>().join(",")
}

/// What ClickHouse takes with all cores, and with one; nothing where it is not there.
fn clickhouse(superuser: &mut Client, answer: &str) -> Vec<Measured> {
    let directory = directory_of(&[("clickhouse.py", include_str!("clickhouse.py"))]);
    let events = directory.path().join("events.tsv");
    let mut file = std::fs::File::create(&events).unwrap();
    let mut copy = superuser
        .copy_out(
            "copy (
               select customer_id, (extract(epoch from occurred_at) * 1000000)::bigint, to_stage
               from customer_stage_transitions
             ) to stdout",
        )
        .unwrap();
    std::io::copy(&mut copy, &mut file).unwrap();
    let ran = Command::new("python3")
        .arg(directory.path().join("clickhouse.py"))
        .arg(&events)
        .arg(ROUNDS.to_string())
        .output();
    let Some(output) = ran.ok().filter(|output| output.status.success()) else {
        eprintln!("without ClickHouse: python3 does not find chdb (pip install chdb)");
        return Vec::new();
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            assert_eq!(words.next(), Some(answer), "ClickHouse");
            let times = words.map(|seconds| seconds.parse::<f64>().unwrap() * 1000.0).collect();
            ("ClickHouse within Python".to_owned(), median(times), "")
        })
        .collect()
}
