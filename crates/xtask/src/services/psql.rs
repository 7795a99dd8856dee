//! Statements for the development database, sent by `psql`.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, bail};

use super::{docker, postgres};
use crate::command::{output, succeeds};

const LIMIT: Duration = Duration::from_secs(60);

/// `psql`, connected to one database.
pub(crate) struct Psql {
    url: String,
    /// Nothing when the client of the container serves.
    installed: Option<PathBuf>,
}

impl Psql {
    /// Finds a client for the database of this URL: an installed one, or that of the container.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let psql = if url == docker::DATABASE_URL {
            Self {
                url: docker::DATABASE_URL_INSIDE.to_owned(),
                installed: None,
            }
        } else {
            let program = postgres::find().map_or_else(|| PathBuf::from("psql"), |folder| folder.join("psql"));
            Self {
                url: url.to_owned(),
                installed: Some(program),
            }
        };
        if !succeeds(psql.command().arg("--version"), LIMIT) {
            bail!("psql not found: install it (Debian: `sudo apt-get install postgresql-client`)");
        }
        Ok(psql)
    }

    /// The same server, another database.
    pub(crate) fn of_database(&self, database: &str) -> Self {
        Self {
            url: with_database(&self.url, database),
            installed: self.installed.clone(),
        }
    }

    /// Sends the statements as they are, each text as one simple query, and fails at the first error.
    pub(crate) fn execute(&self, statements: &[&str]) -> Result<()> {
        let mut psql = self.command();
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", &self.url]);
        for statement in statements {
            psql.args(["--command", statement]);
        }
        output(&mut psql, LIMIT).map(drop)
    }

    fn command(&self) -> Command {
        match &self.installed {
            Some(program) => Command::new(program),
            None => {
                let mut compose = docker::compose();
                compose.args(["exec", "-T", "postgres", "psql"]);
                compose
            }
        }
    }
}

/// The URL with another database in it.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (address, parameters) = url.split_at(url.find('?').unwrap_or(url.len()));
    let host = address.find("://").map_or(0, |scheme| scheme + "://".len());
    let server = address[host..]
        .find('/')
        .map_or(address, |path| &address[..host + path]);
    format!("{server}/{database}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_keeps_the_server_and_the_parameters() {
        assert_eq!(
            with_database("postgres://a:b@h:1/kassa", "other"),
            "postgres://a:b@h:1/other"
        );
        assert_eq!(
            with_database("postgres://h/kassa?sslmode=require", "other"),
            "postgres://h/other?sslmode=require"
        );
        assert_eq!(with_database("postgres://h", "other"), "postgres://h/other");
    }
}
