//! Weaknesses of the module that kassa replaces (`reference/kkm-behaviour.md`, section 13), each with a test that is named
//! after it. Those that have one elsewhere stand in `tests/README.md`.

use kassa_tests::fleet::Pace;
use kassa_tests::wait;
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

fn error(kind: &str, code: i64) -> Action {
    Action::Error(ErrorAnswer::new(kind, code))
}

const fn status(code: u16) -> Action {
    Action::Status {
        code,
        retry_after: None,
    }
}

/// How often the live registration of a document was asked about.
async fn polls(world: &World, number: &str) -> anyhow::Result<i32> {
    Ok(sqlx::query_scalar(
        "SELECT r.polls FROM registrations r JOIN transactions t ON t.id = r.transaction_id \
         WHERE t.document_number = $1 AND r.generation = t.generation",
    )
    .bind(number)
    .fetch_one(&world.pool)
    .await?)
}

async fn until_polled(world: &World, number: &str, times: i32) -> anyhow::Result<()> {
    wait::until("polls", LIMIT, async || {
        Ok((polls(world, number).await? >= times).then_some(()))
    })
    .await
}

/// 13.1, 3: the bumped id lived in memory only, and a second bump collided with the first.
#[tokio::test]
async fn a_second_rekey_counts_on_from_the_stored_id_also_in_another_process() -> anyhow::Result<()> {
    within("bumped", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, error("timeout", 1)).times(2))?;
        let mut first = world.sender("first").await?;
        let _poller = world.poller("poller").await?;
        world.publish("sell", "417").await?;
        world.until_row("417", |row| row.generation == 1).await?;
        first.kill().await?;
        let _second = world.sender("second").await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!((row.external_id.as_str(), row.generation), ("invoice_main_417__2", 2));
        let requests: Vec<u64> = world
            .documents("417")
            .iter()
            .map(|document| document.requests)
            .collect();
        assert_eq!(requests.len(), 3, "each id is one document");
        Ok(())
    })
    .await
}

