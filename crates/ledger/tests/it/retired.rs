//! A retired id that turns out registered after all, in every state that its successor may be in (design, section 4).
//! The document always counts: the transaction is done with it, or it is told that there are two.

use std::time::Duration;

use ledger::{Claimed, Evidence, Ledger, PollRecord, PollVerdict, Polled, Recorded, Verdict};
use receipt::{Failure, FiscalDocument, RetryClass, TransactionId};
use serde_json::Value;

use crate::sample::{
    LEASE, MINUTE, a_fiscal_document, a_refusal, accepted, an_evidence, answer, claim, done, outcome, polled, refused,
    retry, waiting,
};
use crate::scratch::Scratch;

const OLD: &str = "invoice_main_417";
const NEW: &str = "invoice_main_417__1";

/// A transaction whose first id was taken as `uuid-1` and then reported dead. The next id is due.
struct Retired {
    scratch: Scratch,
    ledger: Ledger,
    id: TransactionId,
    old: Polled,
}

async fn retired() -> Retired {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let old = polled(&ledger).await;
    let mut dead = answer(
        &old,
        PollVerdict::Rekey {
            delay: Duration::ZERO,
            trials: 1,
            next: receipt::ExternalId::parse(NEW).expect("valid"),
            check: 10 * MINUTE,
        },
    );
    dead.refusal = Some(a_refusal(RetryClass::Rekey));
    assert_eq!(ledger.record_poll(dead).await.expect("recorded"), Recorded::Applied);
    Retired {
        scratch,
        ledger,
        id,
        old,
    }
}

/// Another document than [`a_fiscal_document`].
fn another_document() -> Box<FiscalDocument> {
    Box::new(FiscalDocument {
        fd: 50_001,
        fpd: "3000000001".to_owned(),
        ..*a_fiscal_document()
    })
}

impl Retired {
    async fn claim(&self) -> Claimed {
        let fence = self.scratch.transaction(self.id).await.fence;
        claim(&self.ledger, self.id, fence).await
    }

    /// The check ten minutes later, which finds the old id registered.
    async fn found(&self) -> Recorded {
        self.scratch.pass(10 * MINUTE).await;
        let mut polls = self
            .ledger
            .claim_polls(&crate::sample::quota(10), MINUTE)
            .await
            .expect("no outage");
        polls.retain(|polled| polled.generation == 0);
        assert_eq!(polls.len(), 1, "a retired id is asked about again");
        assert!(polls[0].retired.is_some());
        let recorded = self.ledger.record_poll(answer(&polls[0], done())).await;
        recorded.expect("recorded")
    }

    /// External id, state and number of the document, of each registration.
    async fn registrations(&self) -> Vec<(String, String, Option<i64>)> {
        let registrations = self.scratch.registrations(self.id).await;
        let registrations = registrations.into_iter();
        registrations.map(|one| (one.external_id, one.state, one.fd)).collect()
    }

    /// The transaction is done with the old id's document.
    async fn assert_done_with_the_old(&self) {
        let transaction = self.scratch.transaction(self.id).await;
        assert_eq!(
            (
                transaction.state.as_str(),
                transaction.failure,
                transaction.due_in_seconds
            ),
            ("done", None, None)
        );
        assert_eq!(
            (transaction.generation, transaction.external_id.as_str(), transaction.fd),
            (0, OLD, Some(48_213))
        );
        assert_eq!(transaction.vendor_uuid.as_deref(), Some("uuid-1"));
    }

    async fn doubles(&self) -> Vec<Value> {
        sqlx::query_scalar("SELECT body FROM events WHERE transaction_id = $1 AND type = 'receipt.double' ORDER BY id")
            .bind(self.id.0)
            .fetch_all(&self.scratch.pool)
            .await
            .expect("the events")
    }

    async fn told(&self, event: &str) -> usize {
        let events = self.scratch.events(self.id).await;
        events.iter().filter(|told| *told == event).count()
    }
}

