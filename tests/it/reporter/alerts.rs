//! People are told at once of what they must act on, once for each cause, and so is the shop.

use kassa_tests::fleet::Pace;
use kassa_tests::mail_server::Arrived;
use kassa_tests::request::BUYER;
use simulator::{Action, ErrorAnswer, Faults, Point, Registers, Rule};

use super::figures::{assert_readable, looks};
use super::office::Office;
use crate::world::{World, pace, within};

const ALERTS: &str = "alerts = [\"ops@shop.example\", \"boss@shop.example\"]\n\
                      receipt_link = \"https://receipts.shop.example/receipts/{id}\"";

/// How many events of a type there are.
async fn events(world: &World, event_type: &str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM events WHERE type = $1")
        .bind(event_type)
        .fetch_one(&world.pool)
        .await?)
}

fn about<'a>(mails: &'a [Arrived], word: &str) -> Vec<&'a Arrived> {
    mails
        .iter()
        .filter(|mail| mail.header("subject").contains(word))
        .collect()
}

fn all_of(mail: &Arrived) -> String {
    format!("{:?} {:?} {:?}", mail.headers, mail.text, mail.html)
}

#[tokio::test]
async fn many_receipts_that_fail_for_one_cause_are_one_mail_to_each_person() -> anyhow::Result<()> {
    within("alerts", &pace(), async |world| {
        let office = Office::open(world, ALERTS).await?;
        let refused = Action::Error(ErrorAnswer::new("driver", 128));
        world.fault(Rule::new(Point::Processing, refused))?;
        let mut poller = world.poller("poller").await?;
        let _sender = world.sender("sender").await?;
        for number in ["1", "2", "3"] {
            world.publish("sell", number).await?;
            world.until_state(number, "failed").await?;
        }
        poller.stop(crate::world::LIMIT).await?;
        let _reporter = office.reporter(world, "reporter").await?;
        let mails = office.server.until_arrived(2).await?;
        let mut recipients: Vec<&str> = mails.iter().flat_map(|mail| &mail.to).map(String::as_str).collect();
        recipients.sort_unstable();
        assert_eq!(recipients, ["boss@shop.example", "ops@shop.example"]);
        assert_eq!(events(world, "receipt.failed").await?, 3, "the shop is told of each");
        let mail = &mails[0];
        assert!(
            mail.header("subject").contains("Чеки не пробиты: 3 · main"),
            "{}",
            mail.header("subject")
        );
        assert_eq!(mail.header("auto-submitted"), "auto-generated");
        let row = world.the_row("1").await?;
        let html = mail.html.as_deref().unwrap_or_default();
        assert!(
            html.contains(&format!(
                "https:&#x2f;&#x2f;receipts.shop.example&#x2f;receipts&#x2f;{}",
                row.id
            )),
            "{html}"
        );
        assert_readable(&looks("alert", html).await?);
        let text = mail.text.as_deref().unwrap_or_default();
        assert!(
            text.contains("Что делать:") && text.contains("driver 128") && text.contains(&row.external_id),
            "{text}"
        );
        assert!(!all_of(mail).contains(BUYER), "no buyer's data");

        // The same again within the hour is quiet.
        let _poller = world.poller("poller-2").await?;
        world.publish("sell", "4").await?;
        world.until_state("4", "failed").await?;
        world
            .fleet
            .command(&["account", "pause", "main", "--reason", "a new password"])
            .await?;
        let mails = office.server.until_arrived(4).await?;
        assert_eq!(
            about(&mails, "Отправка чеков остановлена").len(),
            2,
            "another cause is told"
        );
        assert_eq!(mails.len(), 4);
        assert_eq!(
            events(world, "account.paused").await?,
            2,
            "one for each store of the account"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_that_a_machine_gates_and_receipts_that_wait_too_long_are_told() -> anyhow::Result<()> {
    let pace = Pace {
        stores: "overdue_after = \"1s\"",
        ..pace()
    };
    within("gated", &pace, async |world| {
        let office = Office::open(world, ALERTS).await?;
        let asleep = |rules| Faults {
            registers: Registers::Off,
            rules,
            ..Faults::default()
        };
        world.simulator.control().set_faults(asleep(Vec::new()))?;
        let often = [("KASSA_POLLER__OVERDUE_INTERVAL", "200ms")];
        let _all = world.fleet.start_with("all", &["all"], &often).await?;
        world.publish("sell", "slow").await?;
        let mails = office.server.until_arrived(2).await?;
        assert_eq!(
            about(&mails, "Чек ждёт дольше положенного · main").len(),
            2,
            "{:?}",
            mails[0].headers
        );
        assert_eq!(events(world, "receipt.overdue").await?, 1);

        let refused = Rule::new(Point::Register, Action::Error(ErrorAnswer::new("system", 12)));
        world.simulator.control().set_faults(asleep(vec![refused]))?;
        // One refusal could be the receipt's own fault.
        for number in 1..=5 {
            world.publish("sell", &format!("refused-{number}")).await?;
        }
        let mails = office.server.until_arrived(4).await?;
        let gated = about(&mails, "Отправка чеков остановлена · учётная запись main");
        assert_eq!(gated.len(), 2);
        assert!(
            gated[0].text.as_deref().unwrap_or_default().contains("system 12"),
            "{:?}",
            gated[0].text
        );
        assert!(events(world, "account.paused").await? >= 2);
        Ok(())
    })
    .await
}
