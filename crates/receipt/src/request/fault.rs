//! What is wrong with a request, all of it at once, for the people and the programs that sent it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::code::FaultCode;
use crate::class::Text;

/// The most faults that one answer lists; a last one of code [`FaultCode::MoreFaults`] counts the rest.
pub const MOST_FAULTS: usize = 100;

/// One thing that is wrong, or worth a look.
///
/// Neither pointer nor message ever holds a buyer's data or U+0000, so both may be stored, sent and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where, as JSON Pointer (RFC 6901); empty for the whole request. Overlong keys of the sender are cut.
    pub pointer: String,
    /// What kind.
    pub code: FaultCode,
    /// The field, what is wrong with it and the cure.
    pub message: Text,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message.en, self.code)?;
        if !self.pointer.is_empty() {
            write!(f, " at {}", self.pointer)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a request; never empty. `Display` gives one line for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, roughly in the order of the contract; at most [`MOST_FAULTS`] and one that counts the rest.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl Faults {
    /// The same as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in the request. Borrowed links on the stack, so that a request without faults pays nothing for them.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(super) fn field(&'a self, name: &'a str) -> Place<'a> {
        Place::Field(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Place<'a> {
        Place::Index(self, index)
    }

    fn write_pointer(&self, to: &mut String) {
        match self {
            Place::Root => {}
            Place::Field(parent, name) => {
                parent.write_pointer(to);
                to.push('/');
                to.push_str(&shown(name).replace('~', "~0").replace('/', "~1"));
            }
            Place::Index(parent, index) => {
                parent.write_pointer(to);
                to.push_str(&format!("/{index}"));
            }
        }
    }

    fn write_path(&self, to: &mut String) {
        match self {
            Place::Root => {}
            Place::Field(parent, name) => {
                parent.write_path(to);
                if !to.is_empty() {
                    to.push('.');
                }
                to.push_str(&shown(name));
            }
            Place::Index(parent, index) => {
                parent.write_path(to);
                to.push_str(&format!("[{index}]"));
            }
        }
    }
}

/// A stranger's word as it may be stored and shown: at most 60 characters, none of them a control character.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|character| if character.is_control() { '\u{FFFD}' } else { character })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Gathers faults up to the cap and counts the rest.
#[derive(Default)]
pub(super) struct Collector {
    faults: Vec<Fault>,
    more: usize,
}

impl Collector {
    /// Both texts follow the path of the field and a colon, say what is wrong and then what to do.
    pub(super) fn add(&mut self, place: Place<'_>, code: FaultCode, ru: impl fmt::Display, en: impl fmt::Display) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let (mut pointer, mut path) = (String::new(), String::new());
        place.write_pointer(&mut pointer);
        place.write_path(&mut path);
        let message = if path.is_empty() {
            Text::new(format!("Запрос: {ru}"), format!("Request: {en}"))
        } else {
            Text::new(format!("{path}: {ru}"), format!("{path}: {en}"))
        };
        self.faults.push(Fault { pointer, code, message });
    }

    pub(super) fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// How many were found so far, those beyond the cap included.
    pub(super) fn count(&self) -> usize {
        self.faults.len() + self.more
    }

    /// What was gathered, as warnings.
    pub(super) fn into_warnings(self) -> Vec<Fault> {
        self.close()
    }

    /// `Err` when anything was gathered.
    pub(super) fn into_result(self) -> Result<(), Faults> {
        if self.is_dirty() {
            Err(self.into_faults())
        } else {
            Ok(())
        }
    }

    /// What was gathered; at least one.
    pub(super) fn into_faults(self) -> Faults {
        Faults(self.close())
    }

    fn close(mut self) -> Vec<Fault> {
        if self.more > 0 {
            let more = self.more;
            self.faults.push(Fault {
                pointer: String::new(),
                code: FaultCode::MoreFaults,
                message: Text::new(
                    format!("Запрос: и ещё {more}; исправьте перечисленное и отправьте снова."),
                    format!("Request: and {more} more; mend those listed and send it again."),
                ),
            });
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_json_pointer_and_a_readable_path() {
        let root = Place::Root;
        let lines = root.field("lines");
        let line = lines.index(2);
        let mut faults = Collector::default();
        faults.add(line.field("a/b~c\u{0}"), FaultCode::UnknownField, "ру", "en");
        let faults = faults.into_result().expect_err("one fault");
        let fault = faults.iter().next().expect("one fault");
        assert_eq!(fault.pointer, "/lines/2/a~1b~0c\u{FFFD}");
        assert_eq!(fault.message.en, "lines[2].a/b~c\u{FFFD}: en");
        assert_eq!(faults.to_string().lines().count(), 1);
    }

    #[test]
    fn the_list_is_capped_and_counts_the_rest() {
        let mut faults = Collector::default();
        for _ in 0..MOST_FAULTS + 7 {
            faults.add(Place::Root, FaultCode::Zero, "ноль", "zero");
        }
        let faults = faults.into_result().expect_err("many faults");
        assert_eq!(faults.iter().count(), MOST_FAULTS + 1);
        let last = faults.iter().last().expect("many faults");
        assert_eq!(last.code, FaultCode::MoreFaults);
        assert!(last.message.en.contains("7 more"), "{last}");
    }
}
