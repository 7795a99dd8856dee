//! Mails: made once for each occurrence and cause, tried at most three times when nobody knows what became of them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use ledger::{Cursor, Ledger, Mail, MailKind, MailOutcome, MailVerdict, NewAlert, NewMail, Recorded, ScheduleKey};
use receipt::StoreCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sample::MINUTE;
use crate::scratch::Scratch;

const SHORT: Duration = Duration::from_secs(10);

fn store(code: &str) -> StoreCode {
    StoreCode::parse(code).expect("a store code")
}

pub(crate) fn daily(code: &str) -> ScheduleKey {
    ScheduleKey {
        store: store(code),
        schedule: "daily".to_owned(),
    }
}

pub(crate) fn mail(key: &str, recipient: &str) -> NewMail {
    let id = Uuid::now_v7();
    NewMail {
        id,
        kind: MailKind::Report,
        series: "main daily".to_owned(),
        key: key.to_owned(),
        recipient: recipient.to_owned(),
        message_id: format!("<{id}@shop.example>"),
        what: json!({"store": "main"}),
    }
}

/// The only schedule's cursor.
pub(crate) async fn cursor(ledger: &Ledger) -> Cursor {
    let mut cursors = ledger.schedules().await.expect("the schedules can be read");
    assert_eq!(cursors.len(), 1, "{cursors:?}");
    cursors.remove(0)
}

/// Makes a mail that is due, outside of any schedule.
async fn due(ledger: &Ledger, scratch: &Scratch, key: &str) -> Uuid {
    let new = mail(key, "boss@shop.example");
    let id = new.id;
    ledger
        .make_mails(&[new], Uuid::new_v4(), Duration::ZERO)
        .await
        .expect("it is made");
    // As if a schedule had made it: nobody has begun it.
    scratch
        .run("UPDATE mails SET claim = NULL, sends = 0 WHERE ended IS NULL")
        .await;
    id
}

async fn claim(ledger: &Ledger) -> Vec<Mail> {
    ledger
        .claim_mails(Uuid::new_v4(), 10, MINUTE)
        .await
        .expect("mails can be claimed")
}

async fn only(ledger: &Ledger) -> Mail {
    let mut mails = claim(ledger).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

pub(crate) async fn record(ledger: &Ledger, mail: &Mail, verdict: MailVerdict) -> Recorded {
    let outcome = MailOutcome {
        id: mail.id,
        claim: mail.claim,
        verdict,
        error: None,
        figures: None,
    };
    ledger.record_mail(&outcome).await.expect("it is recorded")
}

/// Ended how, and how often it may have been received.
async fn ended(scratch: &Scratch, id: Uuid) -> (Option<String>, i32) {
    sqlx::query_as("SELECT ended, sends FROM mails WHERE id = $1")
        .bind(id)
        .fetch_one(&scratch.pool)
        .await
        .expect("the mail is there")
}

#[tokio::test]
async fn however_many_pass_an_occurrence_its_mails_are_made_once() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<Ledger> = (0..8)
        .map(|place| scratch.ledger_of(&format!("reporter-{place}")))
        .collect();
    ledgers[0].bind_schedules(&[daily("main")]).await.expect("bound");
    let cursor = cursor(&ledgers[0]).await;
    let until = cursor.now;
    let mails: Vec<NewMail> = ["boss@shop.example", "books@shop.example"]
        .map(|recipient| mail("main daily 2026-11-27", recipient))
        .to_vec();
    let passing = ledgers
        .iter()
        .map(|ledger| ledger.pass_schedule(&cursor, until, &mails));
    let passed = join_all(passing).await;
    let movers = passed
        .into_iter()
        .filter(|moved| *moved.as_ref().expect("no outage"))
        .count();
    assert_eq!(movers, 1);
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM mails")
        .fetch_one(&scratch.pool)
        .await
        .expect("counted");
    assert_eq!(made, 2);
    assert_eq!(self::cursor(&ledgers[0]).await.seen_until, until);
}

