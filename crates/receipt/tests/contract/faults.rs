//! Every rule, broken once: where the fault points and what it is called.

use receipt::request::LONGEST_BODY;
use receipt::{FaultCode, Faults, RequestV1};
use serde_json::{Value, json};

use super::{TODAY, full, merge, parse, sample, settings};

fn list(faults: &Faults) -> Vec<(String, &'static str)> {
    faults
        .iter()
        .map(|fault| (fault.pointer.clone(), fault.code.name()))
        .collect()
}

/// The sample with `change` laid over it has exactly the fault `code` at `pointer`, whichever step finds it.
fn assert_fault(change: &Value, pointer: &str, code: &str) {
    let mut request = sample();
    merge(&mut request, change);
    let faults = super::freeze(&request)
        .map(|_| ())
        .expect_err(&format!("{change} must be refused"));
    assert_eq!(
        list(&faults),
        [(pointer.to_owned(), code_named(code))],
        "{change}: {faults}"
    );
    for fault in &faults {
        assert!(
            !fault.message.ru.is_empty() && fault.message.en.ends_with(['.', '?']),
            "{fault}"
        );
    }
}

fn code_named(name: &str) -> &'static str {
    FaultCode::ALL
        .iter()
        .find(|code| code.name() == name)
        .map(|code| code.name())
        .expect("a code")
}

#[test]
fn every_rule_of_a_single_field_has_its_fault() {
    for (change, pointer, code) in [
        (json!({ "store": "other" }), "/store", "store_mismatch"),
        (json!({ "store": 5 }), "/store", "wrong_type"),
        (json!({ "store": "Main shop" }), "/store", "invalid_id"),
        (json!({ "operation": null }), "/operation", "missing_field"),
        (json!({ "operation": "sell_refund" }), "/operation", "unknown_value"),
        (json!({ "operation": "resell_sell" }), "/operation", "unknown_value"),
        (
            json!({ "document": { "number": 417 } }),
            "/document/number",
            "wrong_type",
        ),
        (
            json!({ "document": { "number": "a_b" } }),
            "/document/number",
            "invalid_id",
        ),
        (
            json!({ "document": { "number": "1".repeat(25) } }),
            "/document/number",
            "invalid_id",
        ),
        (
            json!({ "document": { "part": "Prepaid" } }),
            "/document/part",
            "invalid_id",
        ),
        (
            json!({ "document": { "order": "1\n2" } }),
            "/document/order",
            "invalid_id",
        ),
        (
            json!({ "document": { "number": "1".repeat(24), "part": "p".repeat(12) } }),
            "/document/part",
            "document_too_long",
        ),
        (json!({ "documnet": {} }), "/documnet", "unknown_field"),
        (
            json!({ "lines": { "1": { "tax": "vat22" } } }),
            "/lines/1/tax",
            "unknown_field",
        ),
        (
            json!({ "customer": { "e/mail": "x" } }),
            "/customer/e~1mail",
            "unknown_field",
        ),
        (
            json!({ "customer": { "name": "a\u{0}b" } }),
            "/customer/name",
            "nul_character",
        ),
        (
            json!({ "customer": { "email": "почта@example.org" } }),
            "/customer/email",
            "invalid_email",
        ),
        (
            json!({ "customer": { "email": null, "phone": "none" } }),
            "/customer/phone",
            "invalid_phone",
        ),
        (
            json!({ "customer": { "email": "", "phone": null } }),
            "/customer",
            "contact_missing",
        ),
        (json!({ "customer": null }), "/customer", "contact_missing"),
        (
            json!({ "customer": { "inn": "770708389" } }),
            "/customer/inn",
            "invalid_inn",
        ),
        (
            json!({ "customer": { "name": "😀" } }),
            "/customer/name",
            "buyer_name_missing",
        ),
        (
            json!({ "lines": { "0": { "name": "" } } }),
            "/lines/0/name",
            "empty_text",
        ),
        (
            json!({ "lines": { "0": { "name": "手机" } } }),
            "/lines/0/name",
            "empty_text",
        ),
        (
            json!({ "lines": { "0": { "name": null } } }),
            "/lines/0/name",
            "missing_field",
        ),
        (
            json!({ "lines": { "0": { "name": ["x"] } } }),
            "/lines/0/name",
            "wrong_type",
        ),
        (
            json!({ "lines": { "0": { "price": "1,50" } } }),
            "/lines/0/price",
            "invalid_number",
        ),
        (
            json!({ "lines": { "0": { "price": true } } }),
            "/lines/0/price",
            "wrong_type",
        ),
        (
            json!({ "lines": { "0": { "price": "-450" } } }),
            "/lines/0/price",
            "negative",
        ),
        (
            json!({ "lines": { "0": { "price": "-0" } } }),
            "/lines/0/price",
            "negative",
        ),
        (
            json!({ "lines": { "0": { "price": "450.001" } } }),
            "/lines/0/price",
            "too_precise",
        ),
        (
            json!({ "lines": { "0": { "price": "42949672.96" } } }),
            "/lines/0/price",
            "above_maximum",
        ),
        (
            json!({ "lines": { "0": { "price": "1e2" } } }),
            "/lines/0/price",
            "invalid_number",
        ),
        (
            json!({ "lines": { "0": { "quantity": "0" } } }),
            "/lines/0/quantity",
            "zero",
        ),
        (
            json!({ "lines": { "0": { "quantity": "2.0001" } } }),
            "/lines/0/quantity",
            "too_precise",
        ),
        (
            json!({ "lines": { "0": { "quantity": "100000" } } }),
            "/lines/0/quantity",
            "above_maximum",
        ),
        (
            json!({ "lines": { "0": { "vat": "vat18" } } }),
            "/lines/0/vat",
            "unknown_value",
        ),
        (json!({ "lines": { "0": { "vat": 22 } } }), "/lines/0/vat", "wrong_type"),
        (
            json!({ "lines": { "0": { "payment_method": "full" } } }),
            "/lines/0/payment_method",
            "unknown_value",
        ),
        (
            json!({ "lines": { "0": { "payment_object": "composite" } } }),
            "/lines/0/payment_object",
            "unknown_value",
        ),
        (
            json!({ "lines": { "0": { "unit": "килограмм и грамм" } } }),
            "/lines/0/unit",
            "text_too_long",
        ),
        (
            json!({ "lines": { "0": { "country_code": "RU" } } }),
            "/lines/0/country_code",
            "invalid_country",
        ),
        (
            json!({ "lines": { "0": { "declaration_number": "1".repeat(33) } } }),
            "/lines/0/declaration_number",
            "text_too_long",
        ),
        (
            json!({ "lines": { "0": { "excise": "-1" } } }),
            "/lines/0/excise",
            "negative",
        ),
        (
            json!({ "payments": { "0": { "type": "card" } } }),
            "/payments/0/type",
            "unknown_value",
        ),
        (
            json!({ "payments": { "0": { "sum": "-1200" } } }),
            "/payments/0/sum",
            "negative",
        ),
        (json!({ "payments": [] }), "/payments", "too_few"),
        (json!({ "lines": [] }), "/lines", "too_few"),
        (json!({ "lines": vec![json!(0); 101] }), "/lines", "too_many"),
        (json!({ "lines": "none" }), "/lines", "wrong_type"),
        (json!({ "total": null }), "/total", "missing_field"),
        (
            json!({ "user_property": { "name": "x" } }),
            "/user_property/value",
            "missing_field",
        ),
        (
            json!({ "user_property": { "name": "n".repeat(65), "value": "v" } }),
            "/user_property/name",
            "text_too_long",
        ),
        (
            json!({ "user_property": { "name": "n", "value": "v".repeat(257) } }),
            "/user_property/value",
            "text_too_long",
        ),
        (
            json!({ "check_property": "1".repeat(17) }),
            "/check_property",
            "text_too_long",
        ),
    ] {
        assert_fault(&change, pointer, code);
    }
}

