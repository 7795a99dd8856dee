//! The comparison of the table with the vendor's own books, by content, and of what was promised with what is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use simulator::{Books, Document};

use super::kind::{Kind, Role, VendorFault};
use super::report::{Durations, Explained, Report, Results, State, by_kind};
use super::table::{self, Attempt, Row};
use super::vendor::{Verdict, verdict_on};
use super::world::World;
use super::{Played, Settings};
use crate::request::BUYER;

/// Starts without a word after which a receipt is a person's (design, section 6).
const UNFINISHED_STARTS: usize = 3;
/// Of one kind, in the list of problems.
const MOST_EXAMPLES: usize = 10;

/// Judges a run whose processes have stopped.
pub(super) async fn judge(settings: &Settings, world: &World, played: Played) -> anyhow::Result<Report> {
    let books = world.vendor.books().await?;
    let rows = table::rows(&world.pool).await?;
    let mut court = Court {
        by_marker: by_marker(&books),
        newest: table::newest(&rows),
        results: Results::default(),
        problems: Problems::default(),
        explained: Vec::new(),
        waits: Vec::new(),
    };
    for (wanted, first) in world.shop.wanted() {
        court.receipt(world, &wanted.marker, first).await?;
    }
    court.strangers(&rows, settings);
    court.events(world).await?;
    court.logs(&world.fleet.folder)?;
    for end in &played.bad_ends {
        court.problems.add("processes", end);
    }
    court.results.broker_emptied = played.emptied;
    court.results.queues_recreated = world.operator.recreated();
    court.results.broker_restarted = world.operator.restarted();
    court.results.ended_by_themselves = played.bad_ends.len();
    court.results.published = world.shop.publications();
    let by_vendor = books.registered_by_vendor().into_iter();
    court.results.in_the_books = by_vendor.map(|(vendor, count)| (vendor.to_owned(), count)).collect();
    court.results.callbacks = books.documents.iter().map(|document| document.callbacks).sum();
    court.results.dead_letters = table::count(&world.pool, "SELECT count(*) FROM dead_letters").await?;
    if court.results.dead_letters > 0 {
        let what = format!("{} valid requests stand in dead_letters", court.results.dead_letters);
        court.problems.add("dead letters", &what);
    }
    court.results.rekeyed =
        table::count(&world.pool, "SELECT count(*) FROM registrations WHERE generation > 0").await?;

    let Court {
        results,
        problems,
        explained,
        mut waits,
        ..
    } = court;
    waits.sort_unstable();
    let percentile = |share: usize| {
        waits
            .get(waits.len() * share / 100)
            .or(waits.last())
            .copied()
            .unwrap_or(0)
    };
    let good = problems.list.is_empty();
    if !good || settings.keep {
        keep_evidence(world, &books, &problems).await?;
    }
    Ok(Report {
        seed: settings.seed,
        receipts: settings.receipts,
        seconds: settings.seconds,
        good,
        injected: played.struck.len(),
        faults: by_kind(&played.struck),
        results,
        explained,
        problems: problems.list,
        durations: Durations {
            run_s: played.began.elapsed().as_secs(),
            settle_s: played.settled_in.as_secs(),
            p50_ms: percentile(50),
            p99_ms: percentile(99),
            max_ms: waits.last().copied().unwrap_or(0),
        },
        states: states(world).await?,
        attempts: table::classes(&world.pool).await?,
        folder: (!good || settings.keep).then(|| world.fleet.folder.display().to_string()),
    })
}

struct Court<'a> {
    by_marker: HashMap<&'a str, Vec<&'a Document>>,
    newest: HashMap<&'a str, &'a Row>,
    results: Results,
    problems: Problems,
    explained: Vec<Explained>,
    /// From publication to the document, in milliseconds.
    waits: Vec<u64>,
}

/// Sentences, and the receipts that they are about.
#[derive(Default)]
struct Problems {
    list: Vec<String>,
    markers: Vec<String>,
    of_kind: BTreeMap<&'static str, usize>,
}

impl Problems {
    fn add(&mut self, kind: &'static str, what: &str) {
        let count = self.of_kind.entry(kind).or_default();
        *count += 1;
        if *count <= MOST_EXAMPLES {
            self.list.push(format!("{kind}: {what}"));
        }
    }

