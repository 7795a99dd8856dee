//! What the module that kassa replaces did wrong, one test each where no other file has it. The numbers are those of its
//! behaviour file, section 13.

use std::time::Duration;

use kassa_tests::request::request;
use kassa_tests::wait;
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{LIMIT, World, pace, within};

const fn status(code: u16) -> Action {
    Action::Status {
        code,
        retry_after: None,
    }
}

/// A second account, whose password the vendor refuses.
fn add_account(world: &World) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(world.fleet.config())?;
    let main = text
        .split("[accounts.main]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next());
    let url = main
        .and_then(|section| section.lines().find(|line| line.starts_with("url")))
        .unwrap_or_default();
    let account = format!(
        "\n[accounts.other]\nvendor = \"atol\"\n{url}\nlogin = \"other\"\npassword = \"wrong\"\ngroup_code = \"other\"\n"
    );
    Ok(std::fs::write(world.fleet.config(), text + &account)?)
}

/// 13.1, 1 and 2: sending was not guarded by the state, and one click sent a registered receipt again.
#[tokio::test]
async fn a_registered_receipt_is_sent_again_by_nothing() -> anyhow::Result<()> {
    within("guarded", &pace(), async |world| {
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        let row = world.assert_done_once("417").await?;
        for _ in 0..3 {
            world.publish("sell", "417").await?;
        }
        let path = world.file("sale.json", &request("main", "sell", "417", "417"))?;
        world.fleet.command(&["sell", "--file", &path]).await?;
        for arguments in [
            &["resolve", "417", "--not-registered", "--reason", "x"][..],
            &["cancel", "417", "--reason", "x"],
        ] {
            let output = world.fleet.try_command(arguments).await?;
            assert_eq!(output.status.code(), Some(4), "{output:?}");
        }
        // Somebody publishes a pointer of his own, with the fence that the row has now.
        let pointers = world.fleet.ledger()?;
        let fence: i32 = sqlx::query_scalar("SELECT fence FROM transactions WHERE id = $1")
            .bind(row.id)
            .fetch_one(&world.pool)
            .await?;
        let lease = ledger::Lease {
            hold: Duration::from_secs(1),
            quiet_time: Duration::ZERO,
        };
        let claim = pointers.claim(receipt::TransactionId(row.id), fence, lease).await?;
        assert!(matches!(claim, ledger::Claim::Stale), "{claim:?}");
        // Another one goes all the way after it; nothing has happened to the first.
        world.publish("sell", "418").await?;
        world.assert_done_once("418").await?;
        assert_eq!(world.the_row("417").await?, row);
        assert_eq!(world.only_document("417")?.requests, 1);
        Ok(())
    })
    .await
}

/// 13.1, 6: sending again in bulk made a sale of what was none.
#[tokio::test]
async fn a_refund_that_is_sent_again_under_another_id_stays_a_refund() -> anyhow::Result<()> {
    within("stays", &pace(), async |world| {
        world.fault(Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("timeout", 1))).times(2))?;
        let _all = world.all().await?;
        world.publish("refund", "R-1").await?;
        let row = world.assert_done_once("R-1").await?;
        assert_eq!(
            (row.operation.as_str(), row.external_id.as_str()),
            ("refund", "creditmemo_main_R-1__2")
        );
        let operations: Vec<String> = world.documents("R-1").into_iter().map(|it| it.operation).collect();
        assert_eq!(operations, ["sell_refund"; 3]);
        Ok(())
    })
    .await
}

/// 13.2, 3: a short outage of the token call flagged a healthy order as failed and ended its polling.
#[tokio::test]
async fn without_a_token_for_the_poll_the_receipt_goes_on_waiting() -> anyhow::Result<()> {
    within("polltoken", &pace(), async |world| {
        world.fault(Rule::new(Point::Report, status(503)))?;
        let _all = world.all().await?;
        world.publish("sell", "417").await?;
        world.until_state("417", "waiting").await?;
        world.simulator.control().expire_tokens();
        world.fault(Rule::new(Point::GetToken, status(503)))?;
        let row = world.the_row("417").await?;
        wait::until("a poll without a token", LIMIT, async || {
            let refused: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM attempts WHERE kind = 'poll' AND transaction_id = $1 AND request LIKE '%oken%'",
            )
            .bind(row.id)
            .fetch_one(&world.pool)
            .await?;
            Ok((refused > 0).then_some(()))
        })
        .await?;
        let now = world.the_row("417").await?;
        assert_eq!((now.state.as_str(), now.failure, now.doubt), ("waiting", None, false));
        world.heal();
        world.assert_done_once("417").await?;
        Ok(())
    })
    .await
}

