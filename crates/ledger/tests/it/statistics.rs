//! The figures of a period: what was accepted in it, by where it stands now.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use ledger::{Figures, Ledger, PollLimit, RegisterEntry, Stretch, Tally, Verdict, Wanted};
use receipt::{Failure, Money, Operation, Refusal, RetryClass, StateName, StoreCode, Text, TransactionId};

use crate::sample::{DAY, a_refusal, account, claim, claimed, offer_of, outcome, queued, refused, waiting};
use crate::scratch::Scratch;

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn store(code: &str) -> StoreCode {
    StoreCode::parse(code).expect("a store code")
}

/// The Moscow day 22.11.2026 of store `main`, compared with the day before.
fn wanted() -> Wanted {
    Wanted {
        store: store("main"),
        span: Stretch {
            from: at("2026-11-22T00:00:00+03:00"),
            until: at("2026-11-23T00:00:00+03:00"),
        },
        before: Stretch {
            from: at("2026-11-21T00:00:00+03:00"),
            until: at("2026-11-22T00:00:00+03:00"),
        },
        problems: 50,
    }
}

async fn figures(ledger: &Ledger, wanted: Wanted) -> Figures {
    let mut figures = ledger.figures(&[wanted]).await.expect("no outage");
    assert_eq!(figures.len(), 1);
    figures.remove(0)
}

/// As if it had been accepted then.
async fn accepted_at(scratch: &Scratch, id: TransactionId, time: &str) {
    sqlx::query("UPDATE transactions SET accepted_at = $1::timestamptz WHERE id = $2")
        .bind(time)
        .bind(id.0)
        .execute(&scratch.pool)
        .await
        .expect("arranged");
}

/// A row that stands somewhere, without the life that brings it there.
async fn placed(scratch: &Scratch, number: &str, operation: &str, state: &str, kopecks: i64, time: &str) {
    sqlx::query(
        "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, request_hash, \
         body, total_kopecks, external_id, state, failure, due_at, claim_token, vendor_uuid, fn, fd, fpd, registered_at, \
         accepted_at) \
         SELECT gen_random_uuid(), 'main', 'main', 'atol', $2, $1, 'main', sha256('x'), '{}', $4, 'key-' || $1, \
         split_part($3, ':', 1), nullif(split_part($3, ':', 2), ''), \
         CASE WHEN $3 IN ('queued', 'sending', 'retrying') THEN now() END, \
         CASE WHEN $3 = 'sending' THEN gen_random_uuid() END, \
         CASE WHEN $3 IN ('waiting', 'done') THEN 'uuid-' || $1 END, \
         CASE WHEN $3 = 'done' THEN '9999078900000001' END, CASE WHEN $3 = 'done' THEN 1 END, \
         CASE WHEN $3 = 'done' THEN '1' END, CASE WHEN $3 = 'done' THEN now() END, $5::timestamptz",
    )
    .bind(number)
    .bind(operation)
    .bind(state)
    .bind(kopecks)
    .bind(time)
    .execute(&scratch.pool)
    .await
    .expect("arranged");
}

fn in_all(tallies: &[Tally]) -> (u64, i64) {
    tallies.iter().fold((0, 0), |(count, sum), tally| {
        (count + tally.count, sum + tally.total.kopecks())
    })
}

#[tokio::test]
async fn a_day_ends_to_the_microsecond_and_is_one_of_its_zone() {
    let scratch = Scratch::new().await;
    for (number, kopecks, time) in [
        ("1", 1, "2026-11-20T23:59:59.999999+03:00"),
        ("2", 10, "2026-11-21T00:00:00+03:00"),
        ("3", 100, "2026-11-21T23:59:59.999999+03:00"),
        ("4", 1_000, "2026-11-22T00:00:00+03:00"),
        ("5", 10_000, "2026-11-22T23:59:59.999999+03:00"),
        ("6", 100_000, "2026-11-23T00:00:00+03:00"),
    ] {
        placed(&scratch, number, "sell", "done", kopecks, time).await;
    }
    let figures = figures(&scratch.ledger(), wanted()).await;
    assert_eq!(in_all(&figures.tallies), (2, 11_000));
    assert_eq!(in_all(&figures.before), (2, 110));
}

