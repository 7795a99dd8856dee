//! Reading for people.

use ledger::Filter;
use receipt::StateName;

use crate::sample::{answer, claimed, done, outcome, polled, queued, retry, waiting};
use crate::scratch::Scratch;

#[tokio::test]
async fn a_transaction_is_found_by_each_of_its_names() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "a-417", "uuid-1").await.subject.transaction_id;
    queued(&ledger, "418").await;
    for name in [
        id.to_string().as_str(),
        "a-417",
        "uuid-1",
        "invoice_main_a-417",
        "INVOICE_MAIN_A-417",
    ] {
        let found = ledger.find(name).await.expect("no outage");
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [id.0], "{name}");
    }
    assert!(ledger.find("nothing of the kind").await.expect("no outage").is_empty());
}

#[tokio::test]
async fn a_list_shows_the_newest_first_and_goes_on_where_it_ended() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["1", "2", "3"] {
        queued(&ledger, number).await;
    }
    claimed(&ledger, "4").await;
    let filter = Filter {
        state: Some(StateName::Queued),
        limit: 2,
        ..Filter::default()
    };
    let page = ledger.list(&filter).await.expect("no outage");
    assert_eq!(
        page.iter().map(|row| row.document_number.as_str()).collect::<Vec<_>>(),
        ["3", "2"]
    );
    let rest = ledger
        .list(&Filter {
            before: Some(page[1].id),
            ..filter
        })
        .await
        .expect("no outage");
    assert_eq!(
        rest.iter().map(|row| row.document_number.as_str()).collect::<Vec<_>>(),
        ["1"]
    );
    let of_another_store = Filter {
        store: Some("outlet".to_owned()),
        limit: 9,
        ..Filter::default()
    };
    assert!(ledger.list(&of_another_store).await.expect("no outage").is_empty());
}

#[tokio::test]
async fn the_details_tell_every_try_and_the_fiscal_document() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    let polled = polled(&ledger).await;
    ledger.record_poll(answer(&polled, done())).await.expect("recorded");
    let row = ledger.find("417").await.expect("no outage").remove(0);
    assert_eq!(row.fiscal.as_ref().map(|fiscal| fiscal.fd), Some(48_213));
    let details = ledger.details(row).await.expect("no outage");
    assert_eq!(details.body["total"], "900.00");
    let tries: Vec<_> = details
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.kind.as_str(), attempt.class.as_deref()))
        .collect();
    assert_eq!(tries, [(1, "send", Some("accepted")), (2, "poll", Some("done"))]);
    assert_eq!(details.attempts[0].duration_ms, Some(12));
}

#[tokio::test]
async fn the_summary_counts_by_operation_and_state() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "1").await;
    queued(&ledger, "2").await;
    let claimed = claimed(&ledger, "3").await;
    ledger
        .record(outcome(&claimed, retry(crate::sample::MINUTE)))
        .await
        .expect("recorded");
    let summary = ledger.summary().await.expect("no outage");
    let lines: Vec<_> = summary
        .iter()
        .map(|line| {
            (
                line.operation.as_str(),
                line.state.as_str(),
                line.count,
                line.total_kopecks,
            )
        })
        .collect();
    assert_eq!(lines, [("sell", "queued", 2, 180_000), ("sell", "retrying", 1, 90_000)]);
}

#[tokio::test]
async fn an_account_is_open_while_something_is_due_or_polled_there() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert!(ledger.open_accounts().await.expect("no outage").is_empty());
    waiting(&ledger, "417", "uuid-1").await;
    assert_eq!(ledger.open_accounts().await.expect("no outage"), ["main"]);
    let polled = polled(&ledger).await;
    ledger.record_poll(answer(&polled, done())).await.expect("recorded");
    assert!(ledger.open_accounts().await.expect("no outage").is_empty());
}
