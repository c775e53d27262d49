//! A file of SQL, statement by statement: so that an error can name the file, the line and the statement.

use std::path::Path;

use miette::{Diagnostic, NamedSource, SourceSpan};
use pg_query::NodeEnum;
use pg_query::protobuf::Token;
use postgres::GenericClient;
use postgres::error::{DbError, ErrorPosition, SqlState};

use crate::database::SqlError;

/// A statement of a script.
#[derive(Debug)]
pub struct Statement {
    /// Its text, without the comments before it.
    pub sql: String,
    /// Where it starts in the script, in bytes.
    pub offset: usize,
    /// What it is, by PostgreSQL's own grammar; nothing where it is nested too deeply for us to follow.
    pub node: Option<NodeEnum>,
}

/// The statements of a file of SQL.
#[derive(Debug)]
pub struct Script {
    name: String,
    text: String,
    statements: Vec<Statement>,
}

/// A statement that PostgreSQL does not accept: which, where, and why.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}: {message}")]
pub struct Error {
    file: String,
    line: usize,
    message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    at: Option<SourceSpan>,
    #[label("in this statement")]
    statement: SourceSpan,
    #[help]
    help: Option<String>,
}

impl Script {
    /// Splits `text`, read from `file`, into its statements. Refuses what is not SQL.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Box<Error>> {
        let mut script =
            Self { name: file.display().to_string(), text: text.to_owned(), statements: Vec::new() };
        let pieces =
            pg_query::split_with_parser(text).map_err(|error| script.syntax_error(&error.to_string()))?;
        let code_starts = code_starts(text);
        for piece in pieces {
            let from = piece.as_ptr() as usize - text.as_ptr() as usize;
            let end = from + piece.trim_end().len();
            let Some(offset) = code_starts.iter().copied().find(|start| (from..end).contains(start)) else {
                continue;
            };
            let sql = text[offset..end].to_owned();
            // Where this fails it is SQL all the same, but nested too deeply for the library that hands the tree over.
            let parsed = pg_query::parse(&sql, 0).ok();
            let node = parsed.and_then(|parsed| parsed.protobuf.stmts.into_iter().next()?.stmt?.node);
            script.statements.push(Statement { sql, offset, node });
        }
        Ok(script)
    }

    /// The file that it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&self.name)
    }

    /// The statements, in order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Runs the statements one after the other, and stops at the first that fails. Each is sent as one statement and
    /// cannot be two, however the server has been told to read strings.
    pub fn run(&self, client: &mut impl GenericClient) -> Result<(), Box<Error>> {
        for statement in &self.statements {
            client.execute(&statement.sql, &[]).map_err(|error| self.server_error(statement, error))?;
        }
        Ok(())
    }

    /// An error about `statement` as a whole.
    #[must_use]
    pub fn error_at(&self, statement: &Statement, message: &str, help: &str) -> Box<Error> {
        self.error(
            message.to_owned(),
            None,
            statement.offset..statement.offset + statement.sql.len(),
            Some(help.to_owned()),
        )
    }

    fn syntax_error(&self, words: &str) -> Box<Error> {
        // "Error splitting: " is the parser library's own word.
        let message = words.split_once(": ").map_or(words, |(_, message)| message);
        // The scanner splits less well than the parser, but it splits what the parser refuses.
        let failing = pg_query::split_with_scanner(&self.text)
            .ok()
            .and_then(|pieces| pieces.into_iter().find(|piece| pg_query::split_with_parser(piece).is_err()))
            .unwrap_or(&self.text);
        let offset = failing.as_ptr() as usize - self.text.as_ptr() as usize;
        let skipped = code_starts(failing).first().copied().unwrap_or(0);
        let (offset, failing) = (offset + skipped, &failing[skipped..]);
        let at = locate(failing, message).map(|at| offset + at.start..offset + at.end);
        self.error(
            first_line(message),
            at,
            offset..offset + failing.trim_end().len(),
            Some("mend the statement; nothing of this file was run".to_owned()),
        )
    }

    fn server_error(&self, statement: &Statement, error: postgres::Error) -> Box<Error> {
        let db = error.as_db_error();
        let at = match db.and_then(DbError::position) {
            Some(ErrorPosition::Original(character)) => {
                let index = usize::try_from(*character).unwrap_or(1).saturating_sub(1);
                statement.sql.char_indices().nth(index).map(|(byte, character)| {
                    statement.offset + byte..statement.offset + byte + character.len_utf8()
                })
            }
            _ => None,
        };
        let advice = db.and_then(advice);
        let error = SqlError::from(error);
        let advice = advice
            .unwrap_or_else(|| "mend the statement; nothing of this file is left in the database".to_owned());
        let help = [error.help.clone(), Some(advice)].into_iter().flatten().collect::<Vec<_>>().join("\n");
        self.error(
            error.to_string(),
            at,
            statement.offset..statement.offset + statement.sql.len(),
            Some(help),
        )
    }

    fn error(
        &self,
        message: String,
        at: Option<std::ops::Range<usize>>,
        statement: std::ops::Range<usize>,
        help: Option<String>,
    ) -> Box<Error> {
        let start = at.as_ref().map_or(statement.start, |at| at.start);
        Box::new(Error {
            file: self.name.clone(),
            line: self.text[..start].matches('\n').count() + 1,
            message,
            source_code: NamedSource::new(&self.name, self.text.clone()),
            at: at.map(Into::into),
            statement: statement.into(),
            help,
        })
    }
}

