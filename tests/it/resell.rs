//! Resell, sending by hand and asking now: people's commands on a real fleet, and the books of both vendors.

use std::time::Duration;

use anyhow::{Context, ensure};
use kassa_tests::fleet::Pace;
use kassa_tests::process::Process;
use kassa_tests::proxy::Flow;
use kassa_tests::request::request;
use kassa_tests::wait;
use serde_json::Value;
use simulator::{Action, Certificate, ErrorAnswer, Point, Rule};

use crate::restarts::until_held;
use crate::world::{LIMIT, World, pace, within};

/// A store at the vendor that answers at once.
fn with_cloud(world: &World) -> anyhow::Result<()> {
    let files = world.simulator.checkonline_files().context("every world has one")?;
    let url = world.simulator.checkonline_url().context("every world has one")?;
    let (cert, key, ca) = (
        files.certificate(Certificate::North),
        files.key(Certificate::North),
        files.ca(),
    );
    let [cert, key, ca] = [cert, key, ca].map(|path| path.display().to_string());
    world.fleet.configure(&format!(
        r#"
[accounts.cloud]
vendor = "checkonline"
url = "{url}"
group = "north"
client_id = "cloud"
cert_file = "{cert}"
key_file = "{key}"
ca_file = "{ca}"
call = "2s"

[stores.cloud]
account = "cloud"
inn = "5544332219"
sno = "osn"
payment_address = "https://cloud.example"
company_email = "kassa@cloud.example"
retry_intervals = ["1s", "2s", "5s"]
"#
    ))
}

/// The sale, or a half of its resell, as the table has it.
#[derive(Debug, sqlx::FromRow)]
struct Half {
    operation: String,
    external_id: String,
    state: String,
    fd: Option<i64>,
    wire_body: Option<String>,
}

async fn publish(world: &World, store: &str, operation: &str, number: &str) -> anyhow::Result<()> {
    let body = request(store, operation, number, number).to_string();
    world.shop.publish(store, body.as_bytes()).await
}

/// Exit code, output as JSON if it is JSON, and what was said about it.
async fn command(world: &World, arguments: &[&str]) -> anyhow::Result<(Option<i32>, Value, String)> {
    let output = world.fleet.try_command(arguments).await?;
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!words.contains("panicked"), "{words}");
    Ok((output.status.code(), json, words))
}

async fn state_of(world: &World, number: &str, operation: &str) -> anyhow::Result<String> {
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM transactions WHERE document_number = $1 AND operation = $2")
            .bind(number)
            .bind(operation)
            .fetch_all(&world.pool)
            .await?;
    Ok(states.join(", "))
}

async fn until(world: &World, number: &str, operation: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let what = format!("{operation} of {number} is one of {wanted:?}");
    wait::until(&what, LIMIT, async || {
        let state = state_of(world, number, operation).await?;
        Ok(wanted.contains(&state.as_str()).then_some(()))
    })
    .await
}