#[tokio::test]
async fn a_retired_id_is_asked_about_again_and_a_second_no_changes_nothing() {
    let world = retired().await;
    assert!(
        world
            .ledger
            .claim_polls(&crate::sample::quota(5), MINUTE)
            .await
            .expect("no outage")
            .is_empty(),
        "not before ten minutes"
    );
    world.scratch.pass(10 * MINUTE).await;
    let check = polled(&world.ledger).await;
    assert_eq!((check.generation, check.external_id.as_str()), (0, OLD));
    assert!(check.retired.expect("retired") < MINUTE, "by the database's clock");
    let recorded = world
        .ledger
        .record_poll(answer(&check, PollVerdict::Dead(Some(50 * MINUTE))))
        .await;
    assert_eq!(recorded.expect("recorded"), Recorded::Fenced);
    let old = &world.scratch.registrations(world.id).await[0];
    assert_eq!(old.state, "dead");
    let next = old.poll_in_seconds.expect("asked again");
    assert!((2900.0..=3000.0).contains(&next), "{next}");
    world.scratch.pass(50 * MINUTE).await;
    let check = polled(&world.ledger).await;
    world
        .ledger
        .record_poll(answer(&check, PollVerdict::Dead(None)))
        .await
        .expect("recorded");
    assert_eq!(
        world.scratch.registrations(world.id).await[0].poll_in_seconds,
        None,
        "the last one"
    );
    assert_eq!(world.scratch.state(world.id).await, "retrying");
}

#[tokio::test]
async fn a_document_under_the_old_id_cancels_a_successor_that_was_not_sent() {
    let world = retired().await;
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    assert_eq!(
        world.registrations().await,
        [
            (OLD.into(), "done".into(), Some(48_213)),
            (NEW.into(), "dead".into(), None)
        ]
    );
    assert_eq!((world.told("receipt.done").await, world.doubles().await.len()), (1, 0));
    assert_eq!(world.scratch.commits(world.id).await.len(), 1, "all in one commit");
    let fence = world.scratch.transaction(world.id).await.fence;
    for fence in 0..=fence {
        let claim = world.ledger.claim(world.id, fence, LEASE).await;
        assert!(matches!(claim, Ok(ledger::Claim::Stale)), "{claim:?}");
    }
    let due = world
        .ledger
        .claim_due(&crate::sample::quota(5), Duration::ZERO, LEASE)
        .await;
    assert!(due.expect("no outage").is_empty(), "nobody sends it");
}

#[tokio::test]
async fn a_successor_whose_tries_certainly_did_nothing_is_cancelled_too() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(refused(&claimed, RetryClass::NOT_SEEN, retry(MINUTE)))
        .await
        .expect("recorded");
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    assert_eq!(world.registrations().await[1].1, "dead");
    assert!(world.doubles().await.is_empty());
}

#[tokio::test]
async fn a_claim_that_was_given_back_sent_nothing() {
    let world = retired().await;
    let claimed = world.claim().await;
    world.ledger.give_back(&claimed).await.expect("no outage");
    world.found().await;
    world.assert_done_with_the_old().await;
    assert_eq!(world.registrations().await[1].1, "dead");
    assert!(world.doubles().await.is_empty());
}

#[tokio::test]
async fn a_document_under_the_old_id_while_the_new_one_is_being_sent_is_told_with_both_ids() {
    let world = retired().await;
    let claimed = world.claim().await;
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 1, "the new one may be registered at this moment");
    assert_eq!(doubles[0]["external_id"], OLD);
    assert_eq!(doubles[0]["vendor_uuid"], "uuid-1");
    assert_eq!(doubles[0]["fiscal"]["fd"], 48_213);
    assert_eq!(doubles[0]["others"][0]["external_id"], NEW);
    for language in ["ru", "en"] {
        let text = doubles[0]["text"][language].as_str().expect("a text");
        assert!(text.contains(OLD) && text.ends_with(&format!("{NEW}.")), "{text}");
    }
    assert_eq!(doubles[0]["store"], "main");

    // It was not taken after all.
    let recorded = world
        .ledger
        .record(refused(&claimed, RetryClass::NOT_SEEN, retry(MINUTE)))
        .await;
    assert_eq!(recorded.expect("recorded"), Recorded::Fenced, "and is never sent again");
    world.assert_done_with_the_old().await;
    assert_eq!(world.doubles().await.len(), 1);
}

