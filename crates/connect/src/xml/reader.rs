//! Walks the document and the mapping's tree of paths side by side.

use super::emit::Emitter;
use super::slots::{Piece, Slots};
use super::text::attributes;
use super::tokens::{Span, Stop, Token, Tokens, is_space};
use crate::input::Window;
use crate::output::{Halt, Output};
use crate::plan::Plan;
use crate::plan::xml::{Markup, NOWHERE, Role, Scope, XmlPlan};
use crate::reason::{Problem, Reason, too_large};
use std::io::Read;

/// The deepest nesting of a record; real records stay far below.
const MAX_DEPTH: usize = 128;
/// The elements of the document's outline.
const MAX_OUTLINE: usize = 3;

pub(crate) fn read<R: Read, E>(
    plan: &Plan,
    xml: &XmlPlan,
    input: R,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let mut reader = Reader {
        plan: xml,
        tokens: Tokens::new(Window::new(input, plan.max_record_bytes)),
        slots: Slots::new(xml),
        emitter: Emitter::new(plan, xml),
        path: Vec::new(),
        group: None,
        record: None,
        too_deep: false,
        has_root: false,
        outlined: 0,
    };
    while reader.step(out)? {}
    Ok(())
}

struct Reader<'m, R> {
    plan: &'m XmlPlan,
    tokens: Tokens<R>,
    slots: Slots<'m>,
    emitter: Emitter<'m>,
    /// The node of each open element in the tree of paths.
    path: Vec<u32>,
    /// The number of open elements at the start of the group and of the record in it.
    group: Option<usize>,
    record: Option<usize>,
    too_deep: bool,
    has_root: bool,
    /// How many elements the outline of the document has.
    outlined: usize,
}