#[tokio::test]
async fn a_schedule_that_comes_back_begins_anew_and_one_that_stays_goes_on() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    ledger.bind_schedules(&[daily("main")]).await.expect("bound");
    scratch
        .run("UPDATE report_schedules SET seen_until = now() - interval '3 days'")
        .await;
    ledger.bind_schedules(&[daily("main")]).await.expect("bound again");
    let old = cursor(&ledger).await;
    assert!(
        old.now.duration_since(old.seen_until) > SignedDuration::from_hours(71),
        "what was missed is still before it"
    );
    ledger.bind_schedules(&[]).await.expect("switched off");
    assert!(ledger.schedules().await.expect("read").is_empty());
    assert!(
        !ledger.pass_schedule(&old, old.now, &[]).await.expect("no outage"),
        "what is off is passed by nobody"
    );
    ledger.bind_schedules(&[daily("main")]).await.expect("switched on");
    let new = cursor(&ledger).await;
    assert!(
        new.now.duration_since(new.seen_until) < SignedDuration::from_hours(1),
        "no flood of what was not wanted"
    );
}

#[tokio::test]
async fn many_who_look_for_mails_share_them_and_each_is_claimed_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for place in 0..20 {
        due(&ledger, &scratch, &place.to_string()).await;
    }
    let ledgers: Vec<Ledger> = (0..4)
        .map(|place| scratch.ledger_of(&format!("reporter-{place}")))
        .collect();
    let claims = join_all(ledgers.iter().map(claim)).await;
    let claimed: Vec<Uuid> = claims.into_iter().flatten().map(|mail| mail.id).collect();
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 20);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_repeated_without_counting_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = due(&ledger, &scratch, "1").await;
    let token = Uuid::new_v4();
    for _ in 0..5 {
        let mails = ledger.claim_mails(token, 10, MINUTE).await.expect("claimed");
        assert_eq!(
            mails.iter().map(|mail| (mail.id, mail.sends)).collect::<Vec<_>>(),
            [(id, 1)]
        );
    }
    assert!(claim(&ledger).await.is_empty(), "nobody else has it meanwhile");
}

#[tokio::test]
async fn what_certainly_came_to_nothing_is_taken_off_and_tried_as_often_as_needed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = due(&ledger, &scratch, "1").await;
    for failures in 0..7 {
        let mail = only(&ledger).await;
        assert_eq!((mail.sends, mail.failures), (1, failures));
        let verdict = MailVerdict::NotTaken { delay: SHORT };
        assert_eq!(record(&ledger, &mail, verdict).await, Recorded::Applied);
        assert!(claim(&ledger).await.is_empty(), "it waits");
        scratch.pass(SHORT).await;
    }
    let mail = only(&ledger).await;
    record(&ledger, &mail, MailVerdict::Untried { delay: Duration::ZERO }).await;
    let mail = only(&ledger).await;
    assert_eq!(mail.failures, 7, "what was not tried is no failure");
    record(&ledger, &mail, MailVerdict::Sent).await;
    assert_eq!(ended(&scratch, id).await, (Some("sent".to_owned()), 1));
    scratch.pass(Duration::from_secs(86_400)).await;
    assert!(claim(&ledger).await.is_empty(), "what is sent is sent");
}

#[tokio::test]
async fn a_mail_whose_senders_all_ended_without_a_word_is_begun_three_times_and_given_up() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = due(&ledger, &scratch, "1").await;
    let mut ids = BTreeSet::new();
    for sends in 1..=3 {
        let mail = only(&ledger).await;
        assert_eq!(mail.sends, sends);
        ids.insert(mail.message_id);
        assert!(
            ledger.give_up_mails().await.expect("no outage").is_empty(),
            "its claim still holds"
        );
        scratch.pass(MINUTE).await;
    }
    assert_eq!(ids.len(), 1, "every try has the same id");
    assert!(claim(&ledger).await.is_empty(), "there is no fourth");
    let given_up = ledger.give_up_mails().await.expect("no outage");
    assert_eq!(given_up.iter().map(|mail| mail.id).collect::<Vec<_>>(), [id]);
    assert_eq!(ended(&scratch, id).await, (Some("unconfirmed".to_owned()), 3));
    assert!(
        ledger.give_up_mails().await.expect("no outage").is_empty(),
        "it is told once"
    );
}