#[test]
fn every_rule_over_several_fields_has_its_fault() {
    let mark = "010460043993125621JgXJ5.T";
    let marked = json!({ "name": "Туфли", "price": "600", "quantity": "1", "vat": "vat22", "mark": mark });
    for (change, pointer, code) in [
        (
            json!({ "lines": { "0": { "sum": "899.99" } } }),
            "/lines/0/sum",
            "row_mismatch",
        ),
        (
            json!({ "total": "1200.01", "payments": null }),
            "/total",
            "sum_mismatch",
        ),
        (
            json!({ "lines": { "0": { "quantity": "99999.999", "price": "42949672.95", "sum": null } } , "payments": null, "total": "4294967252049.67" }),
            "/total",
            "above_maximum",
        ),
        (
            json!({ "payments": { "0": { "sum": "1199.99" } } }),
            "/payments",
            "payments_mismatch",
        ),
        (
            json!({ "payments": { "0": { "type": "cash", "sum": "1500" } } }),
            "/payments",
            "payments_mismatch",
        ),
        (
            json!({ "lines": { "0": { "mark": mark } } }),
            "/lines/0/mark",
            "mark_quantity",
        ),
        (
            json!({ "lines": { "1": { "mark": "0104600439931256 21JgXJ5.T" } } }),
            "/lines/1/mark",
            "invalid_mark",
        ),
        (
            json!({ "lines": { "1": { "mark": "010460043993125621ОпЧО5ю" } } }),
            "/lines/1/mark",
            "invalid_mark",
        ),
        (json!({ "lines": [marked, marked] }), "/lines/1/mark", "duplicate_mark"),
        (
            json!({ "lines": { "0": { "vat": null } } }),
            "/lines/0/vat",
            "vat_missing",
        ),
        (
            json!({ "lines": { "0": { "vat": "vat20" } } }),
            "/lines/0/vat",
            "vat_expired",
        ),
        (
            json!({ "lines": { "0": { "vat": "vat120" } } }),
            "/lines/0/vat",
            "vat_expired",
        ),
        (
            json!({ "lines": { "0": { "vat": "vat5" } } }),
            "/lines/0/vat",
            "vat_tax_system",
        ),
        (
            json!({ "lines": { "0": { "payment_method": "credit_payment" } } }),
            "/lines/0/payment_method",
            "credit_payment_not_alone",
        ),
        (
            json!({ "lines": { "0": { "payment_method": "credit" } }, "payments": null }),
            "/payments",
            "payments_missing",
        ),
    ] {
        if code == "above_maximum" {
            // The row does not fit either, and both are told.
            let mut request = sample();
            merge(&mut request, &change);
            let faults = parse(&request).expect_err("too large");
            assert_eq!(
                list(&faults),
                [
                    ("/lines/0/sum".to_owned(), "above_maximum"),
                    (pointer.to_owned(), "above_maximum")
                ]
            );
        } else {
            assert_fault(&change, pointer, code);
        }
    }
    let zero = json!({ "lines": [{ "name": "Подарок", "price": 0, "quantity": 1, "vat": "none" }], "total": 0, "payments": null });
    assert_fault(&zero, "/total", "zero");
}

