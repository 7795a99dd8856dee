//! What the vendor called dead and registered after all (design, section 4), and doubts that nobody can settle. The books
//! prove that nothing is registered twice, or that a double is told.

use std::time::Duration;

use kassa_tests::process::Process;
use kassa_tests::wait;
use serde_json::Value;
use simulator::{Action, ErrorAnswer, Faults, Point, Registers, Rule};

use crate::world::{LIMIT, World, pace, within};

const OLD: &str = "invoice_main_417";
const NEW: &str = "invoice_main_417__1";

/// Retired ids are asked about every second or two.
const CHECKS: (&str, &str) = ("KASSA_POLLER__RETIRED_CHECKS", "1s,2s,4s,6s,8s,10s,15s,20s,30s,45s,60s");

/// The first document ends with the queue's timeout, which proves its id dead.
fn dies() -> Rule {
    Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("timeout", 1))).times(1)
}

async fn poller(world: &World) -> anyhow::Result<Process> {
    world.fleet.start_with("poller", &["poller"], &[CHECKS]).await
}

/// A transaction whose first id was reported dead; the next id is due, and no sender runs.
async fn rekeyed(world: &World) -> anyhow::Result<Process> {
    world.fault(dies())?;
    let mut sender = world.sender("first").await?;
    world.publish("sell", "417").await?;
    world.until_state("417", "waiting").await?;
    anyhow::ensure!(sender.stop(LIMIT).await?, "{}", sender.log());
    let poller = poller(world).await?;
    let row = world.until_row("417", |row| row.generation == 1).await?;
    assert_eq!((row.state.as_str(), row.external_id.as_str()), ("retrying", NEW));
    assert_eq!(world.registered("417"), 0);
    Ok(poller)
}

fn registered_after_all(world: &World, external_id: &str) {
    assert!(
        world.simulator.control().register_after_all(external_id),
        "{external_id}"
    );
}

/// The bodies of the events of this type about 417.
async fn told(world: &World, event: &str) -> anyhow::Result<Vec<Value>> {
    Ok(sqlx::query_scalar(
        "SELECT e.body FROM events e JOIN transactions t ON t.id = e.transaction_id \
         WHERE t.document_number = '417' AND e.type = $1 ORDER BY e.id",
    )
    .bind(event)
    .fetch_all(&world.pool)
    .await?)
}

/// External id and state of each registration of 417.
async fn registrations(world: &World) -> anyhow::Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT r.external_id, r.state FROM registrations r JOIN transactions t ON t.id = r.transaction_id \
         WHERE t.document_number = '417' ORDER BY r.generation",
    )
    .fetch_all(&world.pool)
    .await?)
}

/// Kind and class of the tries of 417, in order.
async fn tries(world: &World) -> anyhow::Result<Vec<(String, Option<String>)>> {
    Ok(sqlx::query_as(
        "SELECT a.kind, a.class FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
         WHERE t.document_number = '417' ORDER BY a.number",
    )
    .fetch_all(&world.pool)
    .await?)
}

async fn until_told(world: &World, event: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    wait::until(&format!("{count} of {event}"), LIMIT, async || {
        Ok(Some(told(world, event).await?).filter(|told| told.len() >= count))
    })
    .await
}

fn fd_of(world: &World, external_id: &str) -> Option<i64> {
    let books = world.books();
    let fiscal = books.by_external_id(external_id)?.fiscal.as_ref()?;
    Some(i64::from(fiscal.fiscal_document_number))
}

