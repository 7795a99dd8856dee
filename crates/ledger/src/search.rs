//! Lists over the whole history, newest first, that cost the same however long it is.
//!
//! A list without a name reads one range of the index `transactions_listed` for each store, operation and state that it
//! may show, and takes the newest of all. A list with a name begins at what has that name, which is little; only a buyer
//! may have much, so that list follows the buyer's own order.

use jiff::Timestamp;
use receipt::{DocumentNumber, ExternalId, FiscalDocument, Operation, OrderNumber, StateName, StoreCode, VendorUuid};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::show::{Row, TransactionRow};

/// An id is made by a process, sometimes long before its commit: during an outage the same value is offered until it is
/// taken.
const ID_BEFORE_ACCEPTANCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// How far a process's clock may be ahead of the database's.
const CLOCKS_APART: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Which transactions to list. Every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Only these stores; `None` is every one.
    pub stores: Option<Vec<StoreCode>>,
    /// Only these operations; empty is every one.
    pub operations: Vec<Operation>,
    /// Only these states; empty is every one.
    pub states: Vec<StateName>,
    /// Accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Accepted before this time.
    pub to: Option<Timestamp>,
    /// Only what has all of these names.
    pub names: Names,
    /// Only those before this one: the next page.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// What people know a receipt by.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Number of the shop's document.
    pub document: Option<DocumentNumber>,
    /// Number of the shop's order.
    pub order: Option<OrderNumber>,
    /// The key at the vendor, of any registration; upper and lower case are the same.
    pub external_id: Option<ExternalId>,
    /// The vendor's own id, of any registration.
    pub vendor_uuid: Option<VendorUuid>,
    /// The buyer's e-mail address as [`receipt::contact::email`] reads it; upper and lower case are the same.
    pub email: Option<String>,
    /// The buyer's phone as [`receipt::contact::phone`] reads it.
    pub phone: Option<String>,
}

impl Names {
    /// Whether one is given that only few transactions have.
    const fn any_but_the_buyer(&self) -> bool {
        self.document.is_some() || self.order.is_some() || self.external_id.is_some() || self.vendor_uuid.is_some()
    }

    /// What stands in `search_keys`, before it is digested.
    fn buyer(&self) -> [Option<String>; 2] {
        [
            self.email
                .as_ref()
                .map(|email| format!("email:{}", email.to_lowercase())),
            self.phone.as_ref().map(|phone| format!("phone:{phone}")),
        ]
    }
}

/// The conditions that every statement has, as it takes them.
struct Common {
    stores: Option<Vec<String>>,
    operations: Vec<&'static str>,
    states: Vec<&'static str>,
    from: Option<jiff_sqlx::Timestamp>,
    to: Option<jiff_sqlx::Timestamp>,
    /// Ids from this one on, and before that one.
    oldest: Uuid,
    before: Uuid,
    limit: i64,
}

impl Common {
    fn of(search: &Search) -> Self {
        let operations = if search.operations.is_empty() {
            Operation::ALL
        } else {
            &search.operations
        };
        let states = if search.states.is_empty() {
            &StateName::ALL[..]
        } else {
            &search.states
        };
        let oldest = search
            .from
            .map_or(Uuid::nil(), |from| first_id_at(from, -ID_BEFORE_ACCEPTANCE));
        let newest = search.to.map_or(Uuid::max(), |to| first_id_at(to, CLOCKS_APART));
        Self {
            stores: search
                .stores
                .as_ref()
                .map(|stores| stores.iter().map(ToString::to_string).collect()),
            operations: operations.iter().map(|operation| operation.name()).collect(),
            states: states.iter().map(|state| state.name()).collect(),
            from: search.from.map(jiff_sqlx::Timestamp::from),
            to: search.to.map(jiff_sqlx::Timestamp::from),
            oldest,
            before: search.before.map_or(newest, |before| before.min(newest)),
            limit: search.limit,
        }
    }
}

/// The lowest `UUIDv7` of the millisecond that is `apart` from `time`.
fn first_id_at(time: Timestamp, apart: jiff::SignedDuration) -> Uuid {
    let millis = time.checked_add(apart).unwrap_or(time).as_millisecond();
    let millis = u128::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(millis << 80)
}

