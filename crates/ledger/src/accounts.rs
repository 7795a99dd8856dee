//! Which accounts the ledger knows, and which of them it still needs.

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// An account whose registrations are somewhere else than the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub account: String,
    /// Where its open registrations are.
    pub was: String,
    /// Where the configuration puts it.
    pub is: String,
}

impl Ledger {
    /// Writes down where each account is (name and identity). An account that no open transaction names may move.
    /// Returns those that may not; nothing is changed for them.
    ///
    /// # Errors
    /// An outage.
    pub async fn bind_accounts(&self, accounts: &[(String, String)]) -> Result<Vec<Moved>, LedgerError> {
        let moved = self.moved_accounts(accounts).await?;
        let bound: Vec<&(String, String)> = accounts
            .iter()
            .filter(|(name, _)| !moved.iter().any(|moved| moved.account == *name))
            .collect();
        let names: Vec<String> = bound.iter().map(|(name, _)| name.clone()).collect();
        let identities: Vec<String> = bound.iter().map(|(_, identity)| identity.clone()).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            INSERT INTO accounts (name, identity)
            SELECT name, identity
            FROM unnest($1::text[], $2::text[]) AS bound (name, identity)
            ORDER BY name
            ON CONFLICT (name) DO UPDATE
            SET identity = excluded.identity,
                bound_at = now()
            WHERE accounts.identity <> excluded.identity
            "#,
                &names,
                &identities,
            )
        );
        Ok(moved)
    }

    /// The accounts that are somewhere else than the ledger knows, and that open transactions name.
    ///
    /// # Errors
    /// An outage.
    pub async fn moved_accounts(&self, accounts: &[(String, String)]) -> Result<Vec<Moved>, LedgerError> {
        let names: Vec<String> = accounts.iter().map(|(name, _)| name.clone()).collect();
        let identities: Vec<String> = accounts.iter().map(|(_, identity)| identity.clone()).collect();
        let open = self.open_accounts().await?;
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT accounts.name, accounts.identity AS was, configured.identity AS "is!"
            FROM accounts
            JOIN unnest($1::text[], $2::text[]) AS configured (name, identity) ON configured.name = accounts.name
            WHERE configured.identity <> accounts.identity
            ORDER BY accounts.name
            "#,
                &names,
                &identities,
            )
        );
        Ok(rows
            .into_iter()
            .filter(|row| open.contains(&row.name))
            .map(|row| Moved {
                account: row.name,
                was: row.was,
                is: row.is,
            })
            .collect())
    }

    /// Accounts that open transactions name, for a configuration that must not forget them.
    ///
    /// # Errors
    /// An outage.
    pub async fn open_accounts(&self) -> Result<Vec<String>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query_scalar!(
                r#"
            SELECT DISTINCT account AS "account!"
            FROM (
                SELECT account FROM transactions WHERE due_at IS NOT NULL
                UNION ALL
                SELECT account FROM transactions WHERE state IN ('held', 'unknown')
                UNION ALL
                SELECT account FROM registrations WHERE next_poll_at IS NOT NULL
            ) open
            "#,
            )
        );
        Ok(rows)
    }
}
