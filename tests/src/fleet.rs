//! A fleet of real processes with a database and a broker prefix of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ledger::Ledger;
use tokio::net::TcpSocket;
use uuid::Uuid;

use crate::database::Database;
use crate::process::Process;
use crate::shop::Shop;
use crate::urls::Servers;
use crate::vendor::client;
use crate::{urls, wait};

/// How fast the fleet of a test is.
#[derive(Debug, Clone)]
pub struct Pace {
    /// `stores.*.retry_intervals`.
    pub retry_intervals: &'static str,
    /// `calls.call`.
    pub call: &'static str,
    /// `sender.lease`.
    pub lease: &'static str,
    /// `sender.quiet_time`.
    pub quiet_time: &'static str,
    /// `sender.grace`.
    pub grace: &'static str,
    /// `stores.*.poll_intervals`.
    pub poll_intervals: &'static str,
    /// Lines that go into the section `[sender]` as they are.
    pub sender: &'static str,
    /// Lines that go into the section `[broker]` as they are.
    pub broker: &'static str,
    /// Lines that go into the section of every store as they are.
    pub stores: &'static str,
    /// Whether requests ask the vendor to call back, at [`Fleet::public`].
    pub callbacks: bool,
    /// The lines of the section `[gates]`.
    pub gates: &'static str,
    /// Sections that are added at the end: more accounts, stores, limits. `{atol}` stands for the vendor's address.
    pub more: &'static str,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry_intervals: r#"["1s", "2s", "5s"]"#,
            call: "1s",
            lease: "4s",
            quiet_time: "1s",
            grace: "1s",
            poll_intervals: r#"["1s"]"#,
            sender: "",
            broker: "",
            stores: "",
            callbacks: false,
            gates: r#"
probe_interval = "300ms"
longest_probe_interval = "2s"
ramp_step = "100ms"
interval = "200ms"
worker_expiry = "4s"
"#,
            more: "",
        }
    }
}

/// One fleet: configuration, database, prefix, and the processes that a test starts.
pub struct Fleet {
    /// Its folder with configuration and logs.
    pub folder: PathBuf,
    /// Its database.
    pub database: Database,
    /// Its prefix at the broker.
    pub prefix: String,
    /// Where the outside finds its HTTP, whichever process answers there: see [`Fleet::start_http`].
    pub public: SocketAddr,
    config: PathBuf,
    program: PathBuf,
    servers: Servers,
    /// Keeps the public port for this fleet: bound, not listening.
    _reserved: TcpSocket,
}

/// The secret in the address of the callbacks of a store, whose code this is.
#[must_use]
pub fn callback_secret(store: &str) -> String {
    format!("secret-of-the-test-for-{store}")
}

/// Where a fleet finds its neighbours; a test puts a proxy in between.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// Instead of the database's own address: `host:port`.
    pub database: Option<String>,
    /// Instead of the broker's own address: `host:port`.
    pub broker: Option<String>,
}

impl Fleet {
    /// Makes folder, database and configuration, and brings the schema up to date. `atol_url` is the account's.
    ///
    /// # Errors
    /// When a server cannot be reached.
    pub async fn create(purpose: &str, atol_url: &str, pace: &Pace) -> anyhow::Result<Self> {
        Self::create_with(purpose, atol_url, pace, &Routes::default()).await
    }

    /// The same, with other ways to database and broker.
    ///
    /// # Errors
    /// When a server cannot be reached.
    pub async fn create_with(purpose: &str, atol_url: &str, pace: &Pace, routes: &Routes) -> anyhow::Result<Self> {
        Self::create_on(Servers::given()?, purpose, atol_url, pace, routes).await
    }