impl Ledger {
    /// Transactions that meet every condition, newest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn search(&self, search: &Search) -> Result<Vec<TransactionRow>, LedgerError> {
        let common = Common::of(search);
        let names = &search.names;
        let rows = if names.any_but_the_buyer() {
            self.named(common, names).await?
        } else if names.email.is_some() || names.phone.is_some() {
            self.of_buyer(common, names).await?
        } else {
            self.listed(common).await?
        };
        Ok(rows.into_iter().map(TransactionRow::from).collect())
    }

    async fn listed(&self, common: Common) -> Result<Vec<Row>, LedgerError> {
        Ok(limited!(
            self.pool,
            fetch_all,
            sqlx::query_as!(
                Row,
                r#"
            WITH RECURSIVE seen AS (
                -- Jumps in the index over every store, operation and state that there is.
                SELECT min(store || '/' || operation || '/' || state) AS key
                FROM transactions
                UNION ALL
                SELECT (
                    SELECT min(t.store || '/' || t.operation || '/' || t.state)
                    FROM transactions t
                    WHERE t.store || '/' || t.operation || '/' || t.state > seen.key
                )
                FROM seen
                WHERE seen.key IS NOT NULL
            )
            SELECT page.id AS "id!", page.store AS "store!", page.operation AS "operation!",
                page.document_number AS "document_number!", page.document_part AS "document_part!", page.order_number,
                page.account AS "account!", page.state AS "state!", page.failure, page.revision AS "revision!",
                page.replaces, page.version AS "version!", page.external_id AS "external_id!", page.vendor_uuid,
                page.trials AS "trials!", page.total_kopecks AS "total_kopecks!",
                page.fiscal AS "fiscal: Json<FiscalDocument>",
                page.due_at AS "due_at: jiff_sqlx::Timestamp",
                page.accepted_at AS "accepted_at!: jiff_sqlx::Timestamp",
                page.updated_at AS "updated_at!: jiff_sqlx::Timestamp"
            FROM seen
            CROSS JOIN LATERAL (
                SELECT t.*
                FROM transactions t
                WHERE t.store || '/' || t.operation || '/' || t.state = seen.key
                    AND uuid_send(t.id) >= uuid_send($4::uuid)
                    AND uuid_send(t.id) < uuid_send($5::uuid)
                    AND ($6::timestamptz IS NULL OR t.accepted_at >= $6)
                    AND ($7::timestamptz IS NULL OR t.accepted_at < $7)
                ORDER BY uuid_send(t.id) DESC
                LIMIT $8
            ) page
            WHERE ($1::text[] IS NULL OR split_part(seen.key, '/', 1) = ANY ($1))
                AND split_part(seen.key, '/', 2) = ANY ($2::text[])
                AND split_part(seen.key, '/', 3) = ANY ($3::text[])
            ORDER BY page.id DESC
            LIMIT $8
            "#,
                common.stores.as_deref(),
                &common.operations as _,
                &common.states as _,
                common.oldest,
                common.before,
                common.from as _,
                common.to as _,
                common.limit,
            )
        ))
    }

    async fn named(&self, common: Common, names: &Names) -> Result<Vec<Row>, LedgerError> {
        let [email, phone] = names.buyer();
        Ok(limited!(
            self.pool,
            fetch_all,
            sqlx::query_as!(
                Row,
                r#"
            SELECT t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number, t.account, t.state,
                t.failure, t.revision, t.replaces, t.version, t.external_id, t.vendor_uuid, t.trials, t.total_kopecks,
                t.fiscal AS "fiscal: Json<FiscalDocument>",
                t.due_at AS "due_at: jiff_sqlx::Timestamp",
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                t.updated_at AS "updated_at: jiff_sqlx::Timestamp"
            FROM transactions t
            WHERE t.id IN (
                    -- A name that is not given is NULL, and nothing equals it.
                    SELECT id FROM transactions WHERE document_number = $9
                    UNION
                    SELECT transaction_id FROM search_keys WHERE digest = sha256(convert_to('order:' || $10, 'UTF8'))
                    UNION
                    SELECT transaction_id FROM registrations WHERE lower(external_id) = lower($11)
                    UNION
                    SELECT transaction_id FROM registrations WHERE vendor_uuid = $12
                )
                AND ($9::text IS NULL OR t.document_number = $9)
                AND ($10::text IS NULL OR t.order_number = $10)
                AND ($11::text IS NULL OR EXISTS (
                    SELECT FROM registrations r WHERE r.transaction_id = t.id AND lower(r.external_id) = lower($11)
                ))
                AND ($12::text IS NULL OR EXISTS (
                    SELECT FROM registrations r WHERE r.transaction_id = t.id AND r.vendor_uuid = $12
                ))
                AND ($13::text IS NULL OR EXISTS (
                    SELECT
                    FROM search_keys k
                    WHERE k.digest = sha256(convert_to($13, 'UTF8')) AND k.transaction_id = t.id
                ))
                AND ($14::text IS NULL OR EXISTS (
                    SELECT
                    FROM search_keys k
                    WHERE k.digest = sha256(convert_to($14, 'UTF8')) AND k.transaction_id = t.id
                ))
                AND ($1::text[] IS NULL OR t.store = ANY ($1))
                AND t.operation = ANY ($2)
                AND t.state = ANY ($3)
                AND t.id >= $4
                AND t.id < $5
                AND ($6::timestamptz IS NULL OR t.accepted_at >= $6)
                AND ($7::timestamptz IS NULL OR t.accepted_at < $7)
            ORDER BY t.id DESC
            LIMIT $8
            "#,
                common.stores.as_deref(),
                &common.operations as _,
                &common.states as _,
                common.oldest,
                common.before,
                common.from as _,
                common.to as _,
                common.limit,
                names.document.as_ref().map(DocumentNumber::as_str),
                names.order.as_ref().map(OrderNumber::as_str),
                names.external_id.as_ref().map(ExternalId::as_str),
                names.vendor_uuid.as_ref().map(VendorUuid::as_str),
                email,
                phone,
            )
        ))
    }

    async fn of_buyer(&self, common: Common, names: &Names) -> Result<Vec<Row>, LedgerError> {
        let [email, phone] = names.buyer();
        let (first, second) = match (email, phone) {
            (Some(email), phone) => (email, phone),
            (None, phone) => (phone.unwrap_or_default(), None),
        };
        Ok(limited!(
            self.pool,
            fetch_all,
            sqlx::query_as!(
                Row,
                r#"
            SELECT t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number, t.account, t.state,
                t.failure, t.revision, t.replaces, t.version, t.external_id, t.vendor_uuid, t.trials, t.total_kopecks,
                t.fiscal AS "fiscal: Json<FiscalDocument>",
                t.due_at AS "due_at: jiff_sqlx::Timestamp",
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                t.updated_at AS "updated_at: jiff_sqlx::Timestamp"
            FROM search_keys k
            JOIN transactions t ON t.id = k.transaction_id
            WHERE k.digest = sha256(convert_to($9, 'UTF8'))
                AND k.transaction_id >= $4
                AND k.transaction_id < $5
                AND ($10::text IS NULL OR EXISTS (
                    SELECT
                    FROM search_keys other
                    WHERE other.digest = sha256(convert_to($10, 'UTF8')) AND other.transaction_id = k.transaction_id
                ))
                AND ($1::text[] IS NULL OR t.store = ANY ($1))
                AND t.operation = ANY ($2)
                AND t.state = ANY ($3)
                AND ($6::timestamptz IS NULL OR t.accepted_at >= $6)
                AND ($7::timestamptz IS NULL OR t.accepted_at < $7)
            ORDER BY k.transaction_id DESC
            LIMIT $8
            "#,
                common.stores.as_deref(),
                &common.operations as _,
                &common.states as _,
                common.oldest,
                common.before,
                common.from as _,
                common.to as _,
                common.limit,
                first,
                second,
            )
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_time_lie_between_its_bounds() {
        let now = Timestamp::now();
        let id = Uuid::now_v7();
        let second = jiff::SignedDuration::from_secs(1);
        assert!(first_id_at(now, -second) < id);
        assert!(id < first_id_at(now, second));
        assert_eq!(first_id_at(Timestamp::MIN, -second), Uuid::nil());
    }
}
