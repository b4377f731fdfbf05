//! Text to tokens.

use super::{LoadError, Result};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name: `add`, `%r1`, `$L__BB0_2`, `_`.
    Word,
    /// A dot and a name: `.reg`, `.f32`, `.L2::128B`.
    Dot,
    /// A literal without its sign.
    Number,
    /// Between quotes.
    Text,
    /// One character.
    Mark,
    /// The end of the text.
    End,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub line: u32,
}

impl Token<'_> {
    /// Whether this is the one character `mark`.
    pub fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// The token, for messages.
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::End => "the end of the text".into(),
            _ => format!("`{}`", self.text),
        }
    }
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'%')
}

fn continues_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

/// The text of a line, for messages.
pub(super) fn line_text(ptx: &str, line: u32) -> String {
    ptx.lines().nth(line as usize - 1).unwrap_or_default().trim().to_owned()
}

/// Cuts the text into tokens; the last is [`Kind::End`].
pub(super) fn tokens(ptx: &str) -> Result<Vec<Token<'_>>> {
    let mut lexer = Lexer { ptx, at: 0, line: 1 };
    let mut tokens = Vec::with_capacity(ptx.len() / 5);
    loop {
        lexer.skip_blanks()?;
        let token = lexer.token()?;
        tokens.push(token);
        if token.kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    ptx: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(LoadError { line: self.line, text: line_text(self.ptx, self.line), message: message.into() })
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.ptx.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, _) => self.at += 1,
                (b'/', b'/') => {
                    self.at += self.ptx[self.at..].find('\n').unwrap_or(self.ptx.len() - self.at);
                }
                (b'/', b'*') => {
                    let Some(length) = self.ptx[self.at + 2..].find("*/") else {
                        return self.error("a comment without an end");
                    };
                    let comment = &self.ptx[self.at..self.at + 2 + length + 2];
                    self.line += comment.matches('\n').count() as u32;
                    self.at += comment.len();
                }
                _ => return Ok(()),
            }
        }
    }

    fn token(&mut self) -> Result<Token<'a>> {
        let (start, line) = (self.at, self.line);
        let kind = match self.byte(0) {
            _ if self.at == self.ptx.len() => Kind::End,
            byte if starts_name(byte) => {
                self.at += 1;
                self.skip(continues_name);
                Kind::Word
            }
            b'.' => {
                self.at += 1;
                self.skip(|byte| continues_name(byte) || byte == b':');
                if self.at == start + 1 {
                    return self.error("a `.` without a name");
                }
                Kind::Dot
            }
            byte if byte.is_ascii_digit() => {
                self.number();
                if starts_name(self.byte(0)) || self.byte(0).is_ascii_digit() {
                    return self.error("a malformed number");
                }
                Kind::Number
            }
            b'"' => {
                let Some(length) = self.ptx[self.at + 1..].find(['"', '\n']) else {
                    return self.error("a string without an end");
                };
                self.at += length + 2;
                if !self.ptx[..self.at].ends_with('"') {
                    return self.error("a string without an end");
                }
                Kind::Text
            }
            b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'<' | b'>' | b',' | b';' | b':' | b'=' | b'+' | b'-' | b'@'
            | b'!' | b'|' => {
                self.at += 1;
                Kind::Mark
            }
            _ => {
                let character = self.ptx[self.at..].chars().next().unwrap_or_default();
                return self.error(format!("an unexpected character {character:?}"));
            }
        };
        Ok(Token { kind, text: &self.ptx[start..self.at], line })
    }

    fn skip(&mut self, accept: impl Fn(u8) -> bool) {
        while accept(self.byte(0)) {
            self.at += 1;
        }
    }

    /// Moves past a literal; what follows shows whether it is one.
    fn number(&mut self) {
        let digits = |byte: u8| byte.is_ascii_digit();
        match (self.byte(0), self.byte(1)) {
            (b'0', b'x' | b'X' | b'f' | b'F' | b'd' | b'D') => {
                self.at += 2;
                self.skip(|byte| byte.is_ascii_hexdigit());
            }
            (b'0', b'b' | b'B') => {
                self.at += 2;
                self.skip(digits);
            }
            _ => {
                self.skip(digits);
                if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
                    self.at += 1;
                    self.skip(digits);
                }
                let signed = usize::from(matches!(self.byte(1), b'+' | b'-'));
                if matches!(self.byte(0), b'e' | b'E') && self.byte(1 + signed).is_ascii_digit() {
                    self.at += 1 + signed;
                    self.skip(digits);
                }
            }
        }
        if self.byte(0) == b'U' {
            self.at += 1;
        }
    }
}
