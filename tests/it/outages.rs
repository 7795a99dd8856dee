//! The vendor, the database or the broker is away, answers nonsense, or loses things. Everything that was accepted is
//! registered once in the end, or a person is told why not.

use std::time::Duration;

use kassa_tests::fleet::{Pace, probe};
use kassa_tests::listener::Listener;
use kassa_tests::proxy::Flow;
use kassa_tests::request::request;
use kassa_tests::shop::delete_topology;
use kassa_tests::wait;
use simulator::{Action, ErrorAnswer, Garbage, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

fn register(action: Action) -> Rule {
    Rule::new(Point::Register, action)
}

const fn status(code: u16) -> Action {
    Action::Status {
        code,
        retry_after: None,
    }
}

fn error(kind: &str, code: i64) -> Action {
    Action::Error(ErrorAnswer::new(kind, code))
}

/// Longer than a call may take.
const TOO_LONG: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_vendor_that_fails_in_every_way_gets_each_receipt_once() -> anyhow::Result<()> {
    within("failing", &pace(), async |world| {
        let ways: Vec<(&str, Rule)> = vec![
            ("status-500", register(status(500)).times(2)),
            ("status-502-after", register(status(502)).after().times(2)),
            ("throttled", register(status(429)).times(2)),
            ("cut-before", register(Action::Cut).times(2)),
            ("cut-after", register(Action::Cut).after().times(2)),
            ("slow-before", register(Action::Nothing).delayed(TOO_LONG).times(1)),
            (
                "slow-after",
                register(Action::Nothing).after().delayed(TOO_LONG).times(1),
            ),
            ("html", register(Action::Garbage(Garbage::Html)).times(2)),
            (
                "truncated",
                register(Action::Garbage(Garbage::Truncated)).after().times(2),
            ),
            (
                "not-utf-8",
                register(Action::Garbage(Garbage::InvalidUtf8)).after().times(1),
            ),
            ("empty", register(Action::Garbage(Garbage::Empty)).after().times(1)),
            ("error-50", register(error("system", 50)).times(2)),
            ("error-0-after", register(error("unknown", 0)).after().times(1)),
        ];
        let _all = world.all().await?;
        world.faults(
            ways.iter()
                .map(|(marker, rule)| rule.clone().for_marker(*marker))
                .collect(),
        )?;
        for (marker, _) in &ways {
            world.publish("sell", marker).await?;
        }
        for (marker, rule) in &ways {
            let row = world.assert_done_once(marker).await?;
            assert_eq!(row.generation, 0, "{marker} keeps its id through every doubt");
            let sends = world.sends(marker).await?;
            let failed = usize::try_from(rule.count.unwrap_or(0))?;
            assert!(sends.len() > failed, "{marker}: {sends:?}");
            assert_eq!(world.documents(marker).len(), 1);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_expired_token_is_renewed_within_the_attempt() -> anyhow::Result<()> {
    within("token", &pace(), async |world| {
        let _all = world.all().await?;
        world.publish("sell", "1").await?;
        world.assert_done_once("1").await?;
        world.simulator.control().expire_tokens();
        for number in ["2", "3", "4"] {
            world.publish("sell", number).await?;
        }
        for number in ["2", "3", "4"] {
            world.assert_done_once(number).await?;
            assert_eq!(world.sends(number).await?.len(), 1, "one attempt");
        }
        let answers = world.books().answers;
        assert!(
            answers.keys().any(|kind| kind.contains("system:11")),
            "the old token was refused: {answers:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_no_doubt_arises() -> anyhow::Result<()> {
    within("notoken", &pace(), async |world| {
        world.fault(Rule::new(Point::GetToken, status(503)))?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.until_row("417", |row| row.state == "retrying").await?;
        assert!(!row.doubt && row.trials >= 1, "{row:?}");
        assert!(world.documents("417").is_empty());
        world.heal();
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

/// What is stored with the last poll, and told, about a receipt that failed.
async fn assert_cause_and_cure_are_told(world: &World, listener: &mut Listener, number: &str) -> anyhow::Result<()> {
    let texts: (Option<String>, Option<String>, Option<String>, Option<String>) = sqlx::query_as(
        "SELECT a.cause_ru, a.cause_en, a.cure_ru, a.cure_en FROM attempts a \
         JOIN transactions t ON t.id = a.transaction_id WHERE t.document_number = $1 ORDER BY a.number DESC LIMIT 1",
    )
    .bind(number)
    .fetch_one(&world.pool)
    .await?;
    let (Some(cause_ru), Some(cause_en), Some(cure_ru), Some(cure_en)) = texts else {
        anyhow::bail!("{number}: a text is missing: {texts:?}");
    };
    let cyrillic = |text: &str| text.chars().any(|letter| ('а'..='я').contains(&letter));
    assert!(cyrillic(&cause_ru) && cyrillic(&cure_ru), "{cause_ru} {cure_ru}");
    assert!(
        !cyrillic(&cause_en) && !cyrillic(&cure_en) && !cause_en.is_empty(),
        "{cause_en} {cure_en}"
    );

    let failed = |event: &&kassa_tests::listener::Event| {
        event.body["document"] == number && event.routing_key.ends_with(".receipt.failed")
    };
    listener
        .until(LIMIT, |events| events.iter().any(|event| failed(&event)))
        .await?;
    let event = listener.events.iter().find(failed).expect("waited for");
    assert_eq!(event.body["error"]["cause"]["ru"], cause_ru.as_str(), "{}", event.text);
    assert_eq!(event.body["error"]["cure"]["en"], cure_en.as_str(), "{}", event.text);
    assert_eq!(event.body["order_status_hint"], "kkm_failed");
    assert_eq!(event.body["kkm_status"], "fail");
    Ok(())
}

#[tokio::test]
async fn a_receipt_that_the_register_refuses_fails_with_cause_and_cure_in_both_languages() -> anyhow::Result<()> {
    within("refused", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, error("driver", 128)).for_marker("417"))?;
        // Another seller's INN than that of the registers.
        let inn = [("KASSA_STORES__SECOND__INN", "7805123470")];
        let _all = world.fleet.start_with("all", &["all"], &inn).await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        world.publish("sell", "417").await?;
        let body = request("second", "sell", "418", "418").to_string();
        world.shop.publish("second", body.as_bytes()).await?;
        for (number, code) in [("417", "128"), ("418", "2009")] {
            let row = world.until_state(number, "failed").await?;
            assert_eq!(row.failure.as_deref(), Some("rejected"));
            assert_eq!((world.registered(number), row.is_due), (0, false));
            assert_eq!(world.only_document(number)?.requests, 1, "it is not sent again");
            let shown = world.fleet.command(&["show", number]).await?;
            assert!(shown.contains("failed: rejected") && shown.contains(code), "{shown}");
            assert_cause_and_cure_are_told(world, &mut listener, number).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_document_that_died_in_the_vendors_queue_is_registered_once_under_the_next_id() -> anyhow::Result<()> {
    within("rekeyed", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, error("timeout", 1)).times(1))?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!((row.external_id.as_str(), row.generation), ("invoice_main_417__1", 1));
        let books = world.books();
        let first = books.by_external_id("invoice_main_417").expect("the first id");
        assert_eq!((first.registered, first.requests), (0, 1));
        let states: Vec<(i32, String)> =
            sqlx::query_as("SELECT generation, state FROM registrations WHERE transaction_id = $1 ORDER BY generation")
                .bind(row.id)
                .fetch_all(&world.pool)
                .await?;
        assert_eq!(states, [(0, "dead".to_owned()), (1, "done".to_owned())]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_undecided_end_is_unknown_and_is_never_sent_again() -> anyhow::Result<()> {
    within("undecided", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, error("driver", 6)).for_marker("417"))?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.until_state("417", "unknown").await?;
        assert_eq!((row.external_id.as_str(), row.is_due), ("invoice_main_417", false));
        // Another one goes all the way after it; nothing happens to the first.
        world.publish("sell", "418").await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("418").await?;
        assert_eq!(world.the_row("417").await?, row);
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

async fn until_probed(process: &kassa_tests::process::Process, path: &str, status: u16) -> anyhow::Result<()> {
    wait::until(&format!("{path} says {status}"), LIMIT, async || {
        Ok((probe(process, path).await? == Some(status)).then_some(()))
    })
    .await
}

async fn publish_many(world: &World, name: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        world.publish("sell", &format!("{name}-{number}")).await?;
    }
    Ok(())
}

/// Every marker that was accepted by anybody is registered exactly once.
fn assert_each_once(world: &World, count: usize) {
    let books = world.books();
    let registered = books.registered_by_marker();
    assert_eq!(registered.len(), count);
    let twice: Vec<_> = registered.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test]
async fn a_database_that_is_cut_off_in_mid_flight_is_an_ordinary_state() -> anyhow::Result<()> {
    within("dbcut", &pace(), async |world| {
        let mut all = world.all().await?;
        world.fault(register(Action::Nothing).after().delayed(Duration::from_millis(100)))?;
        publish_many(world, "cut", 10).await?;
        world
            .until_books("calls under way", |books| books.documents.len() >= 2)
            .await?;
        world.database.cut();
        publish_many(world, "again", 10).await?;
        world
            .until_books("more calls", |books| books.documents.len() >= 12)
            .await?;

        world.database.set(Flow::Down);
        until_probed(&all, "readyz", 503).await?;
        until_probed(&all, "healthz", 200).await?;
        publish_many(world, "away", 5).await?;
        world.database.set(Flow::Open);
        until_probed(&all, "readyz", 200).await?;
        world.until_done(25).await?;
        assert_each_once(world, 25);
        assert!(world.dead_letters().await?.is_empty());
        assert!(all.runs()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_database_connection_that_is_cut_again_and_again_has_nothing_done_twice() -> anyhow::Result<()> {
    within("dbcuts", &pace(), async |world| {
        let all = world.all().await?;
        world.fault(register(Action::Nothing).after().delayed(Duration::from_millis(20)))?;
        for round in 1_usize..=10 {
            publish_many(world, &format!("round{round}"), 6).await?;
            // Some statement of nearly every round takes effect without its answer.
            world
                .until_books("calls of this round", |books| books.documents.len() > (round - 1) * 6)
                .await?;
            world.database.cut();
        }
        world.until_done(60).await?;
        assert_each_once(world, 60);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(rows, 60);
        let told: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE type = 'receipt.done'")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(told, 60, "each transition is told once");
        until_probed(&all, "readyz", 200).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_broker_that_is_cut_off_in_mid_flight_is_an_ordinary_state() -> anyhow::Result<()> {
    within("mqcut", &pace(), async |world| {
        let mut all = world.all().await?;
        world.fault(register(Action::Nothing).after().delayed(Duration::from_millis(100)))?;
        publish_many(world, "cut", 10).await?;
        world
            .until_books("calls under way", |books| books.documents.len() >= 2)
            .await?;
        world.broker.cut();
        publish_many(world, "again", 10).await?;
        world.until_done(20).await?;

        world.broker.set(Flow::Down);
        until_probed(&all, "readyz", 503).await?;
        publish_many(world, "away", 5).await?;
        world.broker.set(Flow::Open);
        until_probed(&all, "readyz", 200).await?;
        world.until_done(25).await?;
        assert_each_once(world, 25);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(rows, 25);
        assert!(all.runs()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_started_while_its_servers_are_away_becomes_ready_when_they_are_there() -> anyhow::Result<()> {
    within("early", &pace(), async |world| {
        world.broker.set(Flow::Down);
        world.database.set(Flow::Down);
        let all = world.fleet.start_unready("all", &["all"], &[])?;
        until_probed(&all, "readyz", 503).await?;
        until_probed(&all, "healthz", 200).await?;
        world.database.set(Flow::Open);
        world.broker.set(Flow::Open);
        until_probed(&all, "readyz", 200).await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_can_be_stopped_while_its_servers_are_away() -> anyhow::Result<()> {
    within("stopaway", &pace(), async |world| {
        let mut all = world.all().await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        world.database.set(Flow::Down);
        world.broker.set(Flow::Down);
        until_probed(&all, "readyz", 503).await?;
        assert!(all.stop(Duration::from_secs(30)).await?, "{}", all.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn queues_deleted_in_mid_run_cost_nothing_that_was_accepted() -> anyhow::Result<()> {
    let pace = Pace {
        // Every one of them is to wait in a delay queue, not behind the gate.
        gates: "failures = 1000",
        ..pace()
    };
    within("deleted", &pace, async |world| {
        let mut all = world.all().await?;
        world.fault(register(status(503)))?;
        publish_many(world, "kept", 15).await?;
        wait::until("all of them wait for another try", LIMIT, async || {
            let tried: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions WHERE trials > 0")
                .fetch_one(&world.pool)
                .await?;
            Ok((tried == 15).then_some(()))
        })
        .await?;
        delete_topology(&world.fleet.prefix).await?;
        world.heal();
        world.until_done(15).await?;

        // The fleet has declared everything again by itself.
        let shop = wait::until("the intake takes requests again", LIMIT, async || {
            // A publish to an exchange that is not there closes the channel.
            let shop = world.fleet.shop().await?;
            let body = request("main", "sell", "after", "after").to_string();
            Ok(shop.publish("main", body.as_bytes()).await.ok().map(|()| shop))
        })
        .await?;
        drop(shop);
        world.assert_done_once("after").await?;
        until_probed(&all, "readyz", 200).await?;
        assert_each_once(world, 16);
        assert!(all.runs()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_fleet_runs_without_delay_exchanges() -> anyhow::Result<()> {
    let pace = Pace {
        sender: "delays = \"table\"",
        ..pace()
    };
    within("tabled", &pace, async |world| {
        world.fault(register(status(500)).times(6))?;
        let _all = world.all().await?;
        publish_many(world, "tabled", 5).await?;
        world.until_done(5).await?;
        assert_each_once(world, 5);
        for queue in ["delay.1s", "delay.2s", "delay.5s"] {
            // Asked on a connection of its own: the answer 404 closes the channel.
            let shop = world.fleet.shop().await?;
            assert!(world.depth_by(&shop, queue).await.is_err(), "{queue} exists");
        }
        Ok(())
    })
    .await
}
