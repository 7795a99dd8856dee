//! A registered sale is cancelled and registered anew: whoever brings the document of the first half releases the second.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{
    Acted, Chain, Claimed, Finding, Half, Key, Ledger, NotResellable, NotResendable, Reselling, Resending, Resold,
    Verdict,
};
use receipt::{
    DocumentNumber, DocumentPart, Failure, FiscalDocument, Operation, OrderNumber, RetryClass, StateName, StoreCode,
    TransactionId,
};

use crate::resend::{maria, standing};
use crate::sample::{
    LEASE, a_fiscal_document, accepted, answer, claim, claimed, done, offer_of, outcome, polled, queued, quota,
    refused, waiting,
};
use crate::scratch::Scratch;

const QUIET: Duration = Duration::from_secs(1);

async fn chain(ledger: &Ledger, number: &str) -> Chain {
    look(ledger, number).await.expect("a registered sale")
}

async fn look(ledger: &Ledger, number: &str) -> Option<Chain> {
    let store = StoreCode::parse("main").expect("a store");
    let number = DocumentNumber::parse(number).expect("a number");
    let chain = ledger.chain(&store, &number, &DocumentPart::main()).await;
    chain.expect("no outage")
}

async fn resell(ledger: &Ledger, number: &str, key: Key) -> Resold {
    let seen = chain(ledger, number).await;
    let how = seen.reselling(key).expect("it can be resold");
    ledger.resell(&seen, &how, QUIET, &maria()).await.expect("no outage")
}

/// A registered sale.
async fn sold(ledger: &Ledger, number: &str) -> TransactionId {
    let claimed = waiting(ledger, number, &format!("uuid-{number}")).await;
    ledger
        .record_poll(answer(&polled(ledger).await, done()))
        .await
        .expect("recorded");
    claimed.subject.transaction_id
}

pub(crate) async fn started(ledger: &Ledger, number: &str) -> (TransactionId, TransactionId) {
    match resell(ledger, number, Key::Same).await {
        Resold::Started { refund, sell } => (refund, sell),
        other => panic!("it did not start: {other:?}"),
    }
}

async fn claim_half(scratch: &Scratch, ledger: &Ledger, id: TransactionId) -> Claimed {
    scratch.pass(QUIET).await;
    claim(ledger, id, scratch.transaction(id).await.fence).await
}

fn document(fd: i64) -> Box<FiscalDocument> {
    let mut document = a_fiscal_document();
    document.fd = fd;
    document.fpd = format!("4000000{fd}");
    document
}

pub(crate) async fn register(scratch: &Scratch, ledger: &Ledger, id: TransactionId, fd: i64) {
    let claimed = claim_half(scratch, ledger, id).await;
    ledger
        .record(outcome(&claimed, Verdict::Done(document(fd))))
        .await
        .expect("recorded");
}

async fn check_property(scratch: &Scratch, id: TransactionId) -> Option<String> {
    sqlx::query_scalar("SELECT body ->> 'check_property' FROM transactions WHERE id = $1")
        .bind(id.0)
        .fetch_one(&scratch.pool)
        .await
        .expect("a body")
}

/// Both halves were written by the commit that wrote the first one's state.
async fn written_together(scratch: &Scratch, refund: TransactionId, sell: TransactionId) -> bool {
    let commits: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT written) FROM (SELECT xmin::text AS written FROM transactions WHERE id IN ($1, $2) \
         UNION ALL (SELECT xmin::text FROM events WHERE transaction_id = $1 ORDER BY id DESC LIMIT 1) \
         UNION ALL (SELECT xmin::text FROM events WHERE transaction_id = $2 ORDER BY id DESC LIMIT 1)) rows",
    )
    .bind(refund.0)
    .bind(sell.0)
    .fetch_one(&scratch.pool)
    .await
    .expect("the commits");
    commits == 1
}

