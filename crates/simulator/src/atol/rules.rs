//! What the v4 schemas demand, as a table.
//!
//! Source: fact sheet, sections 3.1–3.7, and 3.6 above all: the *published schema* is looser than the documents' text,
//! and a body is refused only for what the schema says. Maxima are those of document 5.23.

use serde_json::Value;

use super::operation::Operation;
use super::schema::{self, Fault, Field, Rule, optional, required};
use super::values::{
    AGENT_TYPE, ANY_TEXT, CALLBACK_MASK, DIGITS, EMAIL, EMPTY_TEXT, FLAG, INN_TEXT, MILLIONTH, MONEY, MONEY_OR_NULL,
    MOST_MONEY, NO_BLANKS, NOMENCLATURE, PAYMENT_METHOD, PAYMENT_OBJECT, PHONE_DIGITS, PHONES, SNO, SOURCE, TEXT_12,
    TEXT_16, TEXT_20, TEXT_24, TEXT_64, TEXT_128, TEXT_256, UNLIMITED, VAT_TYPE, ZERO,
};
use crate::exact::Exact;

static GET_TOKEN: Rule = Rule::Object(&[
    required(
        "login",
        &Rule::Text {
            least: 0,
            most: 100,
            pattern: Some(&NO_BLANKS),
        },
    ),
    required(
        "pass",
        &Rule::Text {
            least: 0,
            most: 100,
            pattern: None,
        },
    ),
    optional(
        "source",
        &Rule::Text {
            least: 0,
            most: 100,
            pattern: Some(&SOURCE),
        },
    ),
]);

static SERVICE_RULE: Rule = Rule::Object(&[optional("callback_url", &TEXT_256)]);
const SERVICE: Field = optional("service", &SERVICE_RULE);
const TIMESTAMP: Field = required("timestamp", &ANY_TEXT);
const EXTERNAL_ID: Field = required("external_id", &TEXT_128);
static DIGIT: Rule = Rule::Integer { least: 0, most: 9 };
const SOURCE_ID: Field = optional("source_id", &DIGIT);

static RECEIPT_BODY: Rule = Rule::Object(&[
    TIMESTAMP,
    EXTERNAL_ID,
    SOURCE_ID,
    SERVICE,
    required("receipt", &RECEIPT),
]);

static RECEIPT: Rule = Rule::Object(&[
    required("client", &CLIENT),
    required("company", &COMPANY),
    optional("agent_info", &AGENT_INFO),
    optional("supplier_info", &SUPPLIER_INFO),
    required(
        "items",
        &Rule::List {
            least: 1,
            most: UNLIMITED,
            of: &ITEM,
        },
    ),
    required("payments", &PAYMENTS),
    optional(
        "vats",
        &Rule::List {
            least: 1,
            most: 6,
            of: &Rule::Object(&[optional("type", &VAT_TYPE), optional("sum", &MONEY_OR_NULL)]),
        },
    ),
    required("total", &MONEY),
    optional("additional_check_props", &TEXT_16),
    optional("cashier", &TEXT_64),
    optional(
        "additional_user_props",
        &Rule::Object(&[required("name", &TEXT_64), required("value", &TEXT_256)]),
    ),
    optional("device_number", &TEXT_20),
    optional("internet", &FLAG),
    optional(
        "cashless_payments",
        &Rule::List {
            least: 0,
            most: UNLIMITED,
            of: &CASHLESS_PAYMENT,
        },
    ),
]);

// An empty e-mail satisfies the first alternative, as it does at the vendor.
static CLIENT: Rule = Rule::All(&[
    Rule::AnyOf(&[
        Rule::Keys(&[required("email", &TEXT_64), optional("phone", &TEXT_64)]),
        Rule::Keys(&[optional("email", &EMPTY_TEXT), required("phone", &TEXT_64)]),
    ]),
    Rule::Object(&[optional("name", &TEXT_256), optional("inn", &INN_TEXT)]),
]);

static COMPANY: Rule = Rule::Object(&[
    optional("email", &TEXT_64),
    optional("sno", &SNO),
    required("inn", &TEXT_12),
    required("payment_address", &TEXT_256),
    optional("location", &TEXT_256),
]);

static AGENT_INFO: Rule = Rule::Object(&[
    optional("type", &AGENT_TYPE),
    optional(
        "paying_agent",
        &Rule::Object(&[optional("operation", &TEXT_24), optional("phones", &PHONES)]),
    ),
    optional(
        "receive_payments_operator",
        &Rule::Object(&[optional("phones", &PHONES)]),
    ),
    optional(
        "money_transfer_operator",
        &Rule::Object(&[
            optional("phones", &PHONES),
            optional("name", &ANY_TEXT),
            optional("address", &ANY_TEXT),
            optional("inn", &INN_TEXT),
        ]),
    ),
]);

static SUPPLIER_INFO: Rule = Rule::Object(&[
    optional("phones", &PHONES),
    optional("name", &ANY_TEXT),
    optional("inn", &ANY_TEXT),
]);

