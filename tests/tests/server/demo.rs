//! `percytech demo`: it tells its story, and leaves nothing behind however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use percytech_tests::{directory_of, edited_sql, percytech, run};
use tempfile::TempDir;

/// A place for the demo's cluster, which its unprivileged user can reach.
fn place() -> TempDir {
    let place = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn demo(place: &TempDir, arguments: &[&str]) -> Command {
    let arguments: Vec<_> = ["demo"].iter().chain(arguments).copied().collect();
    let mut command = percytech(&arguments);
    command.env("TMPDIR", place.path());
    command
}

/// Command lines of processes that work in this place.
fn processes_in(place: &TempDir) -> Vec<String> {
    let place = place.path().to_str().unwrap().to_owned();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| line.replace('\0', " "))
        .filter(|line| line.contains(&place) && line.contains("postgres"))
        .collect()
}

#[track_caller]
fn assert_nothing_is_left(place: &TempDir) {
    let files: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(processes_in(place), [] as [&str; 0]);
}

#[test]
fn the_demo_ends_with_no_finding_and_leaves_nothing() {
    let place = place();
    let ran = run(&mut demo(&place, &[])).expect(0);
    let last = ran.stdout.trim_end().lines().last().unwrap();
    assert_eq!(last, "0 isolation findings in 14 tables and 1 view of schema public");
    let shown = [
        "(none)              0               0          0",
        "One table holds all 3600 customers. Without a brand in context, nobody's are visible.",
        "ERROR: new row violates row-level security policy for table \"customers\"",
        "0 rows",
        "ERROR: role \"demo_gnymble\" may not act as brand \"percymd\"",
        "ERROR: the brand context is sealed",
        "ERROR: a customer cannot go from active to lead",
        "active   trial",
        "Last day of our sale!   failed   opted_out",
        "gnymble: You are unsubscribed and will receive no more messages. Reply START to resubscribe.",
        "false     opted_out",
        "from customer_analytics",
    ];
    for text in shown {
        assert!(ran.stdout.contains(text), "{text:?} is missing in {}", ran.stdout);
    }
    assert_nothing_is_left(&place);
}

#[test]
fn the_demo_answers_programs_in_json() {
    let place = place();
    let ran = run(&mut demo(&place, &["--format", "json"])).expect(0);
    let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let customers: Vec<_> = outcome["visible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| seen["customers"].as_i64().unwrap())
        .collect();
    assert_eq!(customers, [0, 1500, 1200, 900]);
    assert_eq!(outcome["verification"]["findings"].as_array().unwrap().len(), 0);
    assert_nothing_is_left(&place);
}

#[test]
fn a_demo_that_fails_leaves_nothing() {
    let place = place();
    let broken = edited_sql(
        "migrations",
        "create view customer_analytics",
        "create view no_such_schema.customer_analytics",
    );
    run(&mut demo(&place, &["--migrations", broken.path().to_str().unwrap()]))
        .expect(2)
        .says(&["2026-11-22-08-customer-analytics.sql:3: schema \"no_such_schema\" does not exist"]);
    assert_nothing_is_left(&place);
}

#[test]
fn a_demo_of_a_schema_that_leaks_says_so() {
    let place = place();
    let leaking =
        edited_sql("policies", "(brand_id = (select percytech.current_brand()::public.brand_id))", "(true)");
    run(&mut demo(&place, &["--policies", leaking.path().to_str().unwrap()]))
        .expect(2)
        .says(&["isolation is broken: without a brand in context, rows are visible"]);
    assert_nothing_is_left(&place);
}

#[test]
fn the_demo_works_in_a_place_with_an_odd_or_a_long_name() {
    for name in ["it's a place", &"long".repeat(25)] {
        let place = place();
        let odd = place.path().join(name);
        fs::create_dir(&odd).unwrap();
        fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
        run(demo(&place, &[]).env("TMPDIR", &odd)).expect(0);
        fs::remove_dir(&odd).unwrap();
        assert_nothing_is_left(&place);
    }
}

#[test]
fn a_place_that_the_server_cannot_reach_is_told() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let place = place();
    let closed = place.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    run(demo(&place, &[]).env("TMPDIR", &closed))
        .expect(2)
        .says(&["user postgres, whom the server runs as, cannot reach", "TMPDIR=/tmp"]);
    fs::remove_dir(&closed).unwrap();
    assert_nothing_is_left(&place);
}

#[test]
fn without_a_server_the_demo_says_what_to_install() {
    let place = place();
    let no_server = directory_of(&[("pg_config", "#!/bin/sh\necho /nowhere\n")]);
    let pg_config = no_server.path().join("pg_config");
    fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
    for pg_config in [pg_config.to_str().unwrap(), "/no/such/pg_config"] {
        run(demo(&place, &[]).env("PG_CONFIG", pg_config)).expect(2).says(&[
            "no PostgreSQL server is installed here",
            pg_config,
            "apt-get install postgresql",
        ]);
    }
}

/// Starts a demo and waits until it has printed these words.
fn start_until(place: &TempDir, words: &str) -> Child {
    let mut child = demo(place, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if !words.is_empty() {
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(words)), "{words}");
    }
    child
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    for (words, pause, signal) in [
        ("", 30, Signal::SIGINT),
        ("", 300, Signal::SIGINT),
        ("start a PostgreSQL server", 0, Signal::SIGINT),
        ("start a PostgreSQL server", 60, Signal::SIGTERM),
        ("apply the floor", 0, Signal::SIGINT),
        ("apply the floor", 300, Signal::SIGHUP),
    ] {
        let place = place();
        let mut child = start_until(&place, words);
        std::thread::sleep(Duration::from_millis(pause));
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = child.wait().unwrap();
        if pause == 30 {
            // It may not have got as far as to handle signals.
            assert!(!status.success());
        } else {
            assert_eq!(status.code(), Some(130), "{words} {pause}");
        }
        assert_nothing_is_left(&place);
    }
}

#[test]
fn a_demo_that_is_kept_can_be_used_and_ended_as_it_says() {
    let place = place();
    let odd = place.path().join("it's a place");
    fs::create_dir(&odd).unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(demo(&place, &["--keep"]).env("TMPDIR", &odd)).expect(0);
    let last = ran.stdout.trim_end().lines().last().unwrap();
    assert_eq!(last, "0 isolation findings in 14 tables and 1 view of schema public");

    let after =
        |words: &str| ran.stdout.lines().find_map(|line| Some(line.split_once(words)?.1.to_owned())).unwrap();
    let url = after("psql \"");
    let mut client =
        percytech_toolkit::database::connect(Some(url.trim_end_matches('"')), "percytech tests").unwrap();
    client.batch_execute("select percytech.set_brand_context('gnymble', is_local => false)").unwrap();
    let customers: i64 = percytech_tests::value(&mut client, "select count(*) from customers");
    assert_eq!(customers, 1500);
    drop(client);

    let status =
        Command::new("sh").arg("-c").arg(after("to end the server and remove it: ")).status().unwrap();
    assert!(status.success());
    let start = Instant::now();
    while !processes_in(&place).is_empty() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::remove_dir(&odd).unwrap();
    assert_nothing_is_left(&place);
}

#[test]
fn a_demo_whose_reader_has_gone_ends_in_order() {
    let place = place();
    let mut child = start_until(&place, "start a PostgreSQL server");
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_nothing_is_left(&place);
}
