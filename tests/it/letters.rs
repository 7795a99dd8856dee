//! What was not accepted, what has failed and what nobody knows: people's commands on a real fleet.

use anyhow::Context;
use kassa_tests::listener::Listener;
use kassa_tests::request::request;
use kassa_tests::wait;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use serde_json::{Value, json};
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

fn dies_with(kind: &str, code: i64) -> Rule {
    Rule::new(Point::Processing, Action::Error(ErrorAnswer::new(kind, code)))
}

/// The same document and marker with another content.
fn corrected(number: &str) -> Value {
    let mut body = request("main", "sell", number, number);
    body["lines"][1]["name"] = json!("Courier to the door");
    body
}

/// Exit code, output as JSON if it is JSON, and what was said about it.
async fn command(world: &World, arguments: &[&str]) -> anyhow::Result<(Option<i32>, Value, String)> {
    let output = world.fleet.try_command(arguments).await?;
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!words.contains("panicked"), "{words}");
    Ok((output.status.code(), json, words))
}

async fn until_letters(world: &World, count: usize) -> anyhow::Result<()> {
    wait::until(&format!("{count} dead letters"), LIMIT, async || {
        Ok((world.dead_letters().await?.len() >= count).then_some(()))
    })
    .await
}

/// Puts the settings of another store into the configuration, for processes that are started from now on.
fn configure_store(world: &World, code: &str, more: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(world.fleet.config())?;
    let inn = simulator::Account::default().inn;
    let store = format!(
        "\n[stores.{code}]\naccount = \"main\"\ninn = \"{inn}\"\nsno = \"osn\"\npayment_address = \
         \"https://shop.example\"\ncompany_email = \"kassa@shop.example\"\nretry_intervals = [\"1s\"]\npoll_intervals \
         = [\"1s\"]\n{more}\n"
    );
    Ok(std::fs::write(world.fleet.config(), text + &store)?)
}

