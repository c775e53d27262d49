//! What every refusal carries to the SQL client: an SQLSTATE and PostgreSQL's three parts of a message.

/// A refusal, in the parts that PostgreSQL reports it in.
///
/// The message itself is the type's `Display`: what happened, in lower case, without a full stop.
pub trait Refusal: std::error::Error {
    /// The five characters that a client can act on.
    fn sqlstate(&self) -> &'static str;
    /// The particulars, as a sentence.
    fn detail(&self) -> Option<String>;
    /// What to do about it, as a sentence.
    fn hint(&self) -> Option<String>;
}
