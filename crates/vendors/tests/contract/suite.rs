//! The properties. Each gets a vendor with a healthy fake.

use std::time::{Duration, Instant};

use receipt::{ExternalId, Operation, Receipt, Refusal, RetryClass, Seen};
use serde_json::json;
use vendors::{Adopted, Call, LONGEST_ANSWER_KEPT, Registered, Rendering, Reply};

use crate::fake::{Fake, Nonsense, Trouble};

const BUYER: &str = "anna.petrova@example.org";

/// A receipt whose first line has this name.
pub(crate) fn receipt(marker: &str) -> Receipt {
    receipt_to(marker, &json!({ "email": BUYER }))
}

fn receipt_to(marker: &str, buyer: &serde_json::Value) -> Receipt {
    let line = |name: &str, price: &str, object: &str| {
        json!({
            "name": name, "price": price, "quantity": "1", "sum": price, "vat": "none",
            "payment_method": "full_payment", "payment_object": object,
        })
    };
    let receipt = json!({
        "buyer": buyer,
        "seller": {
            "inn": simulator::Account::default().inn,
            "tax_system": "usn_income",
            "payment_address": "https://kettle.example",
            "email": "kassa@kettle.example",
        },
        "lines": [line(marker, "1245.00", "commodity"), line("Доставка", "350.00", "service")],
        "payments": [{ "type": "electronic", "sum": "1595.00" }],
        "total": "1595.00",
    });
    serde_json::from_value(receipt).expect("the frozen form of a receipt")
}

pub(crate) fn external_id(marker: &str) -> ExternalId {
    ExternalId::parse(&format!("invoice_main_{marker}")).expect("an external id")
}

fn render(fake: &dyn Fake, receipt: &Receipt, id: &ExternalId) -> Result<String, Box<Refusal>> {
    fake.vendor().render(&Rendering {
        receipt,
        operation: Operation::Sell,
        external_id: id,
        rendered_at: "2026-03-14T08:27:00Z".parse().expect("a time"),
        callback_url: None,
    })
}

/// Renders and sends once.
pub(crate) async fn sell(fake: &dyn Fake, marker: &str) -> Reply<Registered> {
    let id = external_id(marker);
    let wire_body = render(fake, &receipt(marker), &id).expect("a body");
    let call = Call {
        operation: Operation::Sell,
        external_id: &id,
        wire_body: &wire_body,
    };
    fake.vendor().register(&call).await
}

/// The refusal of a call, which must be fit for people.
fn refusal(reply: &Reply<Registered>) -> Refusal {
    let refusal = reply.outcome.as_ref().expect_err("a refusal");
    for text in [&refusal.cause, &refusal.cure] {
        assert!(!text.ru.is_empty() && !text.en.is_empty(), "{refusal:?}");
    }
    assert!(!refusal.kind.is_empty() && !refusal.code.is_empty(), "{refusal:?}");
    (**refusal).clone()
}

/// What a vendor says of a registered document: its own number, or the fiscal document.
fn identity(reply: &Reply<Registered>) -> String {
    match reply.outcome.as_ref().expect("registered") {
        Registered::Accepted { vendor_uuid, .. } => vendor_uuid.as_str().to_owned(),
        Registered::Done(fiscal) => format!("{} {} {}", fiscal.fn_number, fiscal.fd, fiscal.fpd),
    }
}

pub(crate) async fn a_receipt_is_registered_once_and_its_evidence_is_kept(fake: impl Fake) {
    let reply = sell(&fake, "A-1").await;
    assert!(!identity(&reply).is_empty());
    assert_eq!(fake.registered("A-1"), 1);
    assert_eq!(reply.exchange.http_status, Some(200));
    assert!(reply.exchange.request.starts_with("POST /"), "{:?}", reply.exchange);
    let answer = reply.exchange.answer.expect("an answer");
    assert!((1..=LONGEST_ANSWER_KEPT).contains(&answer.len()));
    // A vendor that answers at once has nothing to follow, and one that does not must be followed.
    let must_be_followed = matches!(reply.outcome, Ok(Registered::Accepted { .. }));
    assert_eq!(fake.vendor().follower().is_some(), must_be_followed);
}

pub(crate) async fn the_same_receipt_is_rendered_to_the_same_bytes(fake: impl Fake) {
    let (receipt, id) = (receipt("B-1"), external_id("B-1"));
    let first = render(&fake, &receipt, &id).expect("a body");
    assert_eq!(render(&fake, &receipt, &id).expect("a body"), first);
    assert!(first.contains("invoice_main_B-1") && first.contains(BUYER));
    assert!(!first.contains('\0'), "Postgres would not store it");
}

pub(crate) async fn what_cannot_be_expressed_is_refused_before_anything_is_sent(fake: impl Fake) {
    let nobody = receipt_to("C-1", &json!({}));
    let refusal = render(&fake, &nobody, &external_id("C-1")).expect_err("nobody to send it to");
    assert_eq!(refusal.class, RetryClass::Permanent);
    assert!(!refusal.cause.ru.is_empty() && !refusal.cure.en.is_empty());
}

pub(crate) async fn a_refused_receipt_is_for_a_person_and_leaves_no_doubt(fake: impl Fake) {
    fake.trouble(Some(Trouble::Refuses));
    let reply = sell(&fake, "D-1").await;
    let refusal = refusal(&reply);
    assert_eq!(refusal.class, RetryClass::Permanent);
    assert!(!refusal.class.leaves_doubt());
    assert!(reply.exchange.answer.is_some());
    assert_eq!(fake.registered("D-1"), 0);
}

