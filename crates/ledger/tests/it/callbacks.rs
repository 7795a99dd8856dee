//! A callback is a hint: it makes one question due, and nothing else.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Hint, Ledger, Polled, Recorded, Verdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use receipt::{ExternalId, Operation, StoreCode, TransactionId, VendorName};

use crate::sample::{
    DAY, MINUTE, answer, claim, claimed, done, offer_of, outcome, polled, quota, refused, rekey, retry, uuid,
};
use crate::scratch::Scratch;

/// More than the rest after an answer, less than any wait of a test.
const REST: Duration = Duration::from_millis(1500);
const AGAIN: ledger::PollVerdict = ledger::PollVerdict::Again(DAY);

fn hint(vendor_uuid: Option<&str>, external_id: Option<&str>) -> Hint {
    Hint {
        store: StoreCode::parse("main").expect("a store code"),
        vendor: VendorName::parse("atol").expect("a vendor name"),
        vendor_uuid: vendor_uuid.map(uuid),
        external_id: external_id.map(|id| ExternalId::parse(id).expect("an external id")),
    }
}

async fn hinted(ledger: &Ledger, vendor_uuid: &str) {
    ledger.hint(hint(Some(vendor_uuid), None)).await.expect("taken");
}

/// Taken by the vendor; the first poll is a day away.
fn taken(vendor_uuid: &str) -> Verdict {
    Verdict::Accepted {
        vendor_uuid: uuid(vendor_uuid),
        adopted: false,
        first_poll: DAY,
    }
}

async fn waiting(ledger: &Ledger, number: &str, vendor_uuid: &str) -> TransactionId {
    let claimed = claimed(ledger, number).await;
    ledger
        .record(outcome(&claimed, taken(vendor_uuid)))
        .await
        .expect("recorded");
    claimed.subject.transaction_id
}

async fn due(ledger: &Ledger) -> Vec<Polled> {
    ledger.claim_polls(&quota(100), MINUTE).await.expect("no outage")
}

#[tokio::test]
async fn the_registration_that_is_named_by_uuid_or_else_by_its_key_is_asked_about_now() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for (number, hint) in [
        ("1", hint(Some("uuid-1"), None)),
        ("2", hint(None, Some("INVOICE_main_2"))),
        ("3", hint(Some("of-nobody"), Some("invoice_main_3"))),
        ("4", hint(Some("uuid-4"), Some("invoice_main_999"))),
    ] {
        let id = waiting(&ledger, number, &format!("uuid-{number}")).await;
        let before = scratch.transaction(id).await;
        assert!(due(&ledger).await.is_empty());
        ledger.hint(hint).await.expect("taken");
        let polled = polled(&ledger).await;
        assert_eq!(polled.subject.transaction_id, id, "document {number}");
        let after = scratch.transaction(id).await;
        assert_eq!(
            (after.version, after.state, after.fence, after.last_attempt),
            (before.version, before.state, before.fence, before.last_attempt)
        );
    }
}

#[tokio::test]
async fn nobody_makes_more_than_one_question_due_with_one_callback() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "1", "uuid-1").await;
    waiting(&ledger, "2", "uuid-2").await;
    ledger
        .hint(hint(Some("uuid-1"), Some("invoice_main_2")))
        .await
        .expect("taken");
    assert_eq!(polled(&ledger).await.subject.transaction_id, id, "the uuid comes first");
}

#[tokio::test]
async fn the_callbacks_of_one_store_and_vendor_reach_no_other() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    let mine = hint(Some("uuid-1"), Some("invoice_main_417"));
    let of_another_store = Hint {
        store: StoreCode::parse("second").expect("a store code"),
        ..mine.clone()
    };
    let of_another_vendor = Hint {
        vendor: VendorName::parse("acme").expect("a vendor name"),
        ..mine.clone()
    };
    let of_nobody = hint(Some("uuid-2"), Some("invoice_main_418"));
    for foreign in [of_another_store, of_another_vendor, of_nobody, hint(None, None)] {
        ledger.hint(foreign.clone()).await.expect("taken");
        assert!(due(&ledger).await.is_empty(), "{foreign:?}");
    }
    ledger.hint(mine).await.expect("taken");
    polled(&ledger).await;
}