/// 13.2, 4: what was sent at once, without the queue, was never tried again.
#[tokio::test]
async fn a_receipt_from_a_command_is_tried_again_like_any_other() -> anyhow::Result<()> {
    within("fromfile", &pace(), async |world| {
        world.fault(Rule::new(Point::Register, status(500)).times(3))?;
        let _all = world.all().await?;
        let path = world.file("sale.json", &request("main", "sell", "417", "417"))?;
        world.fleet.command(&["sell", "--file", &path]).await?;
        world.assert_done_once("417").await?;
        assert_eq!(world.sends("417").await?.len(), 4);
        Ok(())
    })
    .await
}

/// 13.2, 7: refunds had no next cycle.
#[tokio::test]
async fn a_refund_is_tried_in_the_next_cycle_like_a_sale() -> anyhow::Result<()> {
    within("cycle", &pace(), async |world| {
        world.fault(Rule::new(Point::GetToken, status(503)))?;
        let cycle = [
            ("KASSA_STORES__MAIN__MAX_TRIALS", "2"),
            ("KASSA_STORES__MAIN__RESUME_AFTER", "5s"),
        ];
        let _all = world.fleet.start_with("all", &["all"], &cycle).await?;
        world.publish("refund", "R-1").await?;
        world.publish("sell", "S-1").await?;
        for number in ["R-1", "S-1"] {
            // After the last trial the counter starts anew, and the row is due again.
            let row = world
                .until_row(number, |row| row.state == "retrying" && row.trials == 0)
                .await?;
            assert!(row.is_due, "{row:?}");
            assert!(world.sends(number).await?.len() >= 2);
        }
        world.heal();
        world.assert_done_once("R-1").await?;
        world.assert_done_once("S-1").await?;
        Ok(())
    })
    .await
}

/// 13.2, 9: a store that changed its vendor orphaned what waited at the old one. 13.4, 1: a document was sent by the
/// account of another store.
#[tokio::test]
async fn a_receipt_is_followed_and_sent_by_the_account_of_its_own_store_at_acceptance() -> anyhow::Result<()> {
    within("moved", &pace(), async |world| {
        add_account(world)?;
        let all = world.all().await?;
        world.fault(Rule::new(Point::Report, status(503)))?;
        world.publish("sell", "before").await?;
        world.until_state("before", "waiting").await?;
        drop(all);
        let moved = [("KASSA_STORES__MAIN__ACCOUNT", "other")];
        let _all = world.fleet.start_with("all-2", &["all"], &moved).await?;
        world.heal();
        world.assert_done_once("before").await?;

        // The store's new account is refused, the other store's is well, and neither borrows from the other.
        world.publish("sell", "after").await?;
        let body = request("second", "sell", "neighbour", "neighbour").to_string();
        world.shop.publish("second", body.as_bytes()).await?;
        world.assert_done_once("neighbour").await?;
        let accounts: Vec<(String, String)> =
            sqlx::query_as("SELECT document_number, account FROM transactions ORDER BY document_number")
                .fetch_all(&world.pool)
                .await?;
        let accounts: Vec<(&str, &str)> = accounts
            .iter()
            .map(|(number, account)| (number.as_str(), account.as_str()))
            .collect();
        assert_eq!(
            accounts,
            [("after", "other"), ("before", "main"), ("neighbour", "main")]
        );
        wait::until("the refusal of the new account", LIMIT, async || {
            Ok((!world.sends("after").await?.is_empty()).then_some(()))
        })
        .await?;
        assert!(world.documents("after").is_empty());
        Ok(())
    })
    .await
}

/// 13.4, 3: without a setting a fresh installation talked to the vendor's production.
#[tokio::test]
async fn no_account_has_an_address_that_nobody_wrote_down() -> anyhow::Result<()> {
    within("noaddress", &pace(), async |world| {
        let text = std::fs::read_to_string(world.fleet.config())?;
        let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("url = \"http")).collect();
        let path = world.fleet.folder.join("spoilt.toml");
        std::fs::write(&path, without.join("\n"))?;
        let output = world
            .fleet
            .try_command_with(path.to_str().unwrap_or_default(), &["check-config", "--offline"])
            .await?;
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("accounts.main.url"), "{words}");
        let defaults = world.fleet.command(&["check-config", "--defaults"]).await?;
        assert!(
            !defaults.contains("\"http"),
            "no address stands in the defaults: {defaults}"
        );
        Ok(())
    })
    .await
}