#[tokio::test]
async fn every_operation_and_state_is_counted_and_summed_by_itself() {
    let scratch = Scratch::new().await;
    let states = [
        "held",
        "queued",
        "sending",
        "waiting",
        "retrying",
        "done",
        "unknown",
        "failed:rejected",
        "failed:exhausted",
        "cancelled",
    ];
    let noon = "2026-11-22T12:00:00+03:00";
    let mut kopecks = 1;
    for operation in ["sell", "refund"] {
        for state in states {
            for number in 0..2 {
                placed(
                    &scratch,
                    &format!("{operation}-{state}-{number}").replace(':', "-"),
                    operation,
                    state,
                    kopecks,
                    noon,
                )
                .await;
            }
            kopecks *= 2;
        }
    }
    let figures = figures(&scratch.ledger(), wanted()).await;
    assert_eq!(figures.tallies.len(), 2 * states.len());
    assert_eq!(in_all(&figures.tallies), (40, 2 * ((1 << 20) - 1)));
    let mut kopecks = 1;
    for operation in [Operation::Sell, Operation::Refund] {
        for state in states {
            let (name, failure) = state.split_once(':').unwrap_or((state, ""));
            let tally = figures
                .tallies
                .iter()
                .find(|tally| {
                    tally.operation == operation
                        && tally.state.name() == name
                        && tally.failure.map_or("", Failure::name) == failure
                })
                .unwrap_or_else(|| panic!("{operation} {state}"));
            assert_eq!((tally.count, tally.total), (2, Money::from_kopecks(2 * kopecks)));
            kopecks *= 2;
        }
    }
    assert_eq!(figures.problems_in_all, 12, "failed and unknown of both operations");
    assert_eq!(figures.before, [], "nothing the day before");
}

#[tokio::test]
async fn a_period_without_receipts_has_no_figures() {
    let scratch = Scratch::new().await;
    let figures = figures(&scratch.ledger(), wanted()).await;
    assert_eq!(figures.tallies, []);
    assert_eq!(figures.causes, []);
    assert_eq!(figures.problems, []);
    assert_eq!((figures.problems_in_all, figures.open.count), (0, 0));
    assert_eq!(figures.open.oldest, None);
}

#[tokio::test]
async fn a_store_is_told_of_its_own_receipts_alone() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert_eq!(ledger.stores().await.expect("no outage"), []);
    queued(&ledger, "1").await;
    for (operation, code) in [
        (Operation::Sell, "outlet"),
        (Operation::Refund, "outlet"),
        (Operation::Sell, "a"),
    ] {
        let offer = offer_of(operation, code, "2", "main");
        ledger.accept(offer).await.expect("accepted");
    }
    let stores = ledger.stores().await.expect("no outage");
    assert_eq!(stores, [store("a"), store("main"), store("outlet")]);
    let now = Timestamp::now();
    let lately = Stretch {
        from: now - 1.hour(),
        until: now + 1.hour(),
    };
    let of = |code| Wanted {
        store: store(code),
        span: lately,
        ..wanted()
    };
    let figures = ledger
        .figures(&[of("outlet"), of("main"), of("unheard")])
        .await
        .expect("no outage");
    let counts: Vec<_> = figures
        .iter()
        .map(|figures| (in_all(&figures.tallies).0, figures.open.count))
        .collect();
    assert_eq!(counts, [(2, 2), (1, 1), (0, 0)]);
}

fn a_cause(code: &str) -> Box<Refusal> {
    Box::new(Refusal {
        code: code.to_owned(),
        cause: Text::new(format!("Причина {code}."), format!("Cause {code}.")),
        ..*a_refusal(RetryClass::Permanent)
    })
}

/// Sends a document, which comes to `verdict` because of `code`.
async fn stopped(scratch: &Scratch, ledger: &Ledger, number: &str, code: &str, verdict: Verdict, time: &str) {
    let claimed = claimed(ledger, number).await;
    let mut outcome = outcome(&claimed, verdict);
    outcome.refusal = Some(a_cause(code));
    ledger.record(outcome).await.expect("recorded");
    accepted_at(scratch, claimed.subject.transaction_id, time).await;
}

