//! Lines of arguments, each character with its place.

use super::LineError;
use crate::remark::Place;

/// One argument: its characters, each with its place in the file.
#[derive(Debug, Default)]
pub(super) struct Token {
    characters: Vec<(char, Place)>,
    /// Where it begins, quotes included; its end, one past the last character.
    span: Option<(Place, Place)>,
}

impl Token {
    pub(super) fn text(&self) -> String {
        self.characters.iter().map(|(character, _)| character).collect()
    }

    /// The place of the character at this byte of the text.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut bytes = 0;
        for (character, place) in &self.characters {
            if bytes >= offset {
                return *place;
            }
            bytes += character.len_utf8();
        }
        if offset == 0 { self.begin() } else { self.end() }
    }

    fn begin(&self) -> Place {
        self.span.map_or(Place { line: 1, column: 1 }, |(begin, _)| begin)
    }

    pub(super) fn end(&self) -> Place {
        self.span.map_or(Place { line: 1, column: 1 }, |(_, end)| end)
    }
}

/// Splits a text into its logical lines, comments and blank lines left out. A line that cannot be split is an error
/// of its own; the next one begins after its line end.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Vec<Token>, LineError>> {
    let mut scanner = Scanner { rest: text.chars().peekable(), place: Place { line: 1, column: 1 } };
    std::iter::from_fn(move || {
        while scanner.rest.peek().is_some() {
            match scanner.line() {
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => return Some(Ok(tokens)),
                Err(error) => {
                    while scanner.next().is_some_and(|(character, _)| character != '\n') {}
                    return Some(Err(error));
                }
            }
        }
        None
    })
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    place: Place,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<(char, Place)> {
        let character = self.rest.next()?;
        let place = self.place;
        self.place = match character {
            '\n' => Place { line: place.line + 1, column: 1 },
            _ => Place { line: place.line, column: place.column + 1 },
        };
        Some((character, place))
    }

    /// Up to and with the line end.
    fn line(&mut self) -> Result<Vec<Token>, LineError> {
        let mut tokens = Vec::new();
        let mut token = Token::default();
        while let Some((character, place)) = self.next() {
            match character {
                '\n' => break,
                '#' if token.span.is_none() => while self.rest.next_if(|next| *next != '\n').is_some() {},
                _ if character.is_whitespace() => {
                    if token.span.is_some() {
                        tokens.push(std::mem::take(&mut token));
                    }
                    continue;
                }
                '\'' | '"' => self.quoted(character, place, &mut token)?,
                '\\' => match self.escaped() {
                    // A joined line does not end an argument, but the blanks around it do.
                    None => continue,
                    Some(kept) => token.characters.push((kept, place)),
                },
                _ => token.characters.push((character, place)),
            }
            if character != '#' || token.span.is_some() || !token.characters.is_empty() {
                let begin = token.span.map_or(place, |(begin, _)| begin);
                token.span = Some((begin, self.place));
            }
        }
        if token.span.is_some() {
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// What a backslash keeps; `None` when it joins two lines.
    fn escaped(&mut self) -> Option<char> {
        self.rest.next_if_eq(&'\r').inspect(|_| self.place.column += 1);
        match self.next() {
            Some(('\n', _)) | None => None,
            Some((character, _)) => Some(character),
        }
    }

    fn quoted(&mut self, quote: char, opened: Place, token: &mut Token) -> Result<(), LineError> {
        while let Some((character, place)) = self.rest.peek().copied().map(|character| (character, self.place)) {
            match character {
                '\n' => break,
                _ if character == quote => {
                    self.next();
                    return Ok(());
                }
                '\\' if quote == '"' => {
                    self.next();
                    match self.rest.next_if(|next| *next == '"' || *next == '\\') {
                        Some(kept) => {
                            self.place.column += 1;
                            token.characters.push((kept, place));
                        }
                        None => token.characters.push(('\\', place)),
                    }
                }
                _ => {
                    self.next();
                    token.characters.push((character, place));
                }
            }
        }
        Err((opened, format!("the quote {quote} is not closed on its line")))
    }
}

/// The arguments of one line, as they stand in a file.
///
/// # Errors
/// What cannot be split, with its column.
pub fn split(line: &str) -> Result<Vec<String>, (usize, String)> {
    let mut arguments = Vec::new();
    for line in lines(line) {
        let tokens = line.map_err(|(place, message)| (place.column, message))?;
        arguments.extend(tokens.iter().map(Token::text));
    }
    Ok(arguments)
}
