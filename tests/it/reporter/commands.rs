//! What a person can do about mails: send one now, look at one, check the configuration.

use kassa_tests::mail_server::Protection;

use super::office::{Office, certificate};
use crate::world::{pace, within};

const BOSS: &str = "recipients = [\"boss@shop.example\"]\nlanguage = \"en\"";

#[tokio::test]
async fn a_person_mails_a_report_without_a_reporter_and_is_told_when_no_server_takes_it() -> anyhow::Result<()> {
    within("mailed", &pace(), async |world| {
        let (certificate, key) = certificate(world)?;
        let mut office = Office::open_with(world, Protection::Tls(certificate, key), "localhost", BOSS).await?;
        let _all = world.fleet.start("sender", &["sender", "poller"]).await?;
        world.publish("sell", "417").await?;
        world.assert_done_once("417").await?;
        let mail = ["report", "today", "--mail"];
        let said = world.fleet.command(&mail).await?;
        assert_eq!(said.trim(), "main: sent to boss@shop.example");
        let arrived = office.only_mail().await?;
        assert!(arrived.encrypted && arrived.authenticated);
        let subject = arrived.header("subject");
        assert!(
            subject.starts_with("✔ Receipts ") && subject.contains(": 1 registered, "),
            "{subject}"
        );
        assert!(subject.contains("1,200.00"), "{subject}");
        assert_eq!(arrived.attachments.len(), 1);

        let other = [&mail[..], &["--store", "second", "--recipient", "other@shop.example"]].concat();
        world.fleet.command(&other).await?;
        let arrived = office.server.until_arrived(2).await?.remove(1);
        assert_eq!(arrived.to, ["other@shop.example"]);

        office.server.down().await?;
        let failed = world.fleet.try_command(&mail).await?;
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(75), "{said}");
        office.server.up().await?;
        let _reporter = office.reporter(world, "reporter").await?;
        office.until_ended(world, 3, "sent").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_layout_of_ops_can_be_looked_at_and_a_wrong_one_is_told_with_every_other_fault() -> anyhow::Result<()> {
    within("preview", &pace(), async |world| {
        let layout = world.fleet.folder.join("report.mjml");
        let body = |hole: &str| {
            format!(
                "<mjml><mj-body><mj-section><mj-column><mj-text>Привет: {{{{ {hole} }}}}</mj-text></mj-column>\
                 </mj-section></mj-body></mjml>"
            )
        };
        std::fs::write(&layout, body("verdict.text"))?;
        let _office = Office::open(world, &format!("{BOSS}\ntemplate = \"{}\"", layout.display())).await?;
        let html = world.fleet.folder.join("mail.html");
        let file = html.to_str().unwrap_or_default();
        let said = world
            .fleet
            .command(&["report", "preview", "today", "--store", "main", "--file", file])
            .await?;
        assert!(said.starts_with("✔ Receipts "), "{said}");
        let shown = std::fs::read_to_string(&html)?;
        assert!(shown.contains("Привет: There were no receipts"), "{shown}");

        std::fs::write(&layout, body("verdikt.text"))?;
        let config = world.fleet.folder.join("wrong.toml");
        let good = std::fs::read_to_string(world.fleet.config())?;
        let wrong = good
            .replace(
                "recipients = [\"boss@shop.example\"]",
                "recipients = [\"boss\"]\ndaily = \"61 0 * * *\"",
            )
            .replace("server = \"127.0.0.1\"", "server = \"smtp.shop.example\"");
        std::fs::write(&config, wrong)?;
        let checked = world
            .fleet
            .try_command_with(config.to_str().unwrap_or_default(), &["check-config", "--offline"])
            .await?;
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{said}");
        for fault in [
            "reports.main.recipients[0]: \"boss\" is not an address",
            "reports.main.daily: \"61 0 * * *\" is not a pattern of cron",
            "reports.main.template: the template cannot be filled",
            "mail.tls: none is for an address of this machine",
        ] {
            assert!(said.contains(fault), "{fault}\n{said}");
        }
        Ok(())
    })
    .await
}
