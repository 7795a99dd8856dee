//! A world with a mail server, and steps that make time pass for reports.

use std::path::PathBuf;

use jiff::{ToSpan, Zoned};
use kassa_tests::mail_server::{Arrived, MailServer, PASSWORD, Protection, USER};
use kassa_tests::process::Process;
use kassa_tests::wait;

use crate::world::{LIMIT, World};

/// A mail server and the configuration that names it.
pub(crate) struct Office {
    pub(crate) server: MailServer,
    /// When `{daily}` was due: two minutes before the test began, so that it is due by itself only tomorrow.
    at: Zoned,
}

/// A mail as the table has it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct MailRow {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) message_id: String,
    pub(crate) sends: i32,
    pub(crate) failures: i32,
    pub(crate) ended: Option<String>,
}

impl Office {
    /// A server without encryption on this machine, and reports with these settings.
    pub(crate) async fn open(world: &World, report: &str) -> anyhow::Result<Self> {
        Self::open_with(world, Protection::None, "127.0.0.1", report).await
    }

    /// A server that wants STARTTLS and a login.
    pub(crate) async fn open_secured(world: &World, report: &str) -> anyhow::Result<Self> {
        let (certificate, key) = certificate(world)?;
        Self::open_with(world, Protection::StartTls(certificate, key), "localhost", report).await
    }

    pub(crate) async fn open_with(
        world: &World,
        protection: Protection,
        host: &str,
        report: &str,
    ) -> anyhow::Result<Self> {
        let secured = |mode: &str, certificate: &PathBuf| {
            format!(
                "tls = \"{mode}\"\nuser = \"{USER}\"\npassword = \"{PASSWORD}\"\nca_file = \"{}\"",
                certificate.display()
            )
        };
        let tls = match &protection {
            Protection::StartTls(certificate, _) => secured("starttls", certificate),
            Protection::Tls(certificate, _) => secured("tls", certificate),
            Protection::None => "tls = \"none\"".to_owned(),
        };
        let at = jiff::Timestamp::now()
            .in_tz("Europe/Moscow")?
            .checked_sub(2.minutes())?;
        let report = report.replace("{daily}", &format!("{} {} * * *", at.minute(), at.hour()));
        let server = MailServer::start(&world.fleet.folder, protection).await?;
        let port = server.port;
        world.fleet.configure(&format!(
            r#"
[mail]
server = "{host}"
port = {port}
from = "kassa <kassa@shop.example>"
interval = "200ms"
timeout = "5s"
retry_intervals = ["300ms", "500ms"]
{tls}

[reports.main]
{report}
"#
        ))?;
        Ok(Self { server, at })
    }

    /// A day of Moscow, so many days before the one on which `{daily}` was due.
    pub(crate) fn day(&self, ago: i64) -> anyhow::Result<String> {
        Ok(self.at.date().checked_sub(ago.days())?.to_string())
    }

    /// Moves everything that was accepted to noon of the day before `{daily}` was due.
    pub(crate) async fn move_to_yesterday(&self, world: &World) -> anyhow::Result<()> {
        sqlx::query("UPDATE transactions SET accepted_at = $1::text::timestamp AT TIME ZONE 'Europe/Moscow'")
            .bind(format!("{} 12:00", self.day(1)?))
            .execute(&world.pool)
            .await?;
        Ok(())
    }

    /// Starts a reporter.
    pub(crate) async fn reporter(&self, world: &World, name: &str) -> anyhow::Result<Process> {
        world.fleet.start(name, &["reporter"]).await
    }

    /// The mails in the table, oldest first.
    pub(crate) async fn rows(&self, world: &World) -> anyhow::Result<Vec<MailRow>> {
        Ok(
            sqlx::query_as("SELECT kind, key, message_id, sends, failures, ended FROM mails ORDER BY id")
                .fetch_all(&world.pool)
                .await?,
        )
    }

    /// Waits until there are `count` mails and the rows are as `wanted` says.
    pub(crate) async fn until_rows(
        &self,
        world: &World,
        what: &str,
        wanted: impl Fn(&[MailRow]) -> bool,
    ) -> anyhow::Result<Vec<MailRow>> {
        let waited = wait::until(what, LIMIT, async || {
            let rows = self.rows(world).await?;
            Ok(wanted(&rows).then_some(rows))
        });
        match waited.await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(error.context(format!("the mails are {:?}", self.rows(world).await?))),
        }
    }

    /// Waits until `count` mails have ended in this way.
    pub(crate) async fn until_ended(&self, world: &World, count: usize, how: &str) -> anyhow::Result<Vec<MailRow>> {
        let what = format!("{count} mails {how}");
        self.until_rows(world, &what, |rows| {
            rows.iter().filter(|row| row.ended.as_deref() == Some(how)).count() >= count
        })
        .await
    }

    /// Waits for the only mail.
    pub(crate) async fn only_mail(&self) -> anyhow::Result<Arrived> {
        let mut mails = self.server.until_arrived(1).await?;
        anyhow::ensure!(mails.len() == 1, "{} mails arrived", mails.len());
        Ok(mails.remove(0))
    }
}

/// A certificate for `localhost`, and its key.
pub(crate) fn certificate(world: &World) -> anyhow::Result<(PathBuf, PathBuf)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key) = (world.fleet.folder.join("mail.pem"), world.fleet.folder.join("mail.key"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((certificate, key))
}

/// As if no reporter had run for so long.
pub(crate) async fn silence(world: &World, time: &str) -> anyhow::Result<()> {
    sqlx::query("UPDATE report_schedules SET seen_until = now() - $1::text::interval")
        .bind(time)
        .execute(&world.pool)
        .await?;
    Ok(())
}

/// Waits until a reporter has written its schedules down.
pub(crate) async fn until_scheduled(world: &World) -> anyhow::Result<()> {
    wait::until("schedules in the table", LIMIT, async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM report_schedules WHERE active")
            .fetch_one(&world.pool)
            .await?;
        Ok((count > 0).then_some(()))
    })
    .await
}