    fn about(&mut self, kind: &'static str, marker: &str, what: &str) {
        self.add(kind, &format!("{marker} {what}"));
        self.markers.push(marker.to_owned());
    }
}

impl Court<'_> {
    async fn receipt(&mut self, world: &World, marker: &str, first: Option<SystemTime>) -> anyhow::Result<()> {
        let documents = self.by_marker.get(marker).cloned().unwrap_or_default();
        let registered: u32 = documents.iter().map(|document| document.registered).sum();
        if registered > 1 {
            self.results.twice += 1;
            self.problems
                .about("twice", marker, &format!("is registered {registered} times"));
        }
        let Some(row) = self.newest.get(marker).copied() else {
            self.results.lost += 1;
            self.problems.about("lost", marker, "has no transaction");
            return Ok(());
        };
        match row.state.as_str() {
            "done" => {
                self.results.done += 1;
                self.done(row, &documents, first);
            }
            "failed" => {
                self.results.failed += 1;
                if registered > 0 {
                    self.results.contradicted += 1;
                    self.problems.about("contradicted", marker, "is failed, and registered");
                }
                self.explain(world, row, &documents).await?;
            }
            "unknown" => {
                self.results.unknown += 1;
                self.explain(world, row, &documents).await?;
            }
            other => {
                self.results.in_flight += 1;
                self.problems.about(
                    "in flight",
                    marker,
                    &format!("is still {other} although everything has healed"),
                );
            }
        }
        Ok(())
    }

    fn done(&mut self, row: &Row, documents: &[&Document], first: Option<SystemTime>) {
        let Some(document) = documents.iter().find(|document| document.registered > 0) else {
            self.results.lost += 1;
            self.problems.about("lost", &row.marker, "is done, and in no book");
            return;
        };
        let fiscal = document.fiscal.as_ref();
        let same = fiscal.is_some_and(|fiscal| {
            row.fn_number.as_deref() == Some(fiscal.fn_number.as_str())
                && row.fd == Some(i64::from(fiscal.fiscal_document_number))
                && row.fpd == Some(fiscal.fiscal_document_attribute.to_string())
        });
        if !same || row.total_kopecks != document.total_kopecks {
            self.results.wrong_documents += 1;
            let what = format!("is done as {row:?}, and the books have {document:?}");
            self.problems.about("wrong document", &row.marker, &what);
        }
        let published = first.and_then(|first| first.duration_since(SystemTime::UNIX_EPOCH).ok());
        let done = u64::try_from(row.updated_ms).map(Duration::from_millis).ok();
        let wait = published
            .zip(done)
            .map(|(published, done)| done.saturating_sub(published));
        self.waits
            .extend(wait.and_then(|wait| u64::try_from(wait.as_millis()).ok()));
    }

    /// Which fault has made a receipt a person's.
    async fn explain(&mut self, world: &World, row: &Row, documents: &[&Document]) -> anyhow::Result<()> {
        let attempts = table::attempts(&world.pool, row.id).await?;
        let unfinished = attempts.iter().filter(|attempt| attempt.ended_without_a_word()).count();
        let answers = attempts.iter().rev().find_map(Attempt::answer);
        let explanation = match (row.state.as_str(), verdict_on(documents, answers)) {
            ("failed", Some((Verdict::Refused, code))) | ("unknown", Some((Verdict::Undecided, code))) => {
                Some((Kind::Vendor(VendorFault::DeviceErrors), code))
            }
            // A refusal proves nothing while an earlier try may have been registered.
            ("unknown", Some((Verdict::Refused, code))) if attempts.iter().any(Attempt::left_a_doubt) => {
                Some((Kind::Vendor(VendorFault::DeviceErrors), format!("{code} in doubt")))
            }
            ("unknown", _) if unfinished >= UNFINISHED_STARTS => Some((
                Kind::Sigkill(Role::Sender),
                format!("{unfinished} starts without a word"),
            )),
            _ => None,
        };
        let last = attempts.last();
        match explanation {
            Some((fault, what)) => self.explained.push(Explained {
                marker: row.marker.clone(),
                state: row.state.clone(),
                fault,
                attempt: last.map(|attempt| attempt.number),
                what,
            }),
            None => {
                self.results.unexplained += 1;
                let what = format!(
                    "is {} and no fault explains it; its last attempt is {}",
                    row.state,
                    last.map_or_else(|| "none".to_owned(), Attempt::in_words)
                );
                self.problems.about("unexplained", &row.marker, &what);
            }
        }
        Ok(())
    }

    /// Transactions and registrations that nobody wanted.
    fn strangers(&mut self, rows: &[Row], settings: &Settings) {
        let surplus = rows.len().saturating_sub(self.newest.len());
        if surplus > 0 || self.newest.len() > usize::try_from(settings.receipts).unwrap_or(usize::MAX) {
            let what = format!("{} transactions for {} receipts", rows.len(), settings.receipts);
            self.problems.add("strangers", &what);
        }
        let unknown = self
            .by_marker
            .iter()
            .filter(|(marker, _)| !self.newest.contains_key(*marker));
        for (marker, documents) in unknown.collect::<Vec<_>>() {
            let what = format!("is in the books ({}) and in no table", documents.len());
            self.problems.about("strangers", marker, &what);
        }
    }

    /// Each event is published, and seen by a shop that had its queue.
    async fn events(&mut self, world: &World) -> anyhow::Result<()> {
        let seen = world.shop.seen();
        let made_at = world.shop.queue_made_at().context("the shop never had a queue")?;
        let made_ms = i64::try_from(made_at.duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
        let events = table::events(&world.pool).await?;
        self.results.events = events.len();
        for event in events {
            match event.published_ms {
                None => {
                    self.results.events_unpublished += 1;
                    self.problems
                        .add("unpublished", &format!("event {} {}", event.kind, event.id));
                }
                Some(_) if seen.contains(&event.id) => {}
                Some(published) if published < made_ms => self.results.events_lost_with_the_queue += 1,
                Some(_) => {
                    self.results.events_missing += 1;
                    self.problems.add(
                        "missing",
                        &format!("event {} {} was published and not seen", event.kind, event.id),
                    );
                }
            }
        }
        Ok(())
    }

    fn logs(&mut self, folder: &Path) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") {
                let log = std::fs::read_to_string(&path)?;
                for line in log.lines() {
                    if line.contains("panicked") {
                        self.results.panics += 1;
                        self.problems.add("panic", &format!("{}: {line}", path.display()));
                    }
                    if line.contains(BUYER) {
                        self.problems
                            .add("buyer in the log", &format!("{}: {line}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Attempt {
    fn in_words(&self) -> String {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {}: {} {} {}",
            self.kind,
            self.number,
            word(&self.class),
            word(&self.error_type),
            word(&self.code)
        )
    }
}

fn by_marker(books: &Books) -> HashMap<&str, Vec<&Document>> {
    let mut by_marker: HashMap<&str, Vec<&Document>> = HashMap::new();
    for document in &books.documents {
        by_marker
            .entry(document.marker.as_deref().unwrap_or_default())
            .or_default()
            .push(document);
    }
    by_marker
}

async fn states(world: &World) -> anyhow::Result<Vec<State>> {
    let summary = world.fleet.ledger()?.summary().await?;
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

/// Writes down what table and books have about the receipts of the problems: the servers end with the run.
async fn keep_evidence(world: &World, books: &Books, problems: &Problems) -> anyhow::Result<()> {
    let folder = world.fleet.folder.join("evidence");
    std::fs::create_dir_all(&folder)?;
    let markers: HashSet<&String> = problems.markers.iter().collect();
    for marker in markers {
        let documents: Vec<&Document> = books
            .documents
            .iter()
            .filter(|document| document.marker.as_ref() == Some(marker))
            .collect();
        let evidence = serde_json::json!({
            "table": table::dossier(&world.pool, marker).await?,
            "books": documents,
        });
        let path = folder.join(format!("{}.json", marker.replace(' ', "-")));
        std::fs::write(path, serde_json::to_string_pretty(&evidence)?)?;
    }
    std::fs::write(folder.join("books.json"), serde_json::to_string(&books)?)?;
    Ok(())
}