#[tokio::test]
async fn a_resell_begins_with_both_halves_in_one_commit() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let sale = sold(&ledger, "417").await;
    ledger.take_events(100).await.expect("no outage");
    let (refund, sell) = started(&ledger, "417").await;

    let row = scratch.transaction(refund).await;
    assert_eq!(
        (row.state.as_str(), row.external_id.as_str()),
        ("queued", "invoice_main_417_refund")
    );
    assert!(row.due_in_seconds.is_some_and(|due| due <= 0.0));
    let row = scratch.transaction(sell).await;
    assert_eq!(
        (row.state.as_str(), row.external_id.as_str(), row.due_in_seconds),
        ("held", "invoice_main_417_resell", None)
    );
    assert!(written_together(&scratch, refund, sell).await);
    let fpd = scratch.transaction(sale).await.fpd;
    assert_eq!(fpd.as_deref(), Some("2871940355"));
    for half in [refund, sell] {
        assert_eq!(check_property(&scratch, half).await, fpd);
        assert_eq!(scratch.registration(half).await.state, "open");
    }
    assert_eq!(
        check_property(&scratch, sale).await,
        None,
        "what was registered stays as it was"
    );
    let events = ledger.take_events(100).await.expect("no outage");
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let body = &event.body;
            (
                event.event_type.as_str(),
                body["operation"].as_str().unwrap_or_default(),
                body["state"].as_str().unwrap_or_default(),
                body["parent"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let (sale_id, refund_id) = (sale.to_string(), refund.to_string());
    assert_eq!(
        told,
        [
            ("receipt.accepted", "resell_refund", "queued", sale_id.as_str()),
            ("receipt.accepted", "resell_sell", "held", refund_id.as_str()),
        ]
    );
    let actions = ledger.actions(sale.0).await.expect("no outage");
    assert_eq!(actions[0].action, "resell");
    // Only the first half is due.
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    let due: Vec<_> = due
        .iter()
        .map(|claimed| (claimed.subject.transaction_id, claimed.subject.operation))
        .collect();
    assert_eq!(due, [(refund, Operation::ResellRefund)]);
}

#[tokio::test]
async fn of_many_who_begin_one_does_and_the_others_find_it_under_way() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let seen = chain(&ledger, "417").await;
    let how = seen.reselling(Key::Same).expect("it can begin");
    let starters: Vec<Ledger> = (0..8)
        .map(|number| scratch.ledger_of(&format!("test-{number}")))
        .collect();
    let actor = maria();
    let begun = join_all(starters.iter().map(|ledger| ledger.resell(&seen, &how, QUIET, &actor))).await;
    let begun: Vec<Resold> = begun.into_iter().map(|resold| resold.expect("no outage")).collect();
    let of = |wanted: fn(&Resold) -> bool| begun.iter().filter(|resold| wanted(resold)).count();
    assert_eq!(of(|resold| matches!(resold, Resold::Started { .. })), 1, "{begun:?}");
    assert_eq!(of(|resold| matches!(resold, Resold::Changed)), 7, "{begun:?}");
    assert_eq!(scratch.count("SELECT count(*) FROM transactions").await, 3);
    let seen = chain(&ledger, "417").await;
    assert_eq!(seen.reselling(Key::Next), Ok(Reselling::UnderWay(Half::Refund)));
    assert!(matches!(resell(&ledger, "417", Key::Same).await, Resold::UnderWay(_)));
}

#[tokio::test]
async fn whoever_brings_the_document_of_the_first_half_releases_the_second_in_the_same_commit() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for way in ["answer", "poll", "late", "person"] {
        sold(&ledger, way).await;
        let (refund, sell) = started(&ledger, way).await;
        let claimed = claim_half(&scratch, &ledger, refund).await;
        match way {
            "answer" => {
                let answered = outcome(&claimed, Verdict::Done(document(1)));
                ledger.record(answered.clone()).await.expect("recorded");
                // Recorded again, it releases nothing more.
                ledger.record(answered).await.expect("recorded");
            }
            "poll" => {
                ledger
                    .record(outcome(&claimed, accepted("uuid-refund")))
                    .await
                    .expect("recorded");
                assert_eq!(scratch.state(sell).await, "held");
                ledger
                    .record_poll(answer(&polled(&ledger).await, done()))
                    .await
                    .expect("recorded");
            }
            "late" => {
                scratch.pass(LEASE.hold + LEASE.quiet_time).await;
                let fence = scratch.transaction(refund).await.fence;
                let due = ledger.claim_due(&quota(10), Duration::ZERO, LEASE).await;
                assert_eq!(due.expect("no outage").len(), 1, "somebody else has it");
                assert!(scratch.transaction(refund).await.fence > fence);
                ledger
                    .record(outcome(&claimed, Verdict::Done(document(2))))
                    .await
                    .expect("recorded");
            }
            _ => {
                ledger
                    .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
                    .await
                    .expect("recorded");
                let stopped = chain(&ledger, way).await.reselling(Key::Next);
                let unknown = NotResellable::Stopped(Half::Refund, NotResendable::Unknown);
                assert_eq!(stopped, Err(unknown));
                let finding = Finding::Registered {
                    document: document(3),
                    time_is_assumed: false,
                };
                let seen = standing(&ledger, refund).await;
                let resolved = ledger.resolve(&seen, &finding, &maria()).await;
                assert_eq!(resolved.expect("no outage"), Acted::Done);
            }
        }
        assert_eq!(scratch.state(refund).await, "done", "{way}");
        let row = scratch.transaction(sell).await;
        assert_eq!((row.state.as_str(), row.version), ("queued", 1), "{way}");
        assert!(row.due_in_seconds.is_some_and(|due| due <= 0.0), "{way}");
        assert!(written_together(&scratch, refund, sell).await, "{way}");
        assert_eq!(scratch.events(sell).await, ["receipt.accepted", "receipt.accepted"]);
        let told = ledger.take_events(1000).await.expect("no outage");
        let told = told.iter().rev().find(|event| event.body["operation"] == "resell_sell");
        let body = &told.expect("the release is told").body;
        assert_eq!(
            (&body["state"], &body["transaction_id"], &body["external_id"]),
            (&"queued".into(), &sell.to_string().into(), &row.external_id.into())
        );
        register(&scratch, &ledger, sell, 10).await;
        let chain = chain(&ledger, way).await;
        assert_eq!(chain.sale.subject.transaction_id, sell, "the newest sale");
    }
}

