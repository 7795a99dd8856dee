//! `kassa run`: puts the loops of the named roles together and takes them apart again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ledger::{Ledger, WorkerRole};
use poller::Poller;
use queue::{Broker, Pointers, Status};
use reporter::{Desk, Mailer, Postman, Reporter};
use sender::Sender;
use service::health::{Check, Health};
use service::supervise::Supervisor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vendors::Registry;
use webhooks::Dispatcher;

use crate::accounts;
use crate::cli::Role;
use crate::config::{self, Config};
use crate::http;

/// How often the database is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// What the loops get beyond their own drain before they are cut off.
const BEYOND_DRAIN: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration cannot work or the health listener cannot be opened; a lost database or broker is no reason.
pub(crate) async fn run(file: Option<PathBuf>, roles: &[Role]) -> anyhow::Result<ExitCode> {
    let config = config::load(file)?.value;
    service::telemetry::init(&config.log)?;
    config.check()?;
    let metrics = service::metrics::init()?;
    let stop = service::stop::signals().context("signals cannot be received")?;
    let worker = worker_name();
    tracing::info!(worker, version = env!("CARGO_PKG_VERSION"), "kassa starts as {roles:?}");

    let ledger = Ledger::open(&config.database, &worker)?;
    // The broker outlives the loops: what they finish during the drain is still acknowledged and published.
    let broker_stop = CancellationToken::new();
    let broker = Broker::start(config.broker.clone(), config.topology(), broker_stop.clone())?;
    let pointers_stop = CancellationToken::new();
    let pointers = Pointers::start(broker.publisher(), pointers_stop.clone());
    let registry = Arc::new(Registry::build(&config.accounts, config.calls)?);

    let webhooks_client = webhooks::Client::build(&config.webhooks)?;

    let health = Health::default();
    let database = health.check("database");
    // What comes over HTTP waits for no broker, and neither does mail: a process that has nothing else is ready without
    // one.
    let needs_broker = roles.iter().any(|&role| needs_broker(role));
    let broker_check = needs_broker.then(|| health.check("broker"));
    // Before anything is claimed: an address that is taken ends the process, and claims would wait for their leases.
    let listening = service::health::serve(config.health.listen, health.clone(), Some(metrics), stop.clone()).await?;
    tracing::info!(address = %listening.address(), "ready to answer /healthz, /readyz and /metrics");
    let http = match wants(roles, Role::Http) {
        true => {
            let quiet_time = config.sender.quiet_time;
            let directory = config.directory();
            Some(
                http::bind(
                    &config.http,
                    &ledger,
                    &directory,
                    &registry,
                    &pointers,
                    quiet_time,
                    &stop,
                )
                .await?,
            )
        }
        false => None,
    };
    let webhooks_check = webhooks_check(&config, roles, &health);
    let mail_check = wants(roles, Role::Reporter).then(|| health.check("mail"));
    let mut supervisor = Supervisor::new(health, stop.clone());
    watch_database(&mut supervisor, &ledger, database, &stop);
    if let Some(check) = broker_check {
        watch_broker(&mut supervisor, &broker, check, &stop);
        send_canaries(&mut supervisor, &broker, &stop);
    }
    accounts::bind(&config, &ledger, &stop).await?;
    // In every role, before anything makes an event.
    webhooks::bind(&config.stores, &ledger, &stop).await?;
    reporter::bind(&config.reports, &ledger, &stop).await?;
    let parts = Parts {
        ledger: &ledger,
        broker: &broker,
        pointers: &pointers,
        registry: &registry,
        stop: &stop,
    };
    let sender = wants(roles, Role::Sender).then(|| parts.sender(&config, &mut supervisor));
    let poller = wants(roles, Role::Poller).then(|| parts.poller(&config, &mut supervisor));
    if let Some(server) = &http {
        http::spawn(&mut supervisor, server, &stop);
    }

    let dispatcher = wants(roles, Role::Poller).then(|| {
        let dispatcher = Dispatcher::new(
            config.webhooks.clone(),
            &config.stores,
            ledger.clone(),
            webhooks_client,
            stop.clone(),
        );
        spawn_dispatcher(&mut supervisor, &dispatcher, webhooks_check);
        dispatcher
    });

    let reporter = match mail_check {
        Some(check) => start_reporter(&config, &ledger, check, &mut supervisor, &stop)?,
        None => None,
    };

    let crew = Crew {
        sender,
        poller,
        dispatcher,
        reporter,
    };
    let left = crew.stopped(&config, supervisor, &stop).await;
    // Its router holds the ledger, whose closing would wait for it.
    drop(http);
    pointers_stop.cancel();
    pointers.drained().await;
    broker_stop.cancel();
    broker.stopped().await;
    ledger.close().await;
    tracing::info!(left, "kassa has stopped");
    Ok(ExitCode::SUCCESS)
}

/// Everything that has work under way when the stop comes.
struct Crew {
    sender: Option<Sender>,
    poller: Option<Poller>,
    dispatcher: Option<Dispatcher>,
    reporter: Option<Reporter>,
}

