//! The plan of an NDJSON file: the fields' JSON pointers as one tree.

use super::field::{Field, Source};

/// The fields' JSON pointers as one tree.
#[derive(Debug, Default)]
pub(crate) struct NdjsonPlan {
    /// Whether the records are the elements of an array; `None` lets the file decide.
    pub(crate) array: Option<bool>,
    pub(crate) root: Node,
    /// The slots of each field, in the order they are tried.
    pub(crate) inputs: Vec<Vec<usize>>,
    pub(crate) slots: usize,
    pub(crate) split: Option<Split>,
}

/// The list of a record whose elements become events.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) pointer: String,
    /// The slot of the list.
    pub(crate) list: usize,
    /// The pointers from an element, and their slots.
    pub(crate) root: Node,
    pub(crate) slots: Vec<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) children: Vec<(String, Node)>,
    pub(crate) slots: Vec<usize>,
}

/// What a pointer from an element of the split list begins with.
const PART: &str = "part:";

impl NdjsonPlan {
    /// Builds the tree of the fields' pointers; the error is the key of the mapping and a sentence.
    pub(crate) fn compile(
        fields: &[Field],
        split: Option<&str>,
    ) -> Result<NdjsonPlan, (String, String)> {
        let mut plan = NdjsonPlan::default();
        if let Some(pointer) = split {
            plan.root
                .at(pointer)
                .map_err(|problem| ("ndjson.split".to_owned(), problem))?
                .slots
                .push(0);
            plan.slots = 1;
            let (pointer, root) = (pointer.to_owned(), Node::default());
            plan.split = Some(Split { pointer, list: 0, root, slots: Vec::new() });
        }
        for field in fields {
            let mut slots = Vec::new();
            let pointers = match &field.source {
                // The whole record has no pointer of its own; the empty one leads to it.
                Source::Input(pointers) if pointers.is_empty() => &[String::new()],
                Source::Input(pointers) => pointers.as_slice(),
                _ => &[],
            };
            for pointer in pointers {
                let slot = plan.slots;
                let node = plan.node(pointer);
                let node = node.map_err(|p| (format!("field.{}.path", field.name), p))?;
                node.slots.push(slot);
                if let (Some(split), true) = (&mut plan.split, pointer.starts_with(PART)) {
                    split.slots.push(slot);
                }
                slots.push(slot);
                plan.slots += 1;
            }
            plan.inputs.push(slots);
        }
        Ok(plan)
    }

    /// Returns the node of a pointer from the record, or from an element of its list.
    fn node(&mut self, pointer: &str) -> Result<&mut Node, String> {
        match (pointer.strip_prefix(PART), &mut self.split) {
            (None, _) => self.root.at(pointer),
            (Some(pointer), Some(split)) => split.root.at(pointer),
            (Some(_), None) => Err(format!("'{pointer}' needs ndjson.split in the mapping")),
        }
    }
}

impl Node {
    fn at(&mut self, pointer: &str) -> Result<&mut Node, String> {
        if pointer.is_empty() {
            return Ok(self);
        }
        let Some(steps) = pointer.strip_prefix('/') else {
            return Err(format!("'{pointer}' must be a JSON pointer such as /order/total"));
        };
        let mut node = self;
        for step in steps.split('/') {
            let name = step.replace("~1", "/").replace("~0", "~");
            let found = node.children.iter().position(|(child, _)| *child == name);
            let at = found.unwrap_or(node.children.len());
            if found.is_none() {
                node.children.push((name, Node::default()));
            }
            node = &mut node.children[at].1;
        }
        Ok(node)
    }

    /// Returns the node of the member or element called `name`, or `None`.
    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
    }
}