pub(crate) async fn a_throttled_call_was_not_seen_and_waits_as_asked(fake: impl Fake) {
    fake.trouble(Some(Trouble::Throttles(17)));
    let class = refusal(&sell(&fake, "E-1").await).class;
    assert_eq!(
        class,
        RetryClass::Retry {
            seen: Seen::No,
            after: Some(Duration::from_secs(17))
        }
    );
}

pub(crate) async fn an_answer_that_comes_too_late_leaves_a_doubt_within_the_longest_call(fake: impl Fake) {
    fake.trouble(Some(Trouble::AnswersLate));
    let began = Instant::now();
    let reply = sell(&fake, "F-1").await;
    assert_eq!(refusal(&reply).class, RetryClass::MAYBE_SEEN);
    assert!(began.elapsed() < fake.vendor().longest_call() + Duration::from_secs(1));
    assert_eq!(fake.registered("F-1"), 1, "the doubt is a real one");
}

pub(crate) async fn a_call_cut_off_before_or_after_its_effect_leaves_the_same_doubt(fake: impl Fake) {
    for (marker, trouble, registered) in [("G-1", Trouble::CutsBefore, 0), ("G-2", Trouble::CutsAfter, 1)] {
        fake.trouble(Some(trouble));
        let reply = sell(&fake, marker).await;
        assert_eq!(refusal(&reply).class, RetryClass::MAYBE_SEEN, "{trouble:?}");
        assert_eq!(reply.exchange.http_status, None);
        assert_eq!(fake.registered(marker), registered, "{trouble:?}");
    }
}

pub(crate) async fn a_gateways_page_leaves_a_doubt(fake: impl Fake) {
    fake.trouble(Some(Trouble::Gateway));
    let reply = sell(&fake, "H-1").await;
    assert_eq!(refusal(&reply).class, RetryClass::MAYBE_SEEN);
    assert_eq!(reply.exchange.http_status, Some(502));
}

pub(crate) async fn an_unreadable_answer_leaves_a_doubt(fake: impl Fake) {
    for (number, nonsense) in Nonsense::ALL.into_iter().enumerate() {
        fake.trouble(Some(Trouble::Babbles(nonsense)));
        let marker = format!("I-{number}");
        let reply = sell(&fake, &marker).await;
        assert_eq!(refusal(&reply).class, RetryClass::MAYBE_SEEN, "{nonsense:?}");
        assert_eq!(fake.registered(&marker), 1, "{nonsense:?}");
        // Only the same key may follow, and it finds what there is.
        fake.trouble(None);
        assert!(sell(&fake, &marker).await.outcome.is_ok(), "{nonsense:?}");
        assert_eq!(fake.registered(&marker), 1, "{nonsense:?}");
    }
}

pub(crate) async fn a_repeated_key_is_recognised_and_makes_no_second_document(fake: impl Fake) {
    let first = sell(&fake, "J-1").await;
    for _ in 0..3 {
        let again = sell(&fake, "J-1").await;
        assert_eq!(identity(&again), identity(&first));
        if let Ok(Registered::Accepted { adopted, .. }) = again.outcome {
            assert_eq!(adopted, Adopted::Yes);
        }
    }
    assert_eq!(fake.registered("J-1"), 1);
}

pub(crate) async fn expired_credentials_cost_no_receipt(fake: impl Fake) {
    sell(&fake, "K-1").await.outcome.expect("good credentials");
    fake.expire_credentials();
    let reply = sell(&fake, "K-2").await;
    match &reply.outcome {
        // Renewed inside the attempt.
        Ok(_) => assert_eq!(fake.registered("K-2"), 1),
        // The account stops at once, and the receipt waits.
        Err(_) => {
            assert_eq!(refusal(&reply).class, RetryClass::Halt { certain: true });
            assert_eq!(fake.registered("K-2"), 0);
        }
    }
    fake.renew_credentials();
    sell(&fake, "K-2").await.outcome.expect("renewed credentials");
    assert_eq!(fake.registered("K-2"), 1);
}

pub(crate) async fn a_service_that_is_away_has_seen_nothing(mut fake: impl Fake) {
    fake.go_away().await;
    let reply = sell(&fake, "L-1").await;
    assert_eq!(refusal(&reply).class, RetryClass::NOT_SEEN);
    assert_eq!((reply.exchange.http_status, reply.exchange.answer), (None, None));
}

pub(crate) async fn neither_the_buyer_nor_secrets_are_kept(fake: impl Fake) {
    let mut kept = Vec::new();
    for (marker, trouble) in [
        ("M-1", None),
        ("M-2", Some(Trouble::Refuses)),
        ("M-3", Some(Trouble::CutsAfter)),
    ] {
        fake.trouble(trouble);
        kept.push(format!("{:?}", sell(&fake, marker).await));
    }
    for text in kept {
        assert!(!text.contains(BUYER), "{text}");
        for secret in fake.secrets() {
            assert!(!text.contains(&secret), "{text}");
        }
    }
}

pub(crate) async fn an_id_is_remembered_longer_than_a_receipt_is_retried(fake: impl Fake) {
    let a_cycle = Duration::from_secs(2 * 86_400);
    assert!(fake.vendor().idempotency_horizon(None) > a_cycle);
    assert!(fake.vendor().longest_call() > Duration::ZERO);
}
