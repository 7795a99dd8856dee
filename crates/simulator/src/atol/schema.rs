//! A small language for the rules that ATOL's published schemas hold, and the walk that checks a body against them.
//!
//! The faults come out as the .NET library `NJsonSchema` writes them, because the texts of error 32 show its form
//! (fact sheet, section 5.3): its kinds, its paths, its order and its nesting.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::exact::Exact;

/// A pattern is compiled at its first use.
pub(super) type Pattern = LazyLock<Regex>;

/// What a value must be.
pub(super) enum Rule {
    /// A string; lengths count UTF-16 units, as .NET does.
    Text {
        least: usize,
        most: usize,
        pattern: Option<&'static Pattern>,
    },
    /// A number within limits, a multiple of `step`.
    Number {
        least: Exact,
        above_least: bool,
        most: Exact,
        step: Option<Exact>,
    },
    /// An integer, written without a point.
    Integer { least: i64, most: i64 },
    /// A number that reads exactly as one of these, so `1.0` is not `1`.
    NumberOf(&'static [&'static str]),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// `null`.
    Null,
    /// An array.
    List {
        least: usize,
        most: usize,
        of: &'static Rule,
    },
    /// An object; keys that are not named are ignored.
    Object(&'static [Field]),
    /// Rules for the keys of an object, that let anything that is no object pass unless a key is required.
    Keys(&'static [Field]),
    /// At least one of the rules holds.
    AnyOf(&'static [Rule]),
    /// All of the rules hold, each reporting for itself.
    All(&'static [Rule]),
}

/// One key of an object.
pub(super) struct Field {
    name: &'static str,
    required: bool,
    rule: &'static Rule,
}

pub(super) const fn required(name: &'static str, rule: &'static Rule) -> Field {
    Field {
        name,
        required: true,
        rule,
    }
}

pub(super) const fn optional(name: &'static str, rule: &'static Rule) -> Field {
    Field {
        name,
        required: false,
        rule,
    }
}

pub(super) const fn text(most: usize) -> Rule {
    Rule::Text {
        least: 0,
        most,
        pattern: None,
    }
}

/// One thing that is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: &'static str,
    path: String,
    /// The faults of each alternative, or of the one array element.
    inside: Vec<Vec<Fault>>,
}

impl Fault {
    pub(super) fn new(kind: &'static str, path: &str) -> Fault {
        Fault {
            kind,
            path: path.to_owned(),
            inside: Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: #/{}", self.kind, self.path)?;
        for block in &self.inside {
            f.write_str("\n{")?;
            for fault in block {
                for line in fault.to_string().lines() {
                    write!(f, "\n  {line}")?;
                }
            }
            f.write_str("\n}")?;
        }
        Ok(())
    }
}

/// All faults joined by a comma; the true separator is unknown (fact sheet, section 13, question 9).
pub(super) fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join(", ")
}

/// Everything that is wrong with `value`.
pub(super) fn check(rule: &Rule, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(rule, value, "", &mut faults);
    faults
}

fn walk(rule: &Rule, value: &Value, path: &str, faults: &mut Vec<Fault>) {
    let mut fail = |kind| faults.push(Fault::new(kind, path));
    match rule {
        Rule::Text { least, most, pattern } => match value {
            Value::String(text) => {
                let length = text.encode_utf16().count();
                if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
                    fail("PatternMismatch");
                }
                if length < *least {
                    fail("StringTooShort");
                }
                if length > *most {
                    fail("StringTooLong");
                }
            }
            _ => fail("StringExpected"),
        },
        Rule::Number {
            least,
            above_least,
            most,
            step,
        } => match value {
            Value::Number(number) => {
                let number = Exact::of(number);
                if number < *least || *above_least && number == *least {
                    fail("NumberTooSmall");
                }
                if number > *most {
                    fail("NumberTooBig");
                }
                if step.is_some_and(|step| !number.is_multiple_of(step)) {
                    fail("NumberNotMultipleOf");
                }
            }
            _ => fail("NumberExpected"),
        },
        Rule::Integer { least, most } => match value.as_i64() {
            Some(number) if number < *least => fail("NumberTooSmall"),
            Some(number) if number > *most => fail("NumberTooBig"),
            Some(_) => {}
            None => fail("IntegerExpected"),
        },
        Rule::NumberOf(values) => {
            if !value.is_number() {
                fail("NumberExpected");
            }
            // Compared as text, so the string "1" fails as no number only.
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !values.contains(&text.as_str()) {
                fail("NotInEnumeration");
            }
        }
        Rule::OneOf(values) => {
            if !value.as_str().is_some_and(|text| values.contains(&text)) {
                fail("NotInEnumeration");
            }
        }
        Rule::Flag => {
            if !value.is_boolean() {
                fail("BooleanExpected");
            }
        }
        Rule::Null => {
            if !value.is_null() {
                fail("NullExpected");
            }
        }
        Rule::List { least, most, of } => match value {
            Value::Array(elements) => {
                if elements.len() < *least {
                    fail("TooFewItems");
                }
                if elements.len() > *most {
                    fail("TooManyItems");
                }
                for (index, element) in elements.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let mut inside = Vec::new();
                    walk(of, element, &path, &mut inside);
                    if !inside.is_empty() {
                        faults.push(Fault {
                            kind: "ArrayItemNotValid",
                            path,
                            inside: vec![inside],
                        });
                    }
                }
            }
            _ => fail("ArrayExpected"),
        },
        Rule::Object(fields) => {
            if !value.is_object() {
                fail("ObjectExpected");
            }
            walk_keys(fields, value, path, faults);
        }
        Rule::Keys(fields) => walk_keys(fields, value, path, faults),
        Rule::AnyOf(alternatives) => {
            let mut inside = Vec::new();
            for alternative in *alternatives {
                let mut of_this_one = Vec::new();
                walk(alternative, value, path, &mut of_this_one);
                if of_this_one.is_empty() {
                    return;
                }
                inside.push(of_this_one);
            }
            faults.push(Fault {
                kind: "NotAnyOf",
                path: path.to_owned(),
                inside,
            });
        }
        Rule::All(rules) => {
            for rule in *rules {
                walk(rule, value, path, faults);
            }
        }
    }
}

fn walk_keys(fields: &[Field], value: &Value, path: &str, faults: &mut Vec<Fault>) {
    for field in fields {
        let path = if path.is_empty() {
            field.name.to_owned()
        } else {
            format!("{path}.{}", field.name)
        };
        match value.get(field.name) {
            Some(value) => walk(field.rule, value, &path, faults),
            None if field.required => faults.push(Fault::new("PropertyRequired", &path)),
            None => {}
        }
    }
}
