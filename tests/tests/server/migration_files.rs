//! `percytech migrate`: which files it takes for migrations, and how they compare with what was applied.

use percytech_tests::{TestDatabase, directory_of, run};

use crate::migrate::{history, migrate, migrations, tables};

#[test]
fn a_marker_in_the_body_of_a_function_is_refused() {
    let text = "create function f() returns int language sql as $$\n-- as-invoker: not a marker\nselect 1 $$;\n-- rollback\n";
    migrate(&TestDatabase::empty(), "up", &migrations(&[("2026-01-02-f.sql", text)]))
        .expect(2)
        .says(&["2026-01-02-f.sql:2:", "in the comment at the top"]);
}

#[test]
fn a_comment_that_is_almost_a_rollback_marker_is_refused() {
    let database = TestDatabase::empty();
    let directory =
        migrations(&[("2026-01-02-t.sql", "create table t (id int);\n\n-- Rollback\n\ndrop table t;\n")]);
    migrate(&database, "up", &directory)
        .expect(2)
        .says(&["2026-01-02-t.sql:3: \"-- Rollback\" is almost \"-- rollback\"", "write it to the letter"]);
}

#[test]
fn a_directory_without_migrations_is_told() {
    let database = TestDatabase::empty();
    for command in ["up", "status"] {
        migrate(&database, command, &directory_of(&[("README.md", "")]))
            .expect(2)
            .says(&["there is no migration in"]);
    }
    let directory = migrations(&[]);
    std::os::unix::fs::symlink("/nowhere", directory.path().join("2026-01-02-gone.sql")).unwrap();
    migrate(&database, "status", &directory).expect(2).says(&["cannot read", "2026-01-02-gone.sql"]);
}

#[test]
fn two_files_of_the_same_version_are_refused() {
    let directory =
        migrations(&[("2026-01-02-one.sql", "select 1;"), ("2026-01-02-01-two.sql", "select 2;")]);
    migrate(&TestDatabase::empty(), "up", &directory).expect(2).says(&[
        "2026-01-02-01-two.sql",
        "2026-01-02-one.sql",
        "have the same version",
        "the next number of the day",
    ]);
}

#[test]
fn a_file_name_that_does_not_fit_is_refused() {
    for name in ["V1__one.sql", "2026-02-30-x.sql", "add-tags.sql"] {
        let directory = migrations(&[(name, "select 1;")]);
        migrate(&TestDatabase::empty(), "up", &directory)
            .expect(2)
            .says(&[name, "name it YYYY-MM-DD-description.sql"]);
    }
}

#[test]
fn what_is_no_migration_is_passed_over() {
    let directory =
        migrations(&[("README.md", "Words."), (".2026-01-02-x.sql.swp", "?"), (".hidden.sql", "?")]);
    migrate(&TestDatabase::empty(), "up", &directory).expect(0);
}

#[test]
fn an_empty_migration_is_refused() {
    let directory = migrations(&[("2026-01-02-empty.sql", "-- nothing yet\n-- rollback\ndrop table t;\n")]);
    migrate(&TestDatabase::empty(), "up", &directory)
        .expect(2)
        .says(&["2026-01-02-empty.sql has no statement before its rollback part"]);
}

#[test]
fn an_applied_file_that_was_edited_renamed_or_removed_stops_the_run() {
    let applied = ("2026-01-02-t.sql", "create table t (id int);\n-- rollback\ndrop table t;\n");
    let later = ("2026-01-03-later.sql", "create table later (id int);\n-- rollback\n");
    let edited = vec![("2026-01-02-t.sql", "create table t (id bigint);\n-- rollback\n")];
    let renamed = vec![("2026-01-02-u.sql", applied.1)];
    let changes = [
        (edited, "2026-01-02-t (edited)", "edited since applied"),
        (renamed, "2026-01-02-u (edited)", "edited since applied"),
        (vec![], "t (its file is gone)", "file is gone"),
    ];
    for (files, named, state) in changes {
        let database = TestDatabase::empty();
        migrate(&database, "up", &migrations(&[applied])).expect(0);
        let before = database.dump();

        let files: Vec<_> = files.into_iter().chain([later]).collect();
        let directory = migrations(&files);
        migrate(&database, "up", &directory).expect(2).says(&[
            "no longer as applied",
            named,
            "nothing was run",
            "write a new migration",
        ]);
        assert_eq!(database.dump(), before);
        let status = migrate(&database, "status", &directory).expect(1);
        assert!(status.stdout.contains(state), "{}", status.stdout);
    }
}

#[test]
fn the_rollback_part_and_line_endings_may_change_after_the_fact() {
    let database = TestDatabase::empty();
    migrate(&database, "up", &migrations(&[("2026-01-02-t.sql", "create table t (id int);\n-- rollback\n")]))
        .expect(0);
    let directory =
        migrations(&[("2026-01-02-t.sql", "create table t (id int);\r\n-- rollback\r\ndrop table t;\r\n")]);
    migrate(&database, "status", &directory).expect(0);
}

#[test]
fn a_file_that_sorts_before_an_applied_one_is_refused() {
    let database = TestDatabase::empty();
    let late = ("2026-01-03-late.sql", "create table late (id int);\n-- rollback\n");
    migrate(&database, "up", &migrations(&[late])).expect(0);
    let directory =
        migrations(&[late, ("2026-01-02-early.sql", "create table early (id int);\n-- rollback\n")]);
    migrate(&database, "up", &directory)
        .expect(2)
        .says(&["2026-01-02-early would come before 2026-01-03-late", "give the file today's date"]);
    assert_eq!(tables(&database), ["late"]);
    let status = migrate(&database, "status", &directory).expect(1);
    assert!(status.stdout.contains("out of order"), "{}", status.stdout);
}

#[test]
fn a_second_of_a_day_comes_after_the_first() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        ("2026-01-02-10-third.sql", "alter table t add column c int;\n-- rollback\n"),
        ("2026-01-02-02-second.sql", "alter table t add column b int;\n-- rollback\n"),
        ("2026-01-02-first.sql", "create table t (a int);\n-- rollback\n"),
    ]);
    migrate(&database, "up", &directory).expect(0);
    assert_eq!(history(&database), [2_026_010_101, 2_026_010_201, 2_026_010_202, 2_026_010_210]);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let database = TestDatabase::empty();
    run(&mut database.percytech(&["migrate", "up", "--dir", "/nowhere"]))
        .expect(2)
        .says(&["cannot read the migrations in /nowhere", "--dir"]);
}
