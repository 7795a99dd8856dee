//! Keys of the HTTP API. The secret itself is never here, only its digest.

use jiff::Timestamp;
use serde::Serialize;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::storable;

/// A key that is made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// 12 hexadecimal digits, part of the key and public.
    pub id: String,
    /// The actor of what is done with it.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The stores that it is for; `None` is every one.
    pub stores: Option<Vec<String>>,
    /// Its rights, by their words.
    pub rights: Vec<String>,
    /// Who makes it.
    pub created_by: String,
}

/// A key as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct ApiKeyRow {
    /// 12 hexadecimal digits.
    pub id: String,
    /// The actor of what is done with it.
    pub name: String,
    /// The stores that it is for; absent for every one.
    pub stores: Option<Vec<String>>,
    /// Its rights, by their words.
    pub rights: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was used last, to the hour.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
}

/// A key that is not revoked, with what proves its secret.
#[derive(Debug, Clone)]
pub struct LiveApiKey {
    /// The actor of what is done with it.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// The stores that it is for; `None` is every one.
    pub stores: Option<Vec<String>>,
    /// Its rights, by their words.
    pub rights: Vec<String>,
}

impl Ledger {
    /// Adds a key.
    ///
    /// # Errors
    /// [`LedgerError::Data`] when the id is taken or a right is no right; an outage otherwise.
    pub async fn add_api_key(&self, key: &NewApiKey) -> Result<(), LedgerError> {
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                "INSERT INTO api_keys (id, name, secret_hash, stores, rights, created_by) VALUES ($1, $2, $3, $4, $5, $6)",
                key.id,
                storable(&key.name),
                &key.secret_hash[..],
                key.stores.as_deref(),
                &key.rights,
                storable(&key.created_by),
            )
        );
        Ok(())
    }

    /// Every key, also the revoked ones, newest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT id, name, stores, rights, created_by, revoked_by,
                created_at AS "created_at: jiff_sqlx::Timestamp",
                last_used_at AS "last_used_at: jiff_sqlx::Timestamp",
                revoked_at AS "revoked_at: jiff_sqlx::Timestamp"
            FROM api_keys
            ORDER BY created_at DESC, id
            "#
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| ApiKeyRow {
                id: row.id,
                name: row.name,
                stores: row.stores,
                rights: row.rights,
                created_at: row.created_at.to_jiff(),
                created_by: row.created_by,
                last_used_at: row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
                revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
                revoked_by: row.revoked_by,
            })
            .collect())
    }

    /// The key with this id, if there is one that is not revoked. `shown` is the digest of the secret that came with it:
    /// the time of the last use is written only with the right one, once an hour. The caller compares them all the same.
    ///
    /// # Errors
    /// An outage.
    pub async fn live_api_key(&self, id: &str, shown: &[u8; 32]) -> Result<Option<LiveApiKey>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query!(
                r#"
            WITH used AS (
                UPDATE api_keys
                SET last_used_at = now()
                WHERE id = $1
                    AND secret_hash = $2
                    AND revoked_at IS NULL
                    AND coalesce(last_used_at < now() - interval '1 hour', true)
            )
            SELECT name, secret_hash, stores, rights
            FROM api_keys
            WHERE id = $1
                AND revoked_at IS NULL
            "#,
                id,
                &shown[..],
            )
        );
        Ok(row.map(|row| LiveApiKey {
            name: row.name,
            secret_hash: row.secret_hash,
            stores: row.stores,
            rights: row.rights,
        }))
    }

    /// Revokes a key. Returns whether there was one that was not revoked.
    ///
    /// # Errors
    /// An outage.
    pub async fn revoke_api_key(&self, id: &str, by: &str) -> Result<bool, LedgerError> {
        let done = limited!(
            self.pool,
            execute,
            sqlx::query!(
                "UPDATE api_keys SET revoked_at = now(), revoked_by = $2 WHERE id = $1 AND revoked_at IS NULL",
                id,
                storable(by),
            )
        );
        Ok(done.rows_affected() > 0)
    }
}