    /// The same on other servers than the test command's.
    ///
    /// # Errors
    /// When a server cannot be reached.
    pub async fn create_on(
        servers: Servers,
        purpose: &str,
        atol_url: &str,
        pace: &Pace,
        routes: &Routes,
    ) -> anyhow::Result<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let folder = std::env::temp_dir().join(format!("kassa-{purpose}-{id}"));
        std::fs::create_dir_all(&folder)?;
        let database = Database::create_at(servers.database_url.clone(), purpose).await?;
        let prefix = format!("{purpose}-{}", &id[..12]);
        let config = folder.join("kassa.toml");
        let database_url = via(&database.url, routes.database.as_deref());
        let broker_url = via(&servers.amqp_url, routes.broker.as_deref());
        let (reserved, public) = reserve_port()?;
        let settings = settings(&database_url, &broker_url, &prefix, atol_url, pace, public);
        std::fs::write(&config, settings)?;
        let program = urls::executable("KASSA_BIN", "kassa")?;
        let fleet = Self {
            folder,
            database,
            prefix,
            public,
            config,
            program,
            servers,
            _reserved: reserved,
        };
        fleet.command(&["migrate"]).await?;
        Ok(fleet)
    }

    /// Starts a process with these roles, and waits until it is ready.
    ///
    /// # Errors
    /// When it is not ready in time; its log is in the error.
    pub async fn start(&self, name: &str, roles: &[&str]) -> anyhow::Result<Process> {
        self.start_with(name, roles, &[]).await
    }

    /// The same, with variables that win over the configuration file.
    ///
    /// # Errors
    /// When it is not ready in time; its log is in the error.
    pub async fn start_with(
        &self,
        name: &str,
        roles: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let mut process = self.start_unready(name, roles, environment)?;
        let ready = wait::until("readiness", Duration::from_secs(60), || async {
            Ok((probe(&process, "readyz").await? == Some(200)).then_some(()))
        })
        .await;
        ensure!(process.runs()?, "{name} has ended:\n{}", process.log());
        ready.with_context(|| process.log())?;
        Ok(process)
    }

    /// Starts a process with the role `http` at the public address, and waits until it is ready. Other processes that
    /// have the role too listen on any free port, where nobody looks for them.
    ///
    /// # Errors
    /// When it is not ready in time; its log is in the error.
    pub async fn start_http(&self, name: &str) -> anyhow::Result<Process> {
        let listen = self.public.to_string();
        self.start_with(name, &["http"], &[("KASSA_HTTP__LISTEN", &listen)])
            .await
    }

    /// Where the vendor calls back about receipts of a store.
    #[must_use]
    pub fn callback_url(&self, store: &str) -> String {
        format!(
            "http://{}/callbacks/atol/{store}/{}",
            self.public,
            callback_secret(store)
        )
    }

    /// Starts a process with these roles without waiting for anything.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_unready(&self, name: &str, roles: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Process> {
        let config = self.config.to_str().context("a path in UTF-8")?;
        let mut arguments = vec!["--config", config, "run"];
        arguments.extend(roles);
        Process::start_with(name, &self.program, &arguments, &self.folder, environment)
    }

    /// Runs a command of an operator and returns what it printed.
    ///
    /// # Errors
    /// When its exit code is not 0.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.try_command(arguments).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "kassa {} failed with {}: {stderr}",
            arguments.join(" "),
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a command of an operator, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn try_command(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        self.try_command_with(self.config.to_str().context("a path in UTF-8")?, arguments)
            .await
    }

    /// The same with another configuration file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn try_command_with(&self, config: &str, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        let mut command = tokio::process::Command::new(&self.program);
        // The URLs are in the file; those of the test command must not win over them.
        command.env_remove("DATABASE_URL").env_remove("AMQP_URL");
        Ok(command.args(["--config", config]).args(arguments).output().await?)
    }

    /// Adds sections to the configuration, for processes that start from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, sections: &str) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(&self.config)?;
        Ok(std::fs::write(&self.config, format!("{before}\n{sections}"))?)
    }

    /// Names another public address to the vendor, for processes that start from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn call_back_at(&self, address: &str) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(&self.config)?;
        let public = format!("public_url = \"http://{}\"", self.public);
        ensure!(before.contains(&public), "the configuration has no line {public}");
        let after = before.replace(&public, &format!("public_url = \"http://{address}\""));
        Ok(std::fs::write(&self.config, after)?)
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The executable that it runs.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The ledger, for looking and for steps that a test makes itself.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(Ledger::open(&ledger::Config::at(self.database.url.clone()), "test")?)
    }

    /// A shop of this fleet.
    ///
    /// # Errors
    /// When the broker does not take the connection.
    pub async fn shop(&self) -> anyhow::Result<Shop> {
        Shop::connect_at(&self.servers.amqp_url, &self.prefix).await
    }

    /// Drops the database, deletes the queues and the folder.
    ///
    /// # Errors
    /// When a server cannot be reached.
    pub async fn remove(self) -> anyhow::Result<()> {
        crate::shop::delete_topology_at(&self.servers.amqp_url, &self.prefix).await?;
        self.database.remove().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

/// The HTTP status of `healthz` or `readyz`; `None` while the process does not listen.
///
/// # Errors
/// When there is no HTTP client.
pub async fn probe(process: &Process, path: &str) -> anyhow::Result<Option<u16>> {
    let Some(address) = health_address(&process.log()) else {
        return Ok(None);
    };
    let answer = client()?.get(format!("http://{address}/{path}")).send().await;
    Ok(answer.ok().map(|answer| answer.status().as_u16()))
}

/// What a process answers at its health address; `None` while it does not listen.
///
/// # Errors
/// When there is no HTTP client, or the answer breaks off.
pub async fn ask(process: &Process, path: &str) -> anyhow::Result<Option<String>> {
    let Some(address) = health_address(&process.log()) else {
        return Ok(None);
    };
    match client()?.get(format!("http://{address}/{path}")).send().await {
        Ok(answer) => Ok(Some(answer.text().await?)),
        Err(_) => Ok(None),
    }
}

/// The same URL at another `host:port`, if there is one.
pub(crate) fn via(url: &str, address: Option<&str>) -> String {
    let Some(address) = address else { return url.to_owned() };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority
        .rsplit_once('@')
        .map_or(String::new(), |(user, _)| format!("{user}@"));
    format!("{scheme}://{user}{address}/{path}")
}

/// The address in the log line of the health listener: the port is any free one.
fn health_address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("ready to answer"))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line.get("address")?.as_str()?.to_owned())
}