#[tokio::test]
async fn a_first_half_that_has_failed_is_sent_again_and_the_second_waits_for_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    let fail = async |why, class| {
        let claimed = claim_half(&scratch, &ledger, refund).await;
        ledger
            .record(refused(&claimed, class, Verdict::Failed(why)))
            .await
            .expect("recorded");
    };
    fail(Failure::Exhausted, RetryClass::NOT_SEEN).await;
    assert_eq!(resell(&ledger, "417", Key::Same).await, Resold::Resumed(refund));
    fail(Failure::Rejected, RetryClass::Permanent).await;
    let refused = chain(&ledger, "417").await.reselling(Key::Same);
    assert_eq!(
        refused,
        Err(NotResellable::Stopped(Half::Refund, NotResendable::Rejected))
    );
    assert_eq!(resell(&ledger, "417", Key::Next).await, Resold::Resumed(refund));
    assert_eq!(
        scratch.transaction(refund).await.external_id,
        "invoice_main_417_refund__1"
    );
    assert_eq!(scratch.state(sell).await, "held");
    register(&scratch, &ledger, refund, 1).await;
    assert_eq!(scratch.state(sell).await, "queued");
    assert_eq!(scratch.count("SELECT count(*) FROM transactions").await, 3);
}

#[tokio::test]
async fn a_second_half_that_has_failed_is_told_of_and_sent_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    register(&scratch, &ledger, refund, 1).await;
    assert!(matches!(
        chain(&ledger, "417").await.reselling(Key::Same),
        Ok(Reselling::UnderWay(Half::Sell))
    ));
    let claimed = claim_half(&scratch, &ledger, sell).await;
    ledger
        .record(refused(
            &claimed,
            RetryClass::Permanent,
            Verdict::Failed(Failure::Rejected),
        ))
        .await
        .expect("recorded");
    let events = ledger.take_events(100).await.expect("no outage");
    let told = &events.last().expect("events").body;
    assert_eq!(told["order_status_hint"], "kkm_failed");
    let text = told["text"]["en"].as_str().unwrap_or_default();
    assert!(text.contains("the purchase has no valid receipt"), "{text}");

    assert_eq!(resell(&ledger, "417", Key::Next).await, Resold::Resumed(sell));
    register(&scratch, &ledger, sell, 2).await;
    assert_eq!(scratch.state(sell).await, "done");
    assert_eq!(scratch.count("SELECT count(*) FROM transactions").await, 3);
}

