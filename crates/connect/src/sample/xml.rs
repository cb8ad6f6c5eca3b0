//! A small XML writer for the samples.

use std::fmt::Write;

/// The white space of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    Indented,
    /// Line breaks only around entries and statements.
    Dense,
}

#[derive(Debug)]
pub(super) struct Xml {
    pub(super) text: String,
    prefix: &'static str,
    layout: Layout,
    depth: usize,
}

impl Xml {
    pub(super) fn new(prefix: &'static str, layout: Layout) -> Xml {
        Xml { text: String::new(), prefix, layout, depth: 0 }
    }

    /// Writes an element that contains elements.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.begin(name, "");
        inside(self);
        self.end(name);
    }

    /// Writes a start tag; `attributes` is written unescaped.
    pub(super) fn begin(&mut self, name: &str, attributes: &str) {
        self.line(name);
        self.push(&["<", self.prefix, name, attributes, ">"]);
        self.depth += 1;
    }

    pub(super) fn end(&mut self, name: &str) {
        self.depth -= 1;
        self.line(name);
        self.push(&["</", self.prefix, name, ">"]);
    }

    /// Writes an element that contains text.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.raw_leaf(name, "", &escaped(text));
    }

    /// Writes an element that contains text, unescaped.
    pub(super) fn raw_leaf(&mut self, name: &str, attributes: &str, text: &str) {
        self.line("");
        self.push(&["<", self.prefix, name, attributes, ">", text, "</", self.prefix, name, ">"]);
    }

    fn line(&mut self, name: &str) {
        let breaks = match self.layout {
            Layout::Indented => true,
            Layout::Dense => matches!(name, "Document" | "Stmt" | "Ntry"),
        };
        if breaks {
            let indent = if self.layout == Layout::Indented { self.depth * 2 } else { 0 };
            // Writing to a String cannot fail.
            let _ = write!(self.text, "\n{:indent$}", "");
        }
    }

    fn push(&mut self, pieces: &[&str]) {
        self.text.extend(pieces.iter().copied());
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
