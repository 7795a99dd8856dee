//! From the merged tree to the typed value.
//!
//! Only the type knows what a text from the environment means: whether `5` is a number, whether `CERT_FILE` is the key
//! `cert_file` or the file that holds `cert`. So the tree is read as it stands, and where the type refuses something that
//! came from the environment, the next meaning is tried and the reading repeated. Reading is pure and takes microseconds,
//! and every repetition uses up one meaning or records one fault, so it ends.
//! It works through serde's buffers too (`flatten`, internally tagged enums), which hide the type from a deserializer.

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use super::environment::{self, PREFIX};
use super::fault::{Fault, nearest};
use super::node::{Node, Origin, Step, Value, child, spell};
use super::reader::{ReadError, Reader, Refusal, Stranger};
use super::reading;
use super::redact::mask_message;

/// Reads a `T`. On failure `faults` is longer than before and holds everything that could be found in one go.
pub(super) fn resolve<T: DeserializeOwned>(root: &mut Node, faults: &mut Vec<Fault>) -> Option<T> {
    let mut reading = Reading {
        root,
        faults,
        excused: Vec::new(),
    };
    loop {
        let strangers = RefCell::new(Vec::new());
        let outcome = T::deserialize(Reader::new(reading.root, &strangers));
        let strangers = strangers.into_inner();
        if !strangers.is_empty() {
            strangers.into_iter().for_each(|stranger| reading.meet(stranger));
            continue;
        }
        match outcome {
            Ok(value) => return Some(value),
            Err(error) => reading.learn(error)?,
        }
    }
}

struct Reading<'a> {
    root: &'a mut Node,
    faults: &'a mut Vec<Fault>,
    /// Keys that are missing because of a fault reported already.
    excused: Vec<Vec<Step>>,
}

impl Reading<'_> {
    /// Tries another meaning, or records the fault and takes its cause away. `None` when there is nothing left to read.
    fn learn(&mut self, ReadError { path, refusal }: ReadError) -> Option<()> {
        let path = path.unwrap_or_default();
        match refusal {
            Refusal::UnknownKey { key, known } if self.root.get(&child(&path, &key)).is_some() => {
                self.meet(Stranger {
                    table: path,
                    key,
                    known,
                });
                return Some(());
            }
            Refusal::Missing(key) if self.take_from_file(&path, &format!("{key}_file")) => return Some(()),
            Refusal::Mismatch { ref found, .. } if reread(self.root, &path, found) => return Some(()),
            Refusal::Missing(key) => {
                let wanted = child(&path, key);
                if !self.excused.contains(&wanted) {
                    let message = format!(
                        "is missing; set it in the file or by {}",
                        environment::variable(&wanted)
                    );
                    self.faults.push(Fault::new(spell(&wanted), None, message));
                }
            }
            refusal @ (Refusal::UnknownKey { .. } | Refusal::Mismatch { .. } | Refusal::Other(_)) => {
                let at = self.root.get(&path).map(|node| node.origin.to_string());
                let message = mask_message(self.root, &path, ReadError { path: None, refusal }.to_string());
                self.faults.push(Fault::new(spell(&path), at, message));
            }
        }
        self.give_up(&path)
    }

    /// Takes a faulty value away, so that the reading goes on to the next fault with the value of the layer below.
    /// A list with a wrong item is wrong as a whole.
    fn give_up(&mut self, path: &[Step]) -> Option<()> {
        let keys = path.iter().take_while(|step| matches!(step, Step::Key(_))).count();
        let path = &path[..keys];
        let (Step::Key(key), table) = path.split_last()? else {
            return None;
        };
        let table = self.root.table_mut(table)?;
        if let Some(beneath) = table.remove(key)?.beneath {
            table.insert(key.clone(), *beneath);
        }
        self.excused.push(path.to_vec());
        Some(())
    }

    /// A key that the type does not know: the variable that names a secret's file, or a fault.
    fn meet(&mut self, Stranger { table, key, known }: Stranger) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let stem = key.strip_suffix("_file");
        if stem.is_some_and(|stem| known.contains(&stem)) && self.take_from_file(&table, &key) {
            return;
        }
        let path = child(&table, &key);
        let origin = self.root.get(&path).map(|node| node.origin.clone());
        if let Some(table) = self.root.table_mut(&table) {
            table.remove(&key);
        }
        // An alias is set for other programs too; who has no database has no use for DATABASE_URL, and that is no fault.
        if origin
            .as_ref()
            .and_then(Origin::variable)
            .is_some_and(|name| !name.starts_with(PREFIX))
        {
            return;
        }
        let by_variable = origin.as_ref().is_some_and(|origin| origin.variable().is_some());
        let meant = if by_variable {
            meant_variable(&table, &key, &known)
        } else {
            meant_key(&table, &key, &known)
        };
        let message = match meant {
            Some(Meant { key, spelled }) => {
                self.excused.push(key);
                format!("unknown key; did you mean {spelled}?")
            }
            None if known.is_empty() => "unknown key".to_owned(),
            None => format!("unknown key; known here: {}", known.join(", ")),
        };
        self.faults.push(Fault::new(
            spell(&path),
            origin.map(|origin| origin.to_string()),
            message,
        ));
        if let Some(table) = self.root.table_mut(&table) {
            table.remove(&key);
        }
    }

    /// Replaces `key` = `password_file`, set by a variable, by `password` with the content of that file.
    /// False if there is no such variable.
    fn take_from_file(&mut self, table: &[Step], key: &str) -> bool {
        let Some(stem) = key.strip_suffix("_file") else {
            return false;
        };
        let path = child(table, stem);
        let Some(entries) = self.root.table_mut(table) else {
            return false;
        };
        let (variable, file) = match entries.get(key) {
            Some(Node {
                value: Value::Text(file),
                origin: Origin::Variable(variable),
                ..
            }) => (variable.clone(), file.clone()),
            _ => return false,
        };
        entries.remove(key);
        let rival = entries.get(stem).and_then(|node| node.origin.variable());
        if let Some(rival) = rival.filter(|rival| rival.starts_with(PREFIX)) {
            let message = format!("is set by both {rival} and {variable}; keep one");
            self.faults.push(Fault::new(spell(&path), None, message));
            return true;
        }
        match std::fs::read_to_string(&file) {
            Ok(content) => {
                let content = content.trim_end_matches(['\r', '\n']).to_owned();
                let node = reading::from_environment(content, Origin::VariableFile { variable, path: file });
                match entries.get_mut(stem) {
                    Some(below) => below.overlay(node),
                    None => {
                        entries.insert(stem.to_owned(), node);
                    }
                }
            }
            Err(error) => {
                let message = format!("the file {file} cannot be read: {error}");
                self.faults.push(Fault::new(spell(&path), Some(variable), message));
                self.excused.push(path);
            }
        }
        true
    }
}