#[tokio::test]
async fn a_successor_that_was_under_way_is_followed_and_its_document_is_told_once() {
    let world = retired().await;
    let claimed = world.claim().await;
    world.found().await;
    let recorded = world.ledger.record(outcome(&claimed, accepted("uuid-2"))).await;
    assert_eq!(recorded.expect("recorded"), Recorded::Fenced);
    let second = polled(&world.ledger).await;
    assert_eq!((second.generation, second.vendor_uuid.as_str()), (1, "uuid-2"));
    for _ in 0..2 {
        let found = answer(&second, PollVerdict::Done(another_document()));
        world.ledger.record_poll(found).await.expect("recorded");
    }
    world.assert_done_with_the_old().await;
    assert_eq!(
        world.registrations().await,
        [
            (OLD.into(), "done".into(), Some(48_213)),
            (NEW.into(), "done".into(), Some(50_001))
        ],
        "support finds both documents"
    );
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 2, "that it may be, and that it is");
    assert_eq!(
        (&doubles[1]["external_id"], &doubles[1]["fiscal"]["fd"]),
        (&NEW.into(), &50_001.into())
    );
    assert_eq!(doubles[1]["others"][0]["external_id"], OLD);
    assert_eq!(doubles[1]["others"][0]["fiscal"]["fd"], 48_213);
    assert_eq!(world.told("receipt.done").await, 1);

    let row = world.ledger.find("417").await.expect("no outage").remove(0);
    let details = world.ledger.details(row).await.expect("no outage");
    let documents: Vec<_> = details
        .registrations
        .iter()
        .map(|one| one.fiscal.as_ref().map(|f| f.fd))
        .collect();
    assert_eq!(documents, [Some(48_213), Some(50_001)]);
}

#[tokio::test]
async fn a_document_under_the_old_id_while_the_new_one_waits_is_told() {
    let world = retired().await;
    let claimed = world.claim().await;
    let later = Verdict::Accepted {
        vendor_uuid: crate::sample::uuid("uuid-2"),
        adopted: false,
        first_poll: 60 * MINUTE,
    };
    world.ledger.record(outcome(&claimed, later)).await.expect("recorded");
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 1);
    assert_eq!(doubles[0]["others"][0]["vendor_uuid"], "uuid-2");
    assert_eq!(doubles[0]["others"][0]["state"], "waiting");

    // It dies at the vendor: nothing is told, and nothing is sent again.
    world.scratch.pass(60 * MINUTE).await;
    let second = polled(&world.ledger).await;
    assert!(second.retired.is_some(), "it is not the live one any more");
    world
        .ledger
        .record_poll(answer(&second, PollVerdict::Dead(None)))
        .await
        .expect("recorded");
    assert_eq!(world.registrations().await[1].1, "dead");
    assert_eq!(world.doubles().await.len(), 1);
    world.assert_done_with_the_old().await;
}

