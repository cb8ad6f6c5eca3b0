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
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) children: Vec<(String, Node)>,
    pub(crate) slots: Vec<usize>,
}

impl NdjsonPlan {
    /// Builds the tree of the fields' pointers; the error is the field's name and a sentence.
    pub(crate) fn compile(fields: &[Field]) -> Result<NdjsonPlan, (String, String)> {
        let mut plan = NdjsonPlan::default();
        for field in fields {
            let mut slots = Vec::new();
            let pointers = match &field.source {
                Source::Input(pointers) => pointers.as_slice(),
                _ => &[],
            };
            for pointer in pointers {
                let node = plan.root.at(pointer).map_err(|p| (field.name.clone(), p))?;
                node.slots.push(plan.slots);
                slots.push(plan.slots);
                plan.slots += 1;
            }
            plan.inputs.push(slots);
        }
        Ok(plan)
    }
}

impl Node {
    fn at(&mut self, pointer: &str) -> Result<&mut Node, String> {
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