#[tokio::test]
async fn a_callback_that_overtakes_the_record_makes_the_first_poll_due_with_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    ledger
        .hint(hint(Some("uuid-1"), Some("invoice_main_417")))
        .await
        .expect("taken");
    assert!(due(&ledger).await.is_empty(), "there is no uuid to ask with");
    ledger
        .record(outcome(&claimed, taken("uuid-1")))
        .await
        .expect("recorded");
    let polled = polled(&ledger).await;
    ledger.record_poll(answer(&polled, AGAIN)).await.expect("recorded");
    scratch.pass(MINUTE).await;
    assert!(due(&ledger).await.is_empty(), "it was about one question");
}

#[tokio::test]
async fn a_callback_that_overtakes_a_lost_answer_is_kept_until_the_send_that_is_taken() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    ledger.hint(hint(None, Some("invoice_main_417"))).await.expect("taken");
    let lost = refused(&first, receipt::RetryClass::MAYBE_SEEN, retry(Duration::ZERO));
    ledger.record(lost).await.expect("recorded");
    let second = claim(&ledger, first.subject.transaction_id, first.attempt).await;
    ledger
        .record(outcome(&second, taken("uuid-1")))
        .await
        .expect("recorded");
    polled(&ledger).await;
}

#[tokio::test]
async fn callbacks_during_a_question_lead_to_one_more_after_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    hinted(&ledger, "uuid-1").await;
    let first = polled(&ledger).await;
    join_all((0..50).map(|_| hinted(&ledger, "uuid-1"))).await;
    scratch.pass(REST).await;
    assert!(due(&ledger).await.is_empty(), "somebody is asking");
    ledger.record_poll(answer(&first, AGAIN)).await.expect("recorded");
    assert!(due(&ledger).await.is_empty(), "not at once: floods come in waves");
    scratch.pass(REST).await;
    let second = polled(&ledger).await;
    ledger.record_poll(answer(&second, AGAIN)).await.expect("recorded");
    scratch.pass(REST).await;
    assert!(due(&ledger).await.is_empty());
}

#[tokio::test]
async fn a_callback_right_after_an_answer_waits_for_a_moment() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await;
    hinted(&ledger, "uuid-1").await;
    let first = polled(&ledger).await;
    ledger.record_poll(answer(&first, AGAIN)).await.expect("recorded");
    hinted(&ledger, "uuid-1").await;
    let wait = scratch.registration(id).await.poll_in_seconds.expect("due");
    assert!((-5.0..=1.0).contains(&wait), "{wait}");
    scratch.pass(REST).await;
    polled(&ledger).await;
}

#[tokio::test]
async fn a_poll_that_is_due_sooner_is_not_put_off() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await;
    scratch.pass(DAY + MINUTE).await;
    hinted(&ledger, "uuid-1").await;
    let wait = scratch.registration(id).await.poll_in_seconds.expect("due");
    assert!(wait <= -60.0, "{wait}");
}

#[tokio::test]
async fn a_callback_that_is_known_already_costs_no_write() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    hinted(&ledger, "uuid-1").await;
    let written = "SELECT r.xmin::text::bigint + t.xmax::text::bigint FROM registrations r \
                   JOIN transactions t ON t.id = r.transaction_id";
    let before = scratch.count(written).await;
    join_all((0..300).map(|_| hinted(&ledger, "uuid-1"))).await;
    assert_eq!(scratch.count(written).await, before);
}

#[tokio::test]
async fn what_is_done_is_not_asked_about_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await;
    hinted(&ledger, "uuid-1").await;
    let first = polled(&ledger).await;
    // One comes while the document is found, one after it.
    hinted(&ledger, "uuid-1").await;
    assert_eq!(
        ledger.record_poll(answer(&first, done())).await.expect("recorded"),
        Recorded::Applied
    );
    let version = scratch.transaction(id).await.version;
    hinted(&ledger, "uuid-1").await;
    ledger.hint(hint(None, Some("invoice_main_417"))).await.expect("taken");
    scratch.pass(MINUTE).await;
    assert!(due(&ledger).await.is_empty());
    assert_eq!(scratch.registration(id).await.poll_in_seconds, None);
    assert_eq!(scratch.transaction(id).await.version, version);
}