static ITEM: Rule = Rule::Object(&[
    required("name", &ANY_TEXT),
    required("price", &MONEY),
    required(
        "quantity",
        &Rule::Number {
            least: MILLIONTH,
            above_least: false,
            most: Exact::new(99_999_999, 0),
            step: Some(MILLIONTH),
        },
    ),
    required("sum", &MONEY_OR_NULL),
    optional("measurement_unit", &TEXT_16),
    optional("payment_method", &PAYMENT_METHOD),
    optional("payment_object", &PAYMENT_OBJECT),
    optional(
        "nomenclature_code",
        &Rule::Text {
            least: 0,
            most: 150,
            pattern: Some(&NOMENCLATURE),
        },
    ),
    optional(
        "vat",
        &Rule::Object(&[optional("type", &VAT_TYPE), optional("sum", &MONEY_OR_NULL)]),
    ),
    optional("agent_info", &AGENT_INFO),
    optional("supplier_info", &SUPPLIER_INFO),
    optional("user_data", &TEXT_64),
    optional(
        "excise",
        &Rule::Number {
            least: ZERO,
            above_least: true,
            most: MOST_MONEY,
            step: None,
        },
    ),
    optional(
        "country_code",
        &Rule::Text {
            least: 1,
            most: 3,
            pattern: Some(&DIGITS),
        },
    ),
    optional(
        "declaration_number",
        &Rule::Text {
            least: 1,
            most: 32,
            pattern: None,
        },
    ),
]);

