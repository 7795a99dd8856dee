//! The comparison of the table with the vendor's own books, by content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::plan::Plan;
use crate::story::Story;

/// What a run came to.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// Distinct requests sent, repetitions not counted.
    pub(crate) published: usize,
    /// Markers whose transaction is done.
    pub(crate) done: usize,
    /// Markers whose transaction failed: a person must act.
    pub(crate) failed: usize,
    /// Invalid requests that stand in `dead_letters` with every byte.
    pub(crate) rejected: usize,
    /// Markers whose outcome is not known.
    pub(crate) unknown: usize,
    /// Requests that are nowhere, and done ones that the books lack.
    pub(crate) lost: usize,
    /// Markers that the books have more than once, under whatever id.
    pub(crate) twice: usize,
    /// From publication to the fiscal document.
    pub(crate) p50_ms: u64,
    /// The same.
    pub(crate) p99_ms: u64,
    /// The whole run.
    pub(crate) seconds: u64,
    /// Done ones whose total differs between the table and the books.
    pub(crate) wrong_totals: usize,
    /// Requests that are shown as failed or refused and stand in the books all the same.
    pub(crate) contradicted: usize,
    /// Attempts to send that ended without a word: their worker died.
    pub(crate) unfinished_attempts: i64,
    /// Sends whose id the vendor knew already: what a lost answer costs.
    pub(crate) adopted: i64,
    /// Fiscal documents in the books, by vendor.
    pub(crate) in_the_books: BTreeMap<String, u32>,
    /// Counts and sums by operation and state.
    pub(crate) states: Vec<State>,
}

/// One row of the table of states.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    pub(crate) operation: String,
    pub(crate) state: String,
    pub(crate) count: i64,
    pub(crate) sum: String,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.wrong_totals == 0 && self.contradicted == 0
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    marker: String,
    state: String,
    total_kopecks: i64,
    updated_ms: i64,
}

pub(crate) async fn judge(plan: &Plan, story: &Story, elapsed: Duration) -> anyhow::Result<Verdict> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT body #>> '{lines,0,name}' AS marker, state, total_kopecks,
            (extract(epoch FROM updated_at) * 1000)::bigint AS updated_ms
        FROM transactions",
    )
    .fetch_all(&story.pool)
    .await?;
    let of_state = |state: &str| -> BTreeMap<&str, &Row> {
        rows.iter()
            .filter(|row| row.state == state)
            .map(|row| (row.marker.as_str(), row))
            .collect()
    };
    let (done, failed, unknown) = (of_state("done"), of_state("failed"), of_state("unknown"));

    let letters: BTreeSet<Vec<u8>> = sqlx::query_scalar("SELECT body FROM dead_letters")
        .fetch_all(&story.pool)
        .await?
        .into_iter()
        .collect();
    let rejected = plan
        .invalid
        .iter()
        .filter(|invalid| letters.contains(&invalid.body))
        .count();

    let books = story.vendor.books().await?;
    let registered = books.registered_by_marker();
    let times = |marker: &str| registered.get(marker).copied().unwrap_or(0);
    let missing = done.keys().filter(|marker| times(marker) == 0).count();
    let known: BTreeSet<&str> = plan.valid.iter().map(|valid| valid.marker.as_str()).collect();
    let settled = |map: &BTreeMap<&str, &Row>| map.keys().filter(|marker| known.contains(*marker)).count();
    let accounted = settled(&done) + settled(&failed) + settled(&unknown) + rejected;

    let totals: HashMap<&str, i64> = books
        .documents
        .iter()
        .filter(|document| document.registered > 0)
        .filter_map(|document| Some((document.marker.as_deref()?, document.total_kopecks)))
        .collect();
    let wrong_totals = done
        .iter()
        .filter(|(marker, row)| totals.get(*marker).is_some_and(|total| *total != row.total_kopecks))
        .count();

    // What kassa calls failed must not be registered, and nothing may be that the shop did not validly ask for.
    let contradicted = failed.keys().filter(|marker| times(marker) > 0).count()
        + registered
            .iter()
            .filter(|(marker, times)| **times > 0 && !known.contains(*marker))
            .count();

    let mut waits: Vec<u64> = done.values().filter_map(|row| wait(story, row)).collect();
    waits.sort_unstable();
    let percentile = |share: usize| waits.get((waits.len() * share / 100).min(waits.len().saturating_sub(1)));
    Ok(Verdict {
        published: plan.published(),
        done: settled(&done),
        failed: settled(&failed),
        rejected,
        unknown: settled(&unknown),
        lost: plan.published().saturating_sub(accounted) + missing,
        twice: registered.values().filter(|&&times| times > 1).count(),
        p50_ms: percentile(50).copied().unwrap_or(0),
        p99_ms: percentile(99).copied().unwrap_or(0),
        seconds: elapsed.as_secs(),
        wrong_totals,
        contradicted,
        unfinished_attempts: sqlx::query_scalar("SELECT count(*) FROM attempts WHERE finished_at IS NULL")
            .fetch_one(&story.pool)
            .await?,
        adopted: sqlx::query_scalar("SELECT count(*) FROM attempts WHERE class = 'adopted'")
            .fetch_one(&story.pool)
            .await?,
        in_the_books: books
            .registered_by_vendor()
            .into_iter()
            .map(|(vendor, count)| (vendor.to_owned(), count))
            .collect(),
        states: states(story).await?,
    })
}

/// From publication to the fiscal document. Table and demo run on one machine, so the clocks are one.
fn wait(story: &Story, row: &Row) -> Option<u64> {
    let published = story
        .published_at
        .get(&row.marker)?
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    u64::try_from(row.updated_ms)
        .ok()?
        .checked_sub(u64::try_from(published.as_millis()).ok()?)
}

async fn states(story: &Story) -> anyhow::Result<Vec<State>> {
    let summary = story.fleet.ledger()?.summary().await?;
    Ok(summary
        .into_iter()
        .map(|row| State {
            operation: row.operation,
            state: row.state,
            count: row.count,
            sum: receipt::Money::from_kopecks(row.total_kopecks).to_string(),
        })
        .collect())
}
