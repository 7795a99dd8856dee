//! TOML texts: the configuration file and the compiled-in defaults.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::node::{Node, Origin, Value};

/// Parses one TOML text. `file` is its path, or `None` for the compiled-in defaults.
/// All mistakes of its syntax are reported, with line and column and never with the text of the line, which may be a secret.
pub(super) fn parse(text: &str, file: Option<&str>, faults: &mut Vec<Fault>) -> Node {
    let source = Source {
        text,
        file: file.map(Arc::from),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    faults.extend(errors.iter().map(|error| {
        let at = source.describe(error.span().map_or(0, |span| span.start));
        Fault::new("", Some(at), error.message().to_owned())
    }));
    source.table(document.get_ref(), source.origin(0), faults)
}

struct Source<'a> {
    text: &'a str,
    file: Option<Arc<str>>,
}

impl Source<'_> {
    fn table(&self, table: &DeTable<'_>, origin: Origin, faults: &mut Vec<Fault>) -> Node {
        let entries = table.iter().map(|(key, value)| {
            let node = self.node(value.get_ref(), self.origin(key.span().start), faults);
            (key.get_ref().to_string(), node)
        });
        Node::new(Value::Table(entries.collect()), origin)
    }

    fn node(&self, value: &DeValue<'_>, origin: Origin, faults: &mut Vec<Fault>) -> Node {
        let value = match value {
            DeValue::Table(table) => return self.table(table, origin, faults),
            DeValue::Array(array) => Value::List(
                array
                    .iter()
                    .map(|item| self.node(item.get_ref(), self.origin(item.span().start), faults))
                    .collect(),
            ),
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(error) => {
                    faults.push(Fault::new(
                        "",
                        Some(origin.to_string()),
                        format!("not a whole number: {error}"),
                    ));
                    Value::Integer(0)
                }
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(error) => {
                    faults.push(Fault::new(
                        "",
                        Some(origin.to_string()),
                        format!("not a number: {error}"),
                    ));
                    Value::Float(0.0)
                }
            },
        };
        Node::new(value, origin)
    }

    fn origin(&self, offset: usize) -> Origin {
        let Some(path) = &self.file else { return Origin::Default };
        let (line, column) = self.position(offset);
        Origin::File {
            path: path.clone(),
            line,
            column,
        }
    }

    fn describe(&self, offset: usize) -> String {
        let (line, column) = self.position(offset);
        format!(
            "{}:{line}:{column}",
            self.file.as_deref().unwrap_or("compiled-in defaults")
        )
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}