#[tokio::test]
async fn dead_letters_are_listed_shown_corrected_replayed_once_and_dropped() -> anyhow::Result<()> {
    within("letters", &pace(), async |world| {
        let _all = world.all().await?;
        let mut wrong = request("main", "sell", "417", "417");
        wrong["lines"][0]["price"] = json!("-1");
        wrong["customer"]["name"] = json!("\u{1b}[2J\u{9b}31m\u{202e}evil");
        wrong["colour"] = json!("red");
        world.shop.publish("main", wrong.to_string().as_bytes()).await?;
        world.shop.publish("main", b"\xff\xfe\x1b[2Jnot text").await?;
        world.shop.publish("main", b"{broken").await?;
        until_letters(world, 3).await?;

        let (code, list, _) = command(world, &["dead", "list", "--output", "json"]).await?;
        assert_eq!((code, list.as_array().map(Vec::len)), (Some(0), Some(3)), "{list}");
        let (_, list, _) = command(world, &["dead", "list", "--document", "417", "--output", "json"]).await?;
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
        let id = list[0]["id"].as_str().context("an id")?.to_owned();
        let plain = world.fleet.command(&["dead", "list", "--text", "evil"]).await?;
        assert!(plain.lines().count() == 1 && plain.starts_with(&id), "{plain}");

        // Every fault with field and cure, and nothing that a terminal would obey.
        let shown = world.fleet.command(&["dead", "show", &id]).await?;
        for fact in [
            "/lines/0/price",
            "/colour",
            "unknown_field",
            "receipt.request.v1",
            "evil",
            "invalid",
        ] {
            assert!(shown.contains(fact), "{fact} is missing:\n{shown}");
        }
        let letters = world.fleet.command(&["dead", "list", "--output", "json"]).await?;
        let broken = world.fleet.command(&["dead", "list", "--text", "not text"]).await?;
        let broken = broken.split('\t').next().context("an id")?.to_owned();
        let digits = world.fleet.command(&["dead", "show", &broken]).await?;
        assert!(digits.contains("ff fe 1b 5b 32 4a"), "{digits}");
        for text in [&shown, &letters, &digits, &plain] {
            assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        }
        let raw = world.fleet.try_command(&["dead", "show", &broken, "--body"]).await?;
        assert_eq!(raw.stdout, b"\xff\xfe\x1b[2Jnot text");
        assert_eq!(command(world, &["dead", "show", "no-such"]).await?.0, Some(3));

        // Replayed as it is, it is refused again; nobody may replay without saying which.
        let (code, fates, words) = command(world, &["dead", "replay", &id, "--output", "json"]).await?;
        assert_eq!((code, &fates[0]["result"]), (Some(4), &json!("refused")), "{words}");
        assert_eq!(command(world, &["dead", "replay"]).await?.0, Some(2));
        assert_eq!(command(world, &["dead", "replay", "no-such"]).await?.0, Some(3));

        let file = world.file("mended.json", &request("main", "sell", "417", "417"))?;
        let replay = [
            "dead", "replay", &id, "--file", &file, "--as", "maria", "--output", "json",
        ];
        let (code, fates, _) = command(world, &[&replay[..], &["--dry-run"]].concat()).await?;
        assert_eq!((code, &fates[0]["result"]), (Some(0), &json!("accepted")));
        assert_eq!(world.row("417").await?, None, "a dry run accepts nothing");
        let (code, fates, words) = command(world, &replay).await?;
        assert_eq!((code, &fates[0]["result"]), (Some(0), &json!("accepted")), "{words}");
        assert_eq!(fates[0]["external_id"], "invoice_main_417");
        let row = world.assert_done_once("417").await?;
        assert_eq!(fates[0]["transaction_id"], row.id.to_string());
        let (code, again, _) = command(world, &["dead", "replay", &id, "--output", "json"]).await?;
        assert_eq!((code, &again[0]["result"]), (Some(0), &json!("known")));
        assert_eq!(again[0]["transaction_id"], row.id.to_string());
        assert_eq!(
            command(world, &replay).await?.0,
            Some(4),
            "a further correction is a request of its own"
        );
        let shown: Value = serde_json::from_str(&world.fleet.command(&["show", "417", "--output", "json"]).await?)?;
        assert_eq!(shown["actions"][0]["action"], "replay");
        let actor = shown["actions"][0]["actor"].as_str().unwrap_or_default();
        assert!(actor.starts_with("maria (by "), "{actor}");

        // Of several some may be accepted: here none of the others is.
        let (code, fates, _) = command(world, &["dead", "replay", "--all", "--output", "json"]).await?;
        assert_eq!((code, fates.as_array().map(Vec::len)), (Some(4), Some(2)), "{fates}");
        let (code, _, words) = command(world, &["dead", "drop", "--reason", "invalid"]).await?;
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains("2 dead letters") && words.contains("--yes"), "{words}");
        let (code, told, _) = command(world, &["dead", "drop", "--all", "--dry-run", "--output", "json"]).await?;
        assert_eq!(
            (code, told),
            (Some(0), json!({"matched": 2, "dropped": 0, "dry_run": true}))
        );
        let (code, told, _) = command(
            world,
            &["dead", "drop", "--all", "--yes", "--note", "noise", "--output", "json"],
        )
        .await?;
        assert_eq!(
            (code, told),
            (Some(0), json!({"matched": 2, "dropped": 2, "dry_run": false}))
        );
        let drops: i64 = sqlx::query_scalar("SELECT count(*) FROM actions WHERE action = 'drop' AND reason = 'noise'")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!((drops, world.dead_letters().await?.len()), (2, 1));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn messages_for_a_store_that_is_configured_later_are_accepted_by_themselves_and_once() -> anyhow::Result<()> {
    within("later", &pace(), async |world| {
        let all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        for number in 0..30 {
            let marker = format!("o-{number}");
            let body = request("outlet", "sell", &marker, &marker).to_string();
            world.shop.publish("outlet", body.as_bytes()).await?;
        }
        until_letters(world, 30).await?;
        let told = |event: &kassa_tests::listener::Event| event.routing_key == "outlet.request.rejected";
        listener
            .until(LIMIT, |events| events.iter().filter(|event| told(event)).count() == 30)
            .await?;
        drop(all);
        configure_store(world, "outlet", "")?;
        let (one, two, three) = tokio::try_join!(world.all(), world.poller("poller-2"), world.poller("poller-3"))?;
        for number in 0..30 {
            world.assert_done_once(&format!("o-{number}")).await?;
        }
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL")
            .fetch_one(&world.pool)
            .await?;
        let replays: i64 = sqlx::query_scalar("SELECT count(*) FROM actions WHERE action = 'replay'")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!((left, replays, world.count("done").await?), (0, 30, 30));
        drop((one, two, three));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_broker_dead_letters_is_accepted_or_kept_and_a_canary_is_dropped() -> anyhow::Result<()> {
    within("drained", &pace(), async |world| {
        let _all = world.all().await?;
        let dead = format!("{}.dead", world.fleet.prefix);
        let publish = async |kind: &'static str, key: &'static str, body: Vec<u8>| {
            let properties = BasicProperties::default().with_delivery_mode(2).with_type(kind.into());
            let options = BasicPublishOptions::default();
            let channel = world.shop.channel();
            let confirm = channel
                .basic_publish(dead.as_str().into(), key.into(), options, &body, properties)
                .await?;
            anyhow::Ok(confirm.await?)
        };
        // A canary has no body; what has one is somebody's, whatever its type says.
        publish("kassa.canary.v1", "atol", Vec::new()).await?;
        publish("kassa.canary.v1", "atol", b"tweet".to_vec()).await?;
        let good = request("main", "sell", "417", "417").to_string().into_bytes();
        publish("receipt.request.v1", "main", good).await?;
        publish("receipt.request.v1", "main", b"{broken".to_vec()).await?;
        world.assert_done_once("417").await?;
        until_letters(world, 2).await?;
        wait::until("the queue of the dead is empty", LIMIT, async || {
            Ok((world.depth("dead").await? == 0).then_some(()))
        })
        .await?;
        let (_, list, _) = command(world, &["dead", "list", "--origin", "broker", "--output", "json"]).await?;
        assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
        let mut bodies: Vec<_> = world.dead_letters().await?.into_iter().map(|(_, body)| body).collect();
        bodies.sort();
        assert_eq!(bodies, [b"tweet".to_vec(), b"{broken".to_vec()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_corrected_receipt_is_registered_under_the_same_number_after_the_first_has_failed() -> anyhow::Result<()> {
    within("revised", &pace(), async |world| {
        world.fault(dies_with("driver", 128).for_marker("417").times(1))?;
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        world.publish("sell", "417").await?;
        let former = world.until_state("417", "failed").await?;
        world
            .shop
            .publish("main", corrected("417").to_string().as_bytes())
            .await?;
        let row = world
            .until_row("417", |row| row.id != former.id && row.state == "done")
            .await?;
        assert_eq!(row.external_id, "invoice_main_417__1");
        assert_eq!(world.registered("417"), 1);
        assert_eq!(world.documents("417").len(), 2);
        let replaces = json!(former.id);
        listener
            .until(LIMIT, |events| {
                let accepted = |event: &&kassa_tests::listener::Event| event.routing_key == "main.receipt.accepted";
                events
                    .iter()
                    .filter(accepted)
                    .any(|event| event.body["replaces"] == replaces)
            })
            .await?;

        // The old one once more, and the new one once more, are what they were; a third content is a conflict.
        world.publish("sell", "417").await?;
        world
            .shop
            .publish("main", corrected("417").to_string().as_bytes())
            .await?;
        let mut third = corrected("417");
        third["lines"][1]["name"] = json!("Pick-up");
        world.shop.publish("main", third.to_string().as_bytes()).await?;
        until_letters(world, 1).await?;
        listener
            .until(LIMIT, |events| {
                events.iter().any(|event| {
                    event.routing_key == "main.receipt.conflict"
                        && event.body["document"] == "417"
                        && event.body["state"] == "done"
                        && event.body["transaction_id"] == row.id.to_string()
                })
            })
            .await?;
        assert_eq!(world.dead_letters().await?.len(), 1);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!((rows, world.documents("417").len(), world.registered("417")), (2, 2, 1));

        let (code, list, _) = command(world, &["show", "417", "--output", "json"]).await?;
        assert_eq!((code, list.as_array().map(Vec::len)), (Some(0), Some(2)));
        assert_eq!((&list[0]["revision"], &list[0]["replaces"]), (&json!(1), &replaces));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_ends_an_unknown_outcome_by_what_the_vendor_shows() -> anyhow::Result<()> {
    within("resolved", &pace(), async |world| {
        world.faults(vec![
            dies_with("driver", 6).for_marker("sent-again").times(1),
            dies_with("driver", 6).for_marker("found").times(1),
        ])?;
        let _all = world.all().await?;
        world.publish("sell", "sent-again").await?;
        world.publish("sell", "found").await?;
        world.publish("sell", "done").await?;
        world.until_state("found", "unknown").await?;
        world.until_state("sent-again", "unknown").await?;
        let done = world.assert_done_once("done").await?;

        let not_registered = ["resolve", "sent-again", "--not-registered"];
        assert_eq!(command(world, &not_registered).await?.0, Some(2), "a reason is needed");
        let not_registered = [
            &not_registered[..],
            &["--reason", "not in the cabinet", "--output", "json"],
        ]
        .concat();
        let (code, told, _) = command(world, &[&not_registered[..], &["--dry-run"]].concat()).await?;
        assert_eq!(
            (code, &told["external_id"]),
            (Some(0), &json!("invoice_main_sent-again__1"))
        );
        assert_eq!(world.the_row("sent-again").await?.state, "unknown");
        let (code, _, words) = command(world, &not_registered).await?;
        assert_eq!(code, Some(0), "{words}");
        let row = world.assert_done_once("sent-again").await?;
        assert_eq!(
            (row.external_id.as_str(), row.generation),
            ("invoice_main_sent-again__1", 1)
        );
        let (code, _, words) = command(world, &not_registered).await?;
        assert_eq!(code, Some(4), "{words}");
        assert!(words.contains("is registered already"), "{words}");

        let typed = [
            "resolve",
            "found",
            "--registered",
            "--fn",
            "1",
            "--fd",
            "0",
            "--fpd",
            "x",
            "--total",
            "1.00",
        ];
        let (code, _, words) = command(world, &typed).await?;
        assert_eq!(code, Some(2));
        for field in ["--fn:", "--fd:", "--fpd:", "--total:"] {
            assert!(words.contains(field), "{field} is not named: {words}");
        }
        let (fn_number, fd) = (
            done.fn_number.unwrap_or_default(),
            done.fd.unwrap_or_default().to_string(),
        );
        let others = [
            "resolve",
            "found",
            "--registered",
            "--fn",
            &fn_number,
            "--fd",
            &fd,
            "--fpd",
            "1",
        ];
        let (code, _, words) = command(world, &others).await?;
        assert_eq!(code, Some(4), "{words}");
        assert!(words.contains(&done.id.to_string()), "{words}");

        let ours = [
            "resolve",
            "found",
            "--registered",
            "--fn",
            &fn_number,
            "--fd",
            "4000000000",
            "--fpd",
            "0871940355",
        ];
        let (code, told, words) = command(world, &[&ours[..], &["--output", "json"]].concat()).await?;
        assert_eq!((code, &told["state"]), (Some(0), &json!("done")), "{words}");
        let row = world.the_row("found").await?;
        assert_eq!(
            (row.state.as_str(), row.fd, row.fpd.as_deref()),
            ("done", Some(4_000_000_000), Some("871940355"))
        );
        assert_eq!(world.only_document("found")?.requests, 1, "nothing was sent for it");
        let shown = world.fleet.command(&["show", "sent-again"]).await?;
        assert!(
            shown.contains("not in the cabinet") && shown.contains("resolve"),
            "{shown}"
        );
        assert_eq!(
            command(world, &["resolve", "nothing", "--not-registered", "--reason", "x"])
                .await?
                .0,
            Some(3)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cancelled_receipt_is_sent_by_nothing_and_may_be_replaced() -> anyhow::Result<()> {
    within("closed", &pace(), async |world| {
        // A poller has no hands to send.
        let _poller = world.poller("poller").await?;
        let path = world.file("sale.json", &request("main", "sell", "417", "417"))?;
        world.fleet.command(&["sell", "--file", &path]).await?;
        let closed = [
            "cancel",
            "417",
            "--reason",
            "the order was paid twice",
            "--output",
            "json",
        ];
        let (code, told, words) = command(world, &closed).await?;
        assert_eq!((code, &told["state"]), (Some(0), &json!("cancelled")), "{words}");
        assert_eq!(command(world, &closed).await?.0, Some(4));

        let _sender = world.sender("sender").await?;
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        assert_eq!(world.the_row("417").await?.state, "cancelled");
        assert!(world.documents("417").is_empty());
        let path = world.file("other.json", &corrected("417"))?;
        let (code, told, _) = command(world, &["sell", "--file", &path, "--output", "json"]).await?;
        assert_eq!((code, &told["external_id"]), (Some(0), &json!("invoice_main_417__1")));
        world.assert_done_once("417").await?;
        let (code, _, words) = command(world, &["cancel", "418", "--reason", "x"]).await?;
        assert_eq!(code, Some(4), "{words}");
        assert!(words.contains("is registered"), "{words}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_code_of_the_stores_own_list_is_sent_again_and_only_there() -> anyhow::Result<()> {
    within("nonfatal", &pace(), async |world| {
        configure_store(world, "outlet", r#"non_fatal_codes = ["driver:128"]"#)?;
        world.faults(vec![
            dies_with("driver", 128).for_marker("listed").times(2),
            dies_with("driver", 128).for_marker("elsewhere").times(1),
        ])?;
        let _all = world.all().await?;
        let body = request("outlet", "sell", "listed", "listed").to_string();
        world.shop.publish("outlet", body.as_bytes()).await?;
        world.publish("sell", "elsewhere").await?;
        let row = world.assert_done_once("listed").await?;
        assert_eq!(
            (row.external_id.as_str(), row.generation),
            ("invoice_outlet_listed__2", 2)
        );
        world.until_state("elsewhere", "failed").await?;

        let text = std::fs::read_to_string(world.fleet.config())?;
        for (listed, reason) in [
            ("driver:6", "undecided: the receipt may have been registered"),
            ("system:128", "did you mean driver:128?"),
            ("128", "is not a vendor's code"),
        ] {
            let path = world.fleet.folder.join("spoilt.toml");
            std::fs::write(&path, text.replace("driver:128", listed))?;
            let path = path.to_str().context("a path in UTF-8")?;
            for arguments in [&["check-config", "--offline"][..], &["run", "all"]] {
                let output = world.fleet.try_command_with(path, arguments).await?;
                let words = format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                assert_eq!(output.status.code(), Some(1), "{words}");
                assert!(
                    words.contains("stores.outlet.non_fatal_codes") && words.contains(reason),
                    "{arguments:?}: {words}"
                );
            }
        }
        Ok(())
    })
    .await
}
