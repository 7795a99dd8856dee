//! The table itself says no.

use sqlx::AssertSqlSafe;

use crate::sample::{claimed, queued, waiting};
use crate::scratch::Scratch;

async fn refused_by(scratch: &Scratch, statement: &str) -> String {
    let refused = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&scratch.pool)
        .await;
    let error = refused.expect_err(statement);
    let error = error.as_database_error().expect("the database refuses");
    error.constraint().expect("a named constraint").to_owned()
}

#[tokio::test]
async fn no_state_stands_without_what_belongs_to_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "1").await;
    claimed(&ledger, "2").await;
    waiting(&ledger, "3", "uuid-3").await;
    let set =
        |number: &str, changes: &str| format!("UPDATE transactions SET {changes} WHERE document_number = '{number}'");
    for (statement, constraint) in [
        (
            set("2", "state = 'waiting', due_at = NULL"),
            "transactions_waiting_has_vendor_uuid",
        ),
        (set("3", "state = 'done'"), "transactions_done_has_fiscal_document"),
        (
            set("3", "state = 'done', fn = '1', fd = 1, fpd = '1'"),
            "transactions_done_has_fiscal_document",
        ),
        (set("3", "state = 'failed'"), "transactions_failed_has_failure"),
        (set("3", "failure = 'rejected'"), "transactions_failed_has_failure"),
        (set("3", "state = 'failed', failure = 'tired'"), "transactions_failure"),
        (set("1", "due_at = NULL"), "transactions_only_what_waits_is_due"),
        (set("3", "due_at = now()"), "transactions_only_what_waits_is_due"),
        (set("1", "state = 'sending'"), "transactions_sending_has_a_claim"),
        (set("3", "state = 'lost'"), "transactions_state"),
        (set("1", "operation = 'gift'"), "transactions_operation"),
        (set("1", "total_kopecks = -1"), "transactions_total"),
        (set("1", "request_hash = 'short'"), "transactions_request_hash"),
    ] {
        assert_eq!(refused_by(&scratch, &statement).await, constraint, "{statement}");
    }
}

#[tokio::test]
async fn a_registration_that_is_followed_has_a_uuid_to_ask_with() {
    let scratch = Scratch::new().await;
    queued(&scratch.ledger(), "1").await;
    for (changes, constraint) in [
        ("state = 'waiting'", "registrations_waiting_has_vendor_uuid"),
        ("next_poll_at = now()", "registrations_only_known_ids_are_polled"),
        ("external_id = ''", "registrations_external_id_length"),
        ("external_id = repeat('x', 65)", "registrations_external_id_length"),
        ("state = 'gone'", "registrations_state"),
    ] {
        assert_eq!(
            refused_by(&scratch, &format!("UPDATE registrations SET {changes}")).await,
            constraint
        );
    }
}

#[tokio::test]
async fn a_finished_attempt_says_what_it_came_to() {
    let scratch = Scratch::new().await;
    claimed(&scratch.ledger(), "1").await;
    let refused = refused_by(&scratch, "UPDATE attempts SET finished_at = now()").await;
    assert_eq!(refused, "attempts_finished_has_a_class");
}

#[tokio::test]
async fn two_processes_may_migrate_at_once_and_again() {
    let scratch = Scratch::empty().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    let known = first.expect("migrated");
    assert_eq!(second.expect("migrated"), known);
    assert_eq!(known[0], "0001 transactions");
    assert_eq!(one.migrate().await.expect("nothing to do"), known);
}

#[tokio::test]
async fn an_index_whose_building_was_interrupted_is_built_anew() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    claimed(&ledger, "1").await;
    claimed(&ledger, "2").await;
    scratch.run("DELETE FROM _sqlx_migrations WHERE version = 14").await;
    scratch.run("DROP INDEX transactions_accepted").await;
    // Two rows have the same store: what is left behind has the name and serves nothing.
    let refused = refused_by(
        &scratch,
        "CREATE UNIQUE INDEX CONCURRENTLY transactions_accepted ON transactions (store)",
    )
    .await;
    assert_eq!(refused, "transactions_accepted");
    ledger.migrate().await.expect("migrated");
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = 'transactions_accepted'::regclass AND indisvalid \
                 AND NOT indisunique";
    assert_eq!(scratch.count(valid).await, 1);
}
