//! Study text to settings, with messages that say where and what was probably meant.

use crate::{Error, StudyConfig};

pub(super) fn study(text: &str, file: &str) -> Result<StudyConfig, Error> {
    let study: StudyConfig = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::Syntax {
            file: file.to_owned(),
            line,
            message: with_suggestion(error.message()),
        }
    })?;
    study.validate()?;
    Ok(study)
}

/// Adds the nearest known name to serde's messages about an unknown one, which quote the unknown
/// name first and the known ones after it.
fn with_suggestion(message: &str) -> String {
    let message = message.trim_end();
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else {
        return message.to_owned();
    };
    let nearest = quoted.map(|known| (distance(unknown, known), known)).min();
    match nearest {
        // More than half of the letters wrong is no typing error.
        Some((edits, known)) if 2 * edits <= unknown.chars().count().max(2) => {
            format!("{message}; did you mean `{known}`?")
        }
        _ => message.to_owned(),
    }
}

/// Edit distance (Levenshtein): insertions, deletions and substitutions of one letter.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(x != *y))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_counts_by_hand() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("epoch", "epochs", 1),
            ("bacth", "batch", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let text = "name = \"a\"\nseeds = [1]\n\n[problem]\nrecipe = \"dc3-simple\"\n\n[training]\nepoch = 3\nbatch = 5\n[[method]]\nkind = \"soft\"\n";
        let message = study(text, "s.toml").unwrap_err().to_string();
        assert!(
            message.starts_with("s.toml, line 8: unknown field `epoch`"),
            "{message}"
        );
        assert!(message.ends_with("did you mean `epochs`?"), "{message}");
    }

    #[test]
    fn unknown_kinds_types_and_broken_text_have_their_line() {
        let good = "name = \"a\"\nseeds = [1]\nproblem = { recipe = \"dc3-simple\" }\ntraining = { epochs = 3, batch = 5 }\n[[method]]\nkind = \"soft\"\n";
        assert!(study(good, "s").is_ok());
        for (from, to, expected) in [
            (
                "\"soft\"",
                "\"snarnet\"",
                "s, line 6: unknown variant `snarnet`",
            ),
            ("\"soft\"", "\"snarnet\"", "did you mean `snarenet`?"),
            ("epochs = 3", "epochs = \"3\"", "s, line 4: "),
            ("seeds = [1]", "seeds = [1", "s, line "),
            ("kind = \"soft\"", "name = \"x\"", "missing field `kind`"),
        ] {
            let message = study(&good.replace(from, to), "s").unwrap_err().to_string();
            assert!(
                message.contains(expected),
                "{message}\nshould contain {expected}"
            );
        }
    }
}
