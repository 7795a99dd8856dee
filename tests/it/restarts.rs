//! A process dies, is told to stop, or freezes, between any two lines of the life of a receipt (design, section 3). Each
//! time the table alone tells what to do next, and the books show one registration.

use std::time::Duration;

use kassa_tests::proxy::Flow;
use kassa_tests::request::request;
use kassa_tests::wait;
use serde_json::Value;
use simulator::{Action, Point, Rule};

use crate::world::{LIMIT, Send, World, pace, within};

/// The registration is carried out, and its answer is kept back for a while.
fn slow_answer(delay: Duration) -> Rule {
    Rule::new(Point::Register, Action::Nothing).after().delayed(delay)
}

/// Longer than a call may take: the answer never comes.
const NEVER: Duration = Duration::from_secs(20);

fn classes(sends: &[Send]) -> Vec<Option<&str>> {
    sends.iter().map(|send| send.class.as_deref()).collect()
}

pub(crate) async fn until_held(proxy: &kassa_tests::proxy::Proxy, before: u64) -> anyhow::Result<()> {
    wait::until("bytes kept back", LIMIT, async || {
        Ok((proxy.held() > before).then_some(()))
    })
    .await
}

/// The next sender takes the claim over when the lease has ended, notes the doubt, and sends the same id.
async fn until_taken_over(world: &World, number: &str) -> anyhow::Result<()> {
    let row = world
        .until_row(number, |row| row.state != "sending" || row.doubt)
        .await?;
    assert!(
        row.state == "sending" && row.doubt,
        "a doubt stands before the second call: {row:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_sender_that_dies_after_the_claim_and_before_the_call_leaves_a_doubt_and_one_registration()
-> anyhow::Result<()> {
    within("claimed", &pace(), async |world| {
        let mut first = world.sender("first").await?;
        world.vendor.set(Flow::HoldRequests);
        world.publish("sell", "417").await?;
        world.until_state("417", "sending").await?;
        until_held(&world.vendor, 0).await?;
        first.kill().await?;

        let row = world.the_row("417").await?;
        assert_eq!(
            (row.state.as_str(), row.doubt, row.trials),
            ("sending", false, 0),
            "{row:?}"
        );
        assert_eq!(
            classes(&world.sends("417").await?),
            [None],
            "one try that nobody finished"
        );
        assert!(world.documents("417").is_empty(), "nothing reached the vendor");

        // What the dead one had written never arrives.
        world.vendor.cut();
        world.vendor.set(Flow::HoldRequests);
        let _second = world.fleet.start("second", &["all"]).await?;
        until_taken_over(world, "417").await?;
        world.vendor.set(Flow::Open);
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.external_id, "invoice_main_417");
        assert_eq!(world.only_document("417")?.requests, 1);
        let sends = world.sends("417").await?;
        assert!(!sends[0].finished && sends.len() >= 2, "{sends:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_that_dies_after_the_call_and_before_the_record_is_followed_by_the_same_id() -> anyhow::Result<()> {
    within("called", &pace(), async |world| {
        world.fault(slow_answer(NEVER).times(1))?;
        let mut first = world.sender("first").await?;
        world.publish("sell", "417").await?;
        world.until_accepted_by_the_vendor("417").await?;
        first.kill().await?;

        let row = world.the_row("417").await?;
        assert_eq!(
            (row.state.as_str(), &row.vendor_uuid),
            ("sending", &None),
            "the table has no answer: {row:?}"
        );
        assert_eq!(classes(&world.sends("417").await?), [None]);
        let document = world.only_document("417")?;

        let _second = world.fleet.start("second", &["all"]).await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(
            row.vendor_uuid,
            Some(document.uuid.to_string()),
            "the first document was adopted"
        );
        assert_eq!(world.only_document("417")?.requests, 2);
        assert_eq!(classes(&world.sends("417").await?), [None, Some("adopted")]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_died_with_its_sender_is_asked_for_again() -> anyhow::Result<()> {
    within("answered", &pace(), async |world| {
        let mut first = world.sender("first").await?;
        // The token first: then only the answer to the registration is kept back.
        world.publish("sell", "1").await?;
        world.until_state("1", "waiting").await?;
        world.vendor.set(Flow::HoldAnswers);
        world.publish("sell", "417").await?;
        world.until_accepted_by_the_vendor("417").await?;
        until_held(&world.vendor, 0).await?;
        first.kill().await?;
        assert_eq!(world.the_row("417").await?.state, "sending");

        world.vendor.set(Flow::Open);
        let _second = world.fleet.start("second", &["all"]).await?;
        world.assert_done_once("417").await?;
        world.assert_done_once("1").await?;
        assert_eq!(world.only_document("417")?.requests, 2);
        assert_eq!(world.only_document("1")?.requests, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_that_dies_after_the_record_and_before_settling_a_pointer_leaves_a_stale_pointer() -> anyhow::Result<()>
{
    // So long that the table alone wakes nobody here: what the sender does, it does because of the pointer.
    let pace = kassa_tests::fleet::Pace { grace: "10m", ..pace() };
    within("recorded", &pace, async |world| {
        let mut first = world.sender("first").await?;
        // It listens: a first pointer comes and goes.
        let path = world.file("first.json", &request("main", "sell", "416", "416"))?;
        world.fleet.command(&["sell", "--file", &path]).await?;
        world.until_state("416", "waiting").await?;
        // By a command, so that the receipt is queued and a pointer wakes the sender. What the sender says to the broker
        // from here on is kept back, what the command says is not.
        world.broker.hold_present();
        let before = world.broker.held();
        let path = world.file("sale.json", &request("main", "sell", "417", "417"))?;
        world.fleet.command(&["sell", "--file", &path]).await?;
        let recorded = world.until_state("417", "waiting").await?;
        until_held(&world.broker, before).await?;
        first.kill().await?;
        world.broker.cut();
        wait::until("the pointer is back in its queue", LIMIT, async || {
            // The settling of the first pointer may have been kept back too.
            Ok((world.depth("send.atol").await? >= 1).then_some(()))
        })
        .await?;
        assert_eq!(world.the_row("417").await?, recorded, "the record stands");

        let mut second = world.sender("second").await?;
        // Its pointer stands behind the stale one.
        let path = world.file("next.json", &request("main", "sell", "418", "418"))?;
        // A command waits for its pointer's confirm only so long; the same request again sends another one.
        wait::until("418 is woken by a pointer", LIMIT, async || {
            world.fleet.command(&["sell", "--file", &path]).await?;
            Ok((world.the_row("418").await?.state == "waiting").then_some(()))
        })
        .await?;
        // The pointer of a repeated command may come after the first has done its work.
        wait::until("every pointer is taken", LIMIT, async || {
            Ok((world.depth("send.atol").await? == 0).then_some(()))
        })
        .await?;
        assert!(second.stop(Duration::from_secs(15)).await?);
        // What was taken and not settled would be back.
        assert_eq!(world.depth("send.atol").await?, 0, "a stale pointer is settled");
        assert_eq!(world.the_row("417").await?, recorded, "a stale pointer changes nothing");
        assert_eq!(classes(&world.sends("417").await?), [Some("accepted")]);
        assert_eq!(world.only_document("417")?.requests, 1);

        let _poller = world.poller("poller").await?;
        world.assert_done_once("417").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_that_was_accepted_and_not_acknowledged_is_recognised_when_it_comes_again() -> anyhow::Result<()> {
    within("accepted", &pace(), async |world| {
        let mut first = world.sender("first").await?;
        // A sender that is ready has a connection, and its consumers may still be on their way to the broker.
        world.until_consumed("intake").await?;
        world.vendor.set(Flow::HoldRequests);
        world.broker.set(Flow::HoldRequests);
        world.publish("sell", "417").await?;
        world.until_state("417", "sending").await?;
        until_held(&world.vendor, 0).await?;
        until_held(&world.broker, 0).await?;
        first.kill().await?;
        world.vendor.cut();
        world.broker.cut();
        wait::until("the request is back in its queue", LIMIT, async || {
            // A canary whose acknowledgement was kept back as well may be beside it.
            Ok((world.depth("intake").await? >= 1).then_some(()))
        })
        .await?;
        let accepted = world.the_row("417").await?;
        assert_eq!(accepted.state, "sending");

        let mut second = world.fleet.start("second", &["all"]).await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.id, accepted.id);
        assert_eq!(world.only_document("417")?.requests, 1);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(rows, 1);
        assert!(world.dead_letters().await?.is_empty());
        assert!(second.stop(Duration::from_secs(15)).await?);
        assert_eq!(world.depth("intake").await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_poller_that_dies_between_the_answer_and_the_record_is_followed_by_another_question() -> anyhow::Result<()> {
    // The vendor thinks for so long that the database is certainly held when its answer comes.
    let pace = kassa_tests::fleet::Pace {
        call: "6s",
        lease: "9s",
        ..pace()
    };
    within("polled", &pace, async |world| {
        world.fault(Rule::new(Point::Report, Action::Nothing).delayed(Duration::from_secs(4)))?;
        let mut sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        assert!(sender.stop(Duration::from_secs(15)).await?);

        let mut first = world.poller("first").await?;
        wait::until("a question", LIMIT, async || {
            let hits: u64 = world.simulator.control().faults().hits.iter().sum();
            Ok((hits > 0).then_some(()))
        })
        .await?;
        world.database.set(Flow::HoldRequests);
        world
            .until_books("the answer is out", |books| {
                books.answers.contains_key("report 200 done")
            })
            .await?;
        first.kill().await?;
        world.database.cut();
        let row = world.the_row("417").await?;
        assert_eq!(
            (row.state.as_str(), &row.fn_number),
            ("waiting", &None),
            "nothing was recorded: {row:?}"
        );
        assert_eq!(world.registered("417"), 1);

        world.heal();
        let _second = world.poller("second").await?;
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_told_to_stop_waits_for_a_slow_call_as_long_as_its_drain_allows() -> anyhow::Result<()> {
    let pace = kassa_tests::fleet::Pace {
        call: "9s",
        lease: "12s",
        ..pace()
    };
    within("slow", &pace, async |world| {
        // Longer than the loops themselves need to end, shorter than the drain of 10 s.
        world.fault(slow_answer(Duration::from_secs(7)))?;
        let mut sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        world
            .until_books("a call under way", |books| !books.documents.is_empty())
            .await?;
        assert!(sender.stop(Duration::from_secs(20)).await?, "{}", sender.log());
        assert_eq!(
            world.the_row("417").await?.state,
            "waiting",
            "the answer was waited for"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_told_to_stop_finishes_its_calls_gives_back_the_rest_and_loses_nothing() -> anyhow::Result<()> {
    let pace = kassa_tests::fleet::Pace {
        sender: "slots = 8",
        ..pace()
    };
    within("stopped", &pace, async |world| {
        world.fault(slow_answer(Duration::from_millis(400)))?;
        let mut first = world.sender("first").await?;
        for number in 0..50 {
            world.publish("sell", &format!("S-{number}")).await?;
        }
        world
            .until_books("calls under way", |books| books.documents.len() >= 12)
            .await?;
        let stopped = first.stop(Duration::from_secs(15)).await?;
        assert!(stopped, "the exit code is 0:\n{}", first.log());
        assert_eq!(world.count("sending").await?, 0, "no claim is left behind");
        let unfinished: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts WHERE finished_at IS NULL")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(unfinished, 0, "every try that was begun has an end");
        let (returned, spent): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE t.trials > 0) FROM attempts a \
             JOIN transactions t ON t.id = a.transaction_id WHERE a.class = 'returned' AND t.state <> 'waiting'",
        )
        .fetch_one(&world.pool)
        .await?;
        assert_eq!(spent, 0, "of {returned} claims that were given back none cost a trial");
        let sent = i64::try_from(world.books().documents.len())?;
        assert_eq!(
            world.count("waiting").await?,
            sent,
            "every call that was made is recorded"
        );

        world.heal();
        let _second = world.fleet.start("second", &["all"]).await?;
        world.until_done(50).await?;
        let books = world.books();
        assert_eq!(books.registered_by_marker().len(), 50);
        for document in &books.documents {
            assert_eq!(
                (document.registered, document.requests),
                (1, 1),
                "{}",
                document.external_id
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sender_that_froze_past_its_lease_is_fenced_when_it_wakes() -> anyhow::Result<()> {
    within("frozen", &pace(), async |world| {
        world.fault(slow_answer(Duration::from_millis(300)).times(1))?;
        let first = world.sender("first").await?;
        world.publish("sell", "417").await?;
        world.until_accepted_by_the_vendor("417").await?;
        first.signal("STOP").await?;
        assert_eq!(world.the_row("417").await?.state, "sending");

        let _second = world.fleet.start("second", &["all"]).await?;
        let done = world.assert_done_once("417").await?;
        first.signal("CONT").await?;
        wait::until("the frozen try has an end", LIMIT, async || {
            Ok(world.sends("417").await?.iter().all(|send| send.finished).then_some(()))
        })
        .await?;
        assert_eq!(world.the_row("417").await?, done, "the late answer moved nothing");
        // On a busy machine the second one may lose its lease as well.
        let sends = world.sends("417").await?.len();
        assert!(sends >= 2, "{sends}");
        assert!(world.only_document("417")?.requests >= 2);
        let told = first.log().lines().any(|line| line.contains("came after the lease"));
        assert!(told, "{}", first.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_recorded_after_the_lease_is_kept_as_evidence_and_moves_nothing() -> anyhow::Result<()> {
    within("late", &pace(), async |world| {
        world.fault(slow_answer(Duration::from_millis(500)).times(1))?;
        let first = world.sender("first").await?;
        world.publish("sell", "417").await?;
        world.until_accepted_by_the_vendor("417").await?;
        // The first sender gets its answer and can not write it down until somebody else has taken over.
        world.database.set(Flow::HoldRequests);
        let direct = [("KASSA_DATABASE__URL", world.fleet.database.url.as_str())];
        let mut second = world.fleet.start_with("second", &["sender"], &direct).await?;
        let taken_over = world.until_state("417", "waiting").await?;
        assert_eq!(classes(&world.sends("417").await?), [None, Some("adopted")]);
        assert!(second.stop(Duration::from_secs(15)).await?);

        world.database.set(Flow::Open);
        wait::until("the late record", LIMIT, async || {
            Ok(world.sends("417").await?.iter().all(|send| send.finished).then_some(()))
        })
        .await?;
        let sends = world.sends("417").await?;
        assert_eq!(classes(&sends), [Some("accepted"), Some("adopted")]);
        let answer: Value = serde_json::from_str(sends[0].answer.as_deref().unwrap_or_default())?;
        assert_eq!(answer["uuid"].as_str(), taken_over.vendor_uuid.as_deref());
        assert_eq!(world.the_row("417").await?, taken_over);
        drop(first);

        let _poller = world.poller("poller").await?;
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_call_that_arrives_long_after_its_sender_died_is_the_same_registration() -> anyhow::Result<()> {
    within("delayed", &pace(), async |world| {
        let mut first = world.sender("first").await?;
        world.publish("sell", "1").await?;
        world.until_state("1", "waiting").await?;
        world.vendor.set(Flow::HoldRequests);
        world.publish("sell", "417").await?;
        world.until_state("417", "sending").await?;
        until_held(&world.vendor, 0).await?;
        first.kill().await?;
        // The dead one's call is still on its way while the second sender makes its own.
        world.vendor.hold_present();
        let _second = world.fleet.start("second", &["all"]).await?;
        world.assert_done_once("417").await?;
        world.vendor.set(Flow::Open);
        world
            .until_books("the late call is refused as a duplicate", |books| {
                books
                    .by_external_id("invoice_main_417")
                    .is_some_and(|document| document.requests == 2)
            })
            .await?;
        world.assert_done_once("417").await?;
        Ok(())
    })
    .await
}
