//! The merged configuration as a tree that remembers, for every value, which layer set it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::Unexpected;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File {
        path: Arc<str>,
        line: usize,
        column: usize,
    },
    Variable(String),
    /// A variable ending in `_FILE`, and the file it names.
    VariableFile {
        variable: String,
        path: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::VariableFile { variable, path } => write!(f, "{variable}, file {path}"),
        }
    }
}

impl Origin {
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Origin::Default | Origin::File { .. } => None,
            Origin::Variable(name) => Some(name),
            Origin::VariableFile { variable, .. } => Some(variable),
        }
    }
}

#[derive(Clone)]
pub(super) enum Value {
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl Value {
    /// The words serde uses for this value in "invalid type" errors.
    pub(super) fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Value::Table(_) => Unexpected::Map,
            Value::List(_) => Unexpected::Seq,
            Value::Text(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
        }
    }
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// What a text from the environment may mean besides, next one last: see `resolve`.
    pub(super) readings: Vec<Value>,
    /// The value of the layer below, which stands in while the faults of this one are collected.
    pub(super) beneath: Option<Box<Node>>,
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Node {
        Node {
            value,
            origin,
            readings: Vec::new(),
            beneath: None,
        }
    }

    pub(super) fn empty_table(origin: Origin) -> Node {
        Node::new(Value::Table(BTreeMap::new()), origin)
    }

    pub(super) fn get(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match (&node.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get(key),
            (Value::List(list), Step::Index(index)) => list.get(*index),
            _ => None,
        })
    }

    pub(super) fn get_mut(&mut self, path: &[Step]) -> Option<&mut Node> {
        path.iter().try_fold(self, |node, step| match (&mut node.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get_mut(key),
            (Value::List(list), Step::Index(index)) => list.get_mut(*index),
            _ => None,
        })
    }

    pub(super) fn table_mut(&mut self, path: &[Step]) -> Option<&mut BTreeMap<String, Node>> {
        match &mut self.get_mut(path)?.value {
            Value::Table(table) => Some(table),
            Value::List(_) | Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => None,
        }
    }

    /// Puts a higher layer over this one: tables are merged, everything else is replaced.
    pub(super) fn overlay(&mut self, upper: Node) {
        match (&mut self.value, upper) {
            (
                Value::Table(lower),
                Node {
                    value: Value::Table(upper),
                    origin,
                    ..
                },
            ) => {
                self.origin = origin;
                for (key, node) in upper {
                    match lower.get_mut(&key) {
                        Some(below) => below.overlay(node),
                        None => {
                            lower.insert(key, node);
                        }
                    }
                }
            }
            (_, upper) => {
                let lower = std::mem::replace(self, upper);
                self.beneath = Some(Box::new(lower));
            }
        }
    }

    /// Calls `visit` with every value that is not a table or a list, in the order of the keys.
    pub(super) fn leaves<'a>(&'a self, path: &mut Vec<Step>, visit: &mut impl FnMut(&[Step], &'a Node)) {
        match &self.value {
            Value::Table(table) => {
                for (key, node) in table {
                    path.push(Step::Key(key.clone()));
                    node.leaves(path, visit);
                    path.pop();
                }
            }
            Value::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    path.push(Step::Index(index));
                    node.leaves(path, visit);
                    path.pop();
                }
            }
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => visit(path, self),
        }
    }
}

/// One step on the way from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// `stores.main.retry_intervals[1]`
pub(super) fn spell(path: &[Step]) -> String {
    let mut spelled = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !spelled.is_empty() {
                    spelled.push('.');
                }
                spelled.push_str(&spell_key(key));
            }
            Step::Index(index) => spelled.push_str(&format!("[{index}]")),
        }
    }
    spelled
}

/// A key as TOML wants it: bare where it can be, else quoted.
pub(super) fn spell_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

/// `stores.main` and `sno` make `stores.main.sno`.
pub(super) fn child(path: &[Step], key: &str) -> Vec<Step> {
    let mut path = path.to_vec();
    path.push(Step::Key(key.to_owned()));
    path
}
