//! Output for people: steps with a progress display on a terminal and a line each elsewhere, and tables.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;

use crate::migrate::run::Watcher;

/// Prints a line as `println!` does. Where nobody reads any more it is lost, and the work goes on to its end.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stdout(), $($text)*);
    }};
}

const TICK: Duration = Duration::from_millis(100);

/// Shows that `name` is being done, does it, and leaves a line that says how long it took.
pub fn step<T, E>(name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    let result = busy(name, work);
    if result.is_ok() {
        done(name, start.elapsed());
    }
    result
}

/// Shows that `name` is being done for as long as it takes, and leaves nothing.
pub fn busy<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let bar = spinner(name);
    let result = work();
    bar.finish_and_clear();
    result
}

/// A progress display on standard error, where that is a terminal.
fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

fn done(name: &str, took: Duration) {
    say!("  {} {name} {}", "✓".green(), format!("({} ms)", took.as_millis()).dimmed());
}

/// Watches migrations, a line each.
#[derive(Default)]
pub struct MigrationSteps {
    bar: Option<ProgressBar>,
}

impl Watcher for MigrationSteps {
    fn starts(&mut self, name: &str) {
        self.bar = Some(spinner(name));
    }

    fn applied(&mut self, name: &str, took: Duration) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        done(name, took);
    }
}

impl Drop for MigrationSteps {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A heading over what follows.
pub fn heading(text: &str) {
    say!("\n{}", text.bold());
}

/// A number of things, in words.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A line under the header, and nothing else.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::new('─', '─', '─', '─'))
    .content_lines(ContentLineStyle::none());

/// A table; columns that hold numbers are aligned to the right.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        let holds_numbers = rows
            .iter()
            .filter_map(|row| row.get(index))
            .all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit() || b".-,".contains(&byte)));
        if holds_numbers && !rows.is_empty() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