#[tokio::test]
async fn a_document_under_the_old_id_while_the_new_one_is_in_doubt_is_told_and_it_is_not_sent_again() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(refused(&claimed, RetryClass::MAYBE_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    world.found().await;
    world.assert_done_with_the_old().await;
    assert_eq!(world.doubles().await.len(), 1);
    let new = &world.scratch.registrations(world.id).await[1];
    assert_eq!(
        (new.state.as_str(), new.doubtful),
        ("open", true),
        "nobody knows, and it shows"
    );
    let due = world
        .ledger
        .claim_due(&crate::sample::quota(5), Duration::ZERO, LEASE)
        .await;
    assert!(due.expect("no outage").is_empty());
}

#[tokio::test]
async fn a_document_under_the_old_id_after_the_new_one_is_done_is_told_and_kept() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(outcome(&claimed, Verdict::Done(another_document())))
        .await
        .expect("recorded");
    assert_eq!(world.found().await, Recorded::Fenced);
    let transaction = world.scratch.transaction(world.id).await;
    assert_eq!(
        (transaction.external_id.as_str(), transaction.fd),
        (NEW, Some(50_001)),
        "the first found stays"
    );
    assert_eq!(
        world.registrations().await,
        [
            (OLD.into(), "done".into(), Some(48_213)),
            (NEW.into(), "done".into(), Some(50_001))
        ]
    );
    // Another poller found it too.
    world
        .ledger
        .record_poll(answer(&world.old, done()))
        .await
        .expect("recorded");
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 1, "once");
    assert_eq!(
        (&doubles[0]["external_id"], &doubles[0]["state"]),
        (&OLD.into(), &"done".into())
    );
    assert_eq!(doubles[0]["others"][0]["fiscal"]["fd"], 50_001);
    assert_eq!(world.told("receipt.done").await, 1);
}

#[tokio::test]
async fn two_pollers_that_find_it_at_once_tell_it_once() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(outcome(&claimed, Verdict::Done(another_document())))
        .await
        .expect("recorded");
    let others: Vec<Ledger> = (0..4)
        .map(|number| world.scratch.ledger_of(&format!("poller-{number}")))
        .collect();
    let found = others
        .iter()
        .map(|ledger| ledger.record_poll(answer(&world.old, done())));
    for recorded in futures_util::future::join_all(found).await {
        recorded.expect("recorded");
    }
    assert_eq!(world.doubles().await.len(), 1);
}

#[tokio::test]
async fn a_document_under_the_old_id_after_the_new_one_failed_makes_the_transaction_done() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(refused(
            &claimed,
            RetryClass::Permanent,
            Verdict::Failed(Failure::Rejected),
        ))
        .await
        .expect("recorded");
    assert_eq!(world.scratch.state(world.id).await, "failed");
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    assert!(
        world.doubles().await.is_empty(),
        "the new one is proven not to be registered"
    );
    assert_eq!(world.told("receipt.done").await, 1);
}

#[tokio::test]
async fn a_document_under_the_old_id_after_the_new_one_is_unknown_makes_it_done_and_is_told() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    assert_eq!(world.found().await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 1, "the new one may be registered too");
    assert_eq!(doubles[0]["others"][0]["external_id"], NEW);
}

#[tokio::test]
async fn a_document_under_the_old_id_of_a_cancelled_transaction_is_told_and_changes_no_decision_of_a_person() {
    let world = retired().await;
    world
        .scratch
        .run("UPDATE transactions SET state = 'cancelled', due_at = NULL")
        .await;
    assert_eq!(world.found().await, Recorded::Fenced);
    assert_eq!(world.scratch.state(world.id).await, "cancelled");
    assert_eq!(
        world.registrations().await[0],
        (OLD.into(), "done".into(), Some(48_213))
    );
    let doubles = world.doubles().await;
    assert_eq!(doubles.len(), 1);
    assert_eq!(
        (&doubles[0]["state"], &doubles[0]["kkm_status"]),
        (&"cancelled".into(), &"fail".into())
    );
}

#[tokio::test]
async fn the_document_that_a_person_has_entered_already_is_no_double() {
    let world = retired().await;
    let claimed = world.claim().await;
    world
        .ledger
        .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    // `kassa resolve --registered` with the numbers of the old id's document.
    world
        .scratch
        .run(
            "UPDATE transactions SET state = 'done', fn = '9999078900000001', fd = 48213, fpd = '2871940355', \
             registered_at = now()",
        )
        .await;
    world.found().await;
    assert!(world.doubles().await.is_empty());
    assert_eq!(world.registrations().await[0].1, "done");
}

