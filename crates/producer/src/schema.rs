//! The contracts' JSON Schemas as parts of a larger document.

use serde_json::{Map, Value};

/// Where schemas stand in both kinds of documents.
pub(crate) const PLACE: &str = "#/components/schemas/";

/// Puts a schema in under a name, and the definitions inside it under names that begin with it.
pub(crate) fn hoist(name: &str, mut schema: Value, schemas: &mut Map<String, Value>) {
    let mut parts = Map::new();
    if let Some(schema) = schema.as_object_mut() {
        // They would change what the references are relative to.
        schema.remove("$schema");
        schema.remove("$id");
        if let Some(Value::Object(definitions)) = schema.remove("$defs") {
            parts.extend(definitions);
        }
    }
    for (part, mut definition) in parts {
        rename(name, &mut definition);
        schemas.insert(format!("{name}.{part}"), definition);
    }
    rename(name, &mut schema);
    schemas.insert(name.to_owned(), schema);
}

/// References to the parts by the names that they have there.
fn rename(name: &str, schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(part) = target.strip_prefix("#/$defs/") {
                            *target = format!("{PLACE}{name}.{part}");
                        }
                    }
                    other => rename(name, other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