#[tokio::test]
async fn failures_are_grouped_by_what_decided_them_with_the_most_frequent_first() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let rejected = || Verdict::Failed(Failure::Rejected);
    for (number, code, verdict, hour) in [
        ("1", "32", rejected(), 9),
        ("2", "50", Verdict::Unknown, 10),
        ("3", "32", rejected(), 11),
        ("4", "32", rejected(), 8),
        ("5", "32", Verdict::Failed(Failure::Exhausted), 12),
    ] {
        let time = format!("2026-11-22T{hour:02}:00:00+03:00");
        stopped(&scratch, &ledger, number, code, verdict, &time).await;
    }
    stopped(&scratch, &ledger, "6", "77", rejected(), "2026-11-23T00:00:00+03:00").await;
    let figures = figures(&ledger, wanted()).await;
    let told: Vec<_> = figures
        .causes
        .iter()
        .map(|cause| {
            let code = cause.code.as_deref().expect("a code");
            (
                cause.state,
                cause.failure,
                code,
                cause.count,
                cause.example_document.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (StateName::Failed, Some(Failure::Rejected), "32", 3, "3"),
            (StateName::Unknown, None, "50", 1, "2"),
            (StateName::Failed, Some(Failure::Exhausted), "32", 1, "5"),
        ]
    );
    let most = &figures.causes[0];
    assert_eq!(most.total, Money::from_kopecks(3 * 90_000));
    assert_eq!(most.first, at("2026-11-22T08:00:00+03:00"));
    assert_eq!(most.last, at("2026-11-22T11:00:00+03:00"));
    assert_eq!(most.cause, Some(Text::new("Причина 32.", "Cause 32.")));
    assert_eq!(most.cure, Some(Text::new("Что делать.", "The cure.")));
    let documents: Vec<_> = figures
        .problems
        .iter()
        .map(|problem| problem.document.as_str())
        .collect();
    assert_eq!(documents, ["4", "1", "2", "3", "5"], "the oldest first");
    assert_eq!(figures.problems[2].cause, Some(Text::new("Причина 50.", "Cause 50.")));
}

#[tokio::test]
async fn the_cause_is_that_of_the_attempt_that_moved_the_state_and_not_of_a_later_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "1").await;
    let first = claim(&ledger, id, 0).await;
    let again = crate::sample::retry(Duration::ZERO);
    let mut unreadable = refused(&first, RetryClass::Permanent, again);
    unreadable.refusal = Some(a_cause("500"));
    ledger.record(unreadable).await.expect("recorded");
    let second = claim(&ledger, id, first.attempt).await;
    let mut last = outcome(&second, Verdict::Failed(Failure::Rejected));
    last.refusal = Some(a_cause("32"));
    ledger.record(last).await.expect("recorded");
    // A question about an old id, asked after the end.
    scratch
        .run(
            "INSERT INTO attempts (transaction_id, number, generation, kind, worker, finished_at, class, error_type, \
             code, cause_ru, cause_en, cure_ru, cure_en) \
             SELECT id, last_attempt + 1, 0, 'poll', 'w', now(), 'waiting', 'system', '34', 'а', 'b', 'в', 'd' \
             FROM transactions",
        )
        .await;
    accepted_at(&scratch, id, "2026-11-22T12:00:00+03:00").await;
    let figures = figures(&ledger, wanted()).await;
    assert_eq!(figures.causes[0].code.as_deref(), Some("32"));
    assert_eq!(figures.problems[0].code.as_deref(), Some("32"));
}

#[tokio::test]
async fn what_is_overdue_needs_a_person_and_what_waits_its_time_does_not() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = waiting(&ledger, "1", "uuid-1").await.subject.transaction_id;
    let in_time = waiting(&ledger, "2", "uuid-2").await.subject.transaction_id;
    sqlx::query("UPDATE registrations SET waiting_since = now() - interval '2 days' WHERE transaction_id = $1")
        .bind(late.0)
        .execute(&scratch.pool)
        .await
        .expect("arranged");
    let limits = [PollLimit {
        store: store("main"),
        after: DAY,
    }];
    let told = ledger.tell_overdue(&[account("main")], &limits, DAY, 10).await;
    assert_eq!(told.expect("no outage"), 1);
    accepted_at(&scratch, late, "2026-11-22T10:00:00+03:00").await;
    accepted_at(&scratch, in_time, "2026-11-22T09:00:00+03:00").await;
    let figures = figures(&ledger, wanted()).await;
    let found: Vec<_> = figures
        .problems
        .iter()
        .map(|problem| (problem.id, problem.state))
        .collect();
    assert_eq!(found, [(late.0, StateName::Waiting)]);
    assert_eq!((figures.problems_in_all, figures.open.count), (1, 2));
    assert_eq!(figures.open.oldest, Some(at("2026-11-22T09:00:00+03:00")));
    assert_eq!(figures.causes, [], "nothing has failed");
}

