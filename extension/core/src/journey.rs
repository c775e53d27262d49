//! The customer's journey: the rules that a brand begins with.

/// The moves that a brand allows to begin with, from stage to stage. Each brand changes its own in
/// `stage_transition_rules`.
pub const DEFAULT_TRANSITIONS: [(&str, &[&str]); 6] = [
    ("lead", &["marketing", "trial", "dormant", "churned"]),
    ("marketing", &["trial", "dormant", "churned", "lead"]),
    ("trial", &["active", "churned", "dormant"]),
    ("active", &["churned", "dormant"]),
    ("churned", &["trial", "active", "marketing"]),
    ("dormant", &["marketing", "trial", "active", "churned"]),
];
