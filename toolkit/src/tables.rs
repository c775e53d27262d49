//! The tables that must keep brands apart: what policies are applied to, and what is verified.

use postgres::GenericClient;

/// A table of the schemas, or a relative of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its place in the catalog.
    pub oid: u32,
    /// Its name, with its schema, as SQL writes it.
    pub name: String,
}

/// The tables of these schemas, and their relatives in others, by name.
pub fn of_schemas(
    client: &mut impl GenericClient,
    schemas: &[String],
) -> Result<Vec<Table>, postgres::Error> {
    let rows = client.query(include_str!("tables.sql"), &[&schemas])?;
    Ok(rows.iter().map(|row| Table { oid: row.get("oid"), name: row.get("name") }).collect())
}
