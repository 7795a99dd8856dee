//! The folder `.sqlx`: what Postgres says about every checked query, committed so that a build needs no database.
//!
//! This does what `cargo sqlx prepare` does, without that tool: the macros of `ledger` are expanded against a scratch
//! database that holds exactly the migrations, and sqlx writes one file per query where `SQLX_OFFLINE_DIR` points.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    command::run,
    progress::{say, timed},
    services::{Psql, Urls, with_database},
    workspace::{self, cargo},
};

/// Linux takes no longer argument, and `psql` gets a migration as one.
const LONGEST_MIGRATION: usize = 128 * 1024;

/// File name and content of every query.
type Queries = BTreeMap<String, String>;

/// Makes `.sqlx` say what the migrations and the queries of today say.
pub(crate) fn prepare(urls: &Urls) -> Result<()> {
    let fresh = describe(urls)?;
    let folder = committed();
    let old = read(&folder)?;
    fs::create_dir_all(&folder)?;
    for (name, content) in &fresh.queries {
        if old.get(name) != Some(content) {
            fs::write(folder.join(name), content)?;
        }
    }
    for name in old.keys().filter(|name| !fresh.queries.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    fresh.source.restore()?;
    say(
        "sqlx",
        format_args!(
            "{} queries in .sqlx, {}",
            fresh.queries.len(),
            summary(&old, &fresh.queries)
        ),
    );
    Ok(())
}

/// Fails when `.sqlx` is not what `prepare` would make of it, and names the queries.
pub(crate) fn check(urls: &Urls) -> Result<()> {
    let fresh = describe(urls)?;
    let old = read(&committed())?;
    if old == fresh.queries {
        say("sqlx", format_args!("{} queries in .sqlx, all current", old.len()));
        // What was compiled with the database is what `.sqlx` gives as well, so nothing needs to be built anew.
        return fresh.source.restore();
    }
    for (name, content) in &fresh.queries {
        match old.get(name) {
            None => say("sqlx", format_args!("missing: {}", first_line(content))),
            Some(before) if before != content => say("sqlx", format_args!("answer changed: {}", first_line(content))),
            Some(_) => {}
        }
    }
    for (name, content) in old.iter().filter(|(name, _)| !fresh.queries.contains_key(*name)) {
        say("sqlx", format_args!("no longer used: {} ({name})", first_line(content)));
    }
    bail!(
        ".sqlx is not current ({}); run `cargo xtask sqlx prepare` and commit",
        summary(&old, &fresh.queries)
    )
}

struct Described {
    queries: Queries,
    source: Touched,
}

fn describe(urls: &Urls) -> Result<Described> {
    let target = workspace::executables("dev")?
        .parent()
        .context("no target folder")?
        .to_path_buf();
    let lock = File::create(target.join("sqlx.lock"))?;
    lock.lock()?;
    let scratch = Scratch::create(&urls.database_url)?;
    timed("sqlx", "migrations applied to a scratch database", || scratch.migrate())?;
    let output = target.join("sqlx");
    fs::remove_dir_all(&output).ok();
    fs::create_dir_all(&output)?;
    // Neither the database nor this variable is known to cargo as a reason to compile again.
    let source = Touched::now(workspace::root().join("crates/ledger/src/lib.rs"))?;
    let mut check = cargo();
    check.args(["check", "--package", "ledger", "--all-targets"]);
    check.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &output);
    check.env("DATABASE_URL", with_database(&urls.database_url, Scratch::NAME));
    ensure!(
        run(&mut check)?.success(),
        "the queries of `ledger` do not fit the migrations"
    );
    Ok(Described {
        queries: read(&output)?,
        source,
    })
}

/// A file that looks newer than it is, so that cargo compiles its crate.
struct Touched {
    file: PathBuf,
    before: SystemTime,
    touched: SystemTime,
}

impl Touched {
    fn now(file: PathBuf) -> Result<Self> {
        let opened = File::options()
            .append(true)
            .open(&file)
            .with_context(|| format!("{} is missing", file.display()))?;
        let before = opened.metadata()?.modified()?;
        opened.set_modified(SystemTime::now())?;
        let touched = opened.metadata()?.modified()?;
        Ok(Self { file, before, touched })
    }

    /// Gives the file its own time back, so that the other builds of the crate (tests, clippy, docs) stay valid;
    /// unless somebody has saved it meanwhile.
    fn restore(&self) -> Result<()> {
        let opened = File::options().append(true).open(&self.file)?;
        if opened.metadata()?.modified()? == self.touched {
            opened.set_modified(self.before)?;
        }
        Ok(())
    }
}

