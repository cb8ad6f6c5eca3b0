//! The paths of a mapping as one tree, walked along with the document.

use crate::mapping::{Equals, Field, Source, Template};

/// Stands for "no path of the mapping leads here".
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What begins at an element.
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
    /// The first bytes of the name, which tell nearly all names apart.
    start: u64,
    name: Box<[u8]>,
    node: u32,
}

/// The first eight bytes of a name as a number.
fn start(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => name.iter().rev().fold(0, |start, byte| start << 8 | u64::from(*byte)),
    }
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    children: Vec<Child>,
    /// Who wants the text.
    pub(crate) slots: Vec<u32>,
    /// Who wants which attribute.
    pub(crate) attributes: Vec<(Box<[u8]>, u32)>,
    pub(crate) role: Role,
}

/// The paths of the elements that structure the document.
pub(crate) struct Shape<'a> {
    pub(crate) record: &'a str,
    pub(crate) group: Option<&'a str>,
    pub(crate) split: Option<&'a str>,
    pub(crate) balance: Option<&'a str>,
}

/// The paths inside a balance element.
pub(crate) struct BalancePaths<'a> {
    pub(crate) kind: &'a str,
    pub(crate) amount: &'a str,
    pub(crate) direction: &'a str,
    pub(crate) currency: Option<&'a str>,
}

/// When the parts of a record become events of their own.
#[derive(Debug)]
pub(crate) struct SplitRule {
    /// The part's amount and the record's, which the parts must add up to.
    pub(crate) sum: Option<(usize, usize)>,
    /// Fields of a part that, if present, must equal a field of the record.
    pub(crate) same: Vec<(usize, usize)>,
}

/// How a group's balances are checked.
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

/// Where a path begins. The order is the order of the slots.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Scope {
    File,
    Group,
    Balance,
    Record,
    Part,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// Where paths from the document's root element begin.
    pub(crate) file: u32,
    /// The last names of the path to the group, or to the record if there are no groups.
    pub(crate) anchor: Vec<Box<[u8]>>,
    pub(crate) anchor_node: u32,
    pub(crate) has_groups: bool,
    /// The scope of each slot.
    pub(crate) scopes: Vec<Scope>,
    /// What joins repeated elements of each slot.
    pub(crate) joins: Vec<Option<String>>,
    /// The slots of each field, in the order they are tried; none for those made of others.
    pub(crate) inputs: Vec<Vec<u32>>,
    pub(crate) split: Option<SplitRule>,
    pub(crate) balance: Option<BalanceSlots>,
    pub(crate) balance_rule: Option<BalanceRule>,
}

/// Which key of the mapping is wrong, and how.
type Wrong = (String, String);

impl Plan {
    pub(crate) fn compile(
        shape: &Shape<'_>,
        balance: Option<BalancePaths<'_>>,
        fields: &[Field],
    ) -> Result<Plan, Wrong> {
        let mut builder = Builder::new(shape)?;
        for field in fields {
            let mut slots = Vec::new();
            if let Source::Input(paths) = &field.source {
                let place = || format!("field.{}.path", field.name);
                for path in paths {
                    let slot = builder.field_path(path, &field.join);
                    slots.push(slot.map_err(|problem| (place(), problem))?);
                }
            }
            builder.plan.inputs.push(slots);
        }
        if let Some(paths) = balance {
            builder.plan.balance = Some(builder.balance(&paths)?);
        }
        Ok(builder.plan)
    }

    #[inline]
    pub(crate) fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    /// Where the element `name` inside `node` leads.
    #[inline]
    pub(crate) fn child(&self, node: u32, name: &[u8]) -> u32 {
        let Some(node) = self.nodes.get(node as usize) else { return NOWHERE };
        let start = start(name);
        let same = |child: &&Child| child.start == start && *child.name == *name;
        node.children.iter().find(same).map_or(NOWHERE, |child| child.node)
    }
}

struct Builder {
    plan: Plan,
    record: u32,
    part: Option<u32>,
    balance: Option<u32>,
}

impl Builder {
    fn new(shape: &Shape<'_>) -> Result<Builder, Wrong> {
        let plan = Plan {
            nodes: vec![Node::default(), Node::default()],
            file: 0,
            anchor: Vec::new(),
            anchor_node: 1,
            has_groups: shape.group.is_some(),
            scopes: Vec::new(),
            joins: Vec::new(),
            inputs: Vec::new(),
            split: None,
            balance: None,
            balance_rule: None,
        };
        let mut builder = Builder { plan, record: 1, part: None, balance: None };
        builder.structure(shape)?;
        Ok(builder)
    }

