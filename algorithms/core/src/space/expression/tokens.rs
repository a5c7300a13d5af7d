//! Tokens of a relation.

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    /// A parameter's name or a word of the language.
    Name(String),
    /// A name in backquotes: always a parameter.
    Quoted(String),
    Symbol(&'static str),
    End,
}

/// A token and the position of its first character, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) position: usize,
}

/// What cannot be read, and where.
pub(super) type Misread = (usize, String);

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 18] =
    ["**", "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", "[", "]", ",", "=", "!"];

/// Splits a text into tokens. `is_parameter` decides how much of `a-b` is one name.
pub(super) fn tokens(text: &str, is_parameter: &dyn Fn(&str) -> bool) -> Result<Vec<Placed>, Misread> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let first = characters[at];
        let position = at + 1;
        let token = if first.is_whitespace() {
            at += 1;
            continue;
        } else if first.is_ascii_digit()
            || (first == '.' && characters.get(at + 1).is_some_and(char::is_ascii_digit))
        {
            let end = number_end(&characters, at);
            let digits: String = characters[at..end].iter().collect();
            at = end;
            match digits.parse::<f64>() {
                Ok(number) if number.is_finite() => Token::Number(number),
                _ => return Err((position, format!("`{digits}` is not a finite number"))),
            }
        } else if first.is_alphabetic() || first == '_' {
            let end = name_end(&characters, at, is_parameter);
            let name = characters[at..end].iter().collect();
            at = end;
            Token::Name(name)
        } else if matches!(first, '"' | '\'' | '`') {
            let Some(length) = characters[at + 1..].iter().position(|c| *c == first) else {
                return Err((position, format!("the closing {first} is missing")));
            };
            let inner: String = characters[at + 1..at + 1 + length].iter().collect();
            at += length + 2;
            if first == '`' { Token::Quoted(inner) } else { Token::Text(inner) }
        } else {
            let symbol =
                SYMBOLS.iter().find(|s| s.chars().eq(characters[at..].iter().copied().take(s.len())));
            match symbol.copied() {
                Some("=") => return Err((position, "write == to compare".into())),
                Some("!") => return Err((position, "write `not` to negate".into())),
                Some(symbol) => {
                    at += symbol.len();
                    Token::Symbol(symbol)
                }
                None => return Err((position, format!("unexpected character {first:?}"))),
            }
        };
        found.push(Placed { token, position });
    }
    found.push(Placed { token: Token::End, position: characters.len() + 1 });
    Ok(found)
}

fn number_end(characters: &[char], start: usize) -> usize {
    let digits = |mut at: usize| {
        while characters.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(start);
    if characters.get(end) == Some(&'.') {
        end = digits(end + 1);
    }
    if matches!(characters.get(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(characters.get(end + 1), Some('+' | '-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// End of the longest known parameter name at `start`, else of the longest name without a hyphen.
fn name_end(characters: &[char], start: usize, is_parameter: &dyn Fn(&str) -> bool) -> usize {
    let part = |c: &char| c.is_alphanumeric() || *c == '_' || *c == '.';
    let plain = start + characters[start..].iter().take_while(|c| part(c)).count();
    let longest = start + characters[start..].iter().take_while(|c| part(c) || **c == '-').count();
    let ends = (plain + 1..=longest).rev().filter(|end| {
        // A name ends where no further name character follows.
        *end == longest || characters[*end] == '-'
    });
    ends.into_iter()
        .find(|end| is_parameter(&characters[start..*end].iter().collect::<String>()))
        .unwrap_or(plain)
}
