//! Each occurrence of a schedule goes out once, whatever happened to those who should have sent it.

use std::collections::BTreeSet;

use anyhow::Context;

use super::office::{Office, silence, until_scheduled};
use crate::world::{pace, within};

const DAILY: &str = "daily = \"{daily}\"\nrecipients = [\"boss@shop.example\", \"books@shop.example\"]\nweekly = \"never\"\nattach = false";

#[tokio::test]
async fn what_nobody_sent_while_everything_was_down_is_sent_once_and_says_that_it_is_late() -> anyhow::Result<()> {
    within("late", &pace(), async |world| {
        let office = Office::open(world, DAILY).await?;
        // The first start begins at now.
        let mut first = office.reporter(world, "first").await?;
        until_scheduled(world).await?;
        first.stop(crate::world::LIMIT).await?;
        assert_eq!(office.rows(world).await?, [], "the first start floods nobody");

        silence(world, "49 hours").await?;
        let _one = office.reporter(world, "one").await?;
        let _two = office.reporter(world, "two").await?;
        let _three = office.reporter(world, "three").await?;
        let rows = office.until_ended(world, 6, "sent").await?;
        let mails = office.server.arrived()?;
        assert_eq!((rows.len(), mails.len()), (6, 6), "three days to two people");
        let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.header("message-id")).collect();
        assert_eq!(ids.len(), 6, "each is a mail of its own");
        let mut wanted = Vec::new();
        for ago in 1..=3 {
            let day = office.day(ago)?;
            for recipient in ["boss@shop.example", "books@shop.example"] {
                wanted.push((format!("main daily {day}_{day}"), recipient));
            }
        }
        for (key, recipient) in wanted {
            let of_day = rows.iter().filter(|row| row.key == key);
            let message_ids: Vec<&str> = of_day.map(|row| row.message_id.as_str()).collect();
            let sent = mails
                .iter()
                .filter(|mail| mail.to == [recipient] && message_ids.contains(&mail.header("message-id")));
            assert_eq!(sent.count(), 1, "{key} to {recipient}");
        }
        let late = mails
            .iter()
            .filter(|mail| mail.header("subject").contains("с опозданием"))
            .count();
        assert_eq!(late, 4, "the last one is in time");
        let late = mails
            .iter()
            .find(|mail| mail.header("subject").contains("с опозданием"));
        let html = late.context("a late mail")?.html.as_deref().unwrap_or_default();
        assert!(
            html.contains("Отправлен с опозданием: должен был уйти"),
            "the reason stands in the mail"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_day_whose_numbers_changed_after_its_mail_is_told_in_the_next_one() -> anyhow::Result<()> {
    within("changed", &pace(), async |world| {
        let office = Office::open(
            world,
            "recipients = [\"boss@shop.example\"]\ndaily = \"{daily}\"\nweekly = \"never\"\nattach = false",
        )
        .await?;
        let _all = world.all().await?;
        until_scheduled(world).await?;
        world.publish("sell", "early").await?;
        world.assert_done_once("early").await?;
        office.move_to_yesterday(world).await?;
        silence(world, "1 hour").await?;
        let first = office.only_mail().await?;
        assert!(
            first.header("subject").contains("1 пробит"),
            "{}",
            first.header("subject")
        );
        assert!(
            !first.html.unwrap_or_default().contains("Изменилось"),
            "nothing was told before"
        );
        office.until_ended(world, 1, "sent").await?;

        // A day goes by, and a receipt of the day that was told is registered after all.
        world.publish("sell", "after-all").await?;
        world.assert_done_once("after-all").await?;
        office.move_to_yesterday(world).await?;
        let (yesterday, before) = (office.day(1)?, office.day(2)?);
        sqlx::query("UPDATE transactions SET accepted_at = accepted_at - interval '1 day'")
            .execute(&world.pool)
            .await?;
        sqlx::query("UPDATE mails SET key = replace(key, $1, $2), figures = replace(figures::text, $1, $2)::jsonb")
            .bind(&yesterday)
            .bind(&before)
            .execute(&world.pool)
            .await?;
        silence(world, "1 hour").await?;
        let second = office.server.until_arrived(2).await?.remove(1);
        let html = second.html.clone().unwrap_or_default();
        assert!(html.contains("Изменилось с прошлого отчёта"), "{html}");
        assert!(html.contains("пробито 1 → 2"), "{html}");
        let text = second.text.clone().unwrap_or_default();
        assert!(
            text.contains("пробито 1 → 2") && text.contains("1\u{202f}200,00\u{202f}₽ → 2\u{202f}400,00\u{202f}₽"),
            "{text}"
        );
        assert_eq!(
            second.header("references"),
            first.headers["references"],
            "days are one thread"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_store_that_wants_only_problems_gets_no_mail_about_a_good_day() -> anyhow::Result<()> {
    within("problems", &pace(), async |world| {
        let office = Office::open(
            world,
            "recipients = [\"boss@shop.example\"]\nsend = \"problems\"\ndaily = \"{daily}\"\nweekly = \"never\"\nattach = false",
        )
        .await?;
        let _reporter = office.reporter(world, "reporter").await?;
        until_scheduled(world).await?;
        silence(world, "1 hour").await?;
        office.until_ended(world, 1, "skipped").await?;
        assert!(office.server.arrived()?.is_empty());
        Ok(())
    })
    .await
}