/// 13.1, 4: after ten polls a waiting receipt became `fail`, and the shop sent it again.
#[tokio::test]
async fn an_outage_of_the_reports_never_turns_a_waiting_receipt_into_a_failed_one() -> anyhow::Result<()> {
    within("pollout", &pace(), async |world| {
        world.fault(Rule::new(Point::Report, status(502)))?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        until_polled(world, "417", 11).await?;
        let row = world.the_row("417").await?;
        assert_eq!((row.state.as_str(), row.failure.as_deref()), ("waiting", None));
        world.heal();
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

/// 13.1, 5: an answer of a report without a uuid overwrote the waiting row, or made another one.
#[tokio::test]
async fn a_report_that_answers_about_nothing_changes_nothing() -> anyhow::Result<()> {
    within("nothing", &pace(), async |world| {
        let answers = [
            ("system", 34),
            ("system", 30),
            ("system", 1),
            ("system", 50),
            ("driver", 128),
            ("timeout", 1),
            ("nobody", 7),
        ];
        let rules = answers
            .iter()
            .map(|(kind, code)| Rule::new(Point::Report, error(kind, *code)).times(1));
        world.faults(rules.collect())?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let waiting = world.until_state("417", "waiting").await?;
        until_polled(world, "417", i32::try_from(answers.len())? + 1).await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(
            (row.id, row.generation, &row.vendor_uuid),
            (waiting.id, 0, &waiting.vendor_uuid)
        );
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM transactions")
            .fetch_one(&world.pool)
            .await?;
        assert_eq!(rows, 1, "no orphan");
        Ok(())
    })
    .await
}

/// 13.1, 8: two triggers saw the same end at once and both acted on it.
#[tokio::test]
async fn an_end_that_four_pollers_see_at_once_is_acted_on_once() -> anyhow::Result<()> {
    let pace = Pace {
        poll_intervals: r#"["1s"]"#,
        ..pace()
    };
    within("triggers", &pace, async |world| {
        world.fault(Rule::new(Point::Report, Action::Nothing).delayed(std::time::Duration::from_millis(700)))?;
        let _sender = world.sender("sender").await?;
        let mut pollers = Vec::new();
        for name in ["one", "two", "three", "four"] {
            pollers.push(world.poller(name).await?);
        }
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        // Everybody may ask all the time, as a callback and a clock do together.
        world.ask_until_done("417").await?;
        world.assert_done_once("417").await?;
        let told: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events WHERE type IN ('receipt.done', 'receipt.double')")
                .fetch_one(&world.pool)
                .await?;
        assert_eq!(told, 1);
        Ok(())
    })
    .await
}

/// 13.1, 11: a scheduled retry was not cancelled by a success that came meanwhile.
#[tokio::test]
async fn a_retry_that_is_scheduled_does_not_send_what_is_registered_by_then() -> anyhow::Result<()> {
    let pace = Pace {
        retry_intervals: r#"["5s"]"#,
        grace: "10m",
        ..pace()
    };
    within("scheduled", &pace, async |world| {
        world.fault(Rule::new(Point::Register, Action::Cut).after().times(1))?;
        let _sender = world.sender("sender").await?;
        world.publish("sell", "417").await?;
        world
            .until_row("417", |row| row.state == "retrying" && row.doubt)
            .await?;
        // The uuid of the first try comes to light, and its document with it, while the pointer waits.
        let uuid = world.only_document("417")?.uuid.to_string();
        sqlx::query("UPDATE registrations SET vendor_uuid = $1, next_poll_at = now(), waiting_since = now()")
            .bind(uuid)
            .execute(&world.pool)
            .await?;
        let _poller = world.poller("poller").await?;
        world.until_state("417", "done").await?;
        wait::until("the pointer has come and gone", LIMIT, async || {
            let waits = world.depth("delay.5s").await? + world.depth("retry.atol").await?;
            Ok((waits == 0).then_some(()))
        })
        .await?;
        // It is settled in order: what comes after it has come after it.
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        world.assert_done_once("417").await?;
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

/// 13.1, 14: the receipt was built anew at each try, from what the shop's settings said by then.
#[tokio::test]
async fn a_receipt_is_sent_as_it_was_accepted_whatever_the_settings_say_by_then() -> anyhow::Result<()> {
    within("rebuilt", &pace(), async |world| {
        world.fault(Rule::new(Point::Register, status(503)))?;
        let mut first = world.sender("first").await?;
        world.publish("sell", "417").await?;
        world.until_row("417", |row| row.state == "retrying").await?;
        assert!(first.stop(LIMIT).await?);
        world.heal();
        // Another seller's INN: the registers would refuse a receipt that is built now.
        let settings = [
            ("KASSA_STORES__MAIN__INN", "7805123470"),
            ("KASSA_STORES__MAIN__COMPANY_EMAIL", "other@shop.example"),
        ];
        let _second = world.fleet.start_with("second", &["all"], &settings).await?;
        world.assert_done_once("417").await?;
        // The same settings for what is accepted now, to show that they are in force.
        world.publish("sell", "418").await?;
        assert_eq!(
            world.until_state("418", "failed").await?.failure.as_deref(),
            Some("rejected")
        );
        Ok(())
    })
    .await
}

/// 13.3, 1: an invoice and a credit memo with the same number shared a row, its counter and its order.
#[tokio::test]
async fn a_sale_and_a_refund_of_one_number_share_nothing() -> anyhow::Result<()> {
    within("shared", &pace(), async |world| {
        world.fault(
            Rule::new(Point::Register, status(500))
                .times(2)
                .for_external_id("invoice"),
        )?;
        let _all = world.all().await?;
        for (operation, marker) in [("sell", "mug"), ("refund", "cup")] {
            let body = kassa_tests::request::request("main", operation, "815", marker).to_string();
            world.shop.publish("main", body.as_bytes()).await?;
        }
        world.until_done(2).await?;
        let rows: Vec<(String, String, i32)> =
            sqlx::query_as("SELECT operation, external_id, trials FROM transactions ORDER BY operation")
                .fetch_all(&world.pool)
                .await?;
        assert_eq!(
            rows,
            [
                ("refund".to_owned(), "creditmemo_main_815".to_owned(), 1),
                ("sell".to_owned(), "invoice_main_815".to_owned(), 3)
            ]
        );
        assert_eq!((world.registered("mug"), world.registered("cup")), (1, 1));
        Ok(())
    })
    .await
}

/// 13.3, 2: polls were counted for the document, so a slow first receipt used up the limit of the next one.
#[tokio::test]
async fn polls_are_counted_for_each_id_anew() -> anyhow::Result<()> {
    within("counted", &pace(), async |world| {
        world.faults(vec![
            Rule::new(Point::Report, error("system", 34)).times(4),
            Rule::new(Point::Processing, error("timeout", 1)).times(1),
        ])?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.assert_done_once("417").await?;
        assert_eq!(row.generation, 1);
        let polls: Vec<i32> = sqlx::query_scalar("SELECT polls FROM registrations ORDER BY generation")
            .fetch_all(&world.pool)
            .await?;
        assert!(polls[0] >= 5 && polls[1] < polls[0], "{polls:?}");
        Ok(())
    })
    .await
}

/// 13.3, 4: "max 10" sent eleven times first and ten times later.
#[tokio::test]
async fn the_limit_of_sends_is_exact_and_every_cycle_has_as_many() -> anyhow::Result<()> {
    within("limit", &pace(), async |world| {
        // Not seen by the vendor, so that the end is a failure and not an unknown outcome.
        world.fault(Rule::new(Point::Register, status(429)))?;
        let settings = [
            ("KASSA_STORES__MAIN__MAX_TRIALS", "3"),
            ("KASSA_STORES__MAIN__RETRY_ENDLESSLY", "false"),
            ("KASSA_STORES__SECOND__MAX_TRIALS", "2"),
            ("KASSA_STORES__SECOND__RESUME_AFTER", "5s"),
        ];
        let _all = world.fleet.start_with("all", &["all"], &settings).await?;
        world.publish("sell", "417").await?;
        let body = kassa_tests::request::request("second", "sell", "418", "418").to_string();
        world.shop.publish("second", body.as_bytes()).await?;
        let row = world.until_state("417", "failed").await?;
        assert_eq!(row.failure.as_deref(), Some("exhausted"));
        assert_eq!(world.sends("417").await?.len(), 3);
        // Two cycles of two sends each, and the counter begins anew after each of them.
        world
            .until_row("418", |row| row.state == "retrying" && row.trials == 0)
            .await?;
        assert_eq!(world.sends("418").await?.len(), 2);
        wait::until("the next cycle is over", LIMIT, async || {
            Ok((world.sends("418").await?.len() == 4 && world.the_row("418").await?.trials == 0).then_some(()))
        })
        .await?;
        world.heal();
        world.assert_done_once("418").await?;
        Ok(())
    })
    .await
}

/// 13.3, 5: one row for each operation lost what earlier tries had said.
#[tokio::test]
async fn every_try_keeps_its_own_answer_code_and_time() -> anyhow::Result<()> {
    within("history", &pace(), async |world| {
        world.faults(vec![
            Rule::new(Point::Register, status(500)).times(1),
            Rule::new(Point::Register, error("system", 50)).times(1),
            Rule::new(Point::Register, status(429)).times(1),
        ])?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        let tries: Vec<(Option<String>, Option<i32>, bool)> = sqlx::query_as(
            "SELECT code, http_status, answer IS NOT NULL AND started_at < finished_at AND cause_ru IS NOT NULL \
             FROM attempts WHERE kind = 'send' AND code IS NOT NULL ORDER BY number",
        )
        .fetch_all(&world.pool)
        .await?;
        let codes: Vec<_> = tries.iter().map(|(code, http, _)| (code.as_deref(), *http)).collect();
        assert_eq!(
            codes,
            [
                (Some("http_500"), Some(500)),
                (Some("50"), Some(500)),
                (Some("http_429"), Some(429))
            ]
        );
        assert!(tries.iter().all(|(_, _, kept)| *kept), "{tries:?}");
        Ok(())
    })
    .await
}
