//! Values with good defaults: a test states only what matters to it.

use std::time::Duration;

use ledger::{
    Acceptance, Claim, Claimed, Evidence, First, Lease, Ledger, NewTransaction, Outcome, PollRecord, PollVerdict,
    Polled, Quota, Verdict,
};
use receipt::event::Subject;
use receipt::{
    AccountName, DocumentNumber, DocumentPart, ExternalId, FiscalDocument, Money, Operation, OrderNumber, Receipt,
    Refusal, RetryClass, StoreCode, Text, TransactionId, VendorName, VendorUuid,
};

/// What is rendered when a test renders.
pub(crate) const WIRE_BODY: &str = r#"{"external_id":"invoice_main_417"}"#;

/// Longer than any test.
pub(crate) const LEASE: Lease = Lease {
    hold: Duration::from_secs(60),
    quiet_time: Duration::from_secs(5),
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn a_receipt() -> Receipt {
    serde_json::from_value(serde_json::json!({
        "buyer": { "email": "buyer@example.org" },
        "seller": {
            "inn": "7701234567",
            "tax_system": "osn",
            "payment_address": "https://shop.example",
            "email": "kassa@shop.example"
        },
        "lines": [{
            "name": "Ceramic mug",
            "price": "450.00",
            "quantity": "2",
            "sum": "900.00",
            "vat": "vat22",
            "payment_method": "full_payment",
            "payment_object": "commodity"
        }],
        "payments": [{ "type": "electronic", "sum": "900.00" }],
        "total": "900.00"
    }))
    .expect("the frozen form of a receipt")
}

/// Document `number` of store `main`, a sale, to be queued.
pub(crate) fn offer(number: &str) -> NewTransaction {
    offer_of(Operation::Sell, "main", number, "main")
}

pub(crate) fn offer_of(operation: Operation, store: &str, number: &str, part: &str) -> NewTransaction {
    let store = StoreCode::parse(store).expect("a store code");
    let document = DocumentNumber::parse(number).expect("a document number");
    let part = DocumentPart::parse(part).expect("a document part");
    NewTransaction {
        external_id: ExternalId::of(operation, &store, &document, &part, 0).expect("short enough"),
        subject: Subject {
            transaction_id: TransactionId::new(),
            store,
            operation,
            document,
            part,
            order: Some(OrderNumber::parse("100000123").expect("an order number")),
        },
        account: account("main"),
        vendor: VendorName::parse("atol").expect("a vendor name"),
        request_hash: [1; 32],
        receipt: a_receipt(),
        first: First::Queue,
    }
}

pub(crate) fn at_once() -> First {
    First::Claim {
        wire_body: WIRE_BODY.to_owned(),
        lease: LEASE,
    }
}

pub(crate) fn account(name: &str) -> AccountName {
    AccountName::parse(name).expect("an account name")
}

pub(crate) fn quota(slots: u32) -> Vec<Quota> {
    vec![Quota {
        account: account("main"),
        slots,
    }]
}

pub(crate) fn uuid(text: &str) -> VendorUuid {
    VendorUuid::parse(text).expect("a vendor's uuid")
}

pub(crate) fn a_fiscal_document() -> Box<FiscalDocument> {
    Box::new(FiscalDocument {
        fn_number: "9999078900000001".to_owned(),
        fd: 48_213,
        fpd: "2871940355".to_owned(),
        shift: Some(412),
        receipt_number: Some(37),
        register_number: None,
        registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
        total: Money::from_kopecks(90_000),
        qr: None,
        ofd_url: None,
    })
}

pub(crate) fn a_refusal(class: RetryClass) -> Box<Refusal> {
    Box::new(Refusal {
        class,
        kind: "system".to_owned(),
        code: "50".to_owned(),
        message: "as the vendor put it".to_owned(),
        cause: Text::new("Причина.", "The cause."),
        cure: Text::new("Что делать.", "The cure."),
    })
}

/// Accepts a document and leaves it queued.
pub(crate) async fn queued(ledger: &Ledger, number: &str) -> TransactionId {
    match ledger.accept(offer(number)).await {
        Ok(Acceptance::Queued(id)) => id,
        other => panic!("{number} is not queued but {other:?}"),
    }
}

/// Accepts a document and claims it in the same commit.
pub(crate) async fn claimed(ledger: &Ledger, number: &str) -> Claimed {
    match ledger
        .accept(NewTransaction {
            first: at_once(),
            ..offer(number)
        })
        .await
    {
        Ok(Acceptance::Claimed(claimed)) => *claimed,
        other => panic!("{number} is not claimed but {other:?}"),
    }
}

/// Claims by pointer, and must win.
pub(crate) async fn claim(ledger: &Ledger, id: TransactionId, fence: i32) -> Claimed {
    match ledger.claim(id, fence, LEASE).await {
        Ok(Claim::Won(claimed)) => *claimed,
        other => panic!("the claim is not won but {other:?}"),
    }
}

/// The claim of a row whose earlier claimer never said a word.
pub(crate) async fn reclaimed(scratch: &crate::scratch::Scratch, ledger: &Ledger) -> Claimed {
    scratch.pass(LEASE.hold + LEASE.quiet_time).await;
    let mut claims = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert_eq!(claims.len(), 1, "one row is due");
    claims.remove(0)
}

/// A document that the vendor has taken under `vendor_uuid`; its first poll is due at once.
pub(crate) async fn waiting(ledger: &Ledger, number: &str, vendor_uuid: &str) -> Claimed {
    let claimed = claimed(ledger, number).await;
    ledger
        .record(outcome(&claimed, accepted(vendor_uuid)))
        .await
        .expect("recorded");
    claimed
}

pub(crate) async fn polled(ledger: &Ledger) -> Polled {
    let mut polls = ledger.claim_polls(&quota(10), MINUTE).await.expect("no outage");
    assert_eq!(polls.len(), 1, "one poll is due");
    polls.remove(0)
}

pub(crate) fn accepted(vendor_uuid: &str) -> Verdict {
    Verdict::Accepted {
        vendor_uuid: uuid(vendor_uuid),
        adopted: false,
        first_poll: Duration::ZERO,
    }
}

pub(crate) fn retry(delay: Duration) -> Verdict {
    Verdict::Retry { delay, trials: 1 }
}

pub(crate) fn rekey(next: &str) -> Verdict {
    Verdict::Rekey {
        delay: Duration::ZERO,
        trials: 1,
        next: ExternalId::parse(next).expect("an external id"),
    }
}

pub(crate) fn an_evidence() -> Evidence {
    Evidence {
        request: "POST /sell".to_owned(),
        http_status: Some(200),
        answer: Some("{}".to_owned()),
        duration: Duration::from_millis(12),
    }
}

/// What `claimed` came to, without a refusal.
pub(crate) fn outcome(claimed: &Claimed, verdict: Verdict) -> Outcome {
    Outcome {
        claimed: claimed.clone(),
        evidence: an_evidence(),
        refusal: None,
        verdict,
        horizon: None,
    }
}

pub(crate) fn refused(claimed: &Claimed, class: RetryClass, verdict: Verdict) -> Outcome {
    Outcome {
        refusal: Some(a_refusal(class)),
        ..outcome(claimed, verdict)
    }
}

pub(crate) fn answer(polled: &Polled, verdict: PollVerdict) -> PollRecord {
    PollRecord::new(polled.clone(), an_evidence(), None, verdict)
}

pub(crate) fn done() -> PollVerdict {
    PollVerdict::Done(a_fiscal_document())
}
