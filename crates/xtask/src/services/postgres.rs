//! A private Postgres cluster.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, bail};

use super::{
    docker,
    place::Place,
    process::{self, clean_environment},
    server::{DATA, Server},
};
use crate::{
    command::{output, succeeds, tail, wait_until},
    progress::timed,
};

const LIMIT: Duration = Duration::from_secs(5);
/// Recovery after a crash included.
const START_LIMIT: Duration = Duration::from_secs(60);
const NEEDED: [&str; 3] = ["initdb", "postgres", "psql"];

pub(crate) struct Postgres {
    programs: PathBuf,
    password: String,
}

impl Postgres {
    fn psql(&self, folder: &Path, port: u16, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        clean_environment(&mut psql, folder);
        psql.env("PGPASSWORD", &self.password).env("PGCONNECT_TIMEOUT", "3");
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-h",
            "127.0.0.1",
            "-U",
            "kassa",
            "-d",
            database,
            "-p",
        ])
        .arg(port.to_string());
        psql
    }

    /// Makes the cluster beside its place and moves it there when it is whole, so that an interrupted try leaves
    /// nothing that looks like one.
    fn create_cluster(&self, place: &Place, folder: &Path) -> Result<()> {
        let unfinished = folder.join("data.new");
        fs::remove_dir_all(&unfinished).ok();
        let password = folder.join("password");
        place.write(&password, &self.password)?;
        let mut initdb = place.command(self.programs.join("initdb"));
        clean_environment(&mut initdb, folder);
        // `password` and not `scram-sha-256`: the client side of SCRAM costs a debug build of the tests a tenth of a
        // second for every connection, and nothing leaves the machine. Not `trust`: other accounts of the machine
        // could run programs as us.
        initdb.args([
            "--username=kassa",
            "--auth=password",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        initdb
            .args(["--no-sync", "-D"])
            .arg(&unfinished)
            .arg("--pwfile")
            .arg(&password);
        initdb.current_dir(folder);
        timed(Self::NAME, "new cluster", || output(&mut initdb, START_LIMIT))?;
        fs::remove_file(password).ok();
        fs::rename(&unfinished, folder.join(DATA))?;
        Ok(())
    }
}

impl Server for Postgres {
    const NAME: &'static str = "postgres";
    const VARIABLE: &'static str = "DATABASE_URL";
    const PACKAGE: &'static str = "postgresql";
    const CONTAINER_URL: &'static str = docker::DATABASE_URL;
    const PORTS: u16 = 1;
    const MAIN: &'static str = "postgres";
    /// "Fast" shutdown: sessions are ended, all is written.
    const GENTLE: &'static str = "INT";

    fn find(password: &str) -> Option<Self> {
        Some(Self {
            programs: find()?,
            password: password.to_owned(),
        })
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://kassa:{}@127.0.0.1:{port}/kassa", self.password)
    }

    fn answers(&self, port: u16) -> bool {
        succeeds(self.psql(Path::new("/"), port, "kassa").args(["-c", "select 1"]), LIMIT)
    }

    fn start(&self, place: &Place, folder: &Path, port: u16) -> Result<()> {
        let data = folder.join(DATA);
        let major = fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
        if data.join("global/pg_control").exists() && version(&self.programs) != major.trim().parse().ok() {
            bail!("the data was written by Postgres {}", major.trim());
        }
        if !data.join("global/pg_control").exists() {
            fs::remove_dir_all(&data).ok();
            self.create_cluster(place, folder)?;
        }
        // Nothing of ours runs now, so the file is stale; by chance its number may be that of a living stranger, which
        // Postgres would take for itself.
        fs::remove_file(data.join("postmaster.pid")).ok();
        let log = folder.join("log");
        let mut server = place.command(self.programs.join("postgres"));
        server.arg("-D").arg(&data);
        for setting in [
            &format!("port={port}"),
            "listen_addresses=127.0.0.1",
            // A socket's path may have 107 bytes at most, which a deep checkout exceeds.
            "unix_socket_directories=",
            "max_connections=200",
            // The crash tests count on what the acknowledged commit promises.
            "fsync=on",
            "synchronous_commit=on",
            "timezone=UTC",
            "log_timezone=UTC",
        ] {
            server.args(["-c", setting]);
        }
        let mut child = process::start(folder, &log, &server)?;
        let mut answers = false;
        wait_until(START_LIMIT, || {
            answers = succeeds(self.psql(folder, port, "postgres").args(["-c", "select 1"]), LIMIT);
            answers || process::has_ended(&mut child)
        });
        if !answers {
            bail!("Postgres does not start; {}", tail(&log));
        }
        let databases = output(
            self.psql(folder, port, "postgres")
                .args(["-c", "select datname from pg_database"]),
            LIMIT,
        )?;
        if !databases.lines().any(|database| database == "kassa") {
            output(
                self.psql(folder, port, "postgres")
                    .args(["-c", "create database kassa"]),
                START_LIMIT,
            )?;
        }
        Ok(())
    }
}

/// The folder with the programs of the newest Postgres that really runs.
pub(crate) fn find() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let configured = output(Command::new("pg_config").arg("--bindir"), LIMIT)
        .ok()
        .map(|folder| PathBuf::from(folder.trim()));
    debian
        .chain(configured)
        .chain(env::split_paths(&path))
        .filter_map(|folder| Some((version(&folder)?, folder)))
        .max_by_key(|(version, _)| *version)
        .map(|(_, folder)| folder)
}

/// The major version, if all programs are there and start.
fn version(folder: &Path) -> Option<u32> {
    if !NEEDED.iter().all(|program| folder.join(program).exists()) {
        return None;
    }
    let [initdb, postgres, psql] = NEEDED.map(|program| {
        let told = output(Command::new(folder.join(program)).arg("--version"), LIMIT).ok()?;
        parse_version(&told)
    });
    postgres.filter(|_| initdb == postgres && psql.is_some())
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15, `psql (PostgreSQL) 18beta1` is 18.
fn parse_version(told: &str) -> Option<u32> {
    let version = told.split_once("(PostgreSQL) ")?.1;
    let digits = version.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn the_major_version_is_read_from_what_a_program_tells() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_version("psql (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("something else"), None);
    }
}
