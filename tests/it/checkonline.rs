//! The vendor that answers at once and knows us by a certificate, beside the other one in the same fleet.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use kassa_tests::listener::Listener;
use kassa_tests::request::request;
use serde_json::Value;
use simulator::{Action, Certificate, ErrorAnswer, Garbage, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

/// An account with this certificate and a store of the same name.
pub(crate) fn section(world: &World, name: &str, cert: &Path, key: &Path) -> anyhow::Result<String> {
    let files = world.simulator.checkonline_files().expect("every world has one");
    let url = world.simulator.checkonline_url().expect("every world has one");
    let ca = files.ca();
    let [cert, key, ca] = [cert, key, &ca].map(|path| path.display().to_string());
    Ok(format!(
        r#"
[accounts.{name}]
vendor = "checkonline"
url = "{url}"
group = "north"
client_id = "{name}"
cert_file = "{cert}"
key_file = "{key}"
ca_file = "{ca}"
call = "2s"
ofd_url = "https://receipt.taxcom.ru/v01/show?fp={{{{fiscalSign}}}}&s={{{{sum}}}}"

[stores.{name}]
account = "{name}"
inn = "5544332219"
sno = "osn"
payment_address = "https://cloud.example"
company_email = "kassa@cloud.example"
retry_intervals = ["1s", "2s", "5s"]
"#
    ))
}

pub(crate) fn with(world: &World, name: &str, which: Certificate) -> anyhow::Result<()> {
    let files = world.simulator.checkonline_files().expect("every world has one");
    let section = section(world, name, &files.certificate(which), &files.key(which))?;
    world.fleet.configure(&section)
}

pub(crate) async fn publish(world: &World, store: &str, operation: &str, number: &str) -> anyhow::Result<()> {
    let body = request(store, operation, number, number).to_string();
    world.shop.publish(store, body.as_bytes()).await
}

/// The gate of an account, as people and machines see it.
pub(crate) async fn shown_gate(world: &World, account: &str) -> anyhow::Result<Value> {
    let list: Value = serde_json::from_str(&world.fleet.command(&["account", "list", "--output", "json"]).await?)?;
    let gates = list.as_array().context("a list")?.iter();
    let gate = gates.into_iter().find(|gate| gate["account"] == account);
    gate.cloned().with_context(|| format!("{account} is not in {list}"))
}

async fn shown(world: &World, number: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(
        &world.fleet.command(&["show", number, "--output", "json"]).await?,
    )?)
}

