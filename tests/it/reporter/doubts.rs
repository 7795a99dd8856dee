//! A mail server that fails in every way: what it certainly did not take is never lost, and what it may have taken is
//! sent at most three times.

use std::collections::BTreeSet;

use kassa_tests::mail_server::{Arrived, Protection};
use kassa_tests::wait::until;

use super::office::{Office, certificate, silence, until_scheduled};
use crate::world::{LIMIT, World, pace, within};

const DAILY: &str = "recipients = [\"boss@shop.example\"]\nweekly = \"never\"\nattach = false";

/// A report that is due, with a reporter that has seen the schedule.
async fn due(world: &World, office: &Office) -> anyhow::Result<()> {
    let mut first = office.reporter(world, "first").await?;
    until_scheduled(world).await?;
    first.stop(LIMIT).await?;
    silence(world, "1 day").await
}

fn ids(mails: &[Arrived]) -> BTreeSet<&str> {
    mails.iter().map(|mail| mail.header("message-id")).collect()
}

#[tokio::test]
async fn refusals_and_an_absent_server_cost_no_report_and_make_no_second_one() -> anyhow::Result<()> {
    within("refusals", &pace(), async |world| {
        let mut office = Office::open(world, DAILY).await?;
        due(world, &office).await?;
        office.server.down().await?;
        let reporter = office.reporter(world, "reporter").await?;
        office
            .until_rows(world, "two tries at nobody", |rows| {
                rows.len() == 1 && rows[0].failures >= 2
            })
            .await?;
        // As if that had taken an hour.
        sqlx::query("UPDATE mails SET what = jsonb_set(what, '{at}', to_jsonb(now() - interval '1 hour'))")
            .execute(&world.pool)
            .await?;
        office.server.plan(&["refuse", "later", "refuse"])?;
        office.server.up().await?;
        let rows = office.until_ended(world, 1, "sent").await?;
        assert_eq!(
            (rows.len(), rows[0].sends),
            (1, 1),
            "only the try that was taken counts"
        );
        assert!(rows[0].failures >= 5, "{rows:?}");
        let mail = office.only_mail().await?;
        assert!(
            mail.header("subject").contains("с опозданием"),
            "{}",
            mail.header("subject")
        );
        assert!(
            reporter.log().contains("no such user here"),
            "the server's words stand in the log"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lost_answer_errs_on_the_double_with_the_same_id() -> anyhow::Result<()> {
    within("lost", &pace(), async |world| {
        let office = Office::open(world, DAILY).await?;
        due(world, &office).await?;
        office.server.plan(&["lost", "take"])?;
        let _reporter = office.reporter(world, "reporter").await?;
        let rows = office.until_ended(world, 1, "sent").await?;
        assert_eq!(rows[0].sends, 2);
        let mails = office.server.arrived()?;
        assert_eq!((mails.len(), ids(&mails).len()), (2, 1), "two copies with one id");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_never_answers_gets_three_copies_and_a_person_is_told() -> anyhow::Result<()> {
    within("silent", &pace(), async |world| {
        let office = Office::open(world, DAILY).await?;
        due(world, &office).await?;
        office.server.plan(&["lost"; 9])?;
        let reporter = office.reporter(world, "reporter").await?;
        let rows = office.until_ended(world, 1, "unconfirmed").await?;
        assert_eq!(rows[0].sends, 3);
        let mails = office.server.arrived()?;
        assert_eq!((mails.len(), ids(&mails).len()), (3, 1));
        // The row comes first, the line in the log after it.
        until("the word to a person", LIMIT, || async {
            let told = reporter.log().contains("was sent 3 times without an answer");
            Ok(told.then_some(()))
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn reporters_killed_between_the_mail_and_its_answer_send_it_three_times_at_most() -> anyhow::Result<()> {
    within("died", &pace(), async |world| {
        let office = Office::open(world, DAILY).await?;
        due(world, &office).await?;
        office.server.plan(&["hang"; 9])?;
        for copies in 1..=3 {
            let mut reporter = office.reporter(world, &format!("reporter-{copies}")).await?;
            office.server.until_arrived(copies).await?;
            reporter.kill().await?;
            // As if its claim were over.
            sqlx::query("UPDATE mails SET due_at = now() WHERE ended IS NULL")
                .execute(&world.pool)
                .await?;
        }
        let last = office.reporter(world, "last").await?;
        let rows = office.until_ended(world, 1, "unconfirmed").await?;
        assert_eq!(rows[0].sends, 3);
        let mails = office.server.arrived()?;
        assert_eq!((mails.len(), ids(&mails).len()), (3, 1));
        assert!(last.log().contains("ask whether it came"), "{}", last.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_neither_password_nor_mail() -> anyhow::Result<()> {
    within("foreign", &pace(), async |world| {
        let (certificate, key) = certificate(world)?;
        let office = Office::open_with(world, Protection::Tls(certificate.clone(), key), "localhost", DAILY).await?;
        // Another certificate takes the place of the one that the server has.
        let foreign = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(&certificate, foreign.cert.pem())?;
        due(world, &office).await?;
        let _reporter = office.reporter(world, "reporter").await?;
        let rows = office
            .until_rows(world, "a failed try", |rows| {
                rows.first().is_some_and(|row| row.failures > 0)
            })
            .await?;
        assert_eq!(rows[0].sends, 0, "nothing can have been taken");
        assert!(office.server.arrived()?.is_empty());
        Ok(())
    })
    .await
}
