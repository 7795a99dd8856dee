//! A database of one's own, dropped at the end.

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use uuid::Uuid;

use crate::urls;

/// A scratch database on the test server.
#[derive(Debug)]
pub struct Database {
    /// Its URL.
    pub url: String,
    name: String,
    server: String,
}

impl Database {
    /// Makes an empty one. The schema is `kassa migrate`'s.
    ///
    /// # Errors
    /// When the server cannot be reached or forbids it.
    pub async fn create(purpose: &str) -> anyhow::Result<Self> {
        Self::create_at(urls::database_url()?, purpose).await
    }

    /// The same on another server.
    ///
    /// # Errors
    /// When the server cannot be reached or forbids it.
    pub async fn create_at(server: String, purpose: &str) -> anyhow::Result<Self> {
        let name = format!("kassa_{purpose}_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(&server)
            .await
            .context("the test server's Postgres")?;
        connection
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await?;
        let (base, _) = server.rsplit_once('/').context("the URL names no database")?;
        Ok(Self {
            url: format!("{base}/{name}"),
            name,
            server,
        })
    }

    /// Connections to it.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(PgPool::connect(&self.url).await?)
    }

    /// Drops it, whoever is still connected.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn remove(self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        connection
            .execute(sqlx::AssertSqlSafe(format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            )))
            .await?;
        Ok(())
    }
}