/// What the writer of an unknown key probably had in mind.
struct Meant {
    key: Vec<Step>,
    spelled: String,
}

fn meant_key(table: &[Step], key: &str, known: &[&str]) -> Option<Meant> {
    let name = nearest(key, known)?;
    Some(Meant {
        key: child(table, name),
        spelled: format!("`{name}`"),
    })
}

fn meant_variable(table: &[Step], key: &str, known: &[&str]) -> Option<Meant> {
    if let Some(name) = nearest(key, known) {
        let key = child(table, name);
        return Some(Meant {
            spelled: environment::variable(&key),
            key,
        });
    }
    if let Some(name) = key.strip_suffix("_file").and_then(|stem| nearest(stem, known)) {
        let key = child(table, name);
        return Some(Meant {
            spelled: format!("{}_FILE", environment::variable(&key)),
            key,
        });
    }
    // KASSA_DATABASE_URL, with one underscore where two are due.
    let (section, rest) = known
        .iter()
        .find_map(|name| Some((*name, key.strip_prefix(name)?.strip_prefix('_')?)))?;
    let key = child(&child(table, section), rest);
    Some(Meant {
        spelled: environment::variable(&key),
        key,
    })
}

/// Gives one text from the environment its next meaning. Through a buffer only the section and the value are known, not
/// the key; of several equal values one at a time is tried, until the type is content or all meanings are used up.
fn reread(root: &mut Node, path: &[Step], found: &str) -> bool {
    let Some(node) = root.get_mut(path) else { return false };
    next_reading(node, found)
}

fn next_reading(node: &mut Node, found: &str) -> bool {
    if node.value.unexpected().to_string() == found
        && let Some(value) = node.readings.pop()
    {
        node.value = value;
        return true;
    }
    match &mut node.value {
        Value::Table(table) => table.values_mut().any(|node| next_reading(node, found)),
        Value::List(list) => list.iter_mut().any(|node| next_reading(node, found)),
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => false,
    }
}