#[tokio::test]
async fn an_id_that_turns_out_registered_before_the_next_one_is_sent_is_taken_and_nothing_is_sent() -> anyhow::Result<()>
{
    within("before", &pace(), async |world| {
        let mut poller = rekeyed(world).await?;
        // The sender is to find it, by asking before it sends.
        assert!(poller.stop(LIMIT).await?);
        registered_after_all(world, OLD);
        let _sender = world.sender("second").await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!((row.external_id.as_str(), row.generation), (OLD, 0));
        assert!(world.books().by_external_id(NEW).is_none(), "the new id was never sent");
        assert_eq!(
            registrations(world).await?,
            [(OLD.into(), "done".into()), (NEW.into(), "dead".into())]
        );
        assert!(told(world, "receipt.double").await?.is_empty());
        assert_eq!(told(world, "receipt.done").await?.len(), 1);
        let last: Vec<_> = tries(world).await?.into_iter().rev().take(2).collect();
        assert_eq!(
            last,
            [
                ("probe".to_owned(), Some("done".to_owned())),
                ("send".to_owned(), Some("returned".to_owned()))
            ]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_id_that_turns_out_registered_while_no_sender_runs_is_found_by_its_check() -> anyhow::Result<()> {
    within("checked2", &pace(), async |world| {
        let _poller = rekeyed(world).await?;
        registered_after_all(world, OLD);
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.external_id, OLD);
        let _sender = world.sender("second").await?;
        // Another one goes all the way after it; nothing happens to the first.
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        assert_eq!(world.the_row("417").await?, row);
        assert!(world.books().by_external_id(NEW).is_none());
        assert!(told(world, "receipt.double").await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_id_that_turns_out_registered_while_its_successor_waits_is_told_and_both_documents_are_found()
-> anyhow::Result<()> {
    within("waits", &pace(), async |world| {
        let _poller = rekeyed(world).await?;
        // The registers are off: the successor waits in the vendor's queue.
        world.simulator.control().set_faults(Faults {
            registers: Registers::Off,
            ..Faults::default()
        })?;
        let _sender = world.sender("second").await?;
        world
            .until_row("417", |row| row.state == "waiting" && row.generation == 1)
            .await?;
        let probed = tries(world)
            .await?
            .iter()
            .any(|(kind, class)| kind == "probe" && class.as_deref() == Some("rekey"));
        assert!(probed, "the old id was asked about before: {:?}", tries(world).await?);

        registered_after_all(world, OLD);
        let doubles = until_told(world, "receipt.double", 1).await?;
        assert_eq!(doubles[0]["external_id"], OLD);
        assert_eq!(doubles[0]["others"][0]["external_id"], NEW);
        assert_eq!(doubles[0]["others"][0]["state"], "waiting");
        let row = world.until_state("417", "done").await?;
        assert_eq!((row.external_id.as_str(), row.fd), (OLD, fd_of(world, OLD)));

        world.heal();
        let doubles = until_told(world, "receipt.double", 2).await?;
        assert_eq!(world.registered("417"), 2, "the vendor did it, and it is told");
        assert_eq!(doubles[1]["external_id"], NEW);
        assert_eq!(doubles[1]["fiscal"]["fd"].as_i64(), fd_of(world, NEW));
        assert_eq!(doubles[1]["others"][0]["fiscal"]["fd"].as_i64(), fd_of(world, OLD));
        assert_eq!(
            registrations(world).await?,
            [(OLD.into(), "done".into()), (NEW.into(), "done".into())]
        );
        assert_eq!(told(world, "receipt.done").await?.len(), 1);

        let shown = world.fleet.command(&["show", "417"]).await?;
        for external_id in [OLD, NEW] {
            let fd = fd_of(world, external_id).unwrap_or_default();
            assert!(
                shown
                    .lines()
                    .any(|line| line.contains(&format!("{external_id}, done")) && line.contains(&format!("FD {fd} "))),
                "{shown}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_id_that_turns_out_registered_after_its_successor_was_is_told_once() -> anyhow::Result<()> {
    within("after", &pace(), async |world| {
        let _poller = rekeyed(world).await?;
        let _sender = world.sender("second").await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.external_id, NEW);
        registered_after_all(world, OLD);
        let doubles = until_told(world, "receipt.double", 1).await?;
        assert_eq!(world.registered("417"), 2);
        assert_eq!(
            (
                doubles[0]["fiscal"]["fd"].as_i64(),
                doubles[0]["others"][0]["fiscal"]["fd"].as_i64()
            ),
            (fd_of(world, OLD), fd_of(world, NEW))
        );
        // It goes on as usual, and is not told again.
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM registrations WHERE next_poll_at IS NOT NULL")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(open, 0, "nothing is asked about any more");
        assert_eq!(told(world, "receipt.double").await?.len(), 1);
        assert_eq!(world.the_row("417").await?, row, "the first that was found stays");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_corrected_receipt_whose_former_one_is_registered_after_all_is_not_sent() -> anyhow::Result<()> {
    within("corrected", &pace(), async |world| {
        let refused = Action::Error(ErrorAnswer::new("driver", 128));
        world.fault(Rule::new(Point::Processing, refused).times(1))?;
        let mut all = world.all().await?;
        world.publish("sell", "417").await?;
        let former = world.until_state("417", "failed").await?;
        anyhow::ensure!(all.stop(LIMIT).await?, "{}", all.log());
        registered_after_all(world, OLD);

        let mut correction = kassa_tests::request::request("main", "sell", "417", "417");
        correction["lines"][1]["name"] = "Courier to the door".into();
        world.shop.publish("main", correction.to_string().as_bytes()).await?;
        let _sender = world.sender("second").await?;
        let corrected = world
            .until_row("417", |row| row.id != former.id && row.state == "failed")
            .await?;
        assert_eq!(corrected.external_id, NEW);
        wait::until("the former one is done", LIMIT, async || {
            let state: String = sqlx::query_scalar("SELECT state FROM transactions WHERE id = $1")
                .bind(former.id)
                .fetch_one(&world.pool)
                .await?;
            Ok((state == "done").then_some(()))
        })
        .await?;
        assert!(
            world.books().by_external_id(NEW).is_none(),
            "the correction was never sent"
        );
        assert_eq!(world.registered("417"), 1);
        assert!(told(world, "receipt.double").await?.is_empty());
        let failed = told(world, "receipt.failed").await?;
        assert_eq!(
            failed.last().map(|told| &told["error"]["code"]),
            Some(&"former_registered".into())
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_old_id_that_cannot_be_asked_about_keeps_the_next_one_from_being_sent() -> anyhow::Result<()> {
    within("unasked", &pace(), async |world| {
        let mut poller = rekeyed(world).await?;
        assert!(poller.stop(LIMIT).await?);
        let trials = world.the_row("417").await?.trials;
        let away = Action::Status {
            code: 503,
            retry_after: None,
        };
        world.fault(Rule::new(Point::Report, away))?;
        let _sender = world.sender("second").await?;
        wait::until("three tries without a send", LIMIT, async || {
            let asked: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts WHERE code = 'predecessor'")
                .fetch_one(&world.pool)
                .await?;
            Ok((asked >= 3).then_some(()))
        })
        .await?;
        let row = world.the_row("417").await?;
        assert_eq!(
            (row.trials, row.doubt),
            (trials, false),
            "no trial and no doubt: {row:?}"
        );
        assert!(world.books().by_external_id(NEW).is_none());
        world.heal();
        let _poller = self::poller(world).await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.external_id, NEW);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_doubt_that_outlasts_the_vendors_memory_is_unknown_and_not_sent_again() -> anyhow::Result<()> {
    within("horizon", &pace(), async |world| {
        world.fault(Rule::new(Point::Register, Action::Cut).after().times(1))?;
        let mut sender = world.sender("first").await?;
        world.publish("sell", "417").await?;
        world
            .until_row("417", |row| row.state == "retrying" && row.doubt)
            .await?;
        let sends = world.sends("417").await?.len();
        assert!(sender.stop(LIMIT).await?);
        let again = world.only_document("417")?.requests;
        let until: Option<bool> =
            sqlx::query_scalar("SELECT doubt_until > now() + interval '29 days' FROM registrations")
                .fetch_one(&world.pool)
                .await?;
        assert_eq!(until, Some(true), "ATOL's month");
        // A month later.
        sqlx::query("UPDATE registrations SET doubt_until = now() - interval '1 second'")
            .execute(&world.pool)
            .await?;
        let _sender = world.sender("second").await?;
        let row = world
            .until_row("417", |row| row.state != "retrying" && row.state != "sending")
            .await?;
        assert_eq!((row.state.as_str(), row.doubt), ("unknown", true));
        assert_eq!(world.only_document("417")?.requests, again, "nothing was sent");
        assert_eq!(world.sends("417").await?.len(), sends + 1);
        let why = &told(world, "receipt.unknown").await?[0];
        assert_eq!(why["error"]["code"], "horizon");
        assert!(why["error"]["cure"]["ru"].is_string());
        assert_eq!(world.registered("417"), 1, "and a person finds it");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_receipt_that_waits_for_too_long_is_told_once_goes_on_waiting_and_is_done_in_the_end() -> anyhow::Result<()> {
    within("overdue", &pace(), async |world| {
        world.simulator.control().set_faults(Faults {
            registers: Registers::Off,
            ..Faults::default()
        })?;
        let environment = [
            ("KASSA_STORES__MAIN__OVERDUE_AFTER", "3s"),
            ("KASSA_POLLER__OVERDUE_INTERVAL", "200ms"),
        ];
        let _all = world.fleet.start_with("all", &["all"], &environment).await?;
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        // Nothing can be asked either: it goes by time.
        world.vendor.set(kassa_tests::proxy::Flow::Down);
        let overdue = until_told(world, "receipt.overdue", 1).await?;
        assert_eq!(
            (&overdue[0]["state"], &overdue[0]["kkm_status"]),
            (&"waiting".into(), &"wait".into())
        );
        world.vendor.set(kassa_tests::proxy::Flow::Open);
        world.heal();
        // It is asked about once an hour by now; somebody asks for news.
        sqlx::query("UPDATE registrations SET next_poll_at = now()")
            .execute(&world.pool)
            .await?;
        wait::until("the document", LIMIT, async || {
            Ok((world.registered("417") == 1).then_some(()))
        })
        .await?;
        world.ask_until_done("417").await?;
        world.assert_done_once("417").await?;
        assert_eq!(told(world, "receipt.overdue").await?.len(), 1);
        assert!(told(world, "receipt.failed").await?.is_empty());
        Ok(())
    })
    .await
}

/// A lost answer leaves time for the lease to end: the first poll of what was adopted belongs to the same document.
#[tokio::test]
async fn an_answer_that_comes_after_its_lease_is_followed_and_its_document_is_taken_once() -> anyhow::Result<()> {
    within("lateone", &pace(), async |world| {
        let slow = Rule::new(Point::Register, Action::Nothing)
            .after()
            .delayed(Duration::from_millis(1500));
        world.fault(slow.times(1))?;
        let frozen = world.sender("frozen").await?;
        world.publish("sell", "417").await?;
        world.until_accepted_by_the_vendor("417").await?;
        frozen.signal("STOP").await?;
        let _other = world.fleet.start_with("other", &["all"], &[CHECKS]).await?;
        world.assert_done_once("417").await?;
        frozen.signal("CONT").await?;
        wait::until("the late attempt is finished", LIMIT, async || {
            Ok(world.sends("417").await?.iter().all(|send| send.finished).then_some(()))
        })
        .await?;
        world.assert_done_once("417").await?;
        assert!(told(world, "receipt.double").await?.is_empty());
        assert_eq!(told(world, "receipt.done").await?.len(), 1);
        Ok(())
    })
    .await
}
