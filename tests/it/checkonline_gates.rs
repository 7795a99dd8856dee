//! The gates of accounts at the vendor that answers at once: it has no call without an effect, so a receipt is the probe.
//! And how little one vendor's trouble means to the other.

use std::time::Duration;

use anyhow::ensure;
use kassa_tests::fleet::Pace;
use kassa_tests::listener::Listener;
use kassa_tests::wait;
use simulator::{Action, Certificate, ErrorAnswer, Faults, Point, Registers, Rule};

use crate::checkonline::{publish, section, shown_gate, with};
use crate::gates::{count, until_count};
use crate::world::{LIMIT, World, pace, within};

async fn until_gate(world: &World, account: &str, is_open: bool) -> anyhow::Result<serde_json::Value> {
    let what = format!("the gate of {account} is open: {is_open}");
    wait::until(&what, LIMIT, async || {
        let gate = shown_gate(world, account).await?;
        Ok((gate["is_open"] == is_open).then_some(gate))
    })
    .await
}

async fn publish_many(world: &World, store: &str, name: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        publish(world, store, "sell", &format!("{name}-{number}")).await?;
    }
    Ok(())
}

/// Each has its document, and one send was enough.
async fn assert_one_send_each(world: &World, name: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let marker = format!("{name}-{number}");
        world.assert_done_once(&marker).await?;
        let sends = world.sends(&marker).await?.len();
        ensure!(sends == 1, "{marker} was sent {sends} times");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_register_is_closed_by_the_breaker_and_opened_by_a_receipt() -> anyhow::Result<()> {
    within("cloudbreaker", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let off = Faults {
            registers: Registers::Off,
            ..Faults::default()
        };
        world.simulator.control().set_faults(off)?;
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        publish_many(world, "cloud", "sick", 10).await?;
        let gate = until_gate(world, "cloud", false).await?;
        assert_eq!(
            (&gate["reason"], &gate["code"]),
            (&"breaker".into(), &"fce 5".into()),
            "{gate}"
        );
        for language in ["ru", "en"] {
            let cure = gate["cure"][language].as_str().unwrap_or_default();
            assert!(cure.contains("cert_file") && cure.contains("group"), "{gate}");
        }
        assert!(world.books().documents.is_empty());

        world.heal();
        until_count(world, "sick", "state = 'done'", 10).await?;
        until_gate(world, "cloud", true).await?;
        for number in 0..10 {
            world.assert_done_once(&format!("sick-{number}")).await?;
        }
        for key in ["cloud.account.paused", "cloud.account.resumed"] {
            listener
                .until(LIMIT, |events| events.iter().any(|event| event.routing_key == key))
                .await?;
        }
        Ok(())
    })
    .await
}

/// The service has closed the document and lost its memory of it: sending the receipt again to see whether the service
/// works would close a second one.
#[tokio::test]
async fn a_service_that_lost_its_memory_is_probed_by_another_receipt_than_the_doubtful_one() -> anyhow::Result<()> {
    within("cloudforgets", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let forgets = Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("fce", 19)));
        world.fault(
            forgets
                .after()
                .for_vendor("checkonline")
                .for_marker("doubtful")
                .times(1),
        )?;
        let _all = world.all().await?;
        publish(world, "cloud", "sell", "doubtful").await?;
        let row = world
            .until_row("doubtful", |row| row.state == "retrying" && row.doubt)
            .await?;
        assert!(row.is_due, "{row:?}");
        let gate = until_gate(world, "cloud", false).await?;
        assert_eq!(
            (&gate["reason"], &gate["code"]),
            (&"halt".into(), &"fce 19".into()),
            "{gate}"
        );
        publish(world, "cloud", "sell", "fresh").await?;
        world.assert_done_once("fresh").await?;
        until_gate(world, "cloud", true).await?;
        world.assert_done_once("doubtful").await?;
        let in_order: bool = sqlx::query_scalar(
            "SELECT (SELECT max(a.started_at) FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
             WHERE t.document_number = 'doubtful') > \
             (SELECT min(a.finished_at) FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
             WHERE t.document_number = 'fresh')",
        )
        .fetch_one(&world.pool)
        .await?;
        assert!(in_order, "the doubtful one was the probe");
        assert_eq!(world.sends("doubtful").await?.len(), 2);
        Ok(())
    })
    .await
}

/// One vendor hangs for a minute in every call. While not one of its calls has ended, the other's receipts go through as
/// they did before, each by its first send, and the requests of both are accepted.
async fn assert_apart(purpose: &str, vendor: &str, [hung, other]: [&str; 2]) -> anyhow::Result<()> {
    let patient = Pace {
        call: "100s",
        lease: "110s",
        sender: "slots = 64",
        ..pace()
    };
    within(purpose, &patient, async |world| {
        let files = world.simulator.checkonline_files().expect("every world has one");
        let (cert, key) = (files.certificate(Certificate::North), files.key(Certificate::North));
        let cloud = section(world, "cloud", &cert, &key)?.replace("call = \"2s\"", "call = \"100s\"");
        world.fleet.configure(&cloud)?;
        let _all = world.all().await?;
        publish_many(world, other, "before", 20).await?;
        until_count(world, "before", "state = 'done'", 20).await?;
        assert_one_send_each(world, "before", 20).await?;

        let hangs = Rule::new(Point::Register, Action::Nothing).delayed(Duration::from_secs(60));
        world.fault(hangs.for_vendor(vendor))?;
        // More than there are slots for, so that some wait before them.
        publish_many(world, hung, "slow", 80).await?;
        until_count(world, "slow", "state = 'sending'", 64).await?;
        publish_many(world, other, "quick", 20).await?;
        until_count(world, "quick", "state = 'done'", 20).await?;
        assert_one_send_each(world, "quick", 20).await?;
        publish_many(world, hung, "late", 20).await?;
        until_count(world, "late", "state = 'queued'", 20).await?;
        let under_way = count(world, "slow", "state IN ('sending', 'queued')").await?;
        assert_eq!(under_way, 80, "all of it happened within the first calls");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_vendor_that_hangs_takes_nothing_from_the_one_that_is_polled() -> anyhow::Result<()> {
    assert_apart("hangingcloud", "checkonline", ["cloud", "main"]).await
}

#[tokio::test]
async fn a_vendor_that_hangs_takes_nothing_from_the_one_that_answers_at_once() -> anyhow::Result<()> {
    assert_apart("hangingatol", "atol", ["main", "cloud"]).await
}
