//! Lists over the whole history.

use ledger::{Names, Search};
use receipt::{Operation, StateName, StoreCode};

use crate::sample::{offer_of, queued};
use crate::scratch::Scratch;

fn search() -> Search {
    Search {
        limit: 10,
        ..Search::default()
    }
}

#[tokio::test]
async fn every_filter_narrows_and_pages_go_on_where_they_ended() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["1", "2", "3"] {
        queued(&ledger, number).await;
    }
    ledger
        .accept(offer_of(Operation::Refund, "outlet", "4", "main"))
        .await
        .expect("accepted");
    let numbers = async |search: Search| {
        let rows = ledger.search(&search).await.expect("no outage");
        rows.into_iter().map(|row| row.document_number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(search()).await, ["4", "3", "2", "1"]);
    let outlet = StoreCode::parse("outlet").expect("a code");
    let of_store = Search {
        stores: Some(vec![outlet.clone()]),
        ..search()
    };
    assert_eq!(numbers(of_store).await, ["4"]);
    let sales = Search {
        operations: vec![Operation::Sell],
        states: vec![StateName::Queued],
        limit: 2,
        ..search()
    };
    let first = ledger.search(&sales).await.expect("no outage");
    assert_eq!(first.len(), 2);
    let rest = Search {
        before: first.last().map(|row| row.id),
        ..sales
    };
    assert_eq!(numbers(rest).await, ["1"]);
    let of_buyer = Search {
        names: Names {
            email: Some("Buyer@Example.ORG".to_owned()),
            ..Names::default()
        },
        stores: Some(vec![outlet]),
        ..search()
    };
    assert_eq!(numbers(of_buyer).await, ["4"]);
}
