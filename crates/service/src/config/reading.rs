//! What a text from the environment may mean: itself, a number, a boolean, a list. The type decides, in `resolve`.

use toml::de::DeValue;

use super::node::{Node, Origin, Value};

/// A value that is the text at first and has its other meanings ready.
pub(super) fn from_environment(text: String, origin: Origin) -> Node {
    let list = split_list(&text, &origin);
    let mut readings = vec![Value::Text(text.clone()), Value::List(list)];
    readings.extend(scalar(&text));
    Node {
        value: Value::Text(text),
        origin,
        readings,
        beneath: None,
    }
}

fn scalar(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse() {
        return Some(Value::Boolean(value));
    }
    if let Ok(number) = text.parse() {
        return Some(Value::Integer(number));
    }
    text.parse().ok().map(Value::Float)
}

/// `a, b` and the TOML spelling `["a", "b"]`, which is for values that hold commas themselves.
fn split_list(text: &str, origin: &Origin) -> Vec<Node> {
    let written = text.trim();
    if written.starts_with('[')
        && let Ok(value) = DeValue::parse(written)
        && let DeValue::Array(items) = value.get_ref()
        && let Some(texts) = items
            .iter()
            .map(|item| plain(item.get_ref()))
            .collect::<Option<Vec<_>>>()
    {
        return texts.into_iter().map(|text| element(text, origin)).collect();
    }
    if written.is_empty() {
        return Vec::new();
    }
    written
        .split(',')
        .map(|item| element(item.trim().to_owned(), origin))
        .collect()
}

fn element(text: String, origin: &Origin) -> Node {
    let mut node = Node::new(Value::Text(text.clone()), origin.clone());
    if let Some(value) = scalar(&text) {
        node.readings = vec![Value::Text(text), value];
    }
    node
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
