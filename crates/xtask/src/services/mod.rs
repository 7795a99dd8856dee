//! Postgres and RabbitMQ for development: given, private, or in containers.
//!
//! A server whose URL is in the environment is used as it is. Otherwise a private one runs from installed programs,
//! installed first if that is possible, or else from `docker-compose.yml`. No server is touched that was not started
//! here.

mod docker;
mod given;
mod install;
mod place;
mod postgres;
mod process;
mod psql;
mod rabbitmq;
mod server;

use std::{fs, io::Read as _, thread};

use anyhow::{Context, Result, anyhow, bail};

pub(crate) use self::psql::{Psql, with_database};
use self::{
    place::{Place, home, write_private},
    postgres::Postgres,
    rabbitmq::RabbitMq,
    server::{Seen, Server},
};
use crate::{progress::say, workspace};

/// Where the services are.
pub(crate) struct Urls {
    pub(crate) database_url: String,
    pub(crate) amqp_url: String,
}

/// Makes sure that both servers are there and healthy. Quick when they are.
pub(crate) fn up() -> Result<Urls> {
    let _lock = lock()?;
    let (postgres, rabbitmq) = sources(Missing::Install)?;
    let place = Place::find()?;
    thread::scope(|scope| {
        let broker = scope.spawn(|| rabbitmq.up(&place));
        let database_url = postgres.up(&place);
        let amqp_url = broker.join().map_err(|_| anyhow!("the start of RabbitMQ panicked"))?;
        Ok(Urls {
            database_url: database_url?,
            amqp_url: amqp_url?,
        })
    })
}

/// Stops what `up` started; the data stays.
pub(crate) fn down() -> Result<()> {
    let _lock = lock()?;
    let (postgres, rabbitmq) = sources(Missing::Accept)?;
    let place = Place::find()?;
    let stopped = [server::down::<Postgres>(&place)?, server::down::<RabbitMq>(&place)?];
    let contained = postgres.is_container() || rabbitmq.is_container();
    if contained {
        docker::down()?;
    }
    if !contained && !stopped.contains(&true) {
        say("services", "nothing was running");
    }
    Ok(())
}

/// Prints what there is, without changing it.
pub(crate) fn status() -> Result<()> {
    let (postgres, rabbitmq) = sources(Missing::Accept)?;
    let place = Place::find()?;
    println!("{:<9}  {:<13}  {:>7}  url", "server", "state", "pid");
    for (name, seen) in [
        (Postgres::NAME, postgres.look(&place)),
        (RabbitMq::NAME, rabbitmq.look(&place)),
    ] {
        let pid = seen.pid.map(|pid| pid.to_string()).unwrap_or_default();
        println!(
            "{name:<9}  {:<13}  {pid:>7}  {}",
            seen.state,
            seen.url.unwrap_or_default()
        );
    }
    Ok(())
}

/// Where a server comes from.
enum Source<S> {
    /// Its URL is in the environment.
    Given {
        variable: &'static str,
        url: String,
    },
    Private(S),
    /// A service of `docker-compose.yml`.
    Container {
        service: &'static str,
        url: &'static str,
    },
    Nowhere,
}

impl<S: Server> Source<S> {
    fn up(&self, place: &Place) -> Result<String> {
        match self {
            Self::Given { variable, url } => {
                given::check(variable, url)?;
                Ok(url.clone())
            }
            Self::Private(server) => server::up(server, place),
            Self::Container { service, url } => {
                docker::up(service)?;
                Ok((*url).to_owned())
            }
            Self::Nowhere => bail!("{} is not installed", S::NAME),
        }
    }

    fn look(&self, place: &Place) -> Seen {
        match self {
            Self::Given { variable, url } => {
                let state = if given::check(variable, url).is_ok() {
                    "given"
                } else {
                    "not answering"
                };
                Seen {
                    state,
                    url: Some(url.clone()),
                    pid: None,
                }
            }
            Self::Private(server) => server::look(server, place),
            Self::Container { service, url } => {
                let running = docker::runs(service);
                let state = if running { "in docker" } else { "stopped" };
                Seen {
                    state,
                    url: running.then(|| (*url).to_owned()),
                    pid: None,
                }
            }
            Self::Nowhere => Seen {
                state: "not installed",
                url: None,
                pid: None,
            },
        }
    }

    fn is_container(&self) -> bool {
        matches!(self, Self::Container { .. })
    }
}

/// What to do about programs that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Install,
    Accept,
}

fn sources(missing: Missing) -> Result<(Source<Postgres>, Source<RabbitMq>)> {
    let password = password()?;
    let mut postgres = match workspace::variable("DATABASE_URL") {
        Some(url) => Source::Given {
            variable: "DATABASE_URL",
            url,
        },
        None => private_postgres(&password),
    };
    let mut rabbitmq = match workspace::variable("AMQP_URL") {
        Some(url) => Source::Given {
            variable: "AMQP_URL",
            url,
        },
        None => private_rabbitmq(&password),
    };
    let mut packages = Vec::new();
    if matches!(postgres, Source::Nowhere) {
        packages.push("postgresql");
    }
    if matches!(rabbitmq, Source::Nowhere) {
        packages.push("rabbitmq-server");
    }
    if packages.is_empty() {
        return Ok((postgres, rabbitmq));
    }
    if missing == Missing::Install && install::is_possible() {
        install::packages(&packages)?;
        if matches!(postgres, Source::Nowhere) {
            postgres = private_postgres(&password);
        }
        if matches!(rabbitmq, Source::Nowhere) {
            rabbitmq = private_rabbitmq(&password);
        }
    } else if docker::engine_answers() {
        if matches!(postgres, Source::Nowhere) {
            postgres = Source::Container {
                service: Postgres::NAME,
                url: docker::DATABASE_URL,
            };
        }
        if matches!(rabbitmq, Source::Nowhere) {
            rabbitmq = Source::Container {
                service: RabbitMq::NAME,
                url: docker::AMQP_URL,
            };
        }
    } else if missing == Missing::Install {
        bail!(
            "{} not found: install it (Debian: `sudo apt-get install {}`), start a Docker engine, or set DATABASE_URL and AMQP_URL",
            packages.join(" and "),
            packages.join(" ")
        );
    }
    Ok((postgres, rabbitmq))
}

fn private_postgres(password: &str) -> Source<Postgres> {
    postgres::find().map_or(Source::Nowhere, |programs| {
        Source::Private(Postgres::new(programs, password))
    })
}

fn private_rabbitmq(password: &str) -> Source<RabbitMq> {
    rabbitmq::find().map_or(Source::Nowhere, |programs| {
        Source::Private(RabbitMq::new(programs, password))
    })
}

/// One `up` or `down` at a time; the lock ends with the process, however it ends.
fn lock() -> Result<fs::File> {
    let home = home();
    fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    let path = home.join("lock");
    let file = fs::File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    if file.try_lock().is_err() {
        say("services", "another xtask is at work on them; waiting for it");
        file.lock()?;
    }
    Ok(file)
}

/// The password of both private servers, made once.
fn password() -> Result<String> {
    let file = home().join("password");
    if let Ok(password) = fs::read_to_string(&file)
        && !password.is_empty()
    {
        return Ok(password);
    }
    let password = random()?;
    fs::create_dir_all(home())?;
    write_private(&file, &password)?;
    Ok(password)
}

fn random() -> Result<String> {
    let mut bytes = [0; 12];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