impl Crew {
    /// Waits for the stop and then for what is under way, all of it within the longest drain. Returns how many calls were
    /// left.
    async fn stopped(self, config: &Config, supervisor: Supervisor, stop: &CancellationToken) -> usize {
        stop.cancelled().await;
        // One bound for everything: the attempts outlive the loops that started them, and have the same time.
        let drain = longest_drain(config);
        let deadline = Instant::now() + drain;
        let cut = async {
            tokio::time::sleep_until(deadline).await;
            // From here on nobody waits for a lost database any more.
            self.sender.iter().for_each(Sender::abort);
            self.poller.iter().for_each(Poller::abort);
            self.dispatcher.iter().for_each(Dispatcher::abort);
            self.reporter.iter().for_each(Reporter::abort);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = cut => {}
            joined = supervisor.join(drain + BEYOND_DRAIN) => {
                if let Err(unfinished) = joined {
                    tracing::warn!("{unfinished}");
                }
            }
        }
        let mut left = 0;
        if let Some(sender) = self.sender {
            left += sender.drained(deadline).await;
        }
        if let Some(poller) = self.poller {
            left += poller.drained(deadline).await;
        }
        if let Some(dispatcher) = self.dispatcher {
            left += dispatcher.drained(deadline).await;
        }
        if let Some(reporter) = self.reporter {
            left += reporter.drained(deadline).await;
        }
        left
    }
}

/// What the roles are made of.
struct Parts<'a> {
    ledger: &'a Ledger,
    broker: &'a Broker,
    pointers: &'a Pointers,
    registry: &'a Arc<Registry>,
    stop: &'a CancellationToken,
}

impl Parts<'_> {
    fn sender(&self, config: &Config, supervisor: &mut Supervisor) -> Sender {
        let sender = Sender::new(
            config.sender.clone(),
            config.watch(self.ledger, WorkerRole::Sender),
            self.broker.clone(),
            self.pointers.clone(),
            Arc::clone(self.registry),
            self.stop.clone(),
        );
        spawn_sender(supervisor, &sender);
        sender
    }

    fn poller(&self, config: &Config, supervisor: &mut Supervisor) -> Poller {
        let poller = Poller::new(
            config.poller.clone(),
            config.watch(self.ledger, WorkerRole::Poller),
            self.broker.clone(),
            self.pointers.clone(),
            Arc::clone(self.registry),
            self.stop.clone(),
        );
        spawn_poller(supervisor, &poller);
        poller
    }
}

fn wants(roles: &[Role], role: Role) -> bool {
    roles.iter().any(|&named| named == role || named == Role::All)
}

const fn needs_broker(role: Role) -> bool {
    match role {
        Role::Sender | Role::Poller | Role::All => true,
        Role::Http | Role::Reporter => false,
    }
}

fn longest_drain(config: &Config) -> Duration {
    let drains = [
        config.sender.drain,
        config.poller.drain,
        config.http.drain,
        config.mail.drain,
    ];
    drains.into_iter().max().unwrap_or_default()
}

/// Who made an attempt, for people who read the table: the machine and the process.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    format!("{}-{}", host.trim(), std::process::id())
}

fn spawn_sender(supervisor: &mut Supervisor, sender: &Sender) {
    let accepting = sender.clone();
    supervisor.spawn("accept", move || {
        let sender = accepting.clone();
        async move { sender.accept().await }
    });
    let sweeping = sender.clone();
    supervisor.spawn("sweep", move || {
        let sender = sweeping.clone();
        async move { sender.sweep().await }
    });
    let watching = sender.clone();
    supervisor.spawn("watch the gates", move || {
        let sender = watching.clone();
        async move { sender.watch().await }
    });
    for queue in sender.pointer_queues() {
        let following = sender.clone();
        supervisor.spawn(format!("follow {queue:?}"), move || {
            let (sender, queue) = (following.clone(), queue.clone());
            async move { sender.follow(queue).await }
        });
    }
}

fn spawn_poller(supervisor: &mut Supervisor, poller: &Poller) {
    let polling = poller.clone();
    supervisor.spawn("poll", move || {
        let poller = polling.clone();
        async move { poller.poll().await }
    });
    let telling = poller.clone();
    supervisor.spawn("overdue", move || {
        let poller = telling.clone();
        async move { poller.tell_overdue().await }
    });
    let watching = poller.clone();
    supervisor.spawn("watch the gates for polls", move || {
        let poller = watching.clone();
        async move { poller.watch().await }
    });
    let relaying = poller.clone();
    supervisor.spawn("relay", move || {
        let poller = relaying.clone();
        async move { poller.relay().await }
    });
    let replaying = poller.clone();
    supervisor.spawn("replay", move || {
        let poller = replaying.clone();
        async move { poller.replay().await }
    });
    let measuring = poller.clone();
    supervisor.spawn("measure", move || {
        let poller = measuring.clone();
        async move { poller.measure().await }
    });
    let draining = poller.clone();
    supervisor.spawn("drain", move || {
        let poller = draining.clone();
        async move { poller.drain_dead().await }
    });
}

