//! What became of the receipts of a period: the obligations that were accepted in it, by where they stand now.
//!
//! All figures of one report are read from one snapshot, so that the totals, the causes and the rows of an export agree
//! however much is registered meanwhile. A long period is read in slices, so that no statement takes long.

mod causes;
mod problems;
mod register;
mod tally;

use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use receipt::StoreCode;
use sqlx::{Connection, PgConnection};

pub use causes::Cause;
pub use problems::Problem;
pub use register::RegisterEntry;
pub use tally::{Open, Tally};

use crate::error::LedgerError;
use crate::limit::{LONGEST_STATEMENT, limited, silence};
use crate::pool::Ledger;

/// What one statement reads of a period: small enough for the busiest shop to stay far below the longest statement.
const SLICE: SignedDuration = SignedDuration::from_hours(24);

/// A half-open stretch of time: what was accepted at `from` or later, and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first moment of it.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Stretch {
    /// The same stretch in pieces of at most [`SLICE`], oldest first.
    fn slices(self) -> impl Iterator<Item = Self> {
        let mut from = self.from;
        std::iter::from_fn(move || {
            if from >= self.until {
                return None;
            }
            let until = from.checked_add(SLICE).unwrap_or(self.until).min(self.until);
            let slice = Self { from, until };
            from = until;
            Some(slice)
        })
    }
}

/// Which figures are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of which store.
    pub store: StoreCode,
    /// The period.
    pub span: Stretch,
    /// What it is compared with.
    pub before: Stretch,
    /// At most so many of the problems.
    pub problems: usize,
}

/// The figures of one store and period, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The moment, by the database's clock.
    pub read_at: Timestamp,
    /// Counts and sums of the period.
    pub tallies: Vec<Tally>,
    /// The same of what it is compared with.
    pub before: Vec<Tally>,
    /// Why receipts of the period failed or have no known outcome; the most frequent cause first.
    pub causes: Vec<Cause>,
    /// What of the period needs a person, oldest first: failed, unknown, overdue.
    pub problems: Vec<Problem>,
    /// How many of these there are.
    pub problems_in_all: u64,
    /// What of the store is not settled at this moment, whenever it was accepted.
    pub open: Open,
}

impl Ledger {
    /// The figures of each question, all from one snapshot.
    ///
    /// # Errors
    /// An outage.
    pub async fn figures(&self, wanted: &[Wanted]) -> Result<Vec<Figures>, LedgerError> {
        self.read(wanted, None).await
    }

    /// The same, with every receipt of the periods given to `each`: one question after the other, oldest first. `each`
    /// is called while the snapshot is held, so it must not wait for anything.
    ///
    /// # Errors
    /// An outage; what `each` was given is then worth nothing.
    pub async fn figures_and_register(
        &self,
        wanted: &[Wanted],
        each: &mut (dyn FnMut(RegisterEntry) + Send),
    ) -> Result<Vec<Figures>, LedgerError> {
        self.read(wanted, Some(each)).await
    }

    /// Every store that has receipts, in the order of their codes.
    ///
    /// # Errors
    /// An outage.
    pub async fn stores(&self) -> Result<Vec<StoreCode>, LedgerError> {
        let stores = limited!(
            self.pool,
            fetch_all,
            sqlx::query_scalar!(
                r#"
            WITH RECURSIVE seen AS (
                -- Jumps in the index transactions_listed over every store, operation and state that there is.
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
            SELECT DISTINCT split_part(key, '/', 1) AS "store!"
            FROM seen
            WHERE key IS NOT NULL
            ORDER BY 1
            "#,
            )
        );
        stores
            .into_iter()
            .map(|store| StoreCode::parse(&store).map_err(|error| corrupt(&store, error.to_string())))
            .collect()
    }

    async fn read(&self, wanted: &[Wanted], register: Option<Each<'_>>) -> Result<Vec<Figures>, LedgerError> {
        let mut connection = self.pool.acquire().await?;
        let read = read_all(&mut connection, wanted, register).await;
        if read.is_err() {
            // It may be in the middle of a statement, or of a snapshot.
            connection.close_on_drop();
        }
        read
    }
}

/// What takes the receipts of an export.
type Each<'a> = &'a mut (dyn FnMut(RegisterEntry) + Send);

async fn read_all(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    mut register: Option<Each<'_>>,
) -> Result<Vec<Figures>, LedgerError> {
    let mut snapshot = within(connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
    let mut figures = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        figures.push(read_one(&mut snapshot, wanted).await?);
        if let Some(each) = register.as_deref_mut() {
            for slice in wanted.span.slices() {
                register::read(&mut snapshot, &wanted.store, slice, each).await?;
            }
        }
    }
    within(snapshot.rollback()).await?;
    Ok(figures)
}

async fn read_one(snapshot: &mut PgConnection, wanted: &Wanted) -> Result<Figures, LedgerError> {
    let read_at =
        within(sqlx::query_scalar!(r#"SELECT now() AS "now!: jiff_sqlx::Timestamp""#).fetch_one(&mut *snapshot))
            .await?;
    let mut tallies = tally::Tallies::default();
    let mut causes = causes::Causes::default();
    let (mut problems, mut problems_in_all) = (Vec::new(), 0);
    for slice in wanted.span.slices() {
        let read = tally::read(snapshot, &wanted.store, slice).await?;
        let may_need_a_person = read.iter().any(Tally::may_need_a_person);
        tallies.add(read);
        if may_need_a_person {
            causes.add(causes::read(snapshot, &wanted.store, slice).await?);
            let room = wanted.problems - problems.len();
            let (found, in_all) = problems::read(snapshot, &wanted.store, slice, room).await?;
            problems.extend(found);
            problems_in_all += in_all;
        }
    }
    let mut before = tally::Tallies::default();
    for slice in wanted.before.slices() {
        before.add(tally::read(snapshot, &wanted.store, slice).await?);
    }
    Ok(Figures {
        read_at: read_at.to_jiff(),
        tallies: tallies.sorted(),
        before: before.sorted(),
        causes: causes.sorted(),
        problems,
        problems_in_all,
        open: tally::read_open(snapshot, &wanted.store).await?,
    })
}

/// An answer of a connection that is not given back before it has come.
async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LedgerError> {
    match tokio::time::timeout(LONGEST_STATEMENT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(silence()),
    }
}

fn corrupt(id: &impl ToString, what: impl Into<String>) -> LedgerError {
    LedgerError::Corrupt {
        id: id.to_string(),
        what: what.into(),
    }
}

/// A word of a column whose constraint allows no other.
fn word<T: std::str::FromStr>(id: &impl ToString, text: &str) -> Result<T, LedgerError> {
    text.parse()
        .map_err(|_| corrupt(id, format!("{text:?} is none of our words")))
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