static PAYMENTS: Rule = Rule::List {
    least: 1,
    most: 10,
    of: &Rule::Object(&[
        required(
            "type",
            &Rule::NumberOf(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        ),
        required("sum", &MONEY_OR_NULL),
    ]),
};

static CASHLESS_PAYMENT: Rule = Rule::Object(&[
    required("sum", &MONEY),
    required("method", &Rule::Integer { least: 0, most: 255 }),
    required(
        "id",
        &Rule::Text {
            least: 1,
            most: 256,
            pattern: None,
        },
    ),
    optional(
        "additional_info",
        &Rule::Text {
            least: 1,
            most: 256,
            pattern: None,
        },
    ),
]);

static CORRECTION_BODY: Rule = Rule::Object(&[
    TIMESTAMP,
    EXTERNAL_ID,
    SOURCE_ID,
    SERVICE,
    required("correction", &CORRECTION),
]);

static CORRECTION: Rule = Rule::Object(&[
    optional(
        "client",
        &Rule::Object(&[
            optional(
                "email",
                &Rule::Text {
                    least: 0,
                    most: 64,
                    pattern: Some(&EMAIL),
                },
            ),
            optional(
                "phone",
                &Rule::Text {
                    least: 0,
                    most: 19,
                    pattern: Some(&PHONE_DIGITS),
                },
            ),
        ]),
    ),
    required(
        "company",
        &Rule::Object(&[
            optional("sno", &SNO),
            required("inn", &TEXT_12),
            required("payment_address", &TEXT_256),
            optional("location", &TEXT_256),
        ]),
    ),
    required(
        "correction_info",
        &Rule::Object(&[
            required("type", &Rule::OneOf(&["self", "instruction"])),
            required("base_date", &ANY_TEXT),
            // Required in the printed schema of 5.15, found optional on the live stand in 2026.
            optional("base_number", &ANY_TEXT),
        ]),
    ),
    required("payments", &PAYMENTS),
    required(
        "vats",
        &Rule::List {
            least: 1,
            most: 6,
            of: &Rule::Object(&[required("type", &VAT_TYPE), required("sum", &MONEY_OR_NULL)]),
        },
    ),
    optional("cashier", &TEXT_64),
    optional("device_number", &TEXT_20),
    optional("internet", &FLAG),
]);

/// What is wrong with the body of a call for a token.
pub(super) fn faults_of_get_token(body: &Value) -> Vec<Fault> {
    schema::check(&GET_TOKEN, body)
}

/// What is wrong with a document's body. `refused_vat` are the VAT types that incoming payments may no longer carry.
pub(super) fn faults_of_document(operation: Operation, body: &Value, refused_vat: &[String]) -> Vec<Fault> {
    if operation.is_correction() {
        let mut faults = schema::check(&CORRECTION_BODY, body);
        // Since 5.21 a correction of a payment over the Internet needs a client, whom nothing else asks for.
        if body["correction"]["internet"] == true && body["correction"].get("client").is_none() {
            faults.push(Fault::new("PropertyRequired", "correction.client"));
        }
        return faults;
    }
    let mut faults = schema::check(&RECEIPT_BODY, body);
    if matches!(operation, Operation::Sell | Operation::Buy) {
        let items = body["receipt"]["items"].as_array().into_iter().flatten();
        faults.extend(items.enumerate().filter_map(|(index, item)| {
            let refused = item["vat"]["type"]
                .as_str()
                .is_some_and(|vat| refused_vat.iter().any(|refused| refused == vat));
            refused.then(|| Fault::new("NotInEnumeration", &format!("receipt.items[{index}].vat.type")))
        }));
    }
    faults
}

/// Whether the service would call this address. If not, the document is registered all the same, with a warning.
pub(super) fn fits_callback_mask(url: &str) -> bool {
    CALLBACK_MASK.is_match(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn receipt() -> Value {
        json!({
            "timestamp": "14.02.2026 11:07:42",
            "external_id": "order-1",
            "receipt": {
                "client": {"email": "buyer@example.org"},
                "company": {"inn": "7805123470", "payment_address": "https://shop.example"},
                "items": [{"name": "Mug", "price": 10, "quantity": 1, "sum": 10.00}],
                "payments": [{"type": 1, "sum": 10}],
                "total": 10.00
            }
        })
    }

    fn texts(body: &Value) -> String {
        schema::list(&faults_of_document(Operation::Sell, body, &[]))
    }

    #[test]
    fn the_schema_asks_for_less_than_the_documents() {
        let mut body = receipt();
        assert_eq!(texts(&body), "");
        body["surprise"] = json!({"deep": [1]});
        body["receipt"]["client"] = json!({"email": ""});
        body["receipt"]["items"][0]["sum"] = Value::Null;
        body["receipt"]["items"][0]["measure"] = json!(0);
        body["receipt"]["items"][0]["name"] = json!("x".repeat(500));
        body["timestamp"] = json!("2026-02-14T11:07:42+03:00");
        assert_eq!(texts(&body), "");
    }

    #[test]
    fn every_fault_is_named_in_the_order_of_the_schema() {
        let mut body = receipt();
        body["receipt"]["total"] = json!(-1);
        body["receipt"].as_object_mut().expect("an object").remove("client");
        assert_eq!(
            texts(&body),
            "PropertyRequired: #/receipt.client, NumberTooSmall: #/receipt.total"
        );
    }

    #[test]
    fn a_client_without_address_fails_both_alternatives() {
        let mut body = receipt();
        body["receipt"]["client"] = json!({});
        assert_eq!(
            texts(&body),
            "NotAnyOf: #/receipt.client\n{\n  PropertyRequired: #/receipt.client.email\n}\n\
             {\n  PropertyRequired: #/receipt.client.phone\n}"
        );
    }

    #[test]
    fn faults_of_array_elements_are_wrapped_and_indented() {
        let mut body = receipt();
        body["receipt"]["items"][0]["price"] = json!("10.00");
        body["receipt"]["items"][0]["quantity"] = json!(0.0000001);
        body["receipt"]["items"][0]["sum"] = json!(1.005);
        body["receipt"]["items"][0]["vat"] = json!({"type": "vat99"});
        assert_eq!(
            texts(&body),
            "ArrayItemNotValid: #/receipt.items[0]\n{\n  NumberExpected: #/receipt.items[0].price\n  \
             NumberTooSmall: #/receipt.items[0].quantity\n  NumberNotMultipleOf: #/receipt.items[0].quantity\n  \
             NotAnyOf: #/receipt.items[0].sum\n  {\n    NumberNotMultipleOf: #/receipt.items[0].sum\n  }\n  \
             {\n    NullExpected: #/receipt.items[0].sum\n  }\n  NotInEnumeration: #/receipt.items[0].vat.type\n}"
        );
    }

    #[test]
    fn payment_types_are_compared_as_text() {
        for (payment_type, expected) in [
            (json!(1), ""),
            (json!(1.0), "NotInEnumeration"),
            (json!(10), "NotInEnumeration"),
            (json!("1"), "NumberExpected"),
        ] {
            let mut body = receipt();
            body["receipt"]["payments"][0]["type"] = payment_type;
            assert_eq!(texts(&body).contains("payments"), !expected.is_empty());
            assert!(texts(&body).contains(expected), "{}", texts(&body));
        }
    }

    #[test]
    fn bodies_that_are_no_objects_are_told_so() {
        assert!(texts(&json!([])).starts_with("ObjectExpected: #/, PropertyRequired: #/timestamp"));
        assert!(texts(&Value::Null).starts_with("ObjectExpected: #/"));
    }

    #[test]
    fn a_vat_type_may_be_withdrawn_from_sales_only() {
        let mut body = receipt();
        body["receipt"]["items"][0]["vat"] = json!({"type": "vat20"});
        let refused = ["vat20".to_owned()];
        assert_eq!(faults_of_document(Operation::Sell, &body, &refused).len(), 1);
        assert_eq!(faults_of_document(Operation::SellRefund, &body, &refused), []);
    }

    #[test]
    fn the_callback_mask_admits_and_refuses_what_the_documents_pattern_does() {
        for url in [
            "https://shop.example/hooks/atol/9f2c71",
            "http://127.0.0.1:8080/a?b=c&d=%20",
            "http://магазин.рф/ж",
            "http://localhost",
        ] {
            assert!(fits_callback_mask(url), "{url}");
        }
        for url in [
            "",
            "shop.example/hook",
            "http://shop.example/a b",
            "http://shop.example/~me",
            "http://u@shop.example",
            "http://[::1]/",
        ] {
            assert!(!fits_callback_mask(url), "{url}");
        }
    }
}