#[tokio::test]
async fn a_document_of_a_failed_request_is_a_double_if_the_corrected_one_may_have_been_sent() {
    for (state, is_told) in [
        ("queued", false),
        ("sending", true),
        ("waiting", true),
        ("failed", false),
    ] {
        assert_eq!(document_after_a_correction(state).await, is_told, "{state}");
    }
}

/// Whether a double is told when the document of a failed request comes, and its correction is in this state.
async fn document_after_a_correction(state: &str) -> bool {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let old = polled(&ledger).await;
    ledger
        .record_poll(answer(&old, PollVerdict::Failed(Failure::Rejected)))
        .await
        .expect("recorded");
    scratch
        .run(
            "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, revision, replaces, \
             request_hash, body, total_kopecks, external_id, state, due_at) \
             SELECT gen_random_uuid(), store, account, vendor, operation, document_number, document_part, 1, id, \
             request_hash, body, total_kopecks, external_id || '__1', 'queued', now() FROM transactions",
        )
        .await;
    scratch
        .run(match state {
            "queued" => "UPDATE transactions SET due_at = now() WHERE revision = 1",
            "sending" => {
                "UPDATE transactions SET state = 'sending', claim_token = gen_random_uuid() WHERE revision = 1"
            }
            "waiting" => {
                "UPDATE transactions SET state = 'waiting', due_at = NULL, vendor_uuid = 'uuid-2' WHERE revision = 1"
            }
            _ => "UPDATE transactions SET state = 'failed', failure = 'rejected', due_at = NULL WHERE revision = 1",
        })
        .await;
    assert_eq!(
        ledger.record_poll(answer(&old, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
    let double: Option<Value> = sqlx::query_scalar("SELECT body FROM events WHERE type = 'receipt.double'")
        .fetch_optional(&scratch.pool)
        .await
        .expect("an answer");
    if let Some(double) = &double {
        assert_eq!(double["others"][0]["external_id"], NEW);
    }
    double.is_some()
}

#[tokio::test]
async fn a_late_document_of_an_attempt_with_the_old_id_follows_the_same_rule() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = crate::sample::claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = crate::sample::reclaimed(&scratch, &ledger).await;
    ledger
        .record(refused(&current, RetryClass::Rekey, crate::sample::rekey(NEW)))
        .await
        .expect("recorded");
    let recorded = ledger.record(outcome(&late, Verdict::Done(a_fiscal_document()))).await;
    assert_eq!(recorded.expect("recorded"), Recorded::Applied);
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.external_id.as_str()),
        ("done", OLD)
    );
    let registrations = scratch.registrations(id).await;
    assert_eq!(
        (registrations[0].state.as_str(), registrations[1].state.as_str()),
        ("done", "dead")
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.retrying", "receipt.done"]
    );
}

