//! Study and run names. They come from files and become folders, so they are checked both ways.

use crate::Error;

/// Longest name, in characters. With a suffix it stays below the 255 bytes that file systems allow.
const LONGEST: usize = 120;

/// Checks a study or run name: 1 to 120 characters of `A-Z a-z 0-9 . _ -`, without `..` and without
/// a dot in front (such folders are hidden, and [`list_runs`](crate::list_runs) passes over them).
///
/// `role` is the word for it in the message: `"study"` or `"run"`.
///
/// # Errors
/// [`Error::Name`] with the first rule that the name breaks.
pub fn validate_name(role: &'static str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = if name.is_empty() {
        "is empty"
    } else if name.chars().count() > LONGEST {
        "is too long"
    } else if name.contains("..") {
        "contains \"..\""
    } else if name.starts_with('.') {
        "starts with a dot"
    } else if !name.chars().all(allowed) {
        "has a character that is not allowed"
    } else {
        return Ok(());
    };
    Err(Error::Name {
        role,
        name: name.chars().take(LONGEST).collect(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        let longest = "x".repeat(120);
        for name in [
            "a",
            "noncvx",
            "snarenet_tol-1e-6.seed_3",
            "-",
            "a.b",
            longest.as_str(),
        ] {
            assert!(validate_name("run", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_leave_the_folder_or_hide_are_refused() {
        let too_long = "x".repeat(121);
        for name in [
            "", ".", "..", "../x", "a..b", "a/b", "a\\b", "/etc", ".hidden", "a b", "a\n", "a\0",
            "é", "C:", "~", &too_long,
        ] {
            let error = validate_name("study", name).unwrap_err();
            assert!(
                matches!(error, Error::Name { role: "study", .. }),
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_message_escapes_hostile_text() {
        let text = validate_name("run", "a\n\u{1b}[31m")
            .unwrap_err()
            .to_string();
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("not allowed"));
    }
}
