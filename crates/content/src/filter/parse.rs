//! From the text of a filter to its selectors.

use std::iter::Peekable;
use std::str::CharIndices;

use super::{Filter, Selector, Test, matches};

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("expected {expected} at byte {at}")]
    Expected { expected: &'static str, at: usize },
    #[error("operator {0:?} is not one of ==, != and ~=")]
    Operator(String),
    #[error("the quoted text at byte {at} {why}")]
    Quoted { why: &'static str, at: usize },
}

pub(super) fn filter(text: &str) -> Result<Filter, ParseError> {
    if text.is_empty() {
        return Ok(Filter::default());
    }
    let mut reader = Reader {
        text,
        chars: text.char_indices().peekable(),
    };
    let mut selectors = vec![reader.selector()?];
    while let Some(next) = reader.peek() {
        if next != ',' {
            return Err(reader.expected("a comma or the end"));
        }
        reader.chars.next();
        selectors.push(reader.selector()?);
    }
    Ok(Filter(selectors))
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

fn is_field(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_operator(c: char) -> bool {
    matches!(c, '=' | '!' | '~')
}

fn is_value(c: char) -> bool {
    c != ',' && !c.is_whitespace() && !c.is_control()
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn expected(&mut self, expected: &'static str) -> ParseError {
        let at = self.at();
        ParseError::Expected { expected, at }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.chars.next();
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| belongs(*c)) {
            taken.push(c);
            self.chars.next();
        }
        taken
    }

    fn selector(&mut self) -> Result<Selector, ParseError> {
        let path = self.path()?;
        if matches!(self.peek(), None | Some(',')) {
            let test = Test::Present;
            return Ok(Selector { path, test });
        }
        self.skip_space();
        let operator = self.take_while(is_operator);
        let test = match operator.as_str() {
            "==" => Test::Equal(self.value(false)?),
            "!=" => Test::NotEqual(self.value(false)?),
            "~=" => matches(&self.value(true)?),
            "" => return Err(self.expected("an operator")),
            _ => return Err(ParseError::Operator(operator)),
        };
        Ok(Selector { path, test })
    }

    fn path(&mut self) -> Result<Vec<String>, ParseError> {
        let mut path = vec![self.field()?];
        while self.peek() == Some('.') {
            self.chars.next();
            path.push(self.field()?);
        }
        Ok(path)
    }

    fn field(&mut self) -> Result<String, ParseError> {
        self.skip_space();
        if self.peek() == Some('"') {
            return self.quoted('"');
        }
        let field = self.take_while(is_field);
        if field.is_empty() {
            return Err(self.expected("a field"));
        }
        Ok(field)
    }

    fn value(&mut self, is_expression: bool) -> Result<String, ParseError> {
        self.skip_space();
        match self.peek() {
            Some('"') => self.quoted('"'),
            Some(quote @ ('/' | '|')) if is_expression => self.quoted(quote),
            Some(c) if is_value(c) && !is_operator(c) && !matches!(c, '.' | '/' | '|') => {
                Ok(self.take_while(is_value))
            }
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads a quoted text with the escapes of a Go string.
    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let at = self.at();
        let error = |why| ParseError::Quoted { why, at };
        self.chars.next();
        let mut bytes = Vec::new();
        loop {
            match self.chars.next().map(|(_, c)| c) {
                None | Some('\n') => return Err(error("does not end")),
                Some(c) if c == quote => break,
                Some('\\') => {
                    let escaped = self.escaped(quote, &mut bytes);
                    escaped.ok_or_else(|| error("holds an escape that is none"))?;
                }
                Some(c) => push(&mut bytes, c),
            }
        }
        String::from_utf8(bytes).map_err(|_| error("is not UTF-8"))
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
        let (_, c) = self.chars.next()?;
        match c {
            'a' => bytes.push(0x07),
            'b' => bytes.push(0x08),
            'f' => bytes.push(0x0c),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(0x0b),
            '\\' => bytes.push(b'\\'),
            c if c == quote => push(bytes, c),
            'x' => bytes.push(u8::try_from(self.digits(16, 2, 0)?).ok()?),
            'u' => push(bytes, char::from_u32(self.digits(16, 4, 0)?)?),
            'U' => push(bytes, char::from_u32(self.digits(16, 8, 0)?)?),
            '0'..='7' => {
                let octal = self.digits(8, 2, c.to_digit(8)?)?;
                bytes.push(u8::try_from(octal).ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    fn digits(&mut self, radix: u32, count: usize, mut value: u32) -> Option<u32> {
        for _ in 0..count {
            let (_, c) = self.chars.next()?;
            value = value.checked_mul(radix)?.checked_add(c.to_digit(radix)?)?;
        }
        Some(value)
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