/// A line of `/readyz`, for a process that delivers to webhooks.
fn webhooks_check(config: &Config, roles: &[Role], health: &Health) -> Option<Check> {
    let any = config.stores.values().any(|store| store.webhook.is_some());
    (any && wants(roles, Role::Poller)).then(|| health.check("webhooks"))
}

fn spawn_dispatcher(supervisor: &mut Supervisor, dispatcher: &Dispatcher, check: Option<Check>) {
    // Without a webhook there is nothing to look for.
    let Some(check) = check.map(Arc::new) else { return };
    let dispatching = dispatcher.clone();
    supervisor.spawn("webhooks", move || {
        let dispatcher = dispatching.clone();
        async move { dispatcher.dispatch().await }
    });
    let forgetting = dispatcher.clone();
    supervisor.spawn("forget deliveries", move || {
        let dispatcher = forgetting.clone();
        async move { dispatcher.forget().await }
    });
    let watching = dispatcher.clone();
    supervisor.spawn("watch the webhooks", move || {
        let (dispatcher, check) = (watching.clone(), Arc::clone(&check));
        async move { dispatcher.watch(&check).await }
    });
}

/// The reporter of a process; without a mail server it has nothing to do.
fn start_reporter(
    config: &Config,
    ledger: &Ledger,
    check: Check,
    supervisor: &mut Supervisor,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Reporter>> {
    let Some(mailer) = Mailer::build(&config.mail)? else {
        tracing::info!("no mail.server is configured; nothing is mailed");
        check.ok();
        return Ok(None);
    };
    let desks = Desk::all_of(&config.reports, &config.stores)?;
    let postman = Postman::new(config.mail.clone(), desks, ledger.clone(), mailer);
    let reporter = Reporter::new(postman, check, stop.clone());
    let scheduling = reporter.clone();
    supervisor.spawn("schedule reports", move || {
        let reporter = scheduling.clone();
        async move { reporter.schedule().await }
    });
    let alerting = reporter.clone();
    supervisor.spawn("alert", move || {
        let reporter = alerting.clone();
        async move { reporter.alert().await }
    });
    let sending = reporter.clone();
    supervisor.spawn("send mail", move || {
        let reporter = sending.clone();
        async move { reporter.send().await }
    });
    Ok(Some(reporter))
}

fn watch_database(supervisor: &mut Supervisor, ledger: &Ledger, check: Check, stop: &CancellationToken) {
    let (ledger, check, stop) = (ledger.clone(), Arc::new(check), stop.clone());
    supervisor.spawn("watch the database", move || {
        let (ledger, check, stop) = (ledger.clone(), Arc::clone(&check), stop.clone());
        async move {
            let mut ticks = tokio::time::interval(PROBE_INTERVAL);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                match ledger.probe().await {
                    Ok(probe) if !probe.migrated => check.fail("the tables are missing; run kassa migrate"),
                    Ok(probe) if probe.commits_are_durable() => check.ok(),
                    Ok(probe) => check.warn(format!(
                        "synchronous_commit is {}: an accepted receipt may be lost in a crash; set it to on",
                        probe.synchronous_commit
                    )),
                    Err(error) => check.fail(service::error::chain(&error)),
                }
            }
            Ok(())
        }
    });
}

fn watch_broker(supervisor: &mut Supervisor, broker: &Broker, check: Check, stop: &CancellationToken) {
    let (broker, check, stop) = (broker.clone(), Arc::new(check), stop.clone());
    supervisor.spawn("watch the broker", move || {
        let (broker, check, stop) = (broker.clone(), Arc::clone(&check), stop.clone());
        async move {
            let (mut status, mut problems) = (broker.status(), broker.problems());
            loop {
                let sick: Vec<String> = problems.borrow_and_update().iter().map(ToString::to_string).collect();
                match &*status.borrow_and_update() {
                    // The process stays ready: the table wakes what a sick queue does not.
                    Status::Connected if !sick.is_empty() => check.warn(sick.join("; ")),
                    Status::Connected => check.ok(),
                    Status::Blocked { reason, .. } => check.warn(format!("the broker takes nothing: {reason}")),
                    Status::Reconnecting { error, .. } => check.fail(format!("not connected: {error}")),
                    Status::Stopped => check.fail("stopped"),
                }
                let changed = async {
                    tokio::select! {
                        changed = status.changed() => changed,
                        changed = problems.changed() => changed,
                    }
                };
                match stop.run_until_cancelled(changed).await {
                    Some(Ok(())) => {}
                    Some(Err(_)) | None => return Ok(()),
                }
            }
        }
    });
}

/// Finds queues that are there and take nothing.
fn send_canaries(supervisor: &mut Supervisor, broker: &Broker, stop: &CancellationToken) {
    let (broker, stop) = (broker.clone(), stop.clone());
    supervisor.spawn("send canaries", move || {
        let (broker, stop) = (broker.clone(), stop.clone());
        async move {
            broker.send_canaries(stop).await;
            Ok(())
        }
    });
}
