//! What a test stands in: a vendor, a fleet that reaches its neighbours through proxies, a shop, and eyes for the
//! table and the books. It is cleared away when the test ends, whichever way it ends.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::FutureExt;
use kassa_tests::fleet::{Fleet, Pace, Routes};
use kassa_tests::process::Process;
use kassa_tests::proxy::Proxy;
use kassa_tests::request::request;
use kassa_tests::shop::Shop;
use kassa_tests::{urls, wait};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::Value;
use simulator::{Account, Books, CheckOnlineFiles, Document, Faults, Rule, Simulator};
use sqlx::PgPool;
use uuid::Uuid;

/// For everything that is waited for: generous, because two cores run several fleets at once.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Calls that may take long enough to be caught in the middle.
pub(crate) fn pace() -> Pace {
    Pace {
        call: "2s",
        lease: "5s",
        ..Pace::default()
    }
}

/// Another account at the same vendor, for tests that configure one.
pub(crate) fn other_account() -> Account {
    Account {
        group: "other_1".to_owned(),
        login: "other-login".to_owned(),
        password: "other-password".to_owned(),
        ..Account::default()
    }
}

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) fleet: Fleet,
    pub(crate) shop: Shop,
    /// The table, seen from outside and past the proxy.
    pub(crate) pool: PgPool,
    /// Between the fleet and the vendor.
    pub(crate) vendor: Proxy,
    /// Between the fleet and the broker.
    pub(crate) broker: Proxy,
    /// Between the fleet and its database.
    pub(crate) database: Proxy,
}

/// A transaction as the table has it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) operation: String,
    pub(crate) state: String,
    pub(crate) failure: Option<String>,
    pub(crate) generation: i32,
    pub(crate) external_id: String,
    pub(crate) vendor_uuid: Option<String>,
    pub(crate) trials: i32,
    #[sqlx(rename = "fn")]
    pub(crate) fn_number: Option<String>,
    pub(crate) fd: Option<i64>,
    pub(crate) fpd: Option<String>,
    pub(crate) is_due: bool,
    /// Whether the live registration is in doubt.
    pub(crate) doubt: bool,
}

/// One try to send.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Send {
    pub(crate) number: i32,
    pub(crate) finished: bool,
    pub(crate) class: Option<String>,
    pub(crate) answer: Option<String>,
}