#[tokio::test]
async fn a_late_uuid_of_a_retired_id_is_kept_and_followed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = crate::sample::claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = crate::sample::reclaimed(&scratch, &ledger).await;
    ledger
        .record(refused(&current, RetryClass::Rekey, crate::sample::rekey(NEW)))
        .await
        .expect("recorded");
    assert_eq!(
        scratch.registrations(id).await[0].poll_in_seconds,
        None,
        "there is nothing to ask with"
    );
    ledger
        .record(outcome(&late, accepted("late-uuid")))
        .await
        .expect("recorded");
    let old = polled(&ledger).await;
    assert_eq!((old.generation, old.vendor_uuid.as_str()), (0, "late-uuid"));
    assert_eq!(scratch.registrations(id).await[0].state, "dead");
    assert_eq!(
        ledger.record_poll(answer(&old, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
}

// Before a new id is sent, its sender asks about the old one itself.

fn probe(old: &Polled, verdict: PollVerdict, claimed: &Claimed) -> PollRecord {
    PollRecord::new(old.clone(), Evidence::default(), None, verdict).before_sending(claimed, LEASE)
}

#[tokio::test]
async fn the_claim_of_a_new_id_knows_the_id_that_it_follows() {
    let world = retired().await;
    let claimed = world.claim().await;
    let past = world.ledger.past(&claimed).await.expect("no outage");
    let old = past.predecessor.expect("the vendor had taken it");
    assert_eq!(
        (old.generation, old.external_id.as_str(), old.vendor_uuid.as_str()),
        (0, OLD, "uuid-1")
    );
    assert_eq!((old.total, old.accepted_at), (claimed.total, claimed.accepted_at));
    assert_eq!(past.doubt, None);
    assert!(past.age < MINUTE);
    assert_eq!(claimed.total.kopecks(), 90_000);
}

#[tokio::test]
async fn a_second_no_before_the_send_is_kept_and_the_lease_begins_anew() {
    let world = retired().await;
    let claimed = world.claim().await;
    world.scratch.pass(LEASE.hold).await;
    let mut record = probe(&world.old, PollVerdict::Dead(None), &claimed);
    record.refusal = Some(a_refusal(RetryClass::Rekey));
    assert_eq!(
        world.ledger.record_poll(record.clone()).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(
        world.ledger.record_poll(record).await.expect("recorded"),
        Recorded::Already,
        "kept once"
    );
    let transaction = world.scratch.transaction(world.id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.fence),
        ("sending", claimed.attempt)
    );
    assert!(transaction.due_in_seconds.expect("a lease") > 60.0);
    let attempts = world.scratch.attempts(world.id).await;
    let last = attempts.last().expect("attempts");
    assert_eq!(
        (last.kind.as_str(), last.generation, last.class.as_deref()),
        ("probe", 0, Some("rekey"))
    );
    let old = &world.scratch.registrations(world.id).await[0];
    assert!(old.poll_in_seconds.is_some(), "the checks of a retired id go on");
    let recorded = world.ledger.record(outcome(&claimed, accepted("uuid-2"))).await;
    assert_eq!(
        recorded.expect("recorded"),
        Recorded::Applied,
        "the attempt is still the one"
    );
}

#[tokio::test]
async fn a_document_found_before_the_send_ends_the_claim_unused_and_is_no_double() {
    let world = retired().await;
    let claimed = world.claim().await;
    let record = probe(&world.old, done(), &claimed);
    assert_eq!(
        world.ledger.record_poll(record.clone()).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(
        world.ledger.record_poll(record).await.expect("recorded"),
        Recorded::Already
    );
    world.assert_done_with_the_old().await;
    assert_eq!(world.registrations().await[1].1, "dead");
    assert!(world.doubles().await.is_empty(), "nothing was sent");
    let attempts = world.scratch.attempts(world.id).await;
    let ends: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.kind.as_str(), attempt.class.as_deref()))
        .collect();
    assert_eq!(
        ends,
        [
            ("send", Some("accepted")),
            ("poll", Some("rekey")),
            ("send", Some("returned")),
            ("probe", Some("done"))
        ]
    );
    assert!(attempts.iter().all(|attempt| attempt.finished));
}

#[tokio::test]
async fn a_question_whose_claim_is_over_lets_nobody_send() {
    let world = retired().await;
    let claimed = world.claim().await;
    let other = crate::sample::reclaimed(&world.scratch, &world.ledger).await;
    let lease = world.scratch.transaction(world.id).await.due_in_seconds;
    let record = probe(&world.old, PollVerdict::Dead(None), &claimed);
    // The answer may be lost on the way, and the record is then repeated: it is no permission either.
    for _ in 0..2 {
        assert_eq!(
            world.ledger.record_poll(record.clone()).await.expect("recorded"),
            Recorded::Fenced
        );
    }
    let transaction = world.scratch.transaction(world.id).await;
    assert_eq!(transaction.fence, other.attempt);
    assert!(
        transaction.due_in_seconds <= lease,
        "nobody else's lease is made longer"
    );
    // A document found under a claim that is over: the other one may be sending at this moment.
    world
        .ledger
        .record_poll(probe(&world.old, done(), &claimed))
        .await
        .expect("recorded");
    world.assert_done_with_the_old().await;
    assert_eq!(world.doubles().await.len(), 1);
}

#[tokio::test]
async fn a_poll_that_is_recorded_again_leaves_one_attempt() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let record = PollRecord::new(polled(&ledger).await, an_evidence(), None, PollVerdict::Again(MINUTE));
    assert_eq!(
        ledger.record_poll(record.clone()).await.expect("recorded"),
        Recorded::Fenced
    );
    assert_eq!(
        ledger.record_poll(record.clone()).await.expect("recorded"),
        Recorded::Already
    );
    let elsewhere = scratch.ledger();
    let (one, other) = tokio::join!(ledger.record_poll(record.clone()), elsewhere.record_poll(record));
    assert_eq!(
        (one.expect("recorded"), other.expect("recorded")),
        (Recorded::Already, Recorded::Already)
    );
    assert_eq!(scratch.attempts(id).await.len(), 2);
}