#[tokio::test]
async fn the_second_resell_cancels_the_newest_sale_under_keys_of_its_own() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    register(&scratch, &ledger, refund, 1).await;
    register(&scratch, &ledger, sell, 2).await;
    let (second_refund, second_sell) = started(&ledger, "417").await;
    for (id, key) in [
        (second_refund, "invoice_main_417_refund2"),
        (second_sell, "invoice_main_417_resell2"),
    ] {
        assert_eq!(scratch.transaction(id).await.external_id, key);
        assert_eq!(check_property(&scratch, id).await.as_deref(), Some("40000002"));
    }
    let parent = standing(&ledger, second_refund).await.parent;
    assert_eq!(parent, Some((sell, StateName::Done)));
    assert_eq!(
        standing(&ledger, sell).await.replaced_by,
        None,
        "a later resell corrects no failed one"
    );
    register(&scratch, &ledger, second_refund, 3).await;
    register(&scratch, &ledger, second_sell, 4).await;
    assert_eq!(chain(&ledger, "417").await.sale.subject.transaction_id, second_sell);
}

#[tokio::test]
async fn a_resell_is_refused_while_the_order_has_a_refund_that_is_not_closed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let seen = chain(&ledger, "417").await;
    let how = seen.reselling(Key::Same).expect("it can begin");
    // Accepted after the look: the statement itself refuses. Another number, the same order.
    let refund = offer_of(Operation::Refund, "main", "R-1", "main");
    let refund_id = refund.subject.transaction_id;
    ledger.accept(refund).await.expect("accepted");
    let resold = ledger.resell(&seen, &how, QUIET, &maria()).await;
    assert_eq!(resold.expect("no outage"), Resold::Changed);
    let Err(NotResellable::OtherRefunds(refunds)) = chain(&ledger, "417").await.reselling(Key::Next) else {
        panic!("it is not refused")
    };
    let [other] = refunds.as_slice() else {
        panic!("{refunds:?}")
    };
    assert_eq!((other.id, other.state), (refund_id, StateName::Queued));
    assert_eq!(other.external_id, "creditmemo_main_R-1");

    let seen = standing(&ledger, refund_id).await;
    ledger.cancel(&seen, &maria()).await.expect("no outage");
    started(&ledger, "417").await;
}

#[tokio::test]
async fn closing_the_first_half_closes_the_second_and_another_resell_takes_new_keys() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    let seen = standing(&ledger, sell).await;
    assert_eq!(seen.resending(Key::Same), Err(NotResendable::AwaitsRefund(refund)));
    let alone = ledger.resend(&seen, &Resending::Release, QUIET, &maria()).await;
    assert_eq!(alone.expect("no outage"), Acted::Changed);
    let alone = ledger.cancel(&seen, &maria()).await;
    assert_eq!(alone.expect("no outage"), Acted::Changed, "it would be missed later");

    let seen = standing(&ledger, refund).await;
    assert_eq!(ledger.cancel(&seen, &maria()).await.expect("no outage"), Acted::Done);
    for half in [refund, sell] {
        assert_eq!(scratch.state(half).await, "cancelled");
        assert_eq!(scratch.registration(half).await.state, "dead");
        assert_eq!(
            scratch.events(half).await.last().map(String::as_str),
            Some("receipt.cancelled")
        );
        assert_eq!(ledger.actions(half.0).await.expect("no outage").len(), 1);
    }
    let (refund, _) = started(&ledger, "417").await;
    assert_eq!(
        scratch.transaction(refund).await.external_id,
        "invoice_main_417_refund2"
    );
}

#[tokio::test]
async fn a_new_sale_that_a_person_closed_leaves_the_document_cancelled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    register(&scratch, &ledger, refund, 1).await;
    let seen = standing(&ledger, sell).await;
    assert_eq!(ledger.cancel(&seen, &maria()).await.expect("no outage"), Acted::Done);
    let refused = chain(&ledger, "417").await.reselling(Key::Next);
    assert_eq!(refused, Err(NotResellable::Closed));
}

#[tokio::test]
async fn only_a_registered_sale_is_resold() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "queued").await;
    claimed(&ledger, "sending").await;
    for number in ["queued", "sending", "never"] {
        assert!(look(&ledger, number).await.is_none(), "{number}");
    }
}

/// A refund of this number and order.
async fn refund_of(ledger: &Ledger, number: &str, order: Option<&str>) -> TransactionId {
    let mut refund = offer_of(Operation::Refund, "main", number, "main");
    refund.subject.order = order.map(|order| OrderNumber::parse(order).expect("an order"));
    let id = refund.subject.transaction_id;
    ledger.accept(refund).await.expect("accepted");
    id
}