#[tokio::test]
async fn a_sender_that_was_followed_writes_nothing_but_that_the_mail_was_taken() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = due(&ledger, &scratch, "1").await;
    let slow = only(&ledger).await;
    scratch.pass(MINUTE).await;
    let follower = only(&ledger).await;
    let verdict = MailVerdict::NotTaken { delay: SHORT };
    assert_eq!(record(&ledger, &slow, verdict).await, Recorded::Fenced);
    assert_eq!(ended(&scratch, id).await, (None, 2), "both tries stay counted");
    assert_eq!(record(&ledger, &slow, MailVerdict::Sent).await, Recorded::Applied);
    assert_eq!(ended(&scratch, id).await.0.as_deref(), Some("sent"));
    assert_eq!(
        record(&ledger, &follower, MailVerdict::Unconfirmed).await,
        Recorded::Fenced
    );
}

#[tokio::test]
async fn the_next_mail_of_a_series_knows_what_its_recipient_was_told() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let told = async |key: &str, verdict, figures: Value| {
        due(&ledger, &scratch, key).await;
        let mail = only(&ledger).await;
        let outcome = MailOutcome {
            id: mail.id,
            claim: mail.claim,
            verdict,
            error: None,
            figures: Some(figures),
        };
        ledger.record_mail(&outcome).await.expect("recorded");
    };
    told("1", MailVerdict::Sent, json!({"1": 1})).await;
    told("2", MailVerdict::Sent, json!({"2": 2})).await;
    told("3", MailVerdict::Refused, json!({"3": 3})).await;
    let next = Uuid::now_v7();
    let of = async |recipient: &str, before| {
        ledger
            .told_figures("main daily", recipient, before)
            .await
            .expect("no outage")
    };
    assert_eq!(
        of("boss@shop.example", next).await,
        Some(json!({"2": 2})),
        "what nobody got was not told"
    );
    assert_eq!(of("books@shop.example", next).await, None);
}

/// Writes an event as a statement of any version would.
async fn event(scratch: &Scratch, event_type: &str, store: &str, body: Value) {
    sqlx::query("INSERT INTO events (id, type, store, body) VALUES ($1, $2, $3, $4)")
        .bind(Uuid::now_v7())
        .bind(event_type)
        .bind(store)
        .bind(body)
        .execute(&scratch.pool)
        .await
        .expect("an event");
}

fn refused(code: &str, document: &str) -> Value {
    json!({"store": "main", "document": document, "error": {"kind": "driver", "code": code}})
}

async fn alerts(ledger: &Ledger) -> Vec<(String, String, Vec<String>)> {
    let due = ledger.due_alerts().await.expect("no outage");
    due.into_iter()
        .map(|due| (due.subject, due.cause, due.stores))
        .collect()
}

async fn alert(ledger: &Ledger) -> NewAlert {
    let mut due = ledger.due_alerts().await.expect("no outage");
    let due = due.remove(0);
    NewAlert {
        mails: vec![NewMail {
            kind: MailKind::Alert,
            key: format!("{} {}", due.subject, Uuid::new_v4()),
            ..mail("", "ops@shop.example")
        }],
        due,
        quiet: Duration::from_secs(3600),
        examples: 2,
    }
}