// Somebody else changes the successor at the very moment, and the statement has waited for it.

/// Finds the old id registered while another transaction of Postgres, which ran `statements` before, still holds the row.
async fn found_behind(world: &Retired, statements: &[&'static str]) -> Recorded {
    let mut other = world.scratch.pool.begin().await.expect("a transaction");
    for statement in statements {
        sqlx::query(*statement).execute(&mut *other).await.expect("changed");
    }
    let record = answer(&world.old, done());
    let (recorded, ()) = tokio::join!(world.ledger.record_poll(record), async {
        crate::scratch::until("the statement waits for the row", || async {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&world.scratch.pool)
            .await
            .expect("a count");
            waiting > 0
        })
        .await;
        other.commit().await.expect("committed");
    });
    recorded.expect("recorded")
}

#[tokio::test]
async fn a_successor_that_is_opened_at_this_moment_is_withdrawn_too() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let old = polled(&ledger).await;
    let world = Retired {
        scratch,
        ledger,
        id,
        old,
    };
    let rekeyed = [
        "UPDATE transactions SET generation = 1, external_id = 'invoice_main_417__1', vendor_uuid = NULL, \
         state = 'retrying', due_at = now(), fence = 2, last_attempt = 2, version = version + 1",
        "UPDATE registrations SET state = 'dead', next_poll_at = NULL",
        "INSERT INTO registrations (transaction_id, generation, account, external_id) \
         SELECT transaction_id, 1, account, 'invoice_main_417__1' FROM registrations",
    ];
    assert_eq!(found_behind(&world, &rekeyed).await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    assert_eq!(
        world.registrations().await,
        [
            (OLD.into(), "done".into(), Some(48_213)),
            (NEW.into(), "dead".into(), None)
        ]
    );
    assert!(world.doubles().await.is_empty());
    assert_eq!(
        world.scratch.attempts(world.id).await.len(),
        2,
        "the answer is kept once"
    );
}

#[tokio::test]
async fn a_doubt_about_the_successor_that_arises_at_this_moment_is_seen() {
    let world = retired().await;
    let doubted = [
        "UPDATE transactions SET version = version + 1",
        "UPDATE registrations SET doubt_since = now() WHERE generation = 1",
    ];
    assert_eq!(found_behind(&world, &doubted).await, Recorded::Applied);
    world.assert_done_with_the_old().await;
    assert_eq!(world.doubles().await.len(), 1);
    let new = &world.scratch.registrations(world.id).await[1];
    assert_eq!((new.state.as_str(), new.doubtful), ("open", true));
}
