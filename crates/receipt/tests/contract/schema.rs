//! The committed JSON Schema is the one of the types, and it accepts whatever the parser accepts.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{full, merge, parse, sample};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&receipt::request::schema()).expect("the schema is a schema")
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/receipt.request.v1.json");
    let generated = receipt::request::schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let text = serde_json::to_string_pretty(&generated).expect("serialises");
        std::fs::write(&path, text + "\n").expect("the schema folder can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("schema/receipt.request.v1.json is committed");
    let committed: Value = serde_json::from_str(&committed).expect("the committed schema is JSON");
    assert_eq!(
        committed, generated,
        "the contract has changed: run `UPDATE_SCHEMA=1 cargo test -p receipt schema` and look at the difference"
    );
}

#[test]
fn the_samples_are_valid_by_the_schema() {
    let validator = validator();
    for request in [sample(), full()] {
        let errors: Vec<_> = validator.iter_errors(&request).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_schema_refuses_what_it_can_see() {
    let validator = validator();
    for change in [
        json!({ "extra": 1 }),
        json!({ "operation": "resell_sell" }),
        json!({ "document": { "number": "a_b" } }),
        json!({ "lines": [] }),
        json!({ "lines": vec![sample()["lines"][0].clone(); 101] }),
        json!({ "lines": { "0": { "price": "1,5" } } }),
        json!({ "lines": { "0": { "price": -1 } } }),
        json!({ "lines": { "0": { "price": "1.005" } } }),
        json!({ "lines": { "0": { "vat": "vat18" } } }),
        json!({ "lines": { "0": { "name": null } } }),
        json!({ "customer": null }),
        json!({ "payments": { "0": { "type": "card" } } }),
        json!({ "total": null }),
    ] {
        let mut request = sample();
        merge(&mut request, &change);
        assert!(!validator.is_valid(&request), "{change}");
        assert!(parse(&request).is_err(), "{change}");
    }
}

#[test]
fn every_required_field_of_the_schema_is_required_by_the_parser() {
    let schema = receipt::request::schema();
    for (definition, at) in [
        ("", ""),
        ("/$defs/Document", "/document"),
        ("/$defs/Line", "/lines/0"),
        ("/$defs/Payment", "/payments/0"),
    ] {
        let required = schema
            .pointer(&format!("{definition}/required"))
            .and_then(Value::as_array)
            .expect("a list");
        for name in required.iter().filter_map(Value::as_str) {
            let mut request = sample();
            request
                .pointer_mut(at)
                .and_then(Value::as_object_mut)
                .expect("an object")
                .remove(name);
            let faults = parse(&request).expect_err(name);
            let pointer = format!("{at}/{name}");
            assert!(
                faults.iter().any(|fault| fault.pointer == pointer),
                "{pointer}: {faults}"
            );
        }
    }
}

/// Requests around the border of the contract: many are accepted, and some are not.
fn near_contract() -> impl Strategy<Value = Value> {
    let decimal = prop_oneof![
        Just(json!("600")),
        Just(json!(600)),
        Just(json!(600.0)),
        Just(json!("600.000")),
        Just(json!("0600.00")),
        Just(json!("6e2")),
        Just(json!(-600)),
        Just(json!(null)),
    ];
    let text = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!(" ")),
        Just(json!("643")),
        Just(json!(" 643\t")),
        Just(json!("main")),
        Just(json!("a-1")),
        Just(json!("шт")),
        any::<String>().prop_map(Value::from),
    ];
    let vat = prop_oneof![
        Just(json!(null)),
        Just(json!("vat22")),
        Just(json!("none")),
        Just(json!("vat20"))
    ];
    (decimal.clone(), decimal, vat, prop::collection::vec(text, 10)).prop_map(|(price, sum, vat, text)| {
        json!({
            "store": "main",
            "operation": "sell",
            "document": { "number": "1", "part": text[0], "order": text[1] },
            "customer": { "email": "a@b.c", "phone": text[2], "name": text[3], "inn": null },
            "lines": [{
                "name": "x", "price": price, "quantity": 1, "sum": sum, "vat": vat, "unit": text[4],
                "country_code": text[5], "declaration_number": text[6]
            }],
            "payments": null,
            "total": "600.00",
            "cashier": text[7],
            "check_property": text[8],
            "user_property": null,
        })
    })
}

proptest! {
    #[test]
    fn whatever_the_parser_accepts_is_valid_by_the_schema(request in near_contract()) {
        if parse(&request).is_ok() {
            let errors: Vec<_> = validator().iter_errors(&request).map(|error| error.to_string()).collect();
            prop_assert!(errors.is_empty(), "{request}: {errors:?}");
        }
    }
}
