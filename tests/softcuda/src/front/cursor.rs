//! A place in the tokens.

use super::lexer::{Kind, Token, line_text};
use super::{LoadError, Result};

/// The tokens of a module and how far they are read.
pub(super) struct Cursor<'a> {
    ptx: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(ptx: &'a str, tokens: Vec<Token<'a>>) -> Self {
        Self { ptx, tokens, at: 0 }
    }

    /// The next token.
    pub fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }

    /// The token `ahead` of the next one.
    pub fn ahead(&self, ahead: usize) -> Token<'a> {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + ahead).min(last)]
    }

    /// Reads a token.
    pub fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// An error on a line.
    pub fn error(&self, line: u32, message: impl Into<String>) -> LoadError {
        LoadError { line, text: line_text(self.ptx, line), message: message.into() }
    }

    /// An error at the next token.
    pub fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(self.error(self.peek().line, message))
    }

    /// The error that something else was expected than the next token.
    pub fn expected<T>(&self, what: &str) -> Result<T> {
        self.fail(format!("expected {what}, found {}", self.peek().shown()))
    }

    /// Reads the character `mark` if it is next.
    pub fn eat(&mut self, mark: &str) -> bool {
        let found = self.peek().is(mark);
        if found {
            self.next();
        }
        found
    }

    /// Reads the character `mark`.
    pub fn expect(&mut self, mark: &str) -> Result<()> {
        if self.eat(mark) { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    /// Reads a name.
    pub fn word(&mut self, what: &str) -> Result<&'a str> {
        if self.peek().kind == Kind::Word { Ok(self.next().text) } else { self.expected(what) }
    }

    /// Reads the directive or modifier `dot` (without its dot) if it is next.
    pub fn eat_dot(&mut self, dot: &str) -> bool {
        let found = self.peek_dot() == Some(dot);
        if found {
            self.next();
        }
        found
    }

    /// The next token if it is a directive or modifier, without its dot.
    pub fn peek_dot(&self) -> Option<&'a str> {
        let token = self.peek();
        (token.kind == Kind::Dot).then(|| &token.text[1..])
    }

    /// Reads to the end of the line of `line`.
    pub fn skip_line(&mut self, line: u32) {
        while self.peek().kind != Kind::End && self.peek().line == line {
            self.next();
        }
    }

    /// Reads past the next `;`.
    pub fn skip_statement(&mut self) -> Result<()> {
        while !self.peek().is(";") {
            if self.peek().kind == Kind::End {
                return self.expected("`;`");
            }
            self.next();
        }
        self.next();
        Ok(())
    }

    /// Reads from a `{` past the `}` that closes it.
    pub fn skip_block(&mut self) -> Result<()> {
        self.expect("{")?;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                token if token.is("{") => depth += 1,
                token if token.is("}") => depth -= 1,
                token if token.kind == Kind::End => return self.expected("`}`"),
                _ => {}
            }
        }
        Ok(())
    }
}
