//! Compiles the paths of an XML mapping into one tree.

use crate::plan::xml::{BalanceSlots, Markup, NOWHERE, Node, Role, Scope, XmlPlan};
use crate::plan::{Field, Source};

/// The paths of the elements that structure the document.
pub(super) struct Shape<'a> {
    pub(super) record: &'a str,
    pub(super) group: Option<&'a str>,
    pub(super) split: Option<&'a str>,
    pub(super) balance: Option<&'a str>,
    pub(super) markup: Markup,
}

/// The paths inside a balance element.
pub(super) struct BalancePaths<'a> {
    pub(super) kind: &'a str,
    pub(super) amount: &'a str,
    pub(super) direction: &'a str,
    pub(super) currency: Option<&'a str>,
}

/// The wrong key of the mapping and a sentence about the mistake.
type Wrong = (String, String);

/// Compiles the paths of a mapping into a plan without its rules.
pub(super) fn compile_paths(
    shape: &Shape<'_>,
    balance: Option<BalancePaths<'_>>,
    fields: &[Field],
) -> Result<XmlPlan, Wrong> {
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

struct Builder {
    plan: XmlPlan,
    record: u32,
    part: Option<u32>,
    balance: Option<u32>,
}

impl Builder {
    fn new(shape: &Shape<'_>) -> Result<Builder, Wrong> {
        let plan = XmlPlan {
            markup: shape.markup,
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

    /// Returns the node at `path` below `from`; refuses paths into an element with a role.
    fn walk(&mut self, from: u32, path: &[&str]) -> Result<u32, String> {
        let mut node = from;
        for name in path {
            let found = self.plan.child(node, name.as_bytes());
            if found == NOWHERE {
                node = self.plan.add_child(node, name.as_bytes());
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
                    "'{other}:' is not a scope; write file:, group: or part: before a path from \
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
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(|c: char| c.is_whitespace() || "@:<>&\"'".contains(c))
    };
    if names.iter().all(good) {
        return Ok(names);
    }
    Err(format!("'{path}' is not a path; write element names with / between, as in Stmt/Ntry"))
}
