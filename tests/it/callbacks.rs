//! Callbacks of the vendor: they make receipts done sooner, and nothing that is in them is believed.

use std::time::{Duration, Instant};

use kassa_tests::fleet::{Pace, callback_secret};
use kassa_tests::proxy::Flow;
use kassa_tests::vendor::client;
use kassa_tests::wait;
use serde_json::json;
use simulator::{Action, Callbacks, Faults, Point, Rule};
use tokio::task::JoinSet;

use crate::world::{LIMIT, Row, World, pace, within};

/// So long that nothing in a test is done because its poll came up by itself.
fn called_back() -> Pace {
    Pace {
        poll_intervals: r#"["10m"]"#,
        callbacks: true,
        ..pace()
    }
}

async fn post(url: &str, body: impl Into<Vec<u8>>) -> anyhow::Result<u16> {
    let answer = client()?.post(url).body(body.into()).send().await?;
    Ok(answer.status().as_u16())
}

impl World {
    /// How the vendor calls back from now on.
    fn callbacks(&self, callbacks: Callbacks, rules: Vec<Rule>) -> anyhow::Result<()> {
        let faults = Faults {
            callbacks,
            rules,
            ..Faults::default()
        };
        Ok(self.simulator.control().set_faults(faults)?)
    }

    /// How often the vendor was asked what became of a receipt.
    fn reports(&self) -> u64 {
        let answers = self.books().answers;
        let reports = answers.iter().filter(|(kind, _)| kind.starts_with("report"));
        reports.map(|(_, &times)| times).sum()
    }

    async fn polls(&self, number: &str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(
            "SELECT count(*) FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
             WHERE t.document_number = $1 AND a.kind = 'poll'",
        )
        .bind(number)
        .fetch_one(&self.pool)
        .await?)
    }

    /// Whether a callback about this document waits for its question.
    async fn is_hinted(&self, number: &str) -> anyhow::Result<bool> {
        Ok(sqlx::query_scalar(
            "SELECT r.callback_at IS NOT NULL FROM registrations r JOIN transactions t ON t.id = r.transaction_id \
             WHERE t.document_number = $1 AND r.generation = t.generation",
        )
        .bind(number)
        .fetch_one(&self.pool)
        .await?)
    }
}