#[tokio::test]
async fn no_more_problems_are_listed_than_asked_for_and_all_are_counted() {
    let scratch = Scratch::new().await;
    for number in 0..30 {
        let time = format!("2026-11-{:02}T12:00:00+03:00", 1 + number % 20);
        placed(&scratch, &number.to_string(), "sell", "unknown", 100, &time).await;
    }
    let month = Stretch {
        from: at("2026-11-01T00:00:00+03:00"),
        until: at("2026-12-01T00:00:00+03:00"),
    };
    for (asked, listed) in [(0, 0), (1, 1), (7, 7), (30, 30), (50, 30)] {
        let wanted = Wanted {
            span: month,
            problems: asked,
            ..wanted()
        };
        let figures = figures(&scratch.ledger(), wanted).await;
        assert_eq!((figures.problems.len(), figures.problems_in_all), (listed, 30));
        assert!(figures.problems.is_sorted_by_key(|problem| problem.accepted_at));
        assert_eq!(figures.causes.len(), 1, "one cause over all slices");
        assert_eq!(figures.causes[0].count, 30);
        assert_eq!(figures.causes[0].cause, None);
        assert_eq!(in_all(&figures.tallies), (30, 3_000));
    }
}

#[tokio::test]
async fn the_register_has_every_receipt_once_oldest_first_and_says_what_the_figures_say() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    // The clocks go forward and back in it, and many receipts have the same time.
    for number in 0..300 {
        let time = format!("2026-{:02}-{:02}T00:00:00+03:00", 1 + number % 12, 1 + number % 28);
        placed(&scratch, &number.to_string(), "sell", "done", i64::from(number), &time).await;
    }
    let year = Wanted {
        span: Stretch {
            from: at("2026-01-01T00:00:00+03:00"),
            until: at("2027-01-01T00:00:00+03:00"),
        },
        ..wanted()
    };
    let mut entries: Vec<RegisterEntry> = Vec::new();
    let figures = ledger
        .figures_and_register(&[year], &mut |entry| entries.push(entry))
        .await
        .expect("no outage");
    assert_eq!(in_all(&figures[0].tallies), (300, (0..300).sum()));
    let mut documents: Vec<u32> = entries
        .iter()
        .map(|entry| entry.document.parse().expect("a number"))
        .collect();
    assert!(entries.is_sorted_by_key(|entry| (entry.accepted_at, entry.id)));
    documents.sort_unstable();
    assert_eq!(documents, (0..300).collect::<Vec<_>>());
    assert_eq!(entries[0].fn_number.as_deref(), Some("9999078900000001"));
}

#[tokio::test]
async fn totals_and_register_agree_while_receipts_go_on_being_accepted() {
    let scratch = Scratch::new().await;
    let (shop, reader) = (scratch.ledger_of("shop"), scratch.ledger_of("reader"));
    let now = Timestamp::now();
    let today = Wanted {
        span: Stretch {
            from: now - 1.hour(),
            until: now + 1.hour(),
        },
        ..wanted()
    };
    let accepting = async {
        for number in 0..200 {
            queued(&shop, &number.to_string()).await;
        }
    };
    let reading = async {
        for _ in 0..20 {
            let mut listed = 0;
            let figures = reader
                .figures_and_register(std::slice::from_ref(&today), &mut |_| listed += 1)
                .await
                .expect("no outage");
            assert_eq!(in_all(&figures[0].tallies).0, listed);
            assert_eq!(figures[0].open.count, listed);
        }
    };
    tokio::join!(accepting, reading);
}

#[tokio::test]
async fn a_report_leaves_its_connection_as_it_found_it() {
    let scratch = Scratch::new().await;
    let config = ledger::Config {
        max_connections: 1,
        ..ledger::Config::at(scratch.url())
    };
    let ledger = Ledger::open(&config, "test-1").expect("the URL is one");
    figures(&ledger, wanted()).await;
    // In a snapshot that is held, or one that is read only, this would fail. Giving back uses the connection of reports.
    let claimed = claim(&ledger, queued(&ledger, "1").await, 0).await;
    ledger.give_back(&claimed).await.expect("it writes");
    assert_eq!(scratch.state(claimed.subject.transaction_id).await, "retrying");
}