/// What to do about an error that the server's own hint leaves open.
fn advice(db: &DbError) -> Option<String> {
    let message = db.message();
    let missing =
        message.strip_prefix("extension \"").and_then(|rest| rest.split_once("\" is not available"));
    if let Some((extension, _)) = missing {
        return Some(match extension {
            "percytech" => {
                "install it on the server's machine: make install PG_CONFIG=<the server's pg_config>"
                    .to_owned()
            }
            _ => format!(
                "install it on the server's machine; {extension} may come with the package postgresql-contrib"
            ),
        });
    }
    if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE
        && message.starts_with("permission denied to create extension")
    {
        return Some(
            "let a superuser run this statement, or run the migrations as one; where the extension exists already, \
             the statement does nothing and needs no right"
                .to_owned(),
        );
    }
    if *db.code() == SqlState::ACTIVE_SQL_TRANSACTION {
        return Some(
            "this runs in one transaction: take CONCURRENTLY out, or run the statement by hand".to_owned(),
        );
    }
    (*db.code() == SqlState::INSUFFICIENT_PRIVILEGE).then(|| {
        "run this as a superuser, or grant what is missing; nothing of this file is left in the database"
            .to_owned()
    })
}

/// The lines of the comment at the top of a file, and the empty ones among them.
pub fn comment_at_top(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim().is_empty() || line.starts_with("--"))
}

/// An unterminated string is reported with all the text that follows it.
fn first_line(message: &str) -> String {
    match message.split_once('\n') {
        None => message.to_owned(),
        Some((line, _)) => format!("{line}…\""),
    }
}

/// Where each token starts that is no comment. Nothing where the text cannot even be split into tokens.
fn code_starts(text: &str) -> Vec<usize> {
    let Ok(scanned) = pg_query::scan(text) else { return Vec::new() };
    scanned
        .tokens
        .iter()
        .filter(|token| ![Token::SqlComment as i32, Token::CComment as i32].contains(&token.token))
        .filter_map(|token| usize::try_from(token.start).ok())
        .collect()
}

/// The place that a syntax error is about. The parser tells the offending text, not its place: it is the occurrence up
/// to which the statement fails in the same words.
fn locate(statement: &str, message: &str) -> Option<std::ops::Range<usize>> {
    if message.ends_with(" at end of input") {
        let end = statement.trim_end().len();
        return Some(end..end);
    }
    let (_, near) = message.split_once(" at or near \"")?;
    let near = near.strip_suffix('"')?;
    let fails_alike = |end: usize| {
        pg_query::split_with_parser(&statement[..end])
            .is_err_and(|error| error.to_string().ends_with(message))
    };
    statement
        .match_indices(near)
        .map(|(start, _)| start..start + near.len())
        .find(|place| fails_alike(place.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, Box<Error>> {
        Script::parse(Path::new("x.sql"), text)
    }

    #[test]
    fn statements_come_without_the_comments_before_them() {
        let script = parse("-- one\nselect 1;\n\n/* two */ select ';' ;\n-- end\n").unwrap();
        let statements: Vec<_> = script.statements().iter().map(|s| (s.offset, s.sql.as_str())).collect();
        assert_eq!(statements, [(7, "select 1"), (28, "select ';'")]);
    }

    #[test]
    fn semicolons_within_bodies_do_not_end_a_statement() {
        let text = "do $$ begin perform 1; end $$; create function f() returns int begin atomic select 1; select 2; end";
        assert_eq!(parse(text).unwrap().statements().len(), 2);
    }

    #[test]
    fn a_syntax_error_names_file_line_and_place() {
        let text =
            "select 1;\n\n-- tabel is a word here\ncreate table tabel (\n  id int\n);\ncreate tabel x ();\n";
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), "x.sql:7: syntax error at or near \"tabel\"");
        let at = error.at.unwrap();
        assert_eq!(&text[at.offset()..at.offset() + at.len()], "tabel");
        assert_eq!(&text[error.statement.offset()..][..error.statement.len()], "create tabel x ()");
    }

    #[test]
    fn of_equal_words_the_one_that_fails_is_meant() {
        let text = "select a from a a a;";
        let error = parse(text).unwrap_err();
        assert_eq!(error.at.unwrap().offset(), 18);
    }

    #[test]
    fn a_statement_that_stops_short_fails_at_its_end() {
        let error = parse("select 1;\ncreate table t (\n  id int,\n").unwrap_err();
        assert_eq!(error.to_string(), "x.sql:3: syntax error at end of input");
    }

    #[test]
    fn an_unterminated_string_is_found() {
        let error = parse("select 1;\nselect 'abc;\nselect 2;\n").unwrap_err();
        assert_eq!(error.to_string(), "x.sql:2: unterminated quoted string at or near \"'abc;…\"");
    }

    #[test]
    fn a_statement_that_is_nested_deeply_is_one_all_the_same() {
        let text = format!("select {};\nselect 2;", vec!["'a'"; 300].join(" || "));
        let script = parse(&text).unwrap();
        assert_eq!(script.statements().len(), 2);
        assert!(script.statements()[0].node.is_none() && script.statements()[1].node.is_some());
    }

    #[test]
    fn an_empty_text_has_no_statements() {
        assert!(parse("-- nothing\n").unwrap().statements().is_empty());
    }
}
