//! Full-text search that can use an index under row level security.

pgrx::extension_sql_file!("search.sql", name = "search_operator");
