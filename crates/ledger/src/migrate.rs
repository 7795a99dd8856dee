//! Bringing the schema up to date.

use crate::pool::Ledger;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

impl Ledger {
    /// Applies what is missing, each file in a transaction of its own; safe to call from several processes at once.
    /// Returns the descriptions of all migrations that this version knows.
    ///
    /// # Errors
    /// When the database cannot be reached, or was migrated by a version that this one does not know.
    pub async fn migrate(&self) -> Result<Vec<String>, sqlx::migrate::MigrateError> {
        MIGRATIONS.run(&self.pool).await?;
        Ok(MIGRATIONS
            .iter()
            .map(|migration| format!("{:04} {}", migration.version, migration.description))
            .collect())
    }
}
