//! JSON objects and lists taken apart one level at a time.
//!
//! Every value stays the slice of text that it was, so that numbers are read exactly, every field can be judged on
//! its own, and one wrong field does not hide the next. Nothing here recurses: only the levels that the contract has
//! are ever opened, and `serde_json` skips what lies deeper with a loop, so depth can't exhaust the stack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::code::FaultCode;
use super::fault::{Collector, Place, shown};

/// The keys and values of an object in their order, repeated keys included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Gather;

        impl<'de> Visitor<'de> for Gather {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        from.deserialize_map(Gather).map(Entries)
    }
}

/// One object of the contract, opened.
pub(super) struct Object<'a> {
    known: &'static [&'static str],
    values: Vec<Option<&'a RawValue>>,
}

impl<'a> Object<'a> {
    /// Opens an object that may hold the fields `known`. Every other field is a fault, and so is every repetition.
    pub(super) fn open(
        raw: &'a RawValue,
        place: Place<'_>,
        known: &'static [&'static str],
        faults: &mut Collector,
    ) -> Option<Self> {
        if kind(raw) != Kind::Object {
            wrong_type(raw, place, ("объект", "an object"), faults);
            return None;
        }
        let entries: Entries<'a> = match serde_json::from_str(raw.get()) {
            Ok(entries) => entries,
            // The text is sound JSON; what is left is a key with half a surrogate pair.
            Err(_) => {
                faults.add(
                    place,
                    FaultCode::InvalidJson,
                    "имя одного из полей не является текстом Unicode; исправьте его.",
                    "the name of a field is not Unicode text; mend it.",
                );
                return None;
            }
        };
        let mut values = vec![None; known.len()];
        let mut repeated: Vec<&'static str> = Vec::new();
        for (key, value) in entries.0 {
            match known.iter().position(|name| *name == key) {
                None if faults.is_full() => faults.add(place, FaultCode::UnknownField, "", ""),
                None => unknown_field(&key, place, known, faults),
                Some(index) if values[index].is_none() => values[index] = Some(value),
                Some(index) if repeated.contains(&known[index]) => {}
                Some(index) => {
                    repeated.push(known[index]);
                    faults.add(
                        place.field(known[index]),
                        FaultCode::DuplicateField,
                        "поле повторяется; оставьте одно.",
                        "the field stands twice; leave one.",
                    );
                }
            }
        }
        // An explicit null is the same as an absent field.
        for value in &mut values {
            *value = value.filter(|raw| kind(raw) != Kind::Null);
        }
        Some(Self { known, values })
    }

    /// The value of a field of the list that the object was opened with; `None` when it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let index = self.known.iter().position(|known| *known == name);
        debug_assert!(index.is_some(), "{name} is not a field of this object");
        index.and_then(|index| self.values[index])
    }
}

/// Opens a list.
pub(super) fn list<'a>(raw: &'a RawValue, place: Place<'_>, faults: &mut Collector) -> Option<Vec<&'a RawValue>> {
    if kind(raw) != Kind::List {
        wrong_type(raw, place, ("список", "a list"), faults);
        return None;
    }
    // The text is sound JSON and a list, so this can't fail.
    serde_json::from_str(raw.get()).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Kind {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Null => ("null", "null"),
            Self::Bool => ("логическое значение", "a boolean"),
            Self::Number => ("число", "a number"),
            Self::Text => ("строка", "a string"),
            Self::List => ("список", "a list"),
            Self::Object => ("объект", "an object"),
        }
    }
}

pub(super) fn kind(raw: &RawValue) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

pub(super) fn wrong_type(
    raw: &RawValue,
    place: Place<'_>,
    (expected_ru, expected_en): (&str, &str),
    faults: &mut Collector,
) {
    let (found_ru, found_en) = kind(raw).names();
    faults.add(
        place,
        FaultCode::WrongType,
        format_args!("ожидается {expected_ru}, получено: {found_ru}."),
        format_args!("must be {expected_en}, not {found_en}."),
    );
}

fn unknown_field(key: &str, place: Place<'_>, known: &[&str], faults: &mut Collector) {
    let meant = closest(key, known.iter().copied());
    let (hint_ru, hint_en) = match meant {
        Some(name) => (
            format!("возможно, имелось в виду {name}"),
            format!("did you mean {name}?"),
        ),
        None => (
            format!("допустимы: {}", known.join(", ")),
            format!("known here are {}.", known.join(", ")),
        ),
    };
    let name = shown(key);
    faults.add(
        place.field(key),
        FaultCode::UnknownField,
        format_args!("поля {name:?} в контракте нет; {hint_ru}."),
        format_args!("the contract has no field {name:?}; {hint_en}"),
    );
}

/// The word that was most likely meant.
pub(super) fn closest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody misspells a field by hundreds of characters, and the comparison is quadratic.
    if word.len() > 40 {
        return None;
    }
    let word = word.to_lowercase();
    words
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