#[tokio::test]
async fn a_retired_registration_is_asked_about_and_the_live_one_is_left_alone() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await;
    hinted(&ledger, "uuid-1").await;
    let old = polled(&ledger).await;
    let ledger::Verdict::Rekey { delay, trials, next } = rekey("invoice_main_417__1") else {
        unreachable!("it is a re-key")
    };
    ledger
        .record_poll(answer(
            &old,
            ledger::PollVerdict::Rekey {
                delay,
                trials,
                next,
                check: Duration::from_secs(600),
            },
        ))
        .await
        .expect("recorded");
    let fence = scratch.transaction(id).await.fence;
    let second = claim(&ledger, id, fence).await;
    ledger
        .record(outcome(&second, taken("uuid-2")))
        .await
        .expect("recorded");
    let before = scratch.transaction(id).await;

    hinted(&ledger, "uuid-1").await;
    scratch.pass(REST).await;
    let asked = polled(&ledger).await;
    assert_eq!((asked.generation, asked.vendor_uuid.as_str()), (0, "uuid-1"));
    let after = scratch.transaction(id).await;
    assert_eq!((after.version, after.state.as_str()), (before.version, "waiting"));
}

#[tokio::test]
async fn callbacks_of_many_receipts_and_stores_share_statements_and_each_finds_its_own() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut hints = Vec::new();
    for number in 0..30 {
        let store = if number % 2 == 0 { "main" } else { "second" };
        let offered = ledger::NewTransaction {
            first: crate::sample::at_once(),
            ..offer_of(Operation::Sell, store, &number.to_string(), "main")
        };
        let Ok(ledger::Acceptance::Claimed(claimed)) = ledger.accept(offered).await else {
            panic!("{number} is not claimed")
        };
        let vendor_uuid = format!("uuid-{number}");
        ledger
            .record(outcome(&claimed, taken(&vendor_uuid)))
            .await
            .expect("recorded");
        let hint = Hint {
            // Every third comes to the address of the wrong store.
            store: StoreCode::parse(if number % 3 == 0 { "third" } else { store }).expect("a store code"),
            ..hint(Some(&vendor_uuid), None)
        };
        hints.extend([hint.clone(), hint]);
    }
    let answers = join_all(hints.into_iter().map(|hint| ledger.hint(hint))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let mut asked: Vec<u32> = ledger
        .claim_polls(&quota(100), MINUTE)
        .await
        .expect("no outage")
        .into_iter()
        .map(|polled| polled.subject.document.as_str().parse().expect("a number"))
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, (0..30).filter(|number| number % 3 != 0).collect::<Vec<_>>());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Callback,
    Poll,
    Answer,
    Second,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Callback),
        2 => Just(Step::Poll),
        2 => Just(Step::Answer),
        1 => Just(Step::Second),
    ];
    proptest::collection::vec(step, 1..25)
}

/// Whatever the order: nobody asks while somebody asks, no question comes without a callback before it, and no callback
/// is left without a question after it.
async fn walk(ledger: &Ledger, scratch: &Scratch, number: &str, steps: &[Step]) {
    let vendor_uuid = format!("uuid-{number}");
    let id = waiting(ledger, number, &vendor_uuid).await;
    let poll = async || {
        let mut due = due(ledger).await;
        due.retain(|polled| polled.subject.transaction_id == id);
        due.pop()
    };
    let (mut asking, mut owed) = (None, false);
    for step in steps {
        match step {
            Step::Callback => {
                hinted(ledger, &vendor_uuid).await;
                owed = true;
            }
            Step::Poll => {
                if let Some(polled) = poll().await {
                    assert!(asking.is_none() && owed, "{steps:?}");
                    (asking, owed) = (Some(polled), false);
                }
            }
            Step::Answer => {
                if let Some(polled) = asking.take() {
                    ledger.record_poll(answer(&polled, AGAIN)).await.expect("recorded");
                }
            }
            Step::Second => scratch.pass(Duration::from_secs(1)).await,
        }
    }
    if let Some(polled) = asking {
        ledger.record_poll(answer(&polled, AGAIN)).await.expect("recorded");
    }
    scratch.pass(REST).await;
    assert_eq!(poll().await.is_some(), owed, "{steps:?}");
}

#[tokio::test]
async fn no_order_of_callbacks_and_questions_loses_one_or_doubles_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut runner = TestRunner::default();
    for number in 0..40 {
        let steps = steps().new_tree(&mut runner).expect("a value").current();
        walk(&ledger, &scratch, &format!("walk-{number}"), &steps).await;
    }
}
