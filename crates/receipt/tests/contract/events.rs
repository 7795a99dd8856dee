//! The committed JSON Schema of events is the one of the types.

use std::path::Path;

use serde_json::{Value, json};

#[test]
fn the_committed_schema_of_events_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/event.v1.json");
    let generated = receipt::event::schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let text = serde_json::to_string_pretty(&generated).expect("serialises");
        std::fs::write(&path, text + "\n").expect("the schema folder can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("schema/event.v1.json is committed");
    let committed: Value = serde_json::from_str(&committed).expect("the committed schema is JSON");
    assert_eq!(
        committed, generated,
        "the contract has changed: run `UPDATE_SCHEMA=1 cargo test -p receipt schema` and look at the difference"
    );
}

#[test]
fn an_event_without_its_parts_is_not_valid_by_the_schema() {
    let validator = jsonschema::draft202012::new(&receipt::event::schema()).expect("the schema is a schema");
    let event = json!({
        "id": "01936f1e-0000-7000-8000-000000000001", "type": "receipt.accepted", "time": "2026-11-23T10:00:00Z",
        "version": 0, "transaction_id": "01936f1e-0000-7000-8000-000000000002", "store": "main", "operation": "sell",
        "document": "417", "part": "main", "order": null, "external_id": "invoice_main_417", "vendor_uuid": null,
        "state": "queued", "kkm_status": "wait", "order_status_hint": null, "text": { "ru": "…", "en": "…" },
        "fiscal": null, "error": null
    });
    let errors: Vec<_> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for part in [
        "id",
        "type",
        "time",
        "transaction_id",
        "state",
        "text",
        "order_status_hint",
    ] {
        let mut without = event.clone();
        without.as_object_mut().expect("an object").remove(part);
        assert!(!validator.is_valid(&without), "{part}");
    }
}