#[tokio::test]
async fn what_people_want_to_be_alerted_of_is_gathered_by_cause_and_nothing_else() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    event(&scratch, "receipt.failed", "main", refused("128", "1")).await;
    ledger
        .bind_alerts(&[store("main"), store("second")])
        .await
        .expect("bound");
    for (event_type, code, body) in [
        ("receipt.accepted", "main", json!({})),
        ("receipt.failed", "main", refused("128", "2")),
        ("receipt.failed", "main", refused("128", "3")),
        ("receipt.failed", "main", refused("32", "4")),
        ("receipt.overdue", "second", json!({"store": "second"})),
        ("receipt.failed", "third", refused("128", "5")),
        (
            "account.paused",
            "main",
            json!({"account": "shared", "error": {"kind": "system", "code": "12"}}),
        ),
        (
            "account.paused",
            "second",
            json!({"account": "shared", "error": {"kind": "system", "code": "12"}}),
        ),
    ] {
        event(&scratch, event_type, code, body).await;
    }
    let row = |subject: &str, cause: &str, stores: &[&str]| {
        let stores: Vec<String> = stores.iter().map(|store| (*store).to_owned()).collect();
        (subject.to_owned(), cause.to_owned(), stores)
    };
    let expected = [
        row("account shared", "account.paused system 12", &["main", "second"]),
        row("store main", "receipt.failed driver 128", &["main"]),
        row("store main", "receipt.failed driver 32", &["main"]),
        row("store second", "receipt.overdue", &["second"]),
    ];
    assert_eq!(alerts(&ledger).await, expected);
    ledger.bind_alerts(&[store("second")]).await.expect("bound");
    event(&scratch, "receipt.unknown", "main", json!({})).await;
    assert_eq!(
        alerts(&ledger).await.len(),
        4,
        "a store that wants none any more makes none"
    );
}

#[tokio::test]
async fn of_many_reporters_one_tells_a_cause_and_then_it_is_quiet_for_a_while() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    ledger.bind_alerts(&[store("main")]).await.expect("bound");
    for document in ["1", "2", "3"] {
        event(&scratch, "receipt.failed", "main", refused("128", document)).await;
    }
    let ledgers: Vec<Ledger> = (0..6)
        .map(|place| scratch.ledger_of(&format!("reporter-{place}")))
        .collect();
    let mut made = Vec::new();
    for ledger in &ledgers {
        made.push(alert(ledger).await);
    }
    let told = join_all(
        ledgers
            .iter()
            .zip(&made)
            .map(|(ledger, alert)| ledger.make_alert(alert)),
    )
    .await;
    assert_eq!(
        told.into_iter()
            .filter(|told| *told.as_ref().expect("no outage"))
            .count(),
        1
    );

    let mail = only(&ledger).await;
    assert_eq!(mail.what["count"], 3);
    assert_eq!(mail.what["stores"], json!(["main"]));
    let documents: Vec<&Value> = mail.what["examples"]
        .as_array()
        .expect("examples")
        .iter()
        .map(|body| &body["document"])
        .collect();
    assert_eq!(documents, ["1", "2"]);
    let first: Timestamp = mail.what["first"].as_str().expect("a time").parse().expect("a time");
    assert!(first <= mail.now);

    event(&scratch, "receipt.failed", "main", refused("128", "4")).await;
    assert!(alerts(&ledger).await.is_empty(), "the same cause is quiet");
    event(&scratch, "receipt.failed", "main", refused("32", "5")).await;
    assert_eq!(alerts(&ledger).await.len(), 1, "another cause is not");
    scratch.pass(Duration::from_secs(3600)).await;
    assert_eq!(alerts(&ledger).await.len(), 2);
    let later = alert(&ledger).await;
    assert!(ledger.make_alert(&later).await.expect("no outage"));
    let counts: i64 = sqlx::query_scalar("SELECT sum((what ->> 'count')::bigint)::bigint FROM mails")
        .fetch_one(&scratch.pool)
        .await
        .expect("counted");
    assert_eq!(counts, 4, "every event is told once");
}