impl<R: Read> Reader<'_, R> {
    /// Handles one token; returns false at the end of the document.
    fn step<E>(&mut self, out: &mut Output<'_, E>) -> Result<bool, Halt<E>> {
        if self.record.is_none() {
            self.tokens.window.pin();
        }
        match self.tokens.next() {
            Ok(Token::Start { name, attributes, empty }) => {
                self.start(name, attributes, empty, out)?;
            }
            Ok(Token::End) => self.end(out)?,
            Ok(Token::Text(span)) => self.text(span, Piece::Text)?,
            Ok(Token::CData(span)) => self.text(span, Piece::CData)?,
            Ok(Token::Other) => {}
            Ok(Token::Eof) => return self.eof().map(|()| false),
            Err(Stop::Io(error)) => return Err(Halt::Io(error)),
            Err(Stop::Malformed(message)) => return self.malformed(message),
        }
        Ok(true)
    }

    fn malformed<T, E>(&mut self, message: String) -> Result<T, Halt<E>> {
        let message = format!("{message} Reading stopped here; records before it were delivered.");
        Err(Halt::Malformed { line: self.tokens.window.line_here(), message })
    }

    fn eof<E>(&mut self) -> Result<(), Halt<E>> {
        if self.tokens.depth() > 0 {
            let open = match self.plan.markup {
                Markup::Mt => "its last statement has no closing balance".to_owned(),
                Markup::Xml | Markup::Ofx => {
                    format!("<{}> is never closed", self.tokens.innermost())
                }
            };
            return self.malformed(format!("The file is cut short: {open}."));
        }
        // A file of another format without a document holds nothing that was looked for.
        if !self.has_root && self.plan.markup == Markup::Xml {
            return self.malformed("The file holds no XML element.".to_owned());
        }
        Ok(())
    }

    fn start<E>(
        &mut self,
        name: Span,
        attributes: Span,
        empty: bool,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        let mut node = match self.path.last() {
            Some(parent) => self.plan.child(*parent, name.of(self.tokens.window.pinned())),
            None if self.has_root => {
                return self.malformed("A second root element begins.".to_owned());
            }
            None => self.plan.file,
        };
        self.has_root = true;
        // The way down to the first leaf says what kind of file it is.
        if self.path.len() == self.outlined && self.outlined < MAX_OUTLINE {
            let name = String::from_utf8_lossy(name.of(self.tokens.window.pinned()));
            let shown: String = name.chars().take(60).collect();
            let slash = if self.outlined == 0 { "" } else { "/" };
            out.outline.extend([slash, &shown]);
            self.outlined += 1;
        }
        if self.record.is_none() && self.group.is_none() && self.at_anchor(name, empty) {
            node = self.plan.anchor_node;
            if self.plan.has_groups {
                self.begin_group(out);
            }
        }
        if node != NOWHERE {
            self.enter(node, attributes);
        }
        self.too_deep |= self.record.is_some() && self.path.len() >= MAX_DEPTH;
        if empty {
            return self.leave(node, out);
        }
        self.path.push(node);
        Ok(())
    }

    /// Returns whether the last names of the current path are those of the anchor.
    fn at_anchor(&self, name: Span, empty: bool) -> bool {
        let Some((last, before)) = self.plan.anchor.split_last() else { return false };
        // An empty element was never opened, so its parent is the innermost one.
        let parent = usize::from(!empty);
        let mut around = before.iter().rev().enumerate();
        **last == *name.of(self.tokens.window.pinned())
            && around.all(|(above, name)| self.tokens.local_name(parent + above) == Some(&**name))
    }

    fn begin_group<E>(&mut self, out: &mut Output<'_, E>) {
        self.group = Some(self.path.len());
        self.slots.reset(Scope::Group);
        self.emitter.begin_group(self.tokens.window.line(), out);
    }

    /// Enters `node`: begins its record, part or balance, and reads its attributes.
    fn enter(&mut self, node: u32, tag: Span) {
        let Some(node) = self.plan.node(node) else { return };
        match node.role {
            Role::None => {}
            Role::Record => {
                self.record = Some(self.path.len());
                self.too_deep = false;
                self.slots.reset(Scope::Record);
            }
            Role::Part => self.slots.reset(Scope::Part),
            Role::Balance => self.slots.reset(Scope::Balance),
        }
        if node.attributes.is_empty() || self.tokens.window.is_lost() {
            return;
        }
        let (bytes, slots) = (self.tokens.window.pinned(), &mut self.slots);
        attributes(bytes, tag, |name, value| {
            for (wanted, slot) in &node.attributes {
                if **wanted == *name {
                    slots.add(*slot, bytes, value, Piece::Text);
                    slots.close(*slot);
                }
            }
        });
    }

    fn text<E>(&mut self, span: Span, piece: Piece) -> Result<(), Halt<E>> {
        let Some(node) = self.path.last() else {
            let bytes = span.of(self.tokens.window.pinned());
            if bytes.iter().all(|byte| is_space(*byte)) {
                return Ok(());
            }
            return self.malformed("Text stands outside the root element.".to_owned());
        };
        if let Some(node) = self.plan.node(*node)
            && !self.tokens.window.is_lost()
        {
            for slot in &node.slots {
                self.slots.add(*slot, self.tokens.window.pinned(), span, piece);
            }
        }
        Ok(())
    }

    fn end<E>(&mut self, out: &mut Output<'_, E>) -> Result<(), Halt<E>> {
        match self.path.pop() {
            Some(node) => self.leave(node, out),
            None => Ok(()),
        }
    }

    /// Leaves `node` at the end of its element.
    fn leave<E>(&mut self, node: u32, out: &mut Output<'_, E>) -> Result<(), Halt<E>> {
        if let Some(node) = self.plan.node(node) {
            for slot in &node.slots {
                self.slots.close(*slot);
            }
            match node.role {
                Role::None => {}
                Role::Record => {}
                Role::Part if self.tokens.window.is_lost() => {}
                Role::Part => self.slots.close_part(),
                Role::Balance => {
                    if let (Some(rule), Some(at)) = (&self.plan.balance_rule, self.plan.balance) {
                        self.emitter.balance.add_balance(rule, at, &self.slots);
                    }
                }
            }
        }
        let depth = Some(self.path.len());
        if self.record == depth {
            self.record = None;
            self.end_record(out)?;
        }
        if self.group == depth {
            self.group = None;
            self.slots.reset(Scope::Record);
            self.emitter.end_group(&self.slots, out)?;
        }
        Ok(())
    }

    fn end_record<E>(&mut self, out: &mut Output<'_, E>) -> Result<(), Halt<E>> {
        let window = &mut self.tokens.window;
        let line = window.line();
        if window.is_too_large() || self.too_deep {
            let problem = match window.is_too_large() {
                true => too_large(window.limit()),
                false => too_deep(),
            };
            return self.emitter.refuse(line, problem, &window.head(), out);
        }
        match std::str::from_utf8(window.pinned()) {
            Ok(text) => self.emitter.record(line, text, &self.slots, out),
            Err(error) => {
                let problem = not_utf_8(window.pinned(), line, error);
                self.emitter.refuse(line, problem, &window.head(), out)
            }
        }
    }
}

/// Returns the problem of a record with a bad byte; `line` is the record's first.
fn not_utf_8(bytes: &[u8], line: u64, error: std::str::Utf8Error) -> Problem {
    let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let line = line + memchr::memchr_iter(b'\n', before).count() as u64;
    let message = format!(
        "The record holds bytes that are not UTF-8, in line {line}: {error}. Declare the file's \
         encoding in its first line, or repair the bytes."
    );
    Problem::new(Reason::MalformedRecord, message)
}

fn too_deep() -> Problem {
    let message = format!("The record's elements are nested more than {MAX_DEPTH} deep.");
    Problem::new(Reason::NestedTooDeep, message)
}
