//! Opting out of text messages: what a reply asks for, which number it is of, what time it is there, and what becomes of what
//! is sent.

pub mod delivery;
pub mod phone;
pub mod reply;
pub mod texts;
pub mod time_zone;
