use proptest::prelude::*;
use receipt::{PaymentMethod, PaymentObject, Refusal, RetryClass, TaxSystem, Vat};
use serde_json::Value;

use super::*;
use crate::checkonline::CheckOnline;
use crate::checkonline::wire::Sent;
use crate::http::CallTimeouts;
use crate::vendor::Vendor;

fn render_with(
    settings: &CheckOnlineSettings,
    receipt: &Receipt,
    operation: Operation,
) -> Result<String, Box<Refusal>> {
    let account = CheckOnline::new(settings, CallTimeouts::default()).expect("settings without faults");
    account.render(&rendering(receipt, operation, &external_id()))
}

fn body(receipt: &Receipt, operation: Operation) -> Value {
    let body = render_with(&settings(), receipt, operation).expect("a body");
    serde_json::from_str(&body).expect("JSON")
}

fn refusal(receipt: &Receipt) -> Refusal {
    *render_with(&settings(), receipt, Operation::Sell).expect_err("a refusal")
}

/// Otherwise byte for byte what is sent.
fn one_field_a_line(body: &str) -> String {
    body.replace(",\"", ",\n\"").replace("},{", "},\n{")
}

#[test]
fn a_full_receipt_is_spelled_as_the_manual_wants_it() {
    let account = CheckOnlineSettings {
        timezone: Some(2),
        full_response: true,
        ..settings()
    };
    let body = render_with(&account, &receipt(fixture!("receipt_full")), Operation::Sell).expect("a body");
    insta::assert_snapshot!("full_receipt", one_field_a_line(&body));
}

#[test]
fn a_small_receipt_has_no_field_that_it_does_not_need() {
    let account = CheckOnlineSettings {
        group: None,
        client_id: None,
        ..settings()
    };
    let body = render_with(&account, &receipt(fixture!("receipt_small")), Operation::Refund).expect("a body");
    insta::assert_snapshot!("small_receipt", one_field_a_line(&body));
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let receipt = receipt(fixture!("receipt_full"));
    let again = || render_with(&settings(), &receipt, Operation::Sell);
    assert_eq!(again(), again());
}

#[test]
fn a_refund_is_document_type_two_and_a_sale_zero() {
    let receipt = receipt(fixture!("receipt_small"));
    for (operation, kind) in [
        (Operation::Sell, 0),
        (Operation::ResellSell, 0),
        (Operation::Refund, 2),
        (Operation::ResellRefund, 2),
    ] {
        assert_eq!(body(&receipt, operation)["DocumentType"], kind, "{operation}");
    }
}