    fn structure(&mut self, shape: &Shape<'_>) -> Result<(), Wrong> {
        let record = names("xml.record", shape.record)?;
        let anchor = match shape.group {
            Some(group) => names("xml.group", group)?,
            None => record.clone(),
        };
        let Some(inside) = record.strip_prefix(anchor.as_slice()) else {
            let problem = "must begin with the path in xml.group, such as group = \"Stmt\" and \
                           record = \"Stmt/Ntry\"";
            return Err(("xml.record".to_owned(), problem.to_owned()));
        };
        if shape.group.is_some() && inside.is_empty() {
            return Err(("xml.record".to_owned(), "must lead deeper than xml.group".to_owned()));
        }
        self.record = self.structural("xml.record", self.plan.anchor_node, inside, Role::Record)?;
        self.plan.anchor = anchor.iter().map(|name| name.as_bytes().into()).collect();
        if let Some(path) = shape.split {
            let path = names("xml.split.path", path)?;
            let part = self.structural("xml.split.path", self.record, &path, Role::Part)?;
            self.part = Some(part);
        }
        if let Some(path) = shape.balance {
            if shape.group.is_none() {
                let problem = "needs xml.group: balances are checked per group";
                return Err(("balance".to_owned(), problem.to_owned()));
            }
            let path = names("balance.element", path)?;
            let anchor = self.plan.anchor_node;
            self.balance =
                Some(self.structural("balance.element", anchor, &path, Role::Balance)?);
        }
        Ok(())
    }

    fn structural(
        &mut self,
        place: &str,
        from: u32,
        path: &[&str],
        role: Role,
    ) -> Result<u32, Wrong> {
        let node = self.walk(from, path).map_err(|problem| (place.to_owned(), problem))?;
        self.plan.nodes[node as usize].role = role;
        Ok(node)
    }

    /// The node at `path` below `from`; refuses to walk into what is read on its own.
    fn walk(&mut self, from: u32, path: &[&str]) -> Result<u32, String> {
        let mut node = from;
        for name in path {
            let found = self.plan.child(node, name.as_bytes());
            if found == NOWHERE {
                let new = self.plan.nodes.len() as u32;
                self.plan.nodes.push(Node::default());
                let name = name.as_bytes();
                let child = Child { start: start(name), name: name.into(), node: new };
                self.plan.nodes[node as usize].children.push(child);
                node = new;
                continue;
            }
            node = found;
            let hint = match self.plan.nodes[node as usize].role {
                Role::None => continue,
                Role::Record => "a record; write the path from there, without 'group:'",
                Role::Part => "a part of a split record; write it as 'part:...' from there",
                Role::Balance => "a balance element, whose values only the balance check sees",
            };
            return Err(format!("leads into <{name}>, which is {hint}"));
        }
        Ok(node)
    }

    fn field_path(&mut self, path: &str, join: &Option<String>) -> Result<u32, String> {
        let missing = |section: &str| format!("'{path}' needs {section} in the mapping");
        let (scope, from, rest) = match path.split_once(':') {
            None => (Scope::Record, self.record, path),
            Some(("file", rest)) => (Scope::File, self.plan.file, rest),
            Some(("group", rest)) if self.plan.has_groups => {
                (Scope::Group, self.plan.anchor_node, rest)
            }
            Some(("group", _)) => return Err(missing("xml.group")),
            Some(("part", rest)) => {
                let part = self.part.ok_or_else(|| missing("xml.split.path"))?;
                (Scope::Part, part, rest)
            }
            Some((other, _)) => {
                return Err(format!(
                    "'{other}:' is no scope; write file:, group: or part: before a path from \
                     there, or nothing for a path from the record. Namespace prefixes are left out"
                ));
            }
        };
        self.slot(scope, from, rest, join)
    }

    fn slot(
        &mut self,
        scope: Scope,
        from: u32,
        path: &str,
        join: &Option<String>,
    ) -> Result<u32, String> {
        let slot = self.plan.scopes.len() as u32;
        let (elements, attribute) = match path.rsplit_once('@') {
            Some((elements, name)) => (elements.trim_end_matches('/'), Some(name)),
            None => (path, None),
        };
        let elements =
            if matches!(elements, "" | ".") { Vec::new() } else { split_names(elements)? };
        let node = self.walk(from, &elements)? as usize;
        match attribute {
            Some(name) => {
                let [name] = split_names(name)?[..] else {
                    return Err(format!("'{path}' must end with its attribute"));
                };
                self.plan.nodes[node].attributes.push((name.as_bytes().into(), slot));
            }
            None => self.plan.nodes[node].slots.push(slot),
        }
        self.plan.scopes.push(scope);
        self.plan.joins.push(join.clone());
        Ok(slot)
    }

    fn balance(&mut self, paths: &BalancePaths<'_>) -> Result<BalanceSlots, Wrong> {
        let from = self.balance.unwrap_or(NOWHERE);
        let mut slot = |key: &str, path: &str| {
            let wrong = |problem| (format!("balance.{key}"), problem);
            self.slot(Scope::Balance, from, path, &None).map_err(wrong)
        };
        Ok(BalanceSlots {
            kind: slot("kind", paths.kind)?,
            amount: slot("amount", paths.amount)?,
            direction: slot("direction", paths.direction)?,
            currency: paths.currency.map(|path| slot("currency", path)).transpose()?,
        })
    }
}

fn names<'a>(place: &str, path: &'a str) -> Result<Vec<&'a str>, Wrong> {
    split_names(path).map_err(|problem| (place.to_owned(), problem))
}

fn split_names(path: &str) -> Result<Vec<&str>, String> {
    let names: Vec<&str> = path.split('/').collect();
    let good = |name: &&str| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "@:.<>&\"'".contains(c))
    };
    if names.iter().all(good) {
        return Ok(names);
    }
    Err(format!("'{path}' is no path; write element names with / between, as in Stmt/Ntry"))
}
