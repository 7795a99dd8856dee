//! The main job: from a shop's message to the fiscal document, and what people and machines can see of it.

use std::time::{Duration, Instant};

use kassa_tests::listener::{Event, Listener};
use kassa_tests::request::request;
use serde_json::{Value, json};

use crate::world::{LIMIT, pace, within};

fn types_of(events: &[Event], number: &str) -> Vec<String> {
    let of_it = events.iter().filter(|event| event.body["document"] == number);
    of_it.filter_map(|event| event.message_type.clone()).collect()
}

#[tokio::test]
async fn a_sale_and_a_refund_published_by_amqp_end_done_and_are_told() -> anyhow::Result<()> {
    within("mainjob", &pace(), async |world| {
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        world.publish("sell", "417").await?;
        world.publish("refund", "R-418").await?;

        let sale = world.assert_done_once("417").await?;
        let refund = world.assert_done_once("R-418").await?;
        assert_eq!(
            (sale.operation.as_str(), sale.external_id.as_str()),
            ("sell", "invoice_main_417")
        );
        assert_eq!(
            (refund.operation.as_str(), refund.external_id.as_str()),
            ("refund", "creditmemo_main_R-418")
        );
        assert_eq!(world.only_document("417")?.operation, "sell");
        assert_eq!(world.only_document("R-418")?.operation, "sell_refund");
        assert_eq!(world.only_document("417")?.total_kopecks, 120_000);

        let story = ["receipt.accepted", "receipt.waiting", "receipt.done"];
        listener
            .until(LIMIT, |events| {
                ["417", "R-418"]
                    .iter()
                    .all(|number| types_of(events, number).len() >= 3)
            })
            .await?;
        for number in ["417", "R-418"] {
            let mut types = types_of(&listener.events, number);
            types.sort();
            assert_eq!(types, {
                let mut story = story.map(str::to_owned);
                story.sort();
                story
            });
        }
        for event in &listener.events {
            let kind = event.message_type.clone().unwrap_or_default();
            assert_eq!(event.routing_key, format!("main.{kind}"));
            assert_eq!(event.body["type"], kind.as_str());
            assert_eq!(event.message_id.as_deref(), event.body["id"].as_str());
            assert!(
                event.body["time"].is_string() && event.body["text"]["ru"].is_string(),
                "{}",
                event.text
            );
            assert!(!event.text.contains("buyer@example.org"), "{}", event.text);
        }
        let done = listener
            .events
            .iter()
            .find(|event| event.routing_key == "main.receipt.done" && event.body["document"] == "417");
        let done = &done.expect("told above").body;
        assert_eq!(done["kkm_status"], "done");
        assert_eq!(done["transaction_id"], sale.id.to_string());
        assert_eq!(done["external_id"], "invoice_main_417");
        assert_eq!(done["fiscal"]["fn"].as_str(), sale.fn_number.as_deref(), "{done}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_is_listed_and_is_shown_by_each_of_its_names() -> anyhow::Result<()> {
    within("shown", &pace(), async |world| {
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.assert_done_once("417").await?;

        let list: Value = serde_json::from_str(&world.fleet.command(&["list", "--output", "json"]).await?)?;
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(list[0]["id"], row.id.to_string());
        assert_eq!(list[0]["state"], "done");
        assert_eq!(list[0]["document_number"], "417");
        let none = world
            .fleet
            .command(&["list", "--output", "json", "--state", "failed"])
            .await?;
        assert_eq!(serde_json::from_str::<Value>(&none)?, json!([]));
        let plain = world.fleet.command(&["list"]).await?;
        assert_eq!(plain.lines().count(), 1, "{plain}");
        assert!(plain.contains("invoice_main_417") && plain.contains('\t'), "{plain}");

        let uuid = row.vendor_uuid.clone().unwrap_or_default();
        for name in ["417", &row.id.to_string(), "invoice_main_417", &uuid] {
            let shown: Value = serde_json::from_str(&world.fleet.command(&["show", name, "--output", "json"]).await?)?;
            assert_eq!(shown["id"], row.id.to_string(), "asked by {name}");
            assert_eq!(shown["attempts"][0]["class"], "accepted", "{shown}");
            let password = simulator::Account::default().password;
            assert!(!shown["attempts"].to_string().contains(&password));
        }
        let text = world.fleet.command(&["show", "417"]).await?;
        for fact in [
            "done",
            "1200.00",
            "invoice_main_417",
            row.fn_number.as_deref().unwrap_or("?"),
        ] {
            assert!(text.contains(fact), "{fact} is missing:\n{text}");
        }
        let unknown = world.fleet.try_command(&["show", "no-such-thing"]).await?;
        assert_eq!(unknown.status.code(), Some(3));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_file_is_accepted_once_and_refused_with_every_fault_named() -> anyhow::Result<()> {
    within("file", &pace(), async |world| {
        let _all = world.all().await?;
        let mut body = request("main", "sell", "417", "417");
        let path = world.file("sale.json", &body)?;
        let told: Value = serde_json::from_str(
            &world
                .fleet
                .command(&["sell", "--file", &path, "--output", "json"])
                .await?,
        )?;
        assert_eq!(
            (&told["new"], &told["external_id"]),
            (&json!(true), &json!("invoice_main_417"))
        );
        let row = world.assert_done_once("417").await?;
        assert_eq!(told["id"], row.id.to_string());

        let began = Instant::now();
        let again = world.fleet.try_command(&["sell", "--file", &path]).await?;
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "nobody waits {:?} for a command",
            began.elapsed()
        );
        assert_eq!(again.status.code(), Some(0));
        assert!(
            String::from_utf8_lossy(&again.stdout).contains("was accepted before"),
            "{again:?}"
        );

        body["lines"][0]["name"] = json!("Another mug");
        let path = world.file("other.json", &body)?;
        let other = world.fleet.try_command(&["sell", "--file", &path]).await?;
        assert_eq!(other.status.code(), Some(4), "{other:?}");

        body["lines"][0]["price"] = json!("-1");
        body["customer"] = json!({"email": "nobody"});
        body["colour"] = json!("red");
        let path = world.file("wrong.json", &body)?;
        let wrong = world.fleet.try_command(&["sell", "--file", &path]).await?;
        assert_eq!(wrong.status.code(), Some(2));
        let words = String::from_utf8_lossy(&wrong.stderr);
        for field in ["/lines/0/price", "/customer/email", "/colour"] {
            assert!(words.contains(field), "{field} is not named:\n{words}");
        }

        let as_refund = world.fleet.try_command(&["refund", "--file", &path]).await?;
        assert_eq!(as_refund.status.code(), Some(2), "{as_refund:?}");
        let missing = world.fleet.try_command(&["sell", "--file", "/no/such/file"]).await?;
        assert_eq!(missing.status.code(), Some(2), "{missing:?}");
        assert_eq!(world.registered("417"), 1);
        assert_eq!(world.books().documents.len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_the_database_a_command_says_so_and_exits_69() -> anyhow::Result<()> {
    within("away", &pace(), async |world| {
        let path = world.file("sale.json", &request("main", "sell", "417", "417"))?;
        world.database.set(kassa_tests::proxy::Flow::Down);
        for arguments in [&["list"][..], &["show", "417"], &["sell", "--file", &path]] {
            let output = world.fleet.try_command(arguments).await?;
            assert_eq!(output.status.code(), Some(69), "{arguments:?}: {output:?}");
            assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_configuration_is_checked_with_secrets_masked_and_misspelt_keys_named() -> anyhow::Result<()> {
    within("checked", &pace(), async |world| {
        let good = world.fleet.try_command(&["check-config"]).await?;
        let printed = String::from_utf8_lossy(&good.stdout).into_owned();
        assert_eq!(good.status.code(), Some(0), "{good:?}");
        assert!(printed.contains("5544332219"), "{printed}");
        assert!(!printed.contains(&simulator::Account::default().password), "{printed}");
        let database = kassa_tests::urls::database_url()?;
        let secret = database.split(['@', '/']).nth(2).and_then(|user| user.split_once(':'));
        if let Some((_, password)) = secret {
            assert!(!printed.contains(&format!(":{password}@")), "{printed}");
        }

        let text = std::fs::read_to_string(world.fleet.config())?;
        let spoil = async |from: &str, to: &str| {
            assert!(text.contains(from));
            let path = world.fleet.folder.join("spoilt.toml");
            std::fs::write(&path, text.replace(from, to))?;
            let path = path.to_str().unwrap_or_default();
            // The last --config wins over the harness's own.
            let output = world.fleet.try_command_with(path, &["check-config"]).await?;
            let words = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            anyhow::Ok((output.status.code(), words))
        };
        let (code, words) = spoil("sweep_interval", "sweep_intervall").await?;
        assert_ne!(code, Some(0));
        assert!(
            words.contains("sweep_intervall") && words.contains("did you mean"),
            "{words}"
        );
        let (code, words) = spoil("account = \"main\"", "account = \"mian\"").await?;
        assert_eq!(code, Some(1), "{words}");
        assert!(
            words.contains("stores.main.account") && words.contains("mian"),
            "{words}"
        );
        let (code, words) = spoil("lease = \"5s\"", "lease = \"4s\"").await?;
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("sender.lease") && words.contains("5s"), "{words}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_with_nothing_to_do_stops_at_once() -> anyhow::Result<()> {
    within("idle", &pace(), async |world| {
        let mut all = world.all().await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        let began = Instant::now();
        assert!(all.stop(LIMIT).await?);
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "it took {:?}:\n{}",
            began.elapsed(),
            all.log()
        );
        Ok(())
    })
    .await
}
