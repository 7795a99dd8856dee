//! The tree seen by serde. Strict: a value is what it is, and `resolve` tries other readings of a text from the environment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::nearest;
use super::node::{Node, Step, Value, child};

/// A key that the type being read does not have.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) table: Vec<Step>,
    pub(super) key: String,
    pub(super) known: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Refusal {
    UnknownKey { key: String, known: Vec<String> },
    Missing(&'static str),
    Mismatch { found: String, expected: String },
    Other(String),
}

#[derive(Debug)]
pub(super) struct ReadError {
    /// Set by the innermost value that was being read when the error came up.
    pub(super) path: Option<Vec<Step>>,
    pub(super) refusal: Refusal,
}

impl ReadError {
    pub(super) fn at(mut self, path: &[Step]) -> ReadError {
        self.path.get_or_insert_with(|| path.to_vec());
        self
    }

    fn new(refusal: Refusal) -> ReadError {
        ReadError { path: None, refusal }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            Refusal::UnknownKey { key, .. } => write!(f, "unknown key `{key}`"),
            Refusal::Missing(key) => write!(f, "`{key}` is missing"),
            Refusal::Mismatch { found, expected } => write!(f, "expected {expected}, found {found}"),
            Refusal::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ReadError {}

impl serde::de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> ReadError {
        ReadError::new(Refusal::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> ReadError {
        ReadError::new(Refusal::Mismatch {
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> ReadError {
        let known = expected.iter().map(|&name| name.to_owned()).collect();
        ReadError::new(Refusal::UnknownKey {
            key: field.to_owned(),
            known,
        })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> ReadError {
        let hint = nearest(variant, expected)
            .map(|name| format!("; did you mean `{name}`?"))
            .unwrap_or_default();
        ReadError::custom(format_args!("`{variant}` is none of {}{hint}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> ReadError {
        ReadError::new(Refusal::Missing(field))
    }
}

#[derive(Clone)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    path: Vec<Step>,
    strangers: &'a RefCell<Vec<Stranger>>,
}

impl<'a> Reader<'a> {
    /// Keys that no struct asked for are added to `strangers` instead of ending the reading at the first one.
    pub(super) fn new(node: &'a Node, strangers: &'a RefCell<Vec<Stranger>>) -> Reader<'a> {
        Reader {
            node,
            path: Vec::new(),
            strangers,
        }
    }

    fn entries(&self, table: &'a BTreeMap<String, Node>) -> Entries<'a> {
        Entries {
            reader: self.clone(),
            entries: table.iter().collect::<Vec<_>>().into_iter(),
            value: None,
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Table(table) => visitor.visit_map(self.entries(table)),
            Value::List(list) => visitor.visit_seq(Items {
                reader: self.clone(),
                items: list.iter().enumerate(),
            }),
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
        }
    }

    /// An empty variable is how compose files and charts spell "not set".
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(text) if text.is_empty() && self.node.origin.variable().is_some() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let Value::Table(table) = &self.node.value else {
            return Err(ReadError::invalid_type(self.node.value.unexpected(), &"a section"));
        };
        let (known, unknown): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| fields.contains(&key.as_str()));
        self.strangers
            .borrow_mut()
            .extend(unknown.into_iter().map(|(key, _)| Stranger {
                table: self.path.clone(),
                key: key.clone(),
                known: fields.iter().map(|&name| name.to_owned()).collect(),
            }));
        visitor.visit_map(Entries {
            reader: self.clone(),
            entries: known.into_iter(),
            value: None,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(text) => {
                let text: StringDeserializer<ReadError> = text.clone().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Value::Table(table) if table.len() == 1 => {
                MapAccessDeserializer::new(self.entries(table)).deserialize_enum(name, variants, visitor)
            }
            other => Err(ReadError::invalid_type(
                other.unexpected(),
                &format!("one of {}", variants.join(", ")).as_str(),
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    entries: std::vec::IntoIter<(&'a String, &'a Node)>,
    value: Option<(&'a String, &'a Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        let name: StringDeserializer<ReadError> = key.clone().into_deserializer();
        seed.deserialize(name)
            .map(Some)
            .map_err(|error| error.at(&child(&self.reader.path, key)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let Some((key, node)) = self.value.take() else {
            return Err(ReadError::custom("a value was asked for before its key"));
        };
        let path = child(&self.reader.path, key);
        seed.deserialize(Reader {
            node,
            path: path.clone(),
            strangers: self.reader.strangers,
        })
        .map_err(|error| error.at(&path))
    }
}

struct Items<'a> {
    reader: Reader<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let mut path = self.reader.path.clone();
        path.push(Step::Index(index));
        seed.deserialize(Reader {
            node,
            path: path.clone(),
            strangers: self.reader.strangers,
        })
        .map(Some)
        .map_err(|error| error.at(&path))
    }
}
