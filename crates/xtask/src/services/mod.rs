//! Postgres and RabbitMQ for development: given, private, or in containers.
//!
//! A server whose URL is in the environment is used as it is. Otherwise a private one runs from installed programs,
//! installed first if that is possible, or else from `docker-compose.yml`. No server is touched that was not started
//! here.

mod docker;
mod given;
pub(crate) mod install;
mod place;
mod postgres;
mod process;
mod psql;
mod rabbitmq;
mod server;
mod source;

use std::{fs, io::Read as _, thread};

use anyhow::{Context, Result, anyhow, ensure};

pub(crate) use self::psql::{Psql, with_database};
use self::{
    place::{Place, home, write_private},
    postgres::Postgres,
    rabbitmq::RabbitMq,
    server::Server,
    source::{Missing, sources},
};
use crate::progress::say;

/// Where the services are.
pub(crate) struct Urls {
    pub(crate) database_url: String,
    pub(crate) amqp_url: String,
}

/// Makes sure that both servers are there and healthy. Quick when they are.
pub(crate) fn up() -> Result<Urls> {
    let _lock = lock()?;
    let (postgres, rabbitmq) = sources::<Postgres, RabbitMq>(&password()?, Missing::Install)?;
    thread::scope(|scope| {
        let broker = scope.spawn(|| rabbitmq.up());
        let database_url = postgres.up();
        let amqp_url = broker.join().map_err(|_| anyhow!("the start of RabbitMQ panicked"))?;
        Ok(Urls {
            database_url: database_url?,
            amqp_url: amqp_url?,
        })
    })
}

/// The Debian packages of servers whose programs are not there.
pub(crate) fn missing_programs() -> Vec<&'static str> {
    [
        (postgres::find().is_none(), Postgres::PACKAGE),
        (rabbitmq::find().is_none(), RabbitMq::PACKAGE),
    ]
    .into_iter()
    .filter_map(|(is_missing, package)| is_missing.then_some(package))
    .collect()
}

/// Makes sure that the programs of both servers are there, for runs that start servers of their own.
pub(crate) fn programs() -> Result<()> {
    let missing = missing_programs();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        install::is_possible(),
        "not installed: {}; as root run `apt-get install {}`",
        missing.join(", "),
        missing.join(" ")
    );
    fs::create_dir_all(home())?;
    install::packages(&missing)
}

/// Stops what `up` started; the data stays.
pub(crate) fn down() -> Result<()> {
    let _lock = lock()?;
    let place = Place::find()?;
    let mut any = server::down::<Postgres>(&place)?;
    any |= server::down::<RabbitMq>(&place)?;
    let (postgres, rabbitmq) = sources::<Postgres, RabbitMq>(&password()?, Missing::Accept)?;
    if postgres.is_container() || rabbitmq.is_container() {
        docker::down()?;
        any = true;
    }
    if !any {
        say("services", "nothing was running");
    }
    Ok(())
}

/// Prints what there is, without starting or stopping anything.
pub(crate) fn status() -> Result<()> {
    let (postgres, rabbitmq) = sources::<Postgres, RabbitMq>(&password()?, Missing::Accept)?;
    println!("{:<9}  {:<13}  {:>7}  url", "server", "state", "pid");
    for (name, seen) in [(Postgres::NAME, postgres.look()?), (RabbitMq::NAME, rabbitmq.look()?)] {
        let pid = seen.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let url = seen.url.unwrap_or_default();
        println!("{name:<9}  {:<13}  {pid:>7}  {url}", seen.state);
    }
    Ok(())
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
