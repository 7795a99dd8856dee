//! The committed documents are those of the code, and hold together.

use std::path::Path;

use serde_json::Value;

fn committed(name: &str, generated: &Value) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let text = serde_json::to_string_pretty(generated).expect("serialises");
        std::fs::write(&path, text + "\n").expect("the schema folder can be written");
    }
    let text = std::fs::read_to_string(&path).expect("the document is committed");
    serde_json::from_str(&text).expect("the committed document is JSON")
}

/// Every target of a `$ref` in the document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn assert_every_reference_leads_somewhere(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').expect("inside the document");
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn the_committed_openapi_document_is_the_one_of_the_code() {
    let generated = producer::http::openapi();
    assert_eq!(
        committed("openapi.v1.json", &generated),
        generated,
        "the API has changed: run `UPDATE_SCHEMA=1 cargo test -p producer documents` and look at the difference"
    );
}

#[test]
fn the_openapi_document_holds_together() {
    let document = producer::http::openapi();
    assert_eq!(document["openapi"], "3.1.0");
    assert_every_reference_leads_somewhere(&document);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        if let Err(error) = jsonschema::draft202012::new(&whole) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn the_example_request_is_valid_and_is_accepted_by_the_parser() {
    let document = producer::http::openapi();
    let mut schema = document["components"]["schemas"]["ReceiptRequest"].clone();
    let example = schema["examples"][0].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let bytes = example.to_string();
    receipt::RequestV1::parse(bytes.as_bytes(), None).expect("the parser accepts it");
}

#[test]
fn the_committed_asyncapi_document_is_the_one_of_the_code() {
    let generated = producer::asyncapi();
    assert_eq!(
        committed("asyncapi.v1.json", &generated),
        generated,
        "messages have changed: run `UPDATE_SCHEMA=1 cargo test -p producer documents` and look at the difference"
    );
}

#[test]
fn every_example_of_the_asyncapi_document_is_valid_by_its_own_schemas() {
    let document = producer::asyncapi();
    assert_every_reference_leads_somewhere(&document);
    let messages = document["components"]["messages"].as_object().expect("messages");
    for (name, message) in messages {
        let examples = message["examples"].as_array().expect("examples");
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            for part in ["payload", "headers"] {
                let mut schema = message[part].clone();
                schema["components"] = document["components"].clone();
                let validator = jsonschema::draft202012::new(&schema).expect("a schema");
                let errors: Vec<String> = validator
                    .iter_errors(&example[part])
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{name}: {errors:?}");
            }
        }
    }
    let request = &messages["receiptRequest"]["examples"][0]["payload"];
    receipt::RequestV1::parse(request.to_string().as_bytes(), Some("main")).expect("the parser accepts it");
    let types = document["channels"]["events"]["parameters"]["type"]["enum"]
        .as_array()
        .expect("types");
    assert_eq!(types.len(), 13, "{types:?}");
}
