//! Starting and stopping a simulator inside a process.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::atol::{self, Atol};
use crate::checkonline::{self, Authority, CheckOnline, CheckOnlineFiles};
use crate::control::{self, Control};
use crate::server;
use crate::shared::Shared;

/// What a client needs to know of itself, and the registers that it may use.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The group of registers, a part of every path.
    pub group: String,
    /// The login for a token.
    pub login: String,
    /// The password for a token.
    pub password: String,
    /// The seller's INN in the registers of the group.
    pub inn: String,
}

impl Default for Account {
    /// ATOL's public test account for v4 (fact sheet, section 9).
    fn default() -> Account {
        Account {
            group: "v4-online-atol-ru_4179".to_owned(),
            login: "v4-online-atol-ru".to_owned(),
            password: "iGFFuihss".to_owned(),
            inn: "5544332219".to_owned(),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("group", &self.group)
            .field("login", &self.login)
            .field("inn", &self.inn)
            .finish_non_exhaustive()
    }
}

/// How the vendor behaves when nothing is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A document stands in the queue between these two durations.
    pub(crate) delay: (Duration, Duration),
    pub(crate) token_life: Duration,
    pub(crate) queue_timeout: Duration,
    pub(crate) registers: usize,
    pub(crate) replicas: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            // The median is about two seconds.
            delay: (Duration::from_millis(1_000), Duration::from_millis(4_500)),
            token_life: Duration::from_secs(24 * 3600),
            queue_timeout: Duration::from_secs(300),
            registers: 2,
            replicas: 2,
        }
    }
}

/// How a simulator is to be.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    accounts: Vec<Account>,
    settings: Settings,
    checkonline: Option<CheckOnlineFiles>,
    checkonline_settings: checkonline::Settings,
    seed: Option<u64>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            accounts: Vec::new(),
            settings: Settings::default(),
            checkonline: None,
            checkonline_settings: checkonline::Settings::default(),
            seed: None,
        }
    }
}

impl Builder {
    /// The address to listen on; a free port of 127.0.0.1 unless told otherwise.
    #[must_use]
    pub fn listen(self, listen: SocketAddr) -> Builder {
        Builder { listen, ..self }
    }

    /// Adds an account. Without any there is the public test account.
    #[must_use]
    pub fn account(mut self, account: Account) -> Builder {
        self.accounts.push(account);
        self
    }

    /// How long a document waits for a register, nearer to the shorter one more often. Both zero: it is processed before
    /// the answer to its registration goes out, which is for benchmarks. The default is 1 s to 4.5 s, median 2 s.
    #[must_use]
    pub fn delay(mut self, least: Duration, most: Duration) -> Builder {
        self.settings.delay = (least, most);
        self
    }

    /// How long a token lives; 24 hours unless told otherwise.
    #[must_use]
    pub fn token_life(mut self, token_life: Duration) -> Builder {
        self.settings.token_life = token_life;
        self
    }

    /// How long a document may wait for a register before it fails; 300 s unless told otherwise.
    #[must_use]
    pub fn queue_timeout(mut self, queue_timeout: Duration) -> Builder {
        self.settings.queue_timeout = queue_timeout;
        self
    }

    /// How many registers each group has; two unless told otherwise.
    #[must_use]
    pub fn registers(mut self, registers: usize) -> Builder {
        self.settings.registers = registers;
        self
    }

    /// How many replicas the service has, which is how many tokens of a login live at once; two unless told otherwise.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Builder {
        self.settings.replicas = replicas;
        self
    }

    /// Starts CheckOnline too, on a TLS port of its own. A new test authority is made, and its root and the certificates of
    /// clients are written into this folder.
    #[must_use]
    pub fn checkonline(mut self, files: CheckOnlineFiles) -> Builder {
        self.checkonline = Some(files);
        self
    }

    /// How long a register of CheckOnline works on a receipt; 300 ms to 1.5 s unless told otherwise.
    #[must_use]
    pub fn checkonline_delay(mut self, least: Duration, most: Duration) -> Builder {
        self.checkonline_settings.delay = (least, most);
        self
    }

    /// Makes every number drawn by chance repeat itself from run to run, as far as requests come in the same order.
    #[must_use]
    pub fn seed(self, seed: u64) -> Builder {
        Builder {
            seed: Some(seed),
            ..self
        }
    }

    /// Starts listening. It stops when the handle is dropped.
    ///
    /// # Errors
    ///
    /// If the address cannot be had, or no HTTP client for callbacks can be made.
    pub async fn start(self) -> Result<Simulator, StartError> {
        let Builder {
            listen,
            mut accounts,
            settings,
            checkonline: files,
            mut checkonline_settings,
            seed,
        } = self;
        if accounts.is_empty() {
            accounts.push(Account::default());
        }
        // It only fails when the process has a provider already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent("kassa-simulator")
            .build()
            .map_err(StartError::Client)?;
        let (listener, address) = bind(listen).await?;
        let secure = match &files {
            Some(files) => {
                let authority = Authority::create(files).map_err(|error| StartError::Certificates(Box::new(error)))?;
                let (listener, address) = bind(SocketAddr::new(listen.ip(), 0)).await?;
                Some((listener, address, authority))
            }
            None => None,
        };

        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(seed.unwrap_or_else(|| fastrand::u64(..))));
        let atol = Arc::new(Atol::new(Arc::clone(&shared), accounts, settings, client, stop.clone()));
        checkonline_settings.registers = atol.registers();
        let checkonline = Arc::new(CheckOnline::new(Arc::clone(&shared), checkonline_settings));
        let control = Control::new(shared, Arc::clone(&atol), Arc::clone(&checkonline));
        let router = atol::router(Arc::clone(&atol)).merge(control::router(control.clone()));

        let mut tasks = JoinSet::new();
        tasks.spawn(atol.run());
        tasks.spawn(server::serve(listener, router, stop.clone()));
        let mut checkonline_address = None;
        if let Some((listener, address, authority)) = secure {
            checkonline_address = Some(address);
            tasks.spawn(checkonline.run(listener, authority, stop.clone()));
        }
        Ok(Simulator {
            address,
            checkonline_address,
            files,
            control,
            tasks,
            stop: stop.drop_guard(),
        })
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error("cannot make an HTTP client for callbacks")]
    Client(#[source] reqwest::Error),
    /// The test authority could not be written.
    #[error("cannot make the certificates of the test authority")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    checkonline_address: Option<SocketAddr>,
    files: Option<CheckOnlineFiles>,
    control: Control,
    tasks: JoinSet<()>,
    stop: DropGuard,
}

impl Simulator {
    /// A simulator with the public test account on a free port of 127.0.0.1, unless told otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a final slash. The control API is below `/control`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base that a client of ATOL Online v4 is to be configured with, without a final slash.
    pub fn atol_url(&self) -> String {
        format!("{}/possystem/v4", self.url())
    }

    /// Where CheckOnline listens, if it was started.
    pub fn checkonline_address(&self) -> Option<SocketAddr> {
        self.checkonline_address
    }

    /// The base that a client of CheckOnline is to be configured with.
    pub fn checkonline_url(&self) -> Option<String> {
        self.checkonline_address.map(|address| format!("https://{address}"))
    }

    /// The certificates for its clients.
    pub fn checkonline_files(&self) -> Option<&CheckOnlineFiles> {
        self.files.as_ref()
    }

    /// Books and faults.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops listening, lets requests in progress end for two seconds, and closes all connections.
    pub async fn stop(self) {
        let Simulator { mut tasks, stop, .. } = self;
        drop(stop);
        while tasks.join_next().await.is_some() {}
    }
}
