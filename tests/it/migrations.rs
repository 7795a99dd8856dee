//! Migrations meet tables with rows in them. Each is applied in order, and after it the sample rows of
//! `tests/data/migrations/NNNN.sql` are inserted, so that the next one must cope with them.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use kassa_tests::database::Database;
use sqlx::Executor;

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Number and text of every migration, in order.
fn migrations() -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder("../migrations"))? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "sql") {
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .context("a name in UTF-8")?;
            let (number, _) = name.split_once('_').context("NNNN_name.sql")?;
            found.push((number.to_owned(), std::fs::read_to_string(&path)?));
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "there are no migrations");
    Ok(found)
}

#[tokio::test]
async fn every_migration_applies_over_the_rows_of_those_before_it() -> anyhow::Result<()> {
    let database = Database::create("migrations").await?;
    let outcome = apply_all(&database).await;
    database.remove().await?;
    outcome
}

async fn apply_all(database: &Database) -> anyhow::Result<()> {
    let pool = database.pool().await?;
    for (number, sql) in migrations()? {
        let over_rows = || format!("migration {number} over the sample rows of those before it");
        // As sqlx does it: in a transaction, unless the first line refuses one.
        if sql.starts_with("-- no-transaction") {
            pool.execute(sqlx::AssertSqlSafe(sql)).await.with_context(over_rows)?;
        } else {
            let mut transaction = pool.begin().await?;
            transaction
                .execute(sqlx::AssertSqlSafe(sql))
                .await
                .with_context(over_rows)?;
            transaction.commit().await?;
        }
        let samples = folder("data/migrations").join(format!("{number}.sql"));
        let rows = std::fs::read_to_string(&samples)
            .with_context(|| format!("migration {number} needs sample rows in {}", samples.display()))?;
        let inserted = pool
            .execute(sqlx::AssertSqlSafe(rows))
            .await
            .with_context(|| format!("the sample rows of migration {number}"))?;
        ensure!(inserted.rows_affected() > 0, "{} inserts nothing", samples.display());
    }
    // Every table has rows by now: a later migration that cannot live with them fails here first.
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&pool)
        .await?;
    for table in tables {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&pool)
            .await?;
        ensure!(rows > 0, "the sample rows leave the table {table} empty");
    }
    pool.close().await;
    Ok(())
}

/// While the new version is rolled out the old one goes on inserting, without the new column.
#[test]
fn no_column_is_added_that_the_running_version_would_have_to_fill() -> anyhow::Result<()> {
    for (number, sql) in migrations()? {
        for statement in statements(&sql) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let text = words.join(" ").to_uppercase();
            if !text.starts_with("ALTER TABLE") {
                continue;
            }
            for action in text.split(" ADD COLUMN ").skip(1) {
                ensure!(
                    !action.contains("NOT NULL") || action.contains("DEFAULT"),
                    "migration {number} adds a column NOT NULL without DEFAULT: {action}"
                );
            }
            ensure!(
                !text.contains(" ADD ") || text.contains(" ADD COLUMN ") || text.contains(" ADD CONSTRAINT "),
                "migration {number}: write ADD COLUMN or ADD CONSTRAINT in full: {text}"
            );
        }
    }
    Ok(())
}

/// The statements without their comments.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql
        .lines()
        .map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}
