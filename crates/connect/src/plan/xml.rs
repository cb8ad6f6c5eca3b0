//! The plan of an XML file: the mapping's paths as one tree, and the rules for parts and balances.

use super::field::Equals;
use super::template::Template;

/// The node of an element that no path of the mapping reaches.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// The structural meaning of an element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Role {
    #[default]
    None,
    Record,
    Part,
    Balance,
}

#[derive(Debug)]
struct Child {
    /// The first bytes of the name, which distinguish nearly all names.
    start: u64,
    name: Box<[u8]>,
    node: u32,
}

/// Returns the first eight bytes of a name as a number.
fn start(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => name.iter().rev().fold(0, |start, byte| start << 8 | u64::from(*byte)),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    children: Vec<Child>,
    /// The slots that receive the element's text.
    pub(crate) slots: Vec<u32>,
    /// The attributes to read and their slots.
    pub(crate) attributes: Vec<(Box<[u8]>, u32)>,
    pub(crate) role: Role,
}

/// When the parts of a record become events of their own.
#[derive(Debug)]
pub(crate) struct SplitRule {
    /// The part's amount and the record's, which the parts must add up to.
    pub(crate) sum: Option<(usize, usize)>,
    /// Fields of a part that, if present, must equal a field of the record.
    pub(crate) same: Vec<(usize, usize)>,
}

/// The rule that checks a group's balances.
#[derive(Debug)]
pub(crate) struct BalanceRule {
    pub(crate) negative: String,
    pub(crate) opening: Vec<String>,
    pub(crate) closing: Vec<String>,
    pub(crate) entry: usize,
    pub(crate) entry_currency: Option<usize>,
    pub(crate) when: Option<Equals>,
    pub(crate) subject: Template,
}

/// The slots of a balance element's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BalanceSlots {
    pub(crate) kind: u32,
    pub(crate) amount: u32,
    pub(crate) direction: u32,
    pub(crate) currency: Option<u32>,
}

/// The start of a path. The order is the order of the slots.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Scope {
    File,
    Group,
    Balance,
    Record,
    Part,
}

/// How the file writes the elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Markup {
    Xml,
    /// OFX, of which version 1 is SGML.
    Ofx,
    /// SWIFT messages, whose fields become elements.
    Mt,
}

#[derive(Debug)]
pub(crate) struct XmlPlan {
    pub(crate) markup: Markup,
    pub(crate) nodes: Vec<Node>,
    /// The node where paths from the document's root element begin.
    pub(crate) file: u32,
    /// The last names of the path to the group, or to the record if there are no groups.
    pub(crate) anchor: Vec<Box<[u8]>>,
    pub(crate) anchor_node: u32,
    pub(crate) has_groups: bool,
    /// The scope of each slot.
    pub(crate) scopes: Vec<Scope>,
    /// The separator between repeated elements of each slot.
    pub(crate) joins: Vec<Option<String>>,
    /// The slots of each field, in the order they are tried; empty for fields made of others.
    pub(crate) inputs: Vec<Vec<u32>>,
    pub(crate) split: Option<SplitRule>,
    pub(crate) balance: Option<BalanceSlots>,
    pub(crate) balance_rule: Option<BalanceRule>,
}

impl XmlPlan {
    #[inline]
    pub(crate) fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    /// Returns the node of the element `name` inside `node`, or [`NOWHERE`].
    #[inline]
    pub(crate) fn child(&self, node: u32, name: &[u8]) -> u32 {
        let Some(node) = self.nodes.get(node as usize) else { return NOWHERE };
        let start = start(name);
        let same = |child: &&Child| child.start == start && *child.name == *name;
        node.children.iter().find(same).map_or(NOWHERE, |child| child.node)
    }

    /// Adds an empty node for the element `name` inside `parent` and returns the node.
    pub(crate) fn add_child(&mut self, parent: u32, name: &[u8]) -> u32 {
        let node = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        let child = Child { start: start(name), name: name.into(), node };
        self.nodes[parent as usize].children.push(child);
        node
    }
}