/// Runs `body` in a world of its own.
pub(crate) async fn within<F>(purpose: &str, pace: &Pace, body: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&World) -> anyhow::Result<()>,
{
    let world = Box::pin(World::make(purpose, pace)).await?;
    let outcome = AssertUnwindSafe(Box::pin(body(&world))).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(()))) {
        world.tell_logs();
    }
    let cleared = Box::pin(world.clear()).await;
    match outcome {
        Ok(result) => result.and(cleared),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl World {
    async fn make(purpose: &str, pace: &Pace) -> anyhow::Result<Self> {
        let certificates = std::env::temp_dir().join(format!("kassa-{purpose}-ca-{}", Uuid::new_v4().simple()));
        let simulator = Simulator::builder()
            .account(Account::default())
            .account(other_account())
            .delay(Duration::from_millis(20), Duration::from_millis(60))
            .checkonline(CheckOnlineFiles::in_folder(certificates))
            .checkonline_delay(Duration::from_millis(20), Duration::from_millis(60))
            .start()
            .await?;
        let vendor = Proxy::start(simulator.address().to_string()).await?;
        let broker = Proxy::start(address(&urls::amqp_url()?)?).await?;
        let database = Proxy::start(address(&urls::database_url()?)?).await?;
        let routes = Routes {
            database: Some(database.address.to_string()),
            broker: Some(broker.address.to_string()),
        };
        let atol_url = format!("http://{}/possystem/v4", vendor.address);
        let fleet = Fleet::create_with(purpose, &atol_url, pace, &routes).await?;
        let shop = fleet.shop().await?;
        let pool = fleet.database.pool().await?;
        Ok(Self {
            simulator,
            fleet,
            shop,
            pool,
            vendor,
            broker,
            database,
        })
    }

    async fn clear(self) -> anyhow::Result<()> {
        self.pool.close().await;
        if let Some(files) = self.simulator.checkonline_files() {
            std::fs::remove_dir_all(files.folder())?;
        }
        self.fleet.remove().await
    }

    #[expect(clippy::print_stderr, reason = "a failed test shows what its processes said")]
    fn tell_logs(&self) {
        let logs = std::fs::read_dir(&self.fleet.folder).into_iter().flatten().flatten();
        for log in logs.filter(|file| file.path().extension().is_some_and(|end| end == "log")) {
            let text = std::fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("── the end of {}\n{last}", log.path().display());
        }
    }

    /// Publishes a valid request to the store `main`; the marker is the document's number.
    pub(crate) async fn publish(&self, operation: &str, number: &str) -> anyhow::Result<()> {
        let body = request("main", operation, number, number).to_string();
        self.shop.publish("main", body.as_bytes()).await
    }

    /// A sender and a poller in one process.
    pub(crate) async fn all(&self) -> anyhow::Result<Process> {
        self.fleet.start("all", &["all"]).await
    }

    pub(crate) async fn sender(&self, name: &str) -> anyhow::Result<Process> {
        self.fleet.start(name, &["sender"]).await
    }

    pub(crate) async fn poller(&self, name: &str) -> anyhow::Result<Process> {
        self.fleet.start(name, &["poller"]).await
    }

    pub(crate) fn books(&self) -> Books {
        self.simulator.control().books()
    }

    /// How many fiscal documents there are for this marker, under any id.
    pub(crate) fn registered(&self, marker: &str) -> u32 {
        self.books().registered_by_marker().get(marker).copied().unwrap_or(0)
    }

    /// The only document that the vendor accepted for this marker.
    pub(crate) fn only_document(&self, marker: &str) -> anyhow::Result<Document> {
        let mut documents = self.documents(marker);
        ensure!(documents.len() == 1, "{marker} has {} documents", documents.len());
        Ok(documents.remove(0))
    }

    pub(crate) fn documents(&self, marker: &str) -> Vec<Document> {
        let documents = self.books().documents.into_iter();
        documents
            .filter(|document| document.marker.as_deref() == Some(marker))
            .collect()
    }

    /// Puts one fault in force in place of those before.
    pub(crate) fn fault(&self, rule: Rule) -> anyhow::Result<()> {
        self.faults(vec![rule])
    }

    pub(crate) fn faults(&self, rules: Vec<Rule>) -> anyhow::Result<()> {
        let faults = Faults {
            rules,
            ..Faults::default()
        };
        Ok(self.simulator.control().set_faults(faults)?)
    }

    pub(crate) fn heal(&self) {
        self.simulator.control().clear_faults();
    }

    /// The newest transaction of a document.
    pub(crate) async fn row(&self, number: &str) -> anyhow::Result<Option<Row>> {
        Ok(sqlx::query_as(
            "SELECT t.id, t.operation, t.state, t.failure, t.generation, t.external_id, t.vendor_uuid, t.trials, \
                 t.fn, t.fd, t.fpd, t.due_at IS NOT NULL AS is_due, r.doubt_since IS NOT NULL AS doubt \
             FROM transactions t \
             JOIN registrations r ON r.transaction_id = t.id AND r.generation = t.generation \
             WHERE t.document_number = $1 \
             ORDER BY t.id DESC LIMIT 1",
        )
        .bind(number)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The row of a document that must be there.
    pub(crate) async fn the_row(&self, number: &str) -> anyhow::Result<Row> {
        self.row(number)
            .await?
            .with_context(|| format!("{number} is not in the table"))
    }

    pub(crate) async fn sends(&self, number: &str) -> anyhow::Result<Vec<Send>> {
        Ok(sqlx::query_as(
            "SELECT a.number, a.finished_at IS NOT NULL AS finished, a.class, a.answer \
             FROM attempts a JOIN transactions t ON t.id = a.transaction_id \
             WHERE t.document_number = $1 AND a.kind = 'send' ORDER BY a.number",
        )
        .bind(number)
        .fetch_all(&self.pool)
        .await?)
    }

    /// How many transactions are in this state.
    pub(crate) async fn count(&self, state: &str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM transactions WHERE state = $1")
            .bind(state)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Waits until a document's row is as `wanted` says.
    pub(crate) async fn until_row(&self, number: &str, wanted: impl Fn(&Row) -> bool) -> anyhow::Result<Row> {
        let what = format!("the row of {number}");
        let waited = wait::until(&what, LIMIT, async || {
            Ok(self.row(number).await?.filter(|row| wanted(row)))
        });
        match waited.await {
            Ok(row) => Ok(row),
            Err(error) => {
                let sends = self.sends(number).await?;
                Err(error.context(format!(
                    "the row is {:?}; its sends are {sends:?}",
                    self.row(number).await?
                )))
            }
        }
    }

    pub(crate) async fn until_state(&self, number: &str, state: &str) -> anyhow::Result<Row> {
        self.until_row(number, |row| row.state == state).await
    }

    /// Waits until `count` transactions are done.
    pub(crate) async fn until_done(&self, count: i64) -> anyhow::Result<()> {
        let what = format!("{count} transactions done");
        wait::until(&what, LIMIT, async || {
            Ok((self.count("done").await? >= count).then_some(()))
        })
        .await
    }

    /// Has what waits asked about at once, and again until the document is done: a question that was under way when the
    /// vendor registered it still hears of nothing, and the next one may be an hour away.
    pub(crate) async fn ask_until_done(&self, number: &str) -> anyhow::Result<()> {
        wait::until(&format!("news of {number}"), LIMIT, async || {
            sqlx::query("UPDATE registrations SET next_poll_at = now() WHERE state = 'waiting'")
                .execute(&self.pool)
                .await?;
            Ok((self.the_row(number).await?.state == "done").then_some(()))
        })
        .await
    }

    /// Waits until the vendor's books are as `wanted` says.
    pub(crate) async fn until_books(&self, what: &str, wanted: impl Fn(&Books) -> bool) -> anyhow::Result<()> {
        wait::until(what, LIMIT, async || Ok(wanted(&self.books()).then_some(()))).await
    }

    /// Waits until the vendor has accepted a document with this marker.
    pub(crate) async fn until_accepted_by_the_vendor(&self, marker: &str) -> anyhow::Result<()> {
        let what = format!("the vendor has {marker}");
        wait::until(&what, LIMIT, async || {
            Ok((!self.documents(marker).is_empty()).then_some(()))
        })
        .await
    }

    /// The row and the books tell the same about a document that is done, and it is registered once.
    pub(crate) async fn assert_done_once(&self, marker: &str) -> anyhow::Result<Row> {
        let row = self.until_state(marker, "done").await?;
        assert_eq!(self.registered(marker), 1, "{marker} in the books");
        let document = self
            .documents(marker)
            .into_iter()
            .find(|document| document.registered == 1)
            .context("a registered document")?;
        let fiscal = document.fiscal.context("a fiscal document")?;
        assert_eq!(row.fn_number.as_deref(), Some(fiscal.fn_number.as_str()));
        assert_eq!(row.fd, Some(i64::from(fiscal.fiscal_document_number)));
        assert_eq!(row.fpd, Some(fiscal.fiscal_document_attribute.to_string()));
        assert_eq!(row.external_id, document.external_id);
        // The vendor that answers at once gives no number of its own.
        let vendor_uuid = (document.vendor != "checkonline").then(|| document.uuid.to_string());
        assert_eq!(row.vendor_uuid, vendor_uuid);
        assert!(!row.doubt && !row.is_due, "{row:?}");
        Ok(row)
    }

    /// How many messages stand ready in a queue of the fleet.
    pub(crate) async fn depth(&self, queue: &str) -> anyhow::Result<u32> {
        self.depth_by(&self.shop, queue).await
    }

    pub(crate) async fn depth_by(&self, shop: &Shop, queue: &str) -> anyhow::Result<u32> {
        Ok(self.look_at(shop, queue).await?.message_count())
    }

    /// Waits until somebody consumes a queue.
    pub(crate) async fn until_consumed(&self, queue: &str) -> anyhow::Result<()> {
        wait::until(&format!("a consumer of {queue}"), LIMIT, async || {
            let seen = self.look_at(&self.shop, queue).await?;
            Ok((seen.consumer_count() > 0).then_some(()))
        })
        .await
    }

    async fn look_at(&self, shop: &Shop, queue: &str) -> anyhow::Result<lapin::Queue> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let name = format!("{}.{queue}", self.fleet.prefix);
        let channel = shop.channel();
        Ok(channel
            .queue_declare(name.into(), options, FieldTable::default())
            .await?)
    }

    /// Messages that were not accepted: reason, body.
    pub(crate) async fn dead_letters(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        Ok(
            sqlx::query_as("SELECT reason_code, body FROM dead_letters ORDER BY first_seen")
                .fetch_all(&self.pool)
                .await?,
        )
    }

    /// Writes a file into the fleet's folder.
    pub(crate) fn file(&self, name: &str, body: &Value) -> anyhow::Result<String> {
        let path = self.fleet.folder.join(name);
        std::fs::write(&path, body.to_string())?;
        Ok(path.to_str().context("a path in UTF-8")?.to_owned())
    }
}

/// `host:port` of a URL.
fn address(url: &str) -> anyhow::Result<String> {
    let (_, rest) = url.split_once("://").context("a URL")?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let (_, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    Ok(address.to_owned())
}
