//! What the command says when there is no connection to the database.

use percytech_tests::{TestDatabase, WITH_PASSWORD, percytech, run};

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let mut command = percytech(&["migrate", "up"]);
    command.env("DATABASE_URL", "host=/nowhere user=me dbname=mine");
    run(&mut command)
        .expect(2)
        .says(&["the server at host=/nowhere port=5432 user=me dbname=mine cannot be reached", "pg_isready"]);
    let mut command = percytech(&["verify", "--database-url", "postgresql://me:secret@127.0.0.1:1/mine"]);
    let ran = run(&mut command).expect(2).says(&["host=127.0.0.1 port=1", "cannot be reached"]);
    assert!(!ran.stderr.contains("secret"));
}

#[test]
fn a_wrong_or_missing_password_a_missing_user_and_a_missing_database_are_told_apart() {
    let database = TestDatabase::empty();
    let url = database.url(WITH_PASSWORD);
    let status = |url: &str| run(percytech(&["migrate", "status"]).env("DATABASE_URL", url));
    status(&format!("{url} password=wrong"))
        .expect(2)
        .says(&["refused the login: password authentication failed", "check user and password"]);
    status(&url).expect(2).says(&["it asks for a password, and there is none", "PGPASSWORD"]);
    status(&format!("{url} password=secret")).expect(1);
    run(percytech(&["migrate", "status"]).env("DATABASE_URL", &url).env("PGPASSWORD", "secret")).expect(1);
    status(&database.url("nobody_here")).expect(2).says(&["role \"nobody_here\" does not exist"]);
    status(&url.replace(database.name(), "no_such_database").replace(WITH_PASSWORD, "postgres"))
        .expect(2)
        .says(&["database \"no_such_database\" does not exist", "create the database first"]);
}

#[test]
fn a_url_that_is_missing_or_makes_no_sense_is_told() {
    run(&mut percytech(&["migrate", "up"])).expect(2).says(&["no database is named", "DATABASE_URL"]);
    run(percytech(&["migrate", "up"]).env("DATABASE_URL", "postgresql://host:port/"))
        .expect(2)
        .says(&["the database URL cannot be read", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"]);
}

#[test]
fn errors_are_json_where_that_is_asked_for() {
    let ran = run(&mut percytech(&["migrate", "up", "--format", "json"])).expect(2);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["message"], "no database is named");
    assert!(error["help"].as_str().unwrap().contains("DATABASE_URL"));
}