#[tokio::test]
async fn a_callback_makes_a_receipt_done_long_before_its_poll() -> anyhow::Result<()> {
    within("called", &called_back(), async |world| {
        let mut http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let began = Instant::now();
        for number in ["417", "418", "R-419"] {
            let operation = if number == "R-419" { "refund" } else { "sell" };
            world.publish(operation, number).await?;
        }
        for number in ["417", "418", "R-419"] {
            world.assert_done_once(number).await?;
            assert_eq!(world.polls(number).await?, 1, "{number} was asked about once");
        }
        assert!(began.elapsed() < LIMIT);
        assert_eq!(world.books().answers.get("callback 200"), Some(&3));

        let secret = callback_secret("main");
        let shown = world.fleet.command(&["show", "417", "--output", "json"]).await?;
        let checked = world.fleet.command(&["check-config"]).await?;
        let events: Vec<String> = sqlx::query_scalar("SELECT body::text FROM events")
            .fetch_all(&world.pool)
            .await?;
        let answers: Vec<String> = sqlx::query_scalar("SELECT coalesce(answer, '') FROM attempts")
            .fetch_all(&world.pool)
            .await?;
        assert!(
            answers.iter().any(|answer| answer.contains("/callbacks/atol/main/***")),
            "{answers:?}"
        );
        let logs = std::fs::read_dir(&world.fleet.folder)?.flatten();
        let logs: Vec<String> = logs
            .filter(|file| file.path().extension().is_some_and(|end| end == "log"))
            .map(|file| std::fs::read_to_string(file.path()).unwrap_or_default())
            .collect();
        for text in events.iter().chain(&answers).chain(&logs).chain([&shown, &checked]) {
            assert!(!text.contains(&secret), "{text}");
        }

        let began = Instant::now();
        assert!(http.stop(LIMIT).await?);
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "nothing was under way:\n{}",
            http.log()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_public_address_no_request_asks_for_a_callback() -> anyhow::Result<()> {
    within("uncalled", &pace(), async |world| {
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        let sent: String = sqlx::query_scalar("SELECT wire_body FROM registrations")
            .fetch_one(&world.pool)
            .await?;
        assert!(!sent.contains("callback"), "{sent}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_forged_callback_changes_nothing_and_the_vendor_is_asked() -> anyhow::Result<()> {
    within("forged", &called_back(), async |world| {
        // The true callback never comes, and the document takes its time.
        let slow = Rule::new(Point::Processing, Action::Nothing).delayed(Duration::from_secs(600));
        world.callbacks(Callbacks::Lost, vec![slow])?;
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let before = world.until_state("417", "waiting").await?;
        let uuid = before.vendor_uuid.clone().unwrap_or_default();

        let forged = json!({
            "uuid": uuid, "external_id": "invoice_main_417", "status": "done", "error": null,
            "payload": {
                "total": 1200.0, "fn_number": "9999078900000001", "shift_number": 1,
                "receipt_datetime": "14.02.2026 11:08:00", "fiscal_receipt_number": 1,
                "fiscal_document_number": 1, "fiscal_document_attribute": 1,
                "ecr_registration_number": "0000000400054952"
            }
        });
        assert_eq!(post(&world.fleet.callback_url("main"), forged.to_string()).await?, 200);
        wait::until("a question", LIMIT, async || {
            Ok((world.polls("417").await? == 1).then_some(()))
        })
        .await?;
        assert_eq!(world.the_row("417").await?, before, "the vendor's truth was taken");
        assert_eq!(world.reports(), 1);
        let events: Vec<String> = sqlx::query_scalar("SELECT type FROM events ORDER BY id")
            .fetch_all(&world.pool)
            .await?;
        assert_eq!(events, ["receipt.accepted", "receipt.waiting"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_callback_that_overtakes_our_record_leads_to_a_poll_right_after_it() -> anyhow::Result<()> {
    let pace = Pace {
        call: "20s",
        lease: "30s",
        ..called_back()
    };
    within("overtaken", &pace, async |world| {
        let _http = world.fleet.start_http("http").await?;
        let mut sender = world.sender("sender").await?;
        // The token first: then only the answer to the registration is kept back.
        world.callbacks(Callbacks::Lost, Vec::new())?;
        world.publish("sell", "1").await?;
        world.until_state("1", "waiting").await?;
        world
            .until_books("the first callback is lost", |books| {
                books.answers.contains_key("callback fault lost")
            })
            .await?;
        world.callbacks(Callbacks::On, Vec::new())?;
        world.vendor.set(Flow::HoldAnswers);
        world.publish("sell", "417").await?;
        wait::until("the callback is remembered", LIMIT, async || {
            let hinted = world.row("417").await?.is_some() && world.is_hinted("417").await?;
            Ok(hinted.then_some(()))
        })
        .await?;
        let row = world.the_row("417").await?;
        assert_eq!((row.state.as_str(), &row.vendor_uuid), ("sending", &None));

        world.vendor.set(Flow::Open);
        world.until_state("417", "waiting").await?;
        assert!(sender.stop(LIMIT).await?);
        let _poller = world.poller("poller").await?;
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        assert_eq!(
            world.the_row("1").await?.state,
            "waiting",
            "nobody called about this one"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_thousand_callbacks_about_one_receipt_are_a_few_questions() -> anyhow::Result<()> {
    within("flood", &called_back(), async |world| {
        let slow = Rule::new(Point::Processing, Action::Nothing).delayed(Duration::from_secs(600));
        world.callbacks(Callbacks::Lost, vec![slow])?;
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        let _second = world.poller("second").await?;
        world.publish("sell", "417").await?;
        let before = world.until_state("417", "waiting").await?;
        let uuid = before.vendor_uuid.clone().unwrap_or_default();
        let (url, body) = (world.fleet.callback_url("main"), json!({ "uuid": uuid }).to_string());

        let began = Instant::now();
        let client = client()?;
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            callers.spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..50 {
                    answers.push(client.post(&url).body(body.clone()).send().await?.status().as_u16());
                }
                anyhow::Ok(answers)
            });
        }
        let mut answers = Vec::new();
        while let Some(caller) = callers.join_next().await {
            answers.extend(caller??);
        }
        assert!(answers.iter().all(|&status| status == 200), "{answers:?}");
        wait::until("a question for the last of them", LIMIT, async || {
            Ok((!world.is_hinted("417").await?).then_some(()))
        })
        .await?;
        let most = 3 + began.elapsed().as_secs();
        assert!(
            (1..=most).contains(&world.reports()),
            "{} questions, at most {most}",
            world.reports()
        );
        assert_eq!(world.the_row("417").await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_address_that_is_not_a_stores_is_not_there_and_another_stores_receipt_is_not_touched() -> anyhow::Result<()>
{
    within("strangers", &called_back(), async |world| {
        world.callbacks(Callbacks::Off, Vec::new())?;
        let _http = world.fleet.start_http("http").await?;
        let mut sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        let row = world.until_state("417", "waiting").await?;
        assert!(sender.stop(LIMIT).await?);
        let body = json!({ "uuid": row.vendor_uuid, "external_id": "invoice_main_417" }).to_string();

        let base = format!("http://{}", world.fleet.public);
        let (main, second) = (callback_secret("main"), callback_secret("second"));
        let mut answers = Vec::new();
        for path in [
            format!("/callbacks/atol/main/{second}"),
            format!("/callbacks/atol/main/{}", &main[..main.len() - 1]),
            format!("/callbacks/atol/nobody/{main}"),
            format!("/callbacks/acme/main/{main}"),
            format!("/callbacks/atol/MAIN/{main}"),
            format!("/callbacks/atol/main/{main}/"),
            format!("/callbacks/atol/main/%ff{main}"),
            "/callbacks/atol/main".to_owned(),
            "/".to_owned(),
        ] {
            let answer = client()?
                .post(format!("{base}{path}"))
                .body(body.clone())
                .send()
                .await?;
            let mut headers = answer.headers().clone();
            headers.remove("date");
            answers.push((answer.status().as_u16(), headers, answer.text().await?));
        }
        assert_eq!(answers[0].0, 404);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");

        // The other store's address is good; the receipt is not its own.
        assert_eq!(post(&world.fleet.callback_url("second"), body.clone()).await?, 200);
        assert_eq!(
            post(&world.fleet.callback_url("main"), "no report at all \u{0}").await?,
            200
        );
        let nobody = json!({ "uuid": "no-such-uuid", "external_id": "invoice_main_999" });
        assert_eq!(post(&world.fleet.callback_url("main"), nobody.to_string()).await?, 200);
        assert_eq!(
            post(&world.fleet.callback_url("main"), vec![b'x'; 65 * 1024]).await?,
            413
        );
        assert_eq!(
            client()?
                .get(world.fleet.callback_url("main"))
                .send()
                .await?
                .status()
                .as_u16(),
            405
        );
        assert!(!world.is_hinted("417").await?);

        assert_eq!(post(&world.fleet.callback_url("main"), body).await?, 200);
        assert!(world.is_hinted("417").await?, "this one was honoured");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn while_the_database_is_away_the_vendor_is_asked_to_come_again() -> anyhow::Result<()> {
    within("away", &called_back(), async |world| {
        world.callbacks(Callbacks::Off, Vec::new())?;
        let mut http = world.fleet.start_http("http").await?;
        let mut sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        let row = world.until_state("417", "waiting").await?;
        assert!(sender.stop(LIMIT).await?);
        let body = json!({ "uuid": row.vendor_uuid }).to_string();
        let url = world.fleet.callback_url("main");

        for flow in [Flow::Down, Flow::HoldRequests] {
            world.database.set(flow);
            let began = Instant::now();
            let answer = client()?.post(&url).body(body.clone()).send().await?;
            assert_eq!(answer.status().as_u16(), 503, "{flow:?}");
            assert!(answer.headers().contains_key("retry-after"));
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{flow:?}: {:?}",
                began.elapsed()
            );
            world.database.cut();
        }
        wait::until("the callback is taken", LIMIT, async || {
            Ok((post(&url, body.clone()).await? == 200).then_some(()))
        })
        .await?;
        assert!(world.is_hinted("417").await?);
        assert!(http.stop(Duration::from_secs(20)).await?, "{}", http.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_callback_about_a_receipt_that_is_done_wakes_nothing() -> anyhow::Result<()> {
    within("settled", &called_back(), async |world| {
        let _http = world.fleet.start_http("http").await?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let done: Row = world.assert_done_once("417").await?;
        let asked = world.reports();
        let body = json!({ "uuid": done.vendor_uuid, "status": "fail", "error": { "code": 1, "type": "timeout" } });
        for _ in 0..10 {
            assert_eq!(post(&world.fleet.callback_url("main"), body.to_string()).await?, 200);
        }
        // Another receipt goes all its way meanwhile.
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        assert_eq!(world.the_row("417").await?, done);
        assert_eq!(world.reports(), asked + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn callbacks_that_cannot_work_are_faults_and_secrets_are_not_shown() -> anyhow::Result<()> {
    within("checked", &called_back(), async |world| {
        let text = std::fs::read_to_string(world.fleet.config())?;
        let secret = callback_secret("main");
        let long = format!("http://{}/{}", world.fleet.public, "a".repeat(220));
        for (from, to, named) in [
            (secret.as_str(), "too-short-a-secret", "stores.main.callback_secrets[0]"),
            (
                "plain_on_loopback = true",
                "plain_on_loopback = false",
                "http.public_url",
            ),
            (
                &format!("http://{}", world.fleet.public),
                "http://shop.example",
                "http.public_url",
            ),
            (&format!("http://{}", world.fleet.public), &long, "256 characters"),
            (
                "[stores.main]",
                "[stores.main]\npublic_url = \"shop.example\"",
                "stores.main.public_url",
            ),
        ] {
            assert!(text.contains(from), "{from}");
            let path = world.fleet.folder.join("spoilt.toml");
            std::fs::write(&path, text.replace(from, to))?;
            let path = path.to_str().unwrap_or_default();
            let output = world
                .fleet
                .try_command_with(path, &["check-config", "--offline"])
                .await?;
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{to}: {words}");
            assert!(words.contains(named), "{named} is not in {words}");
            for text in [&output.stdout, &output.stderr] {
                let text = String::from_utf8_lossy(text);
                assert!(
                    !text.contains(&secret) && !text.contains("too-short-a-secret"),
                    "{text}"
                );
            }
        }
        Ok(())
    })
    .await
}
