//! The second way out of events: from a receipt to a shop's own TLS endpoint, by real processes.

use std::io::Write;

use kassa_tests::process::Process;
use kassa_tests::wait;
use serde_json::{Value, json};

use crate::receiver::{Authority, Receiver, Reply, Seen};
use crate::world::{LIMIT, World, pace, within};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Adds webhooks of the stores at these addresses to the fleet's configuration.
fn configure(world: &World, authority: &Authority, urls: &[(&str, String)]) -> anyhow::Result<()> {
    let ca = world.fleet.folder.join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(world.fleet.config())?;
    writeln!(
        file,
        "\n[webhooks]\ninterval = \"100ms\"\nretry_intervals = [\"100ms\", \"200ms\", \"500ms\"]\n\
         allow_networks = [\"127.0.0.1\"]\nca_file = \"{}\"",
        ca.display()
    )?;
    for (store, url) in urls {
        writeln!(
            file,
            "\n[stores.{store}.webhook]\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]"
        )?;
    }
    Ok(())
}

/// A poller in an environment whose proxy nobody answers at: webhooks must not care.
async fn poller(world: &World, name: &str) -> anyhow::Result<Process> {
    let proxies = [
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("https_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
    ];
    world.fleet.start_with(name, &["poller"], &proxies).await
}

fn types(seen: &[Seen]) -> Vec<String> {
    let mut types: Vec<String> = seen
        .iter()
        .map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap_or_default())
        .map(|event| event["type"].as_str().unwrap_or_default().to_owned())
        .collect();
    types.sort();
    types.dedup();
    types
}

#[tokio::test]
async fn a_shop_is_told_the_story_of_its_receipt_and_people_can_see_that_it_was() -> anyhow::Result<()> {
    within("webhook", &pace(), async |world| {
        let authority = Authority::new();
        let shop = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
        configure(world, &authority, &[("main", shop.url("localhost"))])?;
        let _sender = world.sender("sender").await?;
        let _poller = poller(world, "poller").await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        let seen = shop.until_seen(3).await;
        assert_eq!(types(&seen), ["receipt.accepted", "receipt.done", "receipt.waiting"]);
        for seen in &seen {
            assert!(seen.is_signed_with(SECRET));
            assert!(!String::from_utf8_lossy(&seen.body).contains("buyer@example.org"));
        }
        let shown = wait::until("kassa show knows of three deliveries", LIMIT, async || {
            let shown = world.fleet.command(&["show", "417", "--output", "json"]).await?;
            let shown: Value = serde_json::from_str(&shown)?;
            let all = shown["webhooks"].as_array().cloned().unwrap_or_default();
            Ok((all.iter().filter(|row| row["state"] == "delivered").count() == 3).then_some(all))
        });
        assert!(
            shown
                .await?
                .iter()
                .all(|row| row["http_status"] == 200 && row["attempts"] == 1)
        );
        let list: Value = serde_json::from_str(&world.fleet.command(&["webhook", "list", "--output", "json"]).await?)?;
        assert_eq!((&list[0]["store"], &list[0]["pending"]), (&json!("main"), &json!(0)));

        let said = world.fleet.command(&["webhook", "test", "main"]).await?;
        assert!(said.contains("answered 200"), "{said}");
        let test = shop.until_seen(4).await.remove(3);
        assert!(test.is_signed_with(SECRET));
        assert_eq!(types(&[test]), ["webhook.test"]);
        let nobody = world.fleet.try_command(&["webhook", "test", "second"]).await?;
        assert_eq!(nobody.status.code(), Some(3));

        let checked = world.fleet.command(&["check-config"]).await?;
        assert!(
            checked.contains("[stores.main.webhook]") && !checked.contains("MfKQ9r8G"),
            "{checked}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_poller_killed_between_the_post_and_its_record_delivers_twice_and_misses_nothing() -> anyhow::Result<()> {
    within("posted", &pace(), async |world| {
        let authority = Authority::new();
        let shop = Receiver::start(
            &authority,
            |place, _| {
                if place == 0 { Reply::Nothing } else { Reply::Status(200) }
            },
        )
        .await;
        let other = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
        configure(
            world,
            &authority,
            &[("main", shop.url("localhost")), ("second", other.url("127.0.0.1"))],
        )?;
        let _sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        let mut first = poller(world, "first").await?;
        let unanswered = shop.until_seen(1).await.remove(0);
        first.kill().await?;

        let second = poller(world, "second");
        let due = sqlx::query("UPDATE webhook_deliveries SET due_at = now() WHERE state = 'pending'");
        due.execute(&world.pool).await?;
        let _second = second.await?;
        world.assert_done_once("417").await?;
        wait::until("everything is delivered", LIMIT, async || {
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'")
                .fetch_one(&world.pool)
                .await?;
            Ok((left == 0).then_some(()))
        })
        .await?;
        let seen = shop.seen();
        assert_eq!(types(&seen), ["receipt.accepted", "receipt.done", "receipt.waiting"]);
        let again: Vec<_> = seen.iter().filter(|seen| seen.id() == unanswered.id()).collect();
        assert!(again.len() > 1, "told again");
        assert!(
            again.iter().all(|seen| seen.body == unanswered.body),
            "with the same bytes"
        );
        assert_eq!(other.connections(), 0, "no shop is told of another's receipts");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_cannot_be_trusted_is_refused_before_anything_runs() -> anyhow::Result<()> {
    within("refusedhook", &pace(), async |world| {
        let good = std::fs::read_to_string(world.fleet.config())?;
        for (webhook, fault) in [
            (
                "url = \"http://shop.example/kassa\"\nsecrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]",
                "stores.main.webhook.url: must be https",
            ),
            (
                "url = \"https://10.0.0.1/kassa\"\nsecrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]",
                "stores.main.webhook.url: 10.0.0.1 is not a public address",
            ),
            (
                "url = \"https://shop.example/kassa\"\nsecrets = [\"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]",
                "stores.main.webhook.secrets[0]: must begin with whsec_",
            ),
            (
                "url = \"https://shop.example/kassa\"\nsecrets = []\nevents = [\"receipt.don\"]",
                "did you mean `receipt.done`?",
            ),
        ] {
            std::fs::write(
                world.fleet.config(),
                format!("{good}\n[stores.main.webhook]\n{webhook}\n"),
            )?;
            let checked = world.fleet.try_command(&["check-config"]).await?;
            let said = String::from_utf8_lossy(&checked.stderr);
            assert_eq!(checked.status.code(), Some(1), "{said}");
            assert!(said.contains(fault), "{fault}: {said}");
            assert!(!said.contains("MfKQ9r8G"), "{said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_secrets_may_stand_in_a_file_of_their_own() -> anyhow::Result<()> {
    within("hookfile", &pace(), async |world| {
        let authority = Authority::new();
        let shop = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
        let other = "whsec_bmV4dCBuZXh0IG5leHQgbmV4dCBuZXh0IG5leHQ=";
        configure(world, &authority, &[("main", shop.url("localhost"))])?;
        let file = world.fleet.folder.join("secrets");
        std::fs::write(&file, format!("{other},{SECRET}\n"))?;
        let path = file.display().to_string();
        let variable = [("KASSA_STORES__MAIN__WEBHOOK__SECRETS_FILE", path.as_str())];
        let _all = world.fleet.start_with("all", &["all"], &variable).await?;
        world.publish("sell", "417").await?;
        let seen = shop.until_seen(1).await.remove(0);
        assert!(seen.is_signed_with(other) && seen.is_signed_with(SECRET));
        Ok(())
    })
    .await
}