/// The original sale, one cancelling receipt and one new sale stand in the books, and no more; the table agrees.
async fn assert_resold_once(world: &World, number: &str) -> anyhow::Result<()> {
    until(world, number, "resell_sell", &["done"]).await?;
    let rows: Vec<Half> = sqlx::query_as(
        "SELECT t.operation, t.external_id, t.state, t.fd, r.wire_body FROM transactions t \
         JOIN registrations r ON r.transaction_id = t.id AND r.generation = t.generation \
         WHERE t.document_number = $1 ORDER BY t.id",
    )
    .bind(number)
    .fetch_all(&world.pool)
    .await?;
    let brief: Vec<_> = rows
        .iter()
        .map(|row| (row.operation.as_str(), row.state.as_str()))
        .collect();
    assert_eq!(
        brief,
        [("sell", "done"), ("resell_refund", "done"), ("resell_sell", "done")]
    );
    assert_eq!(world.registered(number), 3, "{number}");
    let documents = world.documents(number);
    for (row, operation) in rows.iter().zip(["sell", "sell_refund", "sell"]) {
        let external_id = &row.external_id;
        let of_id: Vec<_> = documents
            .iter()
            .filter(|document| document.external_id == *external_id)
            .collect();
        let [document] = of_id.as_slice() else {
            anyhow::bail!("{external_id} has {} documents", of_id.len())
        };
        assert_eq!((document.operation.as_str(), document.registered), (operation, 1));
        assert_eq!(document.total_kopecks, 120_000);
        let fiscal = document.fiscal.as_ref().context("a fiscal document")?;
        assert_eq!(row.fd, Some(i64::from(fiscal.fiscal_document_number)));
    }
    let original = documents
        .iter()
        .find(|document| document.external_id == rows[0].external_id)
        .and_then(|document| document.fiscal.as_ref())
        .context("the original")?;
    let fpd = format!("\"{}\"", original.fiscal_document_attribute);
    for Half {
        external_id, wire_body, ..
    } in &rows[1..]
    {
        let sent = wire_body.as_deref().unwrap_or_default();
        assert!(
            sent.contains(&fpd),
            "{external_id} carries the sign of the original: {sent}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_sale_is_cancelled_and_registered_anew_at_both_vendors_and_once_more() -> anyhow::Result<()> {
    within("resell", &pace(), async |world| {
        with_cloud(world)?;
        let _all = world.all().await?;
        for (store, number) in [("main", "A-1"), ("cloud", "C-1")] {
            publish(world, store, "sell", number).await?;
            world.assert_done_once(number).await?;
            let (code, told, words) = command(world, &["resell", number, "--dry-run", "--output", "json"]).await?;
            assert_eq!(code, Some(0), "{words}");
            assert_eq!(told["planned"]["refund"], format!("invoice_{store}_{number}_refund"));
            let (code, told, words) = command(
                world,
                &["resell", number, "--reason", "wrong rate", "--wait", "--output", "json"],
            )
            .await?;
            assert_eq!((code, &told["result"]), (Some(0), &"started".into()), "{words}");
            assert_eq!(told["sell"]["state"], "done", "{told}");
            assert_resold_once(world, number).await?;
            let sale = told["sale"]["id"].as_str().context("an id")?;
            let (_, shown, _) = command(world, &["show", sale, "--output", "json"]).await?;
            assert_eq!(shown["children"][0]["id"], told["refund"]["id"]);
            assert_eq!(shown["actions"][0]["action"], "resell");
            let sell = told["sell"]["id"].as_str().context("an id")?;
            let (_, shown, _) = command(world, &["show", sell, "--output", "json"]).await?;
            assert_eq!(shown["parent"]["id"], told["refund"]["id"]);

            // Once more: the new sale is cancelled, under keys of its own.
            let (code, told, words) = command(world, &["resell", number, "--wait", "--output", "json"]).await?;
            assert_eq!(code, Some(0), "{words}");
            assert_eq!(told["sale"]["id"], sell);
            assert_eq!(told["sell"]["external_id"], format!("invoice_{store}_{number}_resell2"));
            assert_eq!(world.registered(number), 5);
        }
        Ok(())
    })
    .await
}

/// Answers of the vendor to the registrations under this marker come late, after it has registered them.
fn slowly(marker: &str) -> Rule {
    Rule::new(Point::Register, Action::Nothing)
        .after()
        .delayed(Duration::from_millis(1500))
        .for_marker(marker)
}

async fn restarted(world: &World, mut process: Process, name: &str) -> anyhow::Result<Process> {
    process.kill().await?;
    world.fleet.start(name, &["all"]).await
}

/// Kills the fleet at each step: before the first half is claimed, while either half is on its way, and when the first has
/// just been taken or registered.
async fn killed_at_each_step(world: &World, store: &str, number: &str) -> anyhow::Result<()> {
    let all = world.all().await?;
    publish(world, store, "sell", number).await?;
    world.assert_done_once(number).await?;
    let mut all = all;
    all.kill().await?;
    let (code, _, words) = command(world, &["resell", number]).await?;
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(state_of(world, number, "resell_refund").await?, "queued");
    assert_eq!(state_of(world, number, "resell_sell").await?, "held");

    world.fault(slowly(number))?;
    let all = world.fleet.start("second", &["all"]).await?;
    world
        .until_books("the cancelling receipt", |_| world.documents(number).len() == 2)
        .await?;
    let all = restarted(world, all, "third").await?;
    until(world, number, "resell_refund", &["waiting", "done"]).await?;
    let all = restarted(world, all, "fourth").await?;
    world
        .until_books("the new sale", |_| world.documents(number).len() == 3)
        .await?;
    let all = restarted(world, all, "fifth").await?;
    until(world, number, "resell_sell", &["waiting", "done"]).await?;
    let all = restarted(world, all, "sixth").await?;
    world.heal();
    assert_resold_once(world, number).await?;
    drop(all);
    Ok(())
}

#[tokio::test]
async fn a_resell_that_is_killed_at_each_of_its_steps_goes_on() -> anyhow::Result<()> {
    within("resellkilled", &pace(), async |world| {
        killed_at_each_step(world, "main", "A-1").await
    })
    .await
}

#[tokio::test]
async fn a_resell_that_is_killed_at_each_of_its_steps_goes_on_at_the_vendor_that_answers_at_once() -> anyhow::Result<()>
{
    within("cloudkilled", &pace(), async |world| {
        with_cloud(world)?;
        killed_at_each_step(world, "cloud", "C-1").await
    })
    .await
}

/// Both halves are refused once each, and sent again under the next key.
async fn each_half_fails_once(world: &World, store: &str, number: &str, refusal: &ErrorAnswer) -> anyhow::Result<()> {
    let refused = |key: &str| {
        Rule::new(Point::Processing, Action::Error(refusal.clone()))
            .for_external_id(format!("invoice_{store}_{number}_{key}"))
            .times(1)
    };
    world.faults(vec![refused("refund"), refused("resell")])?;
    publish(world, store, "sell", number).await?;
    until(world, number, "sell", &["done"]).await?;
    let (code, _, words) = command(world, &["resell", number]).await?;
    assert_eq!(code, Some(0), "{words}");
    until(world, number, "resell_refund", &["failed"]).await?;
    assert_eq!(state_of(world, number, "resell_sell").await?, "held");
    assert_eq!(world.registered(number), 1, "the sale stands as it stood");

    let (code, told, words) = command(world, &["resell", number, "--force", "--output", "json"]).await?;
    assert_eq!((code, &told["result"]), (Some(0), &"resumed".into()), "{words}");
    // The purchase has no valid receipt now, which the shop is told.
    until(world, number, "resell_sell", &["failed"]).await?;
    assert_eq!(state_of(world, number, "resell_refund").await?, "done");
    assert_eq!(world.registered(number), 2);
    let told: Vec<Value> = sqlx::query_scalar(
        "SELECT e.body FROM events e JOIN transactions t ON t.id = e.transaction_id \
         WHERE t.document_number = $1 AND t.operation = 'resell_sell' AND e.type = 'receipt.failed'",
    )
    .bind(number)
    .fetch_all(&world.pool)
    .await?;
    let [told] = told.as_slice() else {
        anyhow::bail!("{} failures are told", told.len())
    };
    assert_eq!(told["order_status_hint"], "kkm_failed");
    let text = told["text"]["en"].as_str().unwrap_or_default();
    assert!(text.contains("the purchase has no valid receipt"), "{text}");

    let (code, _, words) = command(world, &["resell", number]).await?;
    assert_eq!(code, Some(4));
    assert!(words.contains("--force"), "{words}");
    let (code, told, words) = command(world, &["resell", number, "--force", "--wait", "--output", "json"]).await?;
    assert_eq!((code, &told["result"]), (Some(0), &"resumed".into()), "{words}");
    for (half, key) in [("refund", "refund__1"), ("sell", "resell__1")] {
        let external_id = format!("invoice_{store}_{number}_{key}");
        assert_eq!(told[half]["external_id"], external_id, "{told}");
    }
    assert_resold_once(world, number).await
}

#[tokio::test]
async fn both_halves_may_fail_and_the_resell_is_brought_to_its_end() -> anyhow::Result<()> {
    within("resellboth", &pace(), async |world| {
        let _all = world.all().await?;
        each_half_fails_once(world, "main", "A-1", &ErrorAnswer::new("driver", 128)).await
    })
    .await
}

#[tokio::test]
async fn both_halves_may_fail_at_the_vendor_that_answers_at_once_and_the_resell_is_brought_to_its_end()
-> anyhow::Result<()> {
    within("cloudboth", &pace(), async |world| {
        with_cloud(world)?;
        let _all = world.all().await?;
        each_half_fails_once(world, "cloud", "C-1", &ErrorAnswer::new("device", 51)).await
    })
    .await
}

/// Has everything that waits asked about at once, and again until `wanted` holds of the operation.
async fn ask_until(world: &World, number: &str, operation: &str, wanted: &str) -> anyhow::Result<()> {
    let what = format!("{operation} of {number} is {wanted}");
    wait::until(&what, LIMIT, async || {
        sqlx::query("UPDATE registrations SET next_poll_at = now() WHERE next_poll_at > now()")
            .execute(&world.pool)
            .await?;
        Ok((state_of(world, number, operation).await? == wanted).then_some(()))
    })
    .await
}

/// The vendor has answered that a half is registered, and the process that asked dies before it has written that down.
#[tokio::test]
async fn a_report_of_a_half_that_died_with_its_poller_is_asked_for_again() -> anyhow::Result<()> {
    // So long that nobody asks but when the test wants it.
    let patient = Pace {
        poll_intervals: r#"["1h"]"#,
        ..pace()
    };
    within("resellreport", &patient, async |world| {
        let mut all = world.all().await?;
        publish(world, "main", "sell", "417").await?;
        ask_until(world, "417", "sell", "done").await?;
        let (code, _, words) = command(world, &["resell", "417"]).await?;
        assert_eq!(code, Some(0), "{words}");
        for (number, (operation, next)) in [("resell_refund", "resell_sell"), ("resell_sell", "")]
            .iter()
            .enumerate()
        {
            until(world, "417", operation, &["waiting"]).await?;
            let documents = u32::try_from(number)? + 2;
            world
                .until_books("the half is registered", |_| world.registered("417") == documents)
                .await?;
            let before = world.vendor.held();
            world.vendor.set(Flow::HoldAnswers);
            sqlx::query("UPDATE registrations SET next_poll_at = now() WHERE next_poll_at > now()")
                .execute(&world.pool)
                .await?;
            until_held(&world.vendor, before).await?;
            all.kill().await?;
            assert_eq!(
                state_of(world, "417", operation).await?,
                "waiting",
                "nothing was written"
            );
            if !next.is_empty() {
                assert_eq!(state_of(world, "417", next).await?, "held");
            }
            world.vendor.set(Flow::Open);
            all = world.fleet.start(&format!("after-{operation}"), &["all"]).await?;
            ask_until(world, "417", operation, "done").await?;
        }
        assert_resold_once(world, "417").await?;
        drop(all);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_half_that_has_failed_is_sent_again_under_the_next_key_and_a_refund_is_in_the_way() -> anyhow::Result<()> {
    within("resellfails", &pace(), async |world| {
        let _all = world.all().await?;
        publish(world, "main", "sell", "417").await?;
        world.assert_done_once("417").await?;
        assert_eq!(command(world, &["resell", "no-such"]).await?.0, Some(3));

        // A rejection by the register: proven dead, and for a person.
        let refuse = |count| {
            Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("driver", 128)))
                .for_marker("417")
                .times(count)
        };
        world.fault(refuse(1))?;
        assert_eq!(command(world, &["resell", "417"]).await?.0, Some(0));
        until(world, "417", "resell_refund", &["failed"]).await?;
        let (code, _, words) = command(world, &["resell", "417"]).await?;
        assert_eq!(code, Some(4));
        assert!(words.contains("--force"), "{words}");
        let (code, _, words) = command(world, &["resell", "417", "--force"]).await?;
        assert_eq!(code, Some(0), "{words}");
        until(world, "417", "resell_sell", &["done"]).await?;
        let row = world.the_row("417").await?;
        assert_eq!(row.external_id, "invoice_main_417_resell");
        assert!(world.books().by_external_id("invoice_main_417_refund__1").is_some());
        assert_eq!(world.registered("417"), 3);

        // Of another order's refund nobody speaks; the order's own is listed.
        let mut refund = request("main", "refund", "R-1", "R-1");
        refund["document"]["order"] = "order 417".into();
        world.shop.publish("main", refund.to_string().as_bytes()).await?;
        world.assert_done_once("R-1").await?;
        let (code, _, words) = command(world, &["resell", "417"]).await?;
        assert_eq!(code, Some(4));
        assert!(words.contains("creditmemo_main_R-1"), "{words}");
        assert_eq!(command(world, &["resell", "R-1"]).await?.0, Some(4));
        assert_eq!(world.registered("417"), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_store_that_sends_by_hand_holds_its_receipts_until_a_person_sends_them() -> anyhow::Result<()> {
    let by_hand = Pace {
        stores: "auto_send_invoice = false\nmax_trials = 1\nretry_endlessly = false",
        ..pace()
    };
    within("byhand", &by_hand, async |world| {
        let _all = world.all().await?;
        publish(world, "main", "sell", "417").await?;
        publish(world, "main", "refund", "R-1").await?;
        world.assert_done_once("R-1").await?;
        world.until_state("417", "held").await?;
        assert!(world.documents("417").is_empty());
        let (code, told, words) = command(world, &["sell", "417", "--dry-run", "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"queued".into()), "{words}");
        let (code, told, words) = command(world, &["sell", "417", "--wait", "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"done".into()), "{words}");
        world.assert_done_once("417").await?;
        let (code, _, words) = command(world, &["sell", "417"]).await?;
        assert_eq!(code, Some(4));
        assert!(words.contains("kassa resell 417"), "{words}");
        assert_eq!(
            command(world, &["refund", "417"]).await?.0,
            Some(3),
            "no refund has that number"
        );

        // One that has used up its tries, and one that was refused.
        let file = world.file("418.json", &request("main", "sell", "418", "418"))?;
        let (code, told, words) = command(world, &["sell", "--file", &file, "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"held".into()), "{words}");
        world.fault(Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("driver", 128))).for_marker("418"))?;
        let (code, _, words) = command(world, &["sell", "418", "--wait"]).await?;
        assert_eq!(code, Some(1), "{words}");
        world.until_state("418", "failed").await?;
        world.heal();
        let (code, _, words) = command(world, &["sell", "418"]).await?;
        assert_eq!(code, Some(4));
        assert!(words.contains("--next-id"), "{words}");
        let (code, told, words) = command(world, &["sell", "418", "-i", "--wait", "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"done".into()), "{words}");
        let row = world.assert_done_once("418").await?;
        assert_eq!(row.external_id, "invoice_main_418__1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn refunds_have_a_switch_of_their_own_and_a_corrected_one_is_held_too() -> anyhow::Result<()> {
    let by_hand = Pace {
        stores: "auto_send_creditmemo = false",
        ..pace()
    };
    within("refundhand", &by_hand, async |world| {
        let _all = world.all().await?;
        publish(world, "main", "sell", "417").await?;
        publish(world, "main", "refund", "R-1").await?;
        world.assert_done_once("417").await?;
        world.until_state("R-1", "held").await?;
        assert!(world.documents("R-1").is_empty());
        world.fault(Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("driver", 128))).for_marker("R-1"))?;
        assert_eq!(command(world, &["refund", "R-1", "--wait"]).await?.0, Some(1));
        world.until_state("R-1", "failed").await?;
        world.heal();

        // The corrected receipt is a new one, and waits for a person like the first.
        let corrected = request("main", "refund", "R-1", "corrected").to_string();
        world.shop.publish("main", corrected.as_bytes()).await?;
        let row = world.until_state("R-1", "held").await?;
        assert_eq!(row.external_id, "creditmemo_main_R-1__1");
        assert!(world.documents("corrected").is_empty());
        let (code, told, words) = command(world, &["refund", "R-1", "--wait", "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"done".into()), "{words}");
        assert_eq!((world.registered("R-1"), world.registered("corrected")), (0, 1));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_vendor_is_asked_now_and_one_without_a_status_is_said_to_have_none() -> anyhow::Result<()> {
    let patient = Pace {
        poll_intervals: r#"["1h"]"#,
        ..pace()
    };
    within("updated", &patient, async |world| {
        with_cloud(world)?;
        let all = world.all().await?;
        publish(world, "main", "sell", "417").await?;
        world.until_state("417", "waiting").await?;
        world
            .until_books("a document", |books| books.registered_by_marker().contains_key("417"))
            .await?;
        let (code, told, words) = command(world, &["update-one", "417", "--output", "json"]).await?;
        assert_eq!((code, &told["state"]), (Some(0), &"done".into()), "{words}");
        assert_eq!(told["asked"], true);
        world.assert_done_once("417").await?;

        for number in ["418", "419"] {
            publish(world, "main", "sell", number).await?;
            world.until_state(number, "waiting").await?;
        }
        world
            .until_books("two documents", |books| {
                let registered = books.registered_by_marker();
                registered.contains_key("418") && registered.contains_key("419")
            })
            .await?;
        let (code, told, _) = command(world, &["update-all", "main", "--dry-run", "--output", "json"]).await?;
        assert_eq!((code, told.as_array().map(Vec::len)), (Some(0), Some(2)));
        let (code, told, words) = command(world, &["update-all", "main", "--output", "json"]).await?;
        assert_eq!(code, Some(0), "{words}");
        assert!(
            told.as_array()
                .is_some_and(|all| all.iter().all(|one| one["state"] == "done")),
            "{told}"
        );
        assert_eq!(command(world, &["update-all", "nowhere"]).await?.0, Some(3));

        publish(world, "cloud", "sell", "C-1").await?;
        world.assert_done_once("C-1").await?;
        let (code, told, words) = command(world, &["update-one", "C-1", "--output", "json"]).await?;
        assert_eq!((code, &told["asked"]), (Some(0), &false.into()), "{words}");
        let note = told["note"].as_str().unwrap_or_default();
        assert!(note.contains("no status to ask for"), "{told}");
        let (code, told, words) = command(world, &["update-all", "cloud", "--output", "json"]).await?;
        assert_eq!((code, told.as_array().map(Vec::len)), (Some(0), Some(0)), "{words}");
        assert!(words.contains("no status to ask for"), "{words}");

        // Without a poller the question stays due, and the exit code says to try later.
        publish(world, "main", "sell", "420").await?;
        world.until_state("420", "waiting").await?;
        drop(all);
        let (code, _, words) = command(world, &["update-one", "420", "--wait", "1"]).await?;
        assert_eq!(code, Some(75), "{words}");
        let _all = world.fleet.start("again", &["all"]).await?;
        world.assert_done_once("420").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn completions_and_man_pages_know_the_commands() -> anyhow::Result<()> {
    within("manual", &pace(), async |world| {
        for shell in ["bash", "zsh", "fish"] {
            let script = world.fleet.command(&["completions", shell]).await?;
            assert!(script.contains("update-all") && script.contains("resell"), "{shell}");
        }
        let folder = world.fleet.folder.join("man");
        world
            .fleet
            .command(&["man", folder.to_str().context("a path in UTF-8")?])
            .await?;
        let page = std::fs::read_to_string(folder.join("kassa-resell.1"))?;
        assert!(page.contains("force"), "{page}");
        Ok(())
    })
    .await
}
