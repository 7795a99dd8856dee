use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::class::RetryClass;
use crate::money::Money;

fn subject(part: &str) -> Subject {
    Subject {
        transaction_id: TransactionId::new(),
        store: StoreCode::parse("main").expect("a store"),
        operation: Operation::Sell,
        document: DocumentNumber::parse("417").expect("a number"),
        part: DocumentPart::parse(part).expect("a part"),
        order: None,
    }
}

fn key(text: &str) -> ExternalId {
    ExternalId::parse(text).expect("an external id")
}

fn body(state: StateName) -> Body {
    Body::new(subject("main"), key("invoice_main_417"), state)
}

fn a_fiscal_document() -> FiscalDocument {
    FiscalDocument {
        fn_number: "9999078900000001".to_owned(),
        fd: 48_213,
        fpd: "2871940355".to_owned(),
        shift: None,
        receipt_number: None,
        register_number: None,
        registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
        total: Money::from_kopecks(90_000),
        qr: None,
        ofd_url: Some("https://ofd.example/417".to_owned()),
    }
}

fn a_refusal(code: &str) -> Refusal {
    Refusal {
        class: RetryClass::Permanent,
        kind: "system".to_owned(),
        code: code.to_owned(),
        message: "as the vendor put it".to_owned(),
        cause: Text::new("Сумма не сходится.", "The sum is wrong."),
        cure: Text::new("Исправьте чек.", "Correct the receipt."),
    }
}

#[test]
fn the_order_is_put_aside_by_a_failure_and_given_back_by_the_document() {
    for state in StateName::ALL {
        let expected = match state {
            StateName::Failed => Some(OrderStatusHint::KkmFailed),
            StateName::Done => Some(OrderStatusHint::Restore),
            StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Retrying
            | StateName::Unknown
            | StateName::Cancelled => None,
        };
        assert_eq!(body(state).order_status_hint, expected, "{state}");
    }
}

#[test]
fn every_state_has_a_comment_that_names_the_document_in_both_languages() {
    for state in StateName::ALL {
        let text = body(state).text;
        assert!(
            text.ru.starts_with("Чек прихода 417 ") && text.ru.ends_with('.'),
            "{text:?}"
        );
        assert!(
            text.en.starts_with("Sale receipt 417 ") && text.en.ends_with('.'),
            "{text:?}"
        );
    }
}

#[test]
fn a_part_is_named_when_the_document_has_several() {
    let text = Body::new(subject("prepaid"), key("x"), StateName::Queued).text;
    assert_eq!(text.ru, "Чек прихода 417 (часть prepaid) принят в очередь.");
    assert_eq!(text.en, "Sale receipt 417 (part prepaid) is accepted.");
}

#[test]
fn a_failure_says_cause_code_cure_and_where_to_look() {
    let body = body(StateName::Failed).with_error(Some(a_refusal("32")));
    assert_eq!(
        body.text.ru,
        "Чек прихода 417 не пробит. Внешний номер invoice_main_417. Сумма не сходится. Код: system 32. Исправьте чек."
    );
    assert_eq!(
        body.text.en,
        "Sale receipt 417 is not registered. External id invoice_main_417. The sum is wrong. Code: system 32. \
         Correct the receipt."
    );
    let error = body.error.expect("an error");
    assert_eq!((error.class.as_str(), error.code.as_str()), ("permanent", "32"));
}

#[test]
fn a_registration_says_its_numbers_and_where_it_can_be_seen() {
    let text = body(StateName::Done).with_fiscal(a_fiscal_document()).text;
    assert_eq!(
        text.ru,
        "Чек прихода 417 пробит. ФН 9999078900000001, ФД 48213, ФПД 2871940355. https://ofd.example/417"
    );
    assert_eq!(
        text.en,
        "Sale receipt 417 is registered. FN 9999078900000001, FD 48213, FPD 2871940355. https://ofd.example/417"
    );
}

#[test]
fn a_late_receipt_keeps_its_state_and_its_order() {
    let body = Body::overdue(subject("main"), key("invoice_main_417"), Duration::from_secs(90_000));
    assert_eq!(
        (body.state, body.kkm_status.as_str(), body.order_status_hint),
        (StateName::Waiting, "wait", None)
    );
    assert!(body.text.ru.contains("повторно не отправляйте"), "{:?}", body.text);
    assert!(body.text.en.contains("do not send it again"), "{:?}", body.text);
}

#[test]
fn a_doubled_receipt_moves_no_order() {
    let body = Body::double(subject("main"), key("invoice_main_417"), a_fiscal_document());
    assert_eq!((body.state, body.order_status_hint), (StateName::Done, None));
    for text in [&body.text.ru, &body.text.en] {
        assert!(text.contains("invoice_main_417") && text.contains("48213"), "{text}");
    }
}

#[test]
fn only_account_events_have_the_text_of_an_account() {
    let account = crate::AccountName::parse("main").expect("an account");
    let reason = Text::new("Неверный пароль.", "The password is wrong.");
    let paused = account_text(EventType::AccountPaused, &account, &reason).expect("a text");
    assert!(paused.ru.ends_with("попыток не теряют. Неверный пароль."), "{paused:?}");
    assert!(account_text(EventType::AccountResumed, &account, &reason).is_some());
    assert_eq!(account_text(EventType::Done, &account, &reason), None);
}

#[test]
fn a_refused_message_is_told_with_the_words_of_its_problem() {
    let problem = json!({ "code": "invalid", "detail": "Correct it.", "detail_ru": "Исправьте." });
    let body = RequestBody::new("main".to_owned(), Some("m-1".to_owned()), "main".to_owned(), problem);
    assert_eq!(body.text, Text::new("Исправьте.", "Correct it."));
}

proptest! {
    #[test]
    fn the_same_row_is_always_published_as_the_same_bytes(names in prop::collection::vec("[a-z]{1,8}", 0..8), seconds in 0_i64..4_000_000_000) {
        let id = EventId::new();
        let time = jiff::Timestamp::from_second(seconds).expect("a time");
        let body = |names: &[String]| Value::Object(names.iter().map(|name| (name.clone(), json!(name))).collect());
        let once = published(id, "receipt.done", time, body(&names));
        let again = published(id, "receipt.done", time, body(&names));
        prop_assert_eq!(&once, &again);
        let event: Value = serde_json::from_slice(&once).expect("JSON");
        prop_assert_eq!(&event["id"], &json!(id));
        prop_assert_eq!(&event["time"], &json!(time));
    }
}
