//! The tokens of a question with their texts and depths.

use std::ops::Range;

use crate::definition::{Token, tokens};

/// A token of a question.
#[derive(Debug, Clone)]
pub(super) struct Piece<'s> {
    token: Token,
    pub(super) text: &'s str,
    pub(super) span: Range<usize>,
    /// How many parentheses are open around it; one that opens or closes stands outside.
    pub(super) depth: usize,
}

impl<'s> Piece<'s> {
    /// Returns the tokens of a question; none if it can't be split.
    pub(super) fn all(sql: &'s str) -> Vec<Self> {
        let mut depth: usize = 0;
        let mut pieces = Vec::new();
        for token in tokens(sql).unwrap_or_default() {
            let text = sql.get(token.span.clone()).unwrap_or_default();
            if text == ")" {
                depth = depth.saturating_sub(1);
            }
            pieces.push(Piece { token: token.token, text, span: token.span, depth });
            if text == "(" {
                depth += 1;
            }
        }
        pieces
    }

    /// Whether it is this keyword, which is not quoted.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.token == Token::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(super) fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// Whether it is this sign.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token, Token::Other | Token::Semicolon) && self.text == sign
    }

    /// Returns it as a name, without its quotes.
    pub(super) fn name(&self) -> Option<&'s str> {
        match self.token {
            Token::Word => Some(self.text),
            Token::Quoted => Some(self.text.trim_matches(['"', '`', '[', ']'])),
            _ => None,
        }
    }

    /// Whether it is this name.
    pub(super) fn is_name(&self, name: &str) -> bool {
        self.name().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    /// Returns the text in single quotes.
    pub(super) fn literal(&self) -> Option<String> {
        let is_text = self.token == Token::Text;
        let inner = self.text.strip_prefix('\'')?.strip_suffix('\'')?;
        is_text.then(|| inner.replace("''", "'"))
    }

    /// Returns the integer.
    pub(super) fn integer(&self) -> Option<i64> {
        let is_number = self.token == Token::Word && self.text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| self.text.parse().ok()).flatten()
    }
}
