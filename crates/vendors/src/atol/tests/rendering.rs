use receipt::{Operation, PaymentMethod, PaymentObject, RetryClass, TaxSystem, Vat};

use super::*;
use crate::vendor::{Rendering, Vendor};

fn render(receipt: &Receipt, callback_url: Option<&str>) -> Result<String, Box<receipt::Refusal>> {
    atol("https://online.atol.ru/possystem/v4").render(&Rendering {
        receipt,
        operation: Operation::Sell,
        external_id: &external_id(),
        rendered_at: "2026-03-03T06:16:42.5Z".parse().expect("a time"),
        callback_url,
    })
}

/// Otherwise byte for byte what is sent: numbers keep their digits.
fn one_field_a_line(body: &str) -> String {
    body.replace(",\"", ",\n\"").replace(",{", ",\n{")
}

#[test]
fn a_full_receipt_is_spelled_as_the_document_wants_it() {
    let body = render(
        &full_receipt(),
        Some("https://kassa.lavka.example/callbacks/atol/main/s3cret"),
    )
    .expect("a body");
    insta::assert_snapshot!("full_receipt", one_field_a_line(&body));
}

#[test]
fn a_small_receipt_has_no_field_that_it_does_not_need() {
    let body = render(&small_receipt(), None).expect("a body");
    insta::assert_snapshot!("small_receipt", one_field_a_line(&body));
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    assert_eq!(render(&full_receipt(), None), render(&full_receipt(), None));
}

#[test]
fn a_callback_address_that_the_schema_refuses_is_left_out() {
    let long = format!("https://kassa.example/{}", "a".repeat(250));
    for unusable in ["", long.as_str()] {
        assert!(
            !render(&small_receipt(), Some(unusable))
                .expect("a body")
                .contains("service"),
            "{unusable}"
        );
    }
}

#[test]
fn a_mark_that_is_none_is_refused_naming_the_line() {
    let receipt: Receipt = serde_json::from_str(
        &fixture!("receipt_full").replace("010460043993125621JgXJ5.T", "010460043993125621Серийный"),
    )
    .expect("the frozen form does not check marks");
    let refusal = render(&receipt, None).expect_err("no marking code");
    assert_eq!(
        (refusal.class, refusal.kind.as_str()),
        (RetryClass::Permanent, "render")
    );
    assert!(refusal.cause.en.contains("line 3"), "{}", refusal.cause.en);
    assert!(refusal.cause.ru.contains("строке 3"), "{}", refusal.cause.ru);
}

#[test]
fn a_buyer_without_a_contact_is_refused() {
    let receipt: Receipt = serde_json::from_str(&fixture!("receipt_small").replace(r#""phone": "+79031112233""#, ""))
        .expect("the frozen form does not check contacts");
    assert_eq!(
        render(&receipt, None).expect_err("no contact").class,
        RetryClass::Permanent
    );
}

/// The receipt's words go out unchanged. If one of them is ever renamed, it needs a translation here first.
#[test]
fn the_words_of_the_receipt_are_those_of_version_4() {
    let methods = "full_prepayment prepayment advance full_payment partial_payment credit credit_payment";
    let objects = "commodity excise job service gambling_bet gambling_prize lottery lottery_prize \
                   intellectual_activity payment agent_commission award another property_right non-operating_gain \
                   insurance_premium sales_tax resort_fee deposit expense pension_insurance_ip pension_insurance \
                   medical_insurance_ip medical_insurance social_insurance casino_payment";
    let rates = "none vat0 vat10 vat110 vat20 vat120 vat5 vat105 vat7 vat107 vat22 vat122";
    let systems = "osn usn_income usn_income_outcome envd esn patent";
    let documented = |words: &str, word: &str| words.split_whitespace().any(|documented| documented == word);
    assert!(
        PaymentMethod::ALL
            .iter()
            .all(|method| documented(methods, method.name()))
    );
    assert!(
        PaymentObject::ALL
            .iter()
            .all(|object| documented(objects, object.name()))
    );
    assert!(Vat::ALL.iter().all(|rate| documented(rates, rate.name())));
    assert!(TaxSystem::ALL.iter().all(|system| documented(systems, system.name())));
}
