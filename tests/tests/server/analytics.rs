//! The reports of the journey, against slow and plain SQL that shares nothing with them, over random histories.

use percytech_tests::{APP, TestDatabase};
use postgres::{Client, SimpleQueryMessage};

pub const FUNNEL: &str = include_str!("analytics/funnel.sql");
pub const DURATIONS: &str = include_str!("analytics/durations.sql");
pub const RETENTION: &str = include_str!("analytics/retention.sql");
pub const SUBSCRIPTION: &str = include_str!("analytics/subscription.sql");
pub const SOURCES: &str = include_str!("analytics/sources.sql");

pub const STAGES: [&str; 6] = ["lead", "marketing", "trial", "active", "churned", "dormant"];
pub const SOURCE_LABELS: [&str; 3] = ["website", "referral", "other"];

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Numbers that look random, and are the same each time (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    pub fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Moves, so many microseconds before a moment.
struct History {
    before: &'static str,
    moves: Vec<Move>,
}

impl History {
    fn at(&self, ago: u64) -> String {
        format!("{} - {ago} * interval '1 microsecond'", self.before)
    }
}

struct Move {
    brand: &'static str,
    customer: u64,
    position: usize,
    from: Option<&'static str>,
    to: &'static str,
    ago: u64,
}

/// How moves are spread over time.
#[derive(Clone, Copy)]
enum Times {
    /// All at once.
    OneInstant(u64),
    /// Some of few instants, a unit apart, and some a microsecond beside them.
    Grid(u64),
    /// Anywhere in so many days.
    Anywhere(u64),
}

impl Times {
    fn of(random: &mut Random) -> Self {
        match random.below(6) {
            0 => Self::OneInstant(random.below(3) * DAY),
            1 => Self::Grid(3600 * SECOND),
            2 | 3 => Self::Grid(DAY),
            4 => Self::Anywhere(20),
            _ => Self::Anywhere(900),
        }
    }

    fn ago(self, random: &mut Random) -> u64 {
        match self {
            Self::OneInstant(ago) => ago,
            Self::Grid(unit) => {
                let instant = (1 + random.below(12)) * unit;
                match random.below(8) {
                    0 => instant + 1,
                    1 => instant - 1,
                    _ => instant,
                }
            }
            Self::Anywhere(days) => random.below(days * 86_400) * SECOND + random.below(SECOND),
        }
    }
}

/// Random histories of some customers, of two brands that have customers of the same ids, in no order.
fn history(random: &mut Random) -> History {
    let times = Times::of(random);
    let customers = [0, 1, 2, 12, 40][usize::try_from(random.below(5)).unwrap()];
    let longest = 1 + random.below(9);
    let mut moves = Vec::new();
    for brand in ["gnymble", "percymd"] {
        for customer in 0..customers {
            let mut agos: Vec<u64> = (0..=random.below(longest)).map(|_| times.ago(random)).collect();
            agos.sort_unstable_by(|a, b| b.cmp(a));
            // Most come as leads; who is imported begins anywhere, and may be there twice in a row.
            let mut from = None;
            for (place, ago) in agos.into_iter().enumerate() {
                let to = match (place, random.below(3)) {
                    (0, 1 | 2) => "lead",
                    (_, 0) => random.one_of(&STAGES),
                    _ => STAGES[(place + 4 * usize::from(random.below(9) == 0)) % 6],
                };
                moves.push(Move { brand, customer, position: place + 1, from, to, ago });
                from = Some(to);
            }
        }
    }
    for place in (1..moves.len()).rev() {
        moves.swap(place, usize::try_from(random.below(place as u64 + 1)).unwrap());
    }
    // At the beginning of a day a period begins, too.
    let before = if random.below(2) == 0 { "date_trunc('day', now(), 'UTC')" } else { "now()" };
    History { before, moves }
}

/// Writes them as an import does that brings the history along.
fn import(client: &mut Client, random: &mut Random, history: &History) {
    client.batch_execute("set local session_replication_role = replica").unwrap();
    let moves = &history.moves;
    if moves.is_empty() {
        return;
    }
    let id = |customer: u64| format!("'00000000-0000-4000-8000-{customer:012}'");
    let customers: Vec<String> = moves
        .iter()
        .filter(|made| made.position == 1)
        .map(|made| {
            let source = random.one_of(&SOURCE_LABELS);
            format!("({}, '{}', '{}@example.com', '{source}')", id(made.customer), made.brand, made.customer)
        })
        .collect();
    let rows: Vec<String> = moves
        .iter()
        .map(|made| {
            let from = made.from.map_or("null".to_owned(), |stage| format!("'{stage}'"));
            let (brand, position, to) = (made.brand, made.position, made.to);
            format!(
                "('{brand}', {}, {position}, {from}, '{to}', 'test', {})",
                id(made.customer),
                history.at(made.ago)
            )
        })
        .collect();
    client
        .batch_execute(&format!(
            "insert into customers (id, brand_id, email, source) values {};
             insert into customer_stage_transitions (brand_id, customer_id, position, from_stage, to_stage, actor, occurred_at)
             values {}",
            customers.join(", "),
            rows.join(", ")
        ))
        .unwrap();
}

/// The rows of a query, as PostgreSQL writes them.
pub fn rows(client: &mut Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

fn shown(rows: &[Vec<Option<String>>]) -> String {
    let line = |row: &Vec<Option<String>>| {
        row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" | ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether two values are the same, or numbers so near each other that rounding explains it.
fn is_near(left: Option<&str>, right: Option<&str>, tolerance: f64) -> bool {
    let number = |value: Option<&str>| value.and_then(|text| text.parse::<f64>().ok());
    match (number(left), number(right)) {
        (Some(left), Some(right)) => (left - right).abs() <= tolerance + 1e-9 * right.abs(),
        _ => left == right,
    }
}

#[track_caller]
fn assert_alike(report: &[Vec<Option<String>>], twin: &[Vec<Option<String>>], tolerance: f64, what: &str) {
    let alike = report.len() == twin.len()
        && report.iter().zip(twin).all(|(report, twin)| {
            report.len() == twin.len()
                && report
                    .iter()
                    .zip(twin)
                    .all(|(left, right)| is_near(left.as_deref(), right.as_deref(), tolerance))
        });
    assert!(alike, "{what}\nreport:\n{}\nplain SQL:\n{}", shown(report), shown(twin));
}

/// A report and the plain SQL of the same question.
struct Question {
    report: String,
    twin: String,
    /// How far numbers may be apart.
    tolerance: f64,
}

/// Some moments between which customers are looked at: all, those from a move on, those until one.
fn span(random: &mut Random, history: &History) -> (String, String) {
    let mut moment = |or: &str| match random.below(3) {
        0 if !history.moves.is_empty() => {
            let place = random.below(history.moves.len() as u64);
            history.at(history.moves[usize::try_from(place).unwrap()].ago)
        }
        _ => format!("'{or}'"),
    };
    let (since, until) = (moment("-infinity"), moment("infinity"));
    // Whichever is earlier is the beginning.
    let (since, until) = (format!("({since})::timestamptz"), format!("({until})::timestamptz"));
    (format!("least({since}, {until})"), format!("greatest({since}, {until})"))
}

fn questions(random: &mut Random, history: &History) -> Vec<Question> {
    let (since, until) = span(random, history);
    let windows =
        ["0", "1 microsecond", "1 hour", "1 day", "47:59:59.999999", "3 days", "30 days", "36500 days"];
    let window = format!("'{}'::interval", random.one_of(&windows));
    let steps =
        random.one_of(&["lead,marketing,trial,active", "lead", "active,churned,trial", "trial,lead,dormant"]);
    let steps = format!("'{{{steps}}}'::customer_stage[]");
    let by_source = random.one_of(&["true", "false"]);
    let period = random.one_of(&["day", "day", "week", "month", "quarter", "year"]);
    let zone =
        random.one_of(&["UTC", "UTC", "UTC", "America/New_York", "Pacific/Auckland", "Asia/Kathmandu"]);
    let periods = random.below(6);
    let (confidence, z) =
        if random.below(2) == 0 { ("0.95", "1.959963984540054") } else { ("0.9", "1.6448536269514722") };
    let ask = |report: String, twin: &str| {
        // An interval is rounded to microseconds, once or twice.
        let tolerance = if twin == DURATIONS { 2e-6 } else { 1e-9 };
        let twin = twin
            .replace(":steps", &steps)
            .replace(":since", &since)
            .replace(":until", &until)
            .replace(":window", &window)
            .replace(":by_source", by_source)
            .replace(":brand", "'gnymble'")
            .replace(":periods", &periods.to_string())
            .replace(":period", &format!("'{period}'"))
            .replace(":zone", &format!("'{zone}'"))
            .replace(":z", z);
        Question { report, twin, tolerance }
    };
    vec![
        ask(
            format!(
                "select step, stage, source, customers, undecided, conversion, step_conversion, extract(epoch from median_time)
                 from journey_funnel({steps}, {since}, {until}, {window}, {by_source})"
            ),
            FUNNEL,
        ),
        ask(
            format!(
                "select stage, entries, still_there, extract(epoch from median_time), extract(epoch from mean_time),
                   extract(epoch from p90_time)
                 from stage_durations({since}, {until})"
            ),
            DURATIONS,
        ),
        ask(
            format!("select * from cohort_retention('{period}', {since}, {until}, {periods}, '{zone}')"),
            RETENTION,
        ),
        ask(
            format!("select * from time_to_subscription({since}, {until}, {by_source}, {confidence})"),
            SUBSCRIPTION,
        ),
        ask(format!("select * from source_performance({since}, {until}, {window})"), SOURCES),
    ]
}

#[test]
fn each_report_says_what_plain_sql_says_of_the_same_history() {
    let database = TestDatabase::migrated();
    let mut client = database.superuser();
    // The report of which there were most rows: questions that find nothing prove nothing.
    let mut longest = [0; 5];
    for seed in 1..=200 {
        let mut random = Random::new(seed);
        let history = history(&mut random);
        client.batch_execute("begin").unwrap();
        import(&mut client, &mut random, &history);
        let questions: Vec<Question> = (0..3).flat_map(|_| questions(&mut random, &history)).collect();
        let expected: Vec<_> = questions.iter().map(|question| rows(&mut client, &question.twin)).collect();
        client
            .batch_execute(&format!(
                "set local session authorization {APP}; select percytech.set_brand_context('gnymble')"
            ))
            .unwrap();
        for (place, (question, twin)) in questions.iter().zip(&expected).enumerate() {
            let report = rows(&mut client, &question.report);
            assert_alike(&report, twin, question.tolerance, &format!("seed {seed}: {}", question.report));
            longest[place % 5] = longest[place % 5].max(report.len());
        }
        client.batch_execute("rollback").unwrap();
    }
    assert!(longest.iter().zip([12, 6, 20, 20, 3]).all(|(rows, enough)| *rows >= enough), "{longest:?}");
}