#[tokio::test]
async fn a_sale_and_a_refund_are_done_at_once_beside_those_of_the_other_vendor() -> anyhow::Result<()> {
    within("twovendors", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let _all = world.all().await?;
        for number in ["C-1", "C-2", "C-3"] {
            publish(world, "cloud", "sell", number).await?;
        }
        publish(world, "cloud", "refund", "C-4").await?;
        publish(world, "main", "sell", "A-1").await?;
        publish(world, "main", "refund", "A-2").await?;
        for number in ["C-1", "C-2", "C-3", "C-4", "A-1", "A-2"] {
            world.assert_done_once(number).await?;
        }
        for (number, vendor, operation) in [
            ("C-1", "checkonline", "sell"),
            ("C-4", "checkonline", "sell_refund"),
            ("A-1", "atol", "sell"),
            ("A-2", "atol", "sell_refund"),
        ] {
            let document = world.only_document(number)?;
            assert_eq!(
                (document.vendor.as_str(), document.operation.as_str()),
                (vendor, operation)
            );
            assert_eq!(document.total_kopecks, 120_000);
        }
        let story = shown(world, "C-1").await?.to_string();
        let fpd = world.the_row("C-1").await?.fpd.expect("it is done");
        assert!(
            story.contains(&format!("https://receipt.taxcom.ru/v01/show?fp={fpd}&s=1200.00")),
            "{story}"
        );
        assert!(
            !story.contains("receipt.waiting"),
            "there was nothing to wait for: {story}"
        );
        assert_eq!(world.sends("C-1").await?.len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_that_fails_in_every_way_registers_each_receipt_once() -> anyhow::Result<()> {
    within("cloudfails", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let register = |action| Rule::new(Point::Register, action);
        let processing = |kind, code| Rule::new(Point::Processing, Action::Error(ErrorAnswer::new(kind, code)));
        let gateway = Action::Status {
            code: 504,
            retry_after: None,
        };
        let ways = [
            ("cut-before", register(Action::Cut)),
            ("cut-after", register(Action::Cut).after()),
            ("gateway-after", register(gateway).after()),
            ("html-after", register(Action::Garbage(Garbage::Html)).after()),
            ("half-after", register(Action::Garbage(Garbage::Truncated)).after()),
            (
                "slow-after",
                register(Action::Nothing).after().delayed(Duration::from_secs(4)),
            ),
            ("silent-board-after", processing("device", 250).after()),
            ("printing", processing("device", 80)),
            ("no-register", processing("fce", 5)),
            // The register takes longer than a call may: the repetition meets our own first call.
            (
                "still-running",
                Rule::new(Point::Processing, Action::Nothing).delayed(Duration::from_secs(4)),
            ),
        ];
        let _all = world.all().await?;
        let rules = ways.iter().map(|(marker, rule)| {
            let rule = rule.clone().for_vendor("checkonline");
            rule.for_marker(*marker).times(1)
        });
        world.faults(rules.collect())?;
        for (marker, _) in &ways {
            publish(world, "cloud", "sell", marker).await?;
        }
        for (marker, _) in &ways {
            let row = world.assert_done_once(marker).await?;
            assert_eq!(row.generation, 0, "{marker} keeps its id through every doubt");
            assert!(world.sends(marker).await?.len() > 1, "{marker}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_no_repetition_can_mend_is_told_to_a_person() -> anyhow::Result<()> {
    within("cloudrefuses", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let processing = |marker: &str, kind, code| {
            let rule = Rule::new(Point::Processing, Action::Error(ErrorAnswer::new(kind, code)));
            rule.for_vendor("checkonline").for_marker(marker)
        };
        world.faults(vec![
            processing("broken-exchange", "fce", 6).after(),
            processing("wrong-parameter", "device", 51),
        ])?;
        let _all = world.all().await?;
        publish(world, "cloud", "sell", "broken-exchange").await?;
        publish(world, "cloud", "sell", "wrong-parameter").await?;
        let row = world.until_state("broken-exchange", "unknown").await?;
        assert!(row.doubt, "{row:?}");
        assert_eq!(world.registered("broken-exchange"), 1);
        let row = world.until_state("wrong-parameter", "failed").await?;
        assert_eq!(row.failure.as_deref(), Some("rejected"));
        assert_eq!(world.registered("wrong-parameter"), 0);
        Ok(())
    })
    .await
}

/// Behind a silent board stands a register that remembers for an hour; what comes later would be a second document.
#[tokio::test]
async fn a_silent_board_is_repeated_within_the_registers_hour_and_never_after_it() -> anyhow::Result<()> {
    within("cloudhorizon", &pace(), async |world| {
        let files = world.simulator.checkonline_files().expect("every world has one");
        let (cert, key) = (files.certificate(Certificate::North), files.key(Certificate::North));
        // Nothing is repeated before the test says so.
        let section = section(world, "cloud", &cert, &key)?;
        world
            .fleet
            .configure(&section.replace(r#"["1s", "2s", "5s"]"#, r#"["10m"]"#))?;
        let silent = Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("device", 250)));
        world.fault(silent.after().for_vendor("checkonline").times(1))?;
        let _poller = world.poller("poller").await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let mut sender = world.sender("first").await?;
        publish(world, "cloud", "sell", "H-1").await?;
        world
            .until_row("H-1", |row| row.state == "retrying" && row.doubt)
            .await?;
        assert!(sender.stop(LIMIT).await?);
        let (within_the_hour, sends) = (
            sqlx::query_scalar::<_, bool>(
                "SELECT doubt_until BETWEEN now() + interval '45 minutes' AND now() + interval '50 minutes' \
                 FROM registrations",
            )
            .fetch_one(&world.pool)
            .await?,
            world.sends("H-1").await?.len(),
        );
        assert!(within_the_hour, "the register's hour, less ten minutes");
        let retrying = "cloud.receipt.retrying";
        listener
            .until(LIMIT, |events| events.iter().any(|event| event.routing_key == retrying))
            .await?;
        let told = listener.events.iter().find(|event| event.routing_key == retrying);
        let body = &told.context("waited for")?.body;
        assert_eq!(
            (&body["kkm_status"], &body["error"]["code"]),
            (&"wait".into(), &"250".into()),
            "{body}"
        );

        // Fifty minutes later.
        let asked = world.only_document("H-1")?.requests;
        world.simulator.control().forget_in_devices();
        sqlx::query("UPDATE registrations SET doubt_until = now() + interval '1 second'")
            .execute(&world.pool)
            .await?;
        sqlx::query("UPDATE transactions SET due_at = now()")
            .execute(&world.pool)
            .await?;
        let _sender = world.sender("second").await?;
        let row = world.until_state("H-1", "unknown").await?;
        assert!(row.doubt, "{row:?}");
        assert_eq!(
            world.sends("H-1").await?.len(),
            sends + 1,
            "the claim that found it too late"
        );
        assert_eq!(world.only_document("H-1")?.requests, asked, "nothing was sent");
        assert_eq!(world.registered("H-1"), 1);
        assert!(shown(world, "H-1").await?.to_string().contains("horizon"));
        Ok(())
    })
    .await
}

/// What the service repeats from its memory is what became of the id: it ends the doubt of the lost answer.
#[tokio::test]
async fn a_refusal_whose_first_answer_was_lost_is_believed_when_it_comes_from_the_memory() -> anyhow::Result<()> {
    within("cloudmemory", &pace(), async |world| {
        with(world, "cloud", Certificate::North)?;
        let processing = Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("device", 51)));
        let lost = Rule::new(Point::Register, Action::Cut).after();
        let rules = [processing, lost].map(|rule| rule.for_vendor("checkonline").times(1).for_marker("lost-refusal"));
        world.faults(rules.to_vec())?;
        let _all = world.all().await?;
        publish(world, "cloud", "sell", "lost-refusal").await?;
        let row = world.until_state("lost-refusal", "failed").await?;
        assert_eq!((row.failure.as_deref(), row.doubt), (Some("rejected"), false));
        let classes: Vec<_> = world
            .sends("lost-refusal")
            .await?
            .into_iter()
            .map(|send| send.class)
            .collect();
        assert_eq!(classes, [Some("in_doubt".to_owned()), Some("permanent".to_owned())]);
        assert_eq!(world.registered("lost-refusal"), 0);

        // A correction is a new revision, which nothing holds back.
        let mut corrected = request("cloud", "sell", "lost-refusal", "lost-refusal");
        corrected["customer"]["email"] = "corrected@example.org".into();
        world.shop.publish("cloud", corrected.to_string().as_bytes()).await?;
        world.assert_done_once("lost-refusal").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_whose_certificate_is_no_good_waits_and_the_others_go_on() -> anyhow::Result<()> {
    within("certificates", &pace(), async |world| {
        let files = world
            .simulator
            .checkonline_files()
            .expect("every world has one")
            .clone();
        let (cert, key) = (
            world.fleet.folder.join("absent.pem"),
            world.fleet.folder.join("absent.key"),
        );
        world.fleet.configure(&section(world, "absent", &cert, &key)?)?;
        with(world, "expired", Certificate::Expired)?;
        with(world, "stranger", Certificate::Stranger)?;
        with(world, "good", Certificate::North)?;
        let good = world.fleet.try_command(&["check-config"]).await?;
        assert!(good.status.success(), "a file may come later");
        let _all = world.all().await?;
        let mut listener = Listener::bind(&world.fleet.prefix).await?;
        let accounts = ["absent", "expired", "stranger"];
        for name in accounts {
            publish(world, name, "sell", name).await?;
        }
        for name in accounts {
            let row = world.until_row(name, |row| row.state == "retrying").await?;
            assert!(row.trials == 0 && !row.doubt && row.is_due, "{row:?}");
            assert_eq!(world.sends(name).await?[0].class.as_deref(), Some("halt"), "{name}");
            let story = shown(world, name).await?.to_string();
            let file = format!("{name}.pem");
            assert!(story.contains(&file) && story.contains("cert_file"), "{name}: {story}");
        }
        publish(world, "good", "sell", "good").await?;
        publish(world, "main", "sell", "main").await?;
        world.assert_done_once("good").await?;
        world.assert_done_once("main").await?;

        for name in accounts {
            let gate = shown_gate(world, name).await?;
            assert_eq!(
                (&gate["is_open"], &gate["reason"]),
                (&false.into(), &"halt".into()),
                "{gate}"
            );
            let file = format!("{name}.pem");
            for language in ["ru", "en"] {
                let text = |key: &str| gate[key][language].as_str().unwrap_or_default().to_owned();
                assert!(text("cause").contains(&file), "{gate}");
                assert!((text("cause") + &text("cure")).contains("cert_file"), "{gate}");
                assert!(!text("cure").is_empty(), "{gate}");
            }
            let key = format!("{name}.account.paused");
            listener
                .until(LIMIT, |events| events.iter().any(|event| event.routing_key == key))
                .await?;
            let paused = listener.events.iter().find(|event| event.routing_key == key);
            let body = &paused.context("waited for")?.body;
            assert_eq!(
                (&body["account"], &body["reason"]),
                (&name.into(), &"halt".into()),
                "{body}"
            );
            assert!(body.to_string().contains(&file), "{body}");
        }
        for name in ["good", "main"] {
            assert_ne!(shown_gate(world, name).await?["is_open"], false, "{name}");
        }

        // The cure works without a restart.
        std::fs::copy(files.key(Certificate::North), &key)?;
        std::fs::copy(files.certificate(Certificate::North), &cert)?;
        world.assert_done_once("absent").await?;
        assert_eq!(shown_gate(world, "absent").await?["is_open"], true);
        assert!(world.documents("expired").is_empty() && world.documents("stranger").is_empty());
        Ok(())
    })
    .await
}
