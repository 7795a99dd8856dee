//! A person asks what became of a receipt: the question is made due, and put once.

use std::time::Duration;

use receipt::StoreCode;

use crate::resend::maria;
use crate::sample::{DAY, accepted, answer, claimed, done, outcome, polled, queued};
use crate::scratch::Scratch;

#[tokio::test]
async fn a_question_is_made_due_at_once_and_its_answer_is_seen() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut ids = Vec::new();
    for number in ["417", "418"] {
        let claimed = claimed(&ledger, number).await;
        ledger
            .record(outcome(&claimed, accepted(&format!("uuid-{number}"))))
            .await
            .expect("recorded");
        ids.push(claimed.subject.transaction_id);
    }
    scratch
        .run("UPDATE registrations SET next_poll_at = now() + interval '1 hour'")
        .await;
    let asked = ledger.refresh(ids[0], &maria()).await.expect("no outage");
    assert_eq!(asked.len(), 1);
    assert!(!ledger.answered(&asked).await.expect("no outage")[0].is_answered);
    let question = polled(&ledger).await;
    assert_eq!(question.subject.transaction_id, ids[0], "the other one is not due");
    // While it is under way, nobody puts it a second time.
    ledger.refresh(ids[0], &maria()).await.expect("no outage");
    let due = ledger
        .claim_polls(&crate::sample::quota(10), Duration::from_secs(60))
        .await;
    assert!(due.expect("no outage").is_empty());
    ledger.record_poll(answer(&question, done())).await.expect("recorded");
    assert!(ledger.answered(&asked).await.expect("no outage")[0].is_answered);
    let actions = ledger.actions(ids[0].0).await.expect("no outage");
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[0].action, "refresh");
    assert!(ledger.refresh(ids[0], &maria()).await.expect("no outage").is_empty());

    let store = StoreCode::parse("main").expect("a store");
    let asked = ledger.refresh_store(&store, 10).await.expect("no outage");
    let asked: Vec<_> = asked.iter().map(|asked| asked.id).collect();
    assert_eq!(asked, [ids[1]], "what is done is not asked about");
    assert_eq!(polled(&ledger).await.subject.transaction_id, ids[1]);
}

#[tokio::test]
async fn there_is_nothing_to_ask_about_what_the_vendor_does_not_have() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    assert!(ledger.refresh(id, &maria()).await.expect("no outage").is_empty());
    scratch.pass(DAY).await;
    assert!(ledger.actions(id.0).await.expect("no outage").is_empty());
}