async fn first_half_fails(scratch: &Scratch, ledger: &Ledger, refund: TransactionId, why: Failure) {
    let class = match why {
        Failure::Exhausted => RetryClass::NOT_SEEN,
        Failure::Rejected => RetryClass::Permanent,
    };
    let claimed = claim_half(scratch, ledger, refund).await;
    ledger
        .record(refused(&claimed, class, Verdict::Failed(why)))
        .await
        .expect("recorded");
}

#[tokio::test]
async fn a_first_half_that_has_failed_is_not_sent_again_once_the_order_has_another_refund() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for (way, why, key) in [
        ("again", Failure::Exhausted, Key::Same),
        ("rekey", Failure::Rejected, Key::Next),
    ] {
        sold(&ledger, way).await;
        let (refund, _) = started(&ledger, way).await;
        first_half_fails(&scratch, &ledger, refund, why).await;
        let seen = chain(&ledger, way).await;
        let how = seen.reselling(key).expect("nothing is in its way yet");
        let half = standing(&ledger, refund).await;
        let resending = half.resending(key).expect("nothing is in its way yet");

        let other = refund_of(
            &ledger,
            &format!("R-{way}"),
            seen.sale.subject.order.as_ref().map(OrderNumber::as_str),
        )
        .await;
        // Accepted after the look: the statements themselves refuse.
        let resold = ledger.resell(&seen, &how, QUIET, &maria()).await;
        assert_eq!(resold.expect("no outage"), Resold::Changed, "{way}");
        let resent = ledger.resend(&half, &resending, QUIET, &maria()).await;
        assert_eq!(resent.expect("no outage"), Acted::Changed, "{way}");
        let refused = chain(&ledger, way).await.reselling(key);
        assert!(
            matches!(&refused, Err(NotResellable::OtherRefunds(refunds)) if refunds[0].id == other),
            "{way}: {refused:?}"
        );
        let refused = ledger.resending(&half, key).await.expect("no outage");
        assert!(
            matches!(&refused, Err(NotResendable::OtherRefunds(refunds)) if refunds[0].id == other),
            "{way}: {refused:?}"
        );
        assert_eq!(scratch.state(refund).await, "failed", "{way}");

        let seen = standing(&ledger, other).await;
        ledger.cancel(&seen, &maria()).await.expect("no outage");
        assert_eq!(resell(&ledger, way, key).await, Resold::Resumed(refund), "{way}");
    }
}

#[tokio::test]
async fn a_refund_of_another_order_that_has_the_same_number_is_in_nobodys_way() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["417", "418"] {
        sold(&ledger, number).await;
    }
    refund_of(&ledger, "417", Some("another order")).await;
    assert_eq!(chain(&ledger, "417").await.other_refunds, []);
    started(&ledger, "417").await;
    // Of which order it is nobody said, so it may be this one's.
    let other = refund_of(&ledger, "418", None).await;
    let refused = chain(&ledger, "418").await.reselling(Key::Same);
    assert!(
        matches!(&refused, Err(NotResellable::OtherRefunds(refunds)) if refunds[0].id == other),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_resell_is_found_from_each_of_its_rows_also_when_it_has_ended() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let sale = sold(&ledger, "417").await;
    let (refund, sell) = started(&ledger, "417").await;
    let of = async |id| {
        let named = standing(&ledger, id).await;
        ledger.resell_of(&named).await.expect("no outage").expect("a resell")
    };
    for id in [sale, refund, sell] {
        let found = of(id).await;
        assert_eq!(found.sale.subject.transaction_id, sale);
        assert_eq!(found.reselling(Key::Same), Ok(Reselling::UnderWay(Half::Refund)));
    }
    register(&scratch, &ledger, refund, 1).await;
    register(&scratch, &ledger, sell, 2).await;
    for id in [sale, refund] {
        let found = of(id).await;
        assert_eq!(
            found.reselling(Key::Next),
            Ok(Reselling::Ended),
            "nothing is begun anew"
        );
        let told = ledger.resell(&found, &Reselling::Ended, QUIET, &maria()).await;
        assert_eq!(told.expect("no outage"), Resold::Ended);
    }
    // The new sale is one that can be resold in its turn.
    assert!(matches!(
        of(sell).await.reselling(Key::Same),
        Ok(Reselling::Start { .. })
    ));
    let other = refund_of(&ledger, "R-1", None).await;
    let other = standing(&ledger, other).await;
    assert!(ledger.resell_of(&other).await.expect("no outage").is_none());
    assert_eq!(scratch.count("SELECT count(*) FROM transactions").await, 4);
}
