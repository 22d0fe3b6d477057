//! Assignments as a shell reads them: `NAME=VALUE`, quoted or not, and comments. Expansions are refused, since a password
//! that means something else here than there would be found too late.

use zeroize::Zeroizing;

/// One assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment<'a> {
    pub name: &'a str,
    /// It may be a password.
    pub value: Zeroizing<String>,
}

/// Reads a line; `None`: there is nothing on it.
pub(super) fn assignment(line: &str) -> Result<Option<Assignment<'_>>, String> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    if line.trim_end().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once('=').ok_or("expected NAME=VALUE")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("expected NAME=VALUE: a name has letters, digits and _, and no blank stands before the =".into());
    }
    Ok(Some(Assignment { name, value: word(rest)? }))
}

/// One word of a shell, and nothing but a comment behind it.
fn word(text: &str) -> Result<Zeroizing<String>, String> {
    // Room for all of it at once, so that no part of a password is left behind in memory that was given back.
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {
                let rest: String = chars.collect();
                return match rest.trim_start() {
                    "" => Ok(value),
                    rest if rest.starts_with('#') => Ok(value),
                    _ => Err("a value with blanks takes quotes".into()),
                };
            }
            '\'' => loop {
                match chars.next().ok_or("the closing ' is missing")? {
                    '\'' => break,
                    c => value.push(c),
                }
            },
            '"' => loop {
                match chars.next().ok_or("the closing \" is missing")? {
                    '"' => break,
                    '\\' if matches!(chars.peek(), Some('"' | '\\' | '$' | '`')) => value.extend(chars.next()),
                    c @ ('$' | '`') => return Err(expansion(c)),
                    c => value.push(c),
                }
            },
            '\\' => value.push(chars.next().ok_or("nothing follows the last \\")?),
            c @ ('$' | '`') => return Err(expansion(c)),
            c @ (';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                return Err(format!("{c} means something to a shell: put the value in quotes"));
            }
            c => value.push(c),
        }
    }
    Ok(value)
}

fn expansion(c: char) -> String {
    format!("{c} begins an expansion of the shell, which is not made here: write \\{c}, or use single quotes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_shell_makes_of_them() {
        for (text, value) in [
            ("1234567890123456", "1234567890123456"),
            ("\"cbc(aes)\"", "cbc(aes)"),
            ("'a b$c'", "a b$c"),
            ("a\"b c\"'d'\\ e", "ab cd e"),
            ("\"a\\\"b\\$c\\d\"", "a\"b$c\\d"),
            ("x # comment", "x"),
            ("x#y", "x#y"),
            ("", ""),
            ("tcp  ", "tcp"),
        ] {
            assert_eq!(word(text).unwrap().as_str(), value, "{text}");
        }
        for text in ["'a", "\"a", "a b", "$x", "`x`", "\"$x\"", "cbc(aes)", "a;b", "a\\"] {
            assert!(word(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_are_assignments_comments_or_nothing() {
        assert_eq!(assignment(""), Ok(None));
        assert_eq!(assignment("  # CLEAR_ONLY=1"), Ok(None));
        assert_eq!(assignment("SERVER=1").unwrap().unwrap().value.as_str(), "1");
        assert_eq!(assignment("export A_1=x").unwrap().unwrap().name, "A_1");
        for line in ["A", "A =1", "1A=1", "=1", "A-B=1"] {
            assert!(assignment(line).is_err(), "{line}");
        }
    }
}