#[test]
fn the_general_rate_changes_with_the_year() {
    let new_year_eve = jiff::civil::date(2025, 12, 31);
    let early = parse(&sample())
        .expect("sound")
        .freeze(&settings(&json!({})), new_year_eve);
    assert_eq!(
        list(&early.expect_err("22 % is not yet in force")),
        [("/lines/0/vat".to_owned(), "vat_not_yet")]
    );

    let old_rate = |change: Value| {
        let mut request = sample();
        merge(&mut request, &json!({ "lines": { "0": { "vat": "vat20" } } }));
        merge(&mut request, &change);
        parse(&request).expect("sound")
    };
    let settings = settings(&json!({}));
    old_rate(json!({}))
        .freeze(&settings, new_year_eve)
        .expect("20 % until the last day");
    old_rate(json!({ "operation": "refund" }))
        .freeze(&settings, TODAY)
        .expect("a refund copies its rates");
    old_rate(json!({ "check_property": "2871940355" }))
        .freeze(&settings, TODAY)
        .expect("a mended receipt does too");
    let credit = json!({
        "lines": [{ "name": "Взнос", "price": "1200", "quantity": 1, "vat": "vat20", "payment_method": "credit_payment" }]
    });
    old_rate(credit)
        .freeze(&settings, TODAY)
        .expect("and the payment of an earlier credit");
}

#[test]
fn all_faults_are_reported_at_once() {
    let mut request = sample();
    merge(
        &mut request,
        &json!({
            "store": "other",
            "operation": "sale",
            "customer": { "email": "x", "inn": "1" },
            "lines": { "0": { "price": "4,50", "colour": "red" }, "1": { "sum": "1.00", "quantity": -1 } },
            "payments": { "0": { "type": 1 } },
            "total": "0",
        }),
    );
    let faults = parse(&request).expect_err("nothing is right");
    assert_eq!(
        list(&faults),
        [
            ("/store", "store_mismatch"),
            ("/operation", "unknown_value"),
            ("/customer/email", "invalid_email"),
            ("/customer/inn", "invalid_inn"),
            ("/lines/0/colour", "unknown_field"),
            ("/lines/0/price", "invalid_number"),
            ("/lines/1/quantity", "negative"),
            ("/payments/0/type", "wrong_type"),
            ("/total", "zero"),
        ]
        .map(|(pointer, code)| (pointer.to_owned(), code))
    );
    assert_eq!(faults.to_string().lines().count(), 9);
}

fn parse_text(text: &str) -> Result<RequestV1, Faults> {
    RequestV1::parse(text.as_bytes(), Some("main"))
}

fn assert_one(body: &[u8], pointer: &str, code: &str) {
    let faults = RequestV1::parse(body, Some("main")).expect_err("must be refused");
    assert_eq!(list(&faults), [(pointer.to_owned(), code_named(code))], "{faults}");
}