/// A database that holds the migrations and nothing else; dropped at the end. One that an interrupted run has left
/// behind is replaced.
struct Scratch {
    server: Psql,
    database: Psql,
}

impl Scratch {
    const NAME: &str = "kassa_sqlx_scratch";
    const DROP: &str = "drop database if exists kassa_sqlx_scratch with (force)";

    fn create(url: &str) -> Result<Self> {
        let server = Psql::new(url)?;
        server.execute(&[Self::DROP, "create database kassa_sqlx_scratch"])?;
        let database = server.of_database(Self::NAME);
        Ok(Self { server, database })
    }

    fn migrate(&self) -> Result<()> {
        for (version, file) in migrations()? {
            let sql = fs::read_to_string(&file)?;
            ensure!(
                sql.len() < LONGEST_MIGRATION,
                "{} is longer than psql can take",
                file.display()
            );
            // As sqlx does it: the whole file is one simple query, in a transaction unless its first line refuses one.
            let done = if sql.starts_with("-- no-transaction") {
                self.database.execute(&[&sql])
            } else {
                self.database.execute(&["begin", &sql, "commit"])
            };
            done.with_context(|| format!("migration {version} ({})", file.display()))?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.server.execute(&[Self::DROP]) {
            say("sqlx", format_args!("the scratch database stays behind: {error:#}"));
        }
    }
}

/// The files that sqlx takes for migrations, in its order: `<number>_<words>.sql`, without the way back.
fn migrations() -> Result<Vec<(i64, PathBuf)>> {
    let mut migrations = Vec::new();
    for entry in fs::read_dir(workspace::root().join("migrations")).context("there is no folder `migrations`")? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if let Some(version) = migration_version(name)? {
            migrations.push((version, path));
        }
    }
    migrations.sort();
    Ok(migrations)
}

fn migration_version(name: &str) -> Result<Option<i64>> {
    match name.split_once('_') {
        Some((version, words)) if words.ends_with(".sql") && !words.ends_with(".down.sql") => {
            Ok(Some(version.parse().with_context(|| {
                format!("the migration {name} does not begin with a number")
            })?))
        }
        _ => Ok(None),
    }
}

fn committed() -> PathBuf {
    workspace::root().join(".sqlx")
}

fn read(folder: &Path) -> Result<Queries> {
    let mut queries = Queries::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            queries.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(queries)
}

fn summary(old: &Queries, new: &Queries) -> String {
    let added = new.keys().filter(|name| !old.contains_key(*name)).count();
    let changed = new
        .iter()
        .filter(|(name, content)| old.get(*name).is_some_and(|before| before != *content))
        .count();
    let gone = old.keys().filter(|name| !new.contains_key(*name)).count();
    format!("{added} new, {changed} changed, {gone} gone")
}

/// The beginning of the query that a file is about.
fn first_line(content: &str) -> String {
    let file: serde_json::Value = serde_json::from_str(content).unwrap_or_default();
    let query = file["query"].as_str().unwrap_or("(unreadable file)");
    let words: Vec<&str> = query.split_whitespace().collect();
    words.join(" ").chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::{Queries, first_line, migration_version, summary};

    #[test]
    fn only_what_sqlx_takes_for_a_migration_is_applied() {
        assert_eq!(migration_version("0007_attempts.sql").expect("a number"), Some(7));
        assert_eq!(migration_version("0007_attempts.up.sql").expect("a number"), Some(7));
        assert_eq!(
            migration_version("0007_attempts.down.sql").expect("not looked at"),
            None
        );
        assert_eq!(migration_version("README.md").expect("not looked at"), None);
        assert!(migration_version("first_table.sql").is_err());
    }

    #[test]
    fn a_difference_is_counted_by_its_kind() {
        let queries = |pairs: &[(&str, &str)]| -> Queries {
            pairs
                .iter()
                .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
                .collect()
        };
        let old = queries(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let new = queries(&[("a", "1"), ("b", "2"), ("d", "1"), ("e", "1")]);
        assert_eq!(summary(&old, &new), "2 new, 1 changed, 1 gone");
    }

    #[test]
    fn a_query_is_shown_on_one_line() {
        assert_eq!(
            first_line(r#"{"query": "\n  select id\n  from events"}"#),
            "select id from events"
        );
        assert_eq!(first_line("not json"), "(unreadable file)");
    }
}