/// A port of this machine that nobody else is given while the socket lives. Who knows it can listen on it.
fn reserve_port() -> anyhow::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn settings(database: &str, broker: &str, prefix: &str, atol: &str, pace: &Pace, public: SocketAddr) -> String {
    let account = simulator::Account::default();
    let (login, password, group, inn) = (account.login, account.password, account.group, account.inn);
    let Pace {
        retry_intervals,
        call,
        lease,
        quiet_time,
        grace,
        poll_intervals,
        sender,
        broker: broker_lines,
        stores,
        callbacks,
        gates,
        more,
    } = pace;
    let public_url = if *callbacks {
        format!("public_url = \"http://{public}\"")
    } else {
        String::new()
    };
    let more = more.replace("{atol}", atol);
    let store = |code: &str| {
        format!(
            r#"
[stores.{code}]
account = "main"
inn = "{inn}"
sno = "osn"
payment_address = "https://shop.example"
company_email = "kassa@shop.example"
retry_intervals = {retry_intervals}
poll_intervals = {poll_intervals}
{stores}
callback_secrets = ["{}"]
"#,
            callback_secret(code)
        )
    };
    format!(
        r#"
[log]
format = "json"

[health]
listen = "127.0.0.1:0"

[http]
listen = "127.0.0.1:0"
plain_on_loopback = true
{public_url}

[database]
url = "{database}"

[broker]
url = "{broker}"
prefix = "{prefix}"
{broker_lines}

[calls]
connect = "1s"
call = "{call}"

[sender]
lease = "{lease}"
quiet_time = "{quiet_time}"
grace = "{grace}"
sweep_interval = "200ms"
drain = "10s"
{sender}

[poller]
interval = "100ms"
drain = "10s"

[gates]
{gates}

[accounts.main]
vendor = "atol"
url = "{atol}"
login = "{login}"
password = "{password}"
group_code = "{group}"
{}{}{more}"#,
        store("main"),
        store("second"),
    )
}