#[test]
fn a_body_that_is_no_json_object_has_one_fault() {
    assert_one(b"", "", "invalid_json");
    assert_one(b"{", "", "invalid_json");
    assert_one(b"{} {}", "", "invalid_json");
    assert_one(b"[]", "", "wrong_type");
    assert_one(b"null", "", "wrong_type");
    assert_one(&[0xFF, 0xFE], "", "not_utf8");
    assert_one("{\"store\": \"Кружка\"}".as_bytes().split_at(14).0, "", "not_utf8");
    assert_one(&vec![b' '; LONGEST_BODY + 1], "", "body_too_large");
    assert_one("[".repeat(LONGEST_BODY).as_bytes(), "", "invalid_json");
    let deep = LONGEST_BODY / 2;
    assert_one(
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)).as_bytes(),
        "",
        "wrong_type",
    );
    assert_one(br#"{"\ud800": 1}"#, "", "invalid_json");
    assert_one(b"{\"store\": \"a\x00b\"}", "", "invalid_json");
}

#[test]
fn what_only_text_can_say_has_its_fault() {
    let with = |from: &str, to: &str| super::SAMPLE.replacen(from, to, 1);
    for (body, pointer, code) in [
        (
            with(r#""price": "450.00""#, r#""price": 4.5e2"#),
            "/lines/0/price",
            "exponent_form",
        ),
        (
            with(r#""price": "450.00""#, r#""price": -450"#),
            "/lines/0/price",
            "negative",
        ),
        (
            with(r#""total": "1200.00""#, r#""total": "1200.00", "total": "1200.00""#),
            "/total",
            "duplicate_field",
        ),
        (with("Courier", r"Cou\u0000rier"), "/lines/1/name", "nul_character"),
        (with("Courier", r"Cou\ud83d rier"), "/lines/1/name", "invalid_json"),
        (
            with(r#""store": "main""#, r#""sto\u0000re": 1"#),
            "/sto\u{FFFD}re",
            "unknown_field",
        ),
        (
            with(
                r#""store": "main""#,
                &format!(r#""x": {}1{}"#, "[".repeat(9000), "]".repeat(9000)),
            ),
            "/x",
            "unknown_field",
        ),
    ] {
        assert_one(body.as_bytes(), pointer, code);
    }
}

#[test]
fn the_routing_key_and_the_body_agree_on_the_store() {
    let body = super::SAMPLE.as_bytes();
    assert_eq!(
        RequestV1::parse(body, None)
            .expect("named in the body")
            .store()
            .as_str(),
        "main"
    );
    let without = super::SAMPLE.replacen(r#""store": "main","#, "", 1);
    assert_eq!(parse_text(&without).expect("named by the key").store().as_str(), "main");
    let unnamed = RequestV1::parse(without.as_bytes(), None).expect_err("nobody names the store");
    assert_eq!(list(&unnamed), [("/store".to_owned(), "missing_field")]);
    let odd = RequestV1::parse(body, Some("Main Shop")).expect_err("the key is no store code");
    assert_eq!(list(&odd), [(String::new(), "invalid_routing_key")]);
}

#[test]
fn a_flood_of_faults_is_cut_and_counted() {
    let keys: Vec<String> = (0..20_000).map(|index| format!("\"k{index}\":0")).collect();
    let faults = parse_text(&format!("{{{}}}", keys.join(","))).expect_err("unknown fields");
    assert_eq!(faults.iter().count(), 101);
    assert_eq!(
        faults.iter().last().map(|fault| fault.code),
        Some(FaultCode::MoreFaults)
    );
    let twice = format!("{{{}}}", vec!["\"total\":0"; 20_000].join(","));
    assert!(list(&parse_text(&twice).expect_err("repeated")).contains(&("/total".to_owned(), "duplicate_field")));
}

#[test]
fn misspelt_words_are_recognised() {
    let mut request = sample();
    merge(
        &mut request,
        &json!({ "custommer": {}, "lines": { "0": { "vat": "VAT22" } } }),
    );
    let faults = parse(&request).expect_err("two misspelt words").to_string();
    assert!(
        faults.contains("did you mean customer?") && faults.contains("did you mean vat22?"),
        "{faults}"
    );
}

#[test]
fn no_message_repeats_what_the_buyer_is() {
    let mut request = sample();
    merge(
        &mut request,
        &json!({ "customer": { "email": "SECRET", "phone": "SECRET", "name": "SECRET\u{0}", "inn": "SECRET" } }),
    );
    let faults = parse(&request).expect_err("nothing is right");
    assert!(!format!("{faults:?}").contains("SECRET"), "{faults:?}");
    let sound = parse(&full()).expect("sound");
    assert!(!format!("{sound:?}").contains("buyer@"), "{sound:?}");
}