/// The numbering is the service's own up to 6 and that of tag 1199 from there on.
#[test]
fn every_rate_has_its_tax_id_and_a_setting_wins() {
    let with = |vat: Vat| receipt(&fixture!("receipt_small").replace("\"none\"", &format!("\"{vat}\"")));
    for (vat, id) in [
        (Vat::Vat20, 1),
        (Vat::Vat10, 2),
        (Vat::Vat0, 3),
        (Vat::None, 4),
        (Vat::Vat120, 5),
        (Vat::Vat110, 6),
        (Vat::Vat5, 7),
        (Vat::Vat7, 8),
        (Vat::Vat105, 9),
        (Vat::Vat107, 10),
        (Vat::Vat22, 11),
        (Vat::Vat122, 12),
    ] {
        assert_eq!(body(&with(vat), Operation::Sell)["Lines"][0]["TaxId"], id, "{vat}");
    }
    let account = CheckOnlineSettings {
        tax_ids: BTreeMap::from([(Vat::Vat22, 1)]),
        ..settings()
    };
    let body = render_with(&account, &with(Vat::Vat22), Operation::Sell).expect("a body");
    assert!(body.contains(r#""TaxId":1,"#), "{body}");
}

#[test]
fn tax_systems_methods_and_objects_go_out_as_their_tags_have_them() {
    let small = fixture!("receipt_small");
    for system in TaxSystem::ALL {
        let receipt = receipt(&small.replace("\"usn_income\"", &format!("\"{system}\"")));
        assert_eq!(
            body(&receipt, Operation::Sell)["TaxMode"],
            system.tag_value(),
            "{system}"
        );
    }
    for method in PaymentMethod::ALL {
        let receipt = receipt(&small.replace("\"full_payment\"", &format!("\"{method}\"")));
        let line = &body(&receipt, Operation::Sell)["Lines"][0];
        assert_eq!(line["PayAttribute"], method.tag_value(), "{method}");
    }
    for object in PaymentObject::ALL {
        let receipt = receipt(&small.replace("\"commodity\"", &format!("\"{object}\"")));
        if *object == PaymentObject::Award {
            assert_eq!(
                refusal(&receipt).class,
                RetryClass::Permanent,
                "its number is not known"
            );
            continue;
        }
        let name = match object.tag_value() {
            15 => "7",
            16 => "26",
            _ => "Чайник",
        };
        let mut receipt = receipt;
        for line in &mut receipt.lines {
            name.clone_into(&mut line.name);
        }
        let line = &body(&receipt, Operation::Sell)["Lines"][0];
        assert_eq!(line["LineAttribute"], object.tag_value(), "{object}");
    }
}

/// The module that kassa replaces sent the order's total, which is wrong for every part of an order.
#[test]
fn payments_are_the_documents_own() {
    let receipt = receipt(&fixture!("receipt_small").replace(
        r#"[{ "type": "electronic", "sum": "2840.00" }]"#,
        r#"[{ "type": "prepaid", "sum": "2840.00" }]"#,
    ));
    let body = body(&receipt, Operation::Sell);
    assert_eq!(body["NonCash"], serde_json::json!([0, 0, 0]));
    assert_eq!(body["AdvancePayment"], 284_000);
    assert!(body.get("Cash").is_none() && body.get("Credit").is_none());
    assert_eq!(body["Internet"], true);
}

#[test]
fn cash_is_no_internet_settlement() {
    let body = body(&receipt(fixture!("receipt_full")), Operation::Sell);
    assert_eq!((body["Cash"].as_i64(), body.get("Internet")), (Some(10_000), None));
}

#[test]
fn a_telephone_is_written_as_the_manual_wants_it_and_an_e_mail_wins() {
    let small = fixture!("receipt_small");
    for (given, sent) in [
        ("+79031112233", "79031112233"),
        ("8 (903) 111-22-33", "79031112233"),
        ("+4930901820", "+4930901820"),
    ] {
        let receipt = receipt(&small.replace("+79031112233", given));
        assert_eq!(body(&receipt, Operation::Sell)["PhoneOrEmail"], sent, "{given}");
    }
    let body = body(&receipt(fixture!("receipt_full")), Operation::Sell);
    assert_eq!(body["PhoneOrEmail"], "lavka@example.org");
}

#[test]
fn what_the_request_has_no_words_for_is_refused_with_its_reason() {
    let (full, small) = (fixture!("receipt_full"), fixture!("receipt_small"));
    let long = "я".repeat(236);
    for (json, word) in [
        (full.replace("100000123", &long), "240"),
        (full.replace("2871940355", "12345678901234567"), "16"),
        (full.replace("0104607123456781", "0104607"), "line 3"),
        (full.replace("\"unit\": \"шт\"", "\"country_code\": \"643\""), "line 1"),
        (small.replace("Чайник 2 л, синий", "🫖"), "line 1"),
        (small.replace("\"+79031112233\"", "\"\""), "neither"),
    ] {
        let refusal = refusal(&receipt(&json));
        assert_eq!(refusal.class, RetryClass::Permanent);
        assert!(refusal.cause.en.contains(word), "{word}: {}", refusal.cause.en);
    }
}

#[test]
fn a_kind_of_income_that_a_register_wants_as_a_number_is_refused_with_any_other_name() {
    for (object, kinds, others) in [
        ("non-operating_gain", ["1", "25"], ["26", "0", "Чайник"]),
        ("insurance_premium", ["26", "31"], ["25", "32", "26.0"]),
    ] {
        let with = |name: &str| {
            let json = fixture!("receipt_small").replace("\"commodity\"", &format!("\"{object}\""));
            let mut receipt = receipt(&json);
            name.clone_into(&mut receipt.lines[0].name);
            receipt
        };
        for name in kinds {
            assert_eq!(body(&with(name), Operation::Sell)["Lines"][0]["Description"], name);
        }
        for name in others {
            let refusal = refusal(&with(name));
            assert_eq!(refusal.class, RetryClass::Permanent);
            assert!(
                refusal.cause.en.contains("line 1") && refusal.cause.ru.contains(object),
                "{refusal:?}"
            );
        }
    }
}

#[test]
fn to_a_person_goes_what_the_request_has_fields_for() {
    let receipt = receipt(&fixture!("receipt_small").replace(
        "\"payment_object\": \"commodity\"",
        "\"payment_object\": \"commodity\", \"country_code\": \"643\", \"unit\": \"шт\"",
    ));
    let line = body(&receipt, Operation::Sell)["Lines"][0].clone();
    assert_eq!(line.as_object().map(serde_json::Map::len), Some(6), "{line}");
}

#[test]
fn a_short_gtin_keeps_its_six_bytes() {
    let receipt =
        receipt(&fixture!("receipt_full").replace("0104607123456781215Rk+7Wd", "010000004600123421AbC-7\\u001d91"));
    assert_eq!(
        body(&receipt, Operation::Sell)["Lines"][2]["CGNFloat"],
        "RE0AAAK97FJBYkMtNw=="
    );
}

#[test]
fn what_was_sent_is_read_back_for_masking_and_for_the_total() {
    let receipt = receipt(fixture!("receipt_full"));
    let body = render_with(&settings(), &receipt, Operation::Sell).expect("a body");
    let sent = Sent::of(&body).expect("our own body");
    assert_eq!(sent.total(), receipt.total.kopecks());
    assert_eq!(sent.request_id, "invoice_main_417");
    let personal: Vec<_> = sent.personal().collect();
    assert_eq!(personal, ["lavka@example.org", "ООО \"Ромашка\""]);
}

/// Code page 866 as an encoder has it: letters and what else the device takes.
fn in_code_page_866(text: &str) -> bool {
    text.chars().all(|c| {
        matches!(c, ' '..='~' | 'А'..='я' | 'Ё' | 'ё')
            || "ЄєЇїЎў°∙·√№¤■─│┌┐└┘├┤┬┴┼═║╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬▀▄█▌▐░▒▓".contains(c)
    })
}

proptest! {
    #[test]
    fn no_text_that_a_shop_sends_reaches_a_register_in_other_letters(name in "\\PC{1,200}", title in "\\PC{0,64}") {
        let mut json: Value = serde_json::from_str(fixture!("receipt_full")).expect("JSON");
        json["lines"][0]["name"] = name.clone().into();
        json["buyer"]["name"] = name.clone().into();
        json["seller"]["payment_address"] = format!("https://{name}").into();
        json["user_property"]["name"] = title.into();
        let receipt = receipt(&json.to_string());
        match render_with(&settings(), &receipt, Operation::Sell) {
            Ok(body) => {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                let description = body["Lines"][0]["Description"].as_str().expect("a text").to_owned();
                prop_assert!((1..=128).contains(&description.chars().count()));
                for text in [
                    description.as_str(),
                    body["CustomerName"].as_str().unwrap_or_default(),
                    body["Place"].as_str().unwrap_or_default(),
                    body["UserRequisite"]["Title"].as_str().unwrap_or_default(),
                ] {
                    prop_assert!(in_code_page_866(text), "{}", text);
                }
            }
            Err(refusal) => prop_assert!(refusal.cause.en.contains("no character"), "{}", refusal.cause.en),
        }
    }
}

#[test]
fn typographers_signs_become_what_people_type() {
    let body = body(&receipt(fixture!("receipt_full")), Operation::Sell);
    assert_eq!(body["Lines"][0]["Description"], "Кружка \"Север\" - 0,35 л");
    assert_eq!(body["CustomerName"], "ООО \"Ромашка\"");
}
