//! What a person sees.

use std::io::IsTerminal;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::plan::Plan;
use crate::story::Story;
use crate::verdict::Verdict;

/// Tells the story on standard error, with a bar on a terminal.
pub(crate) struct Teller {
    bar: ProgressBar,
    began: Instant,
}

impl Teller {
    pub(crate) fn new(plan: &Plan) -> Self {
        eprintln!("kassa demo: two simulated vendors, nothing leaves this machine\n");
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(plan.published() as u64);
            let style = ProgressStyle::with_template("    {bar:40} {pos}/{len} settled, {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            began: Instant::now(),
        }
    }

    pub(crate) fn tell(&self, step: u32, what: &str) {
        let line = format!("{step:>3}  {what} (+{:.1} s)", self.began.elapsed().as_secs_f32());
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    pub(crate) fn progress(&self, settled: i64) {
        self.bar.set_position(u64::try_from(settled).unwrap_or(0));
    }

    pub(crate) fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

pub(crate) fn verdict(verdict: &Verdict) {
    let mut states = Table::new();
    states
        .load_style(presets::NOTHING)
        .set_header(["operation", "state", "count", "sum, RUB"]);
    for row in &verdict.states {
        states.add_row([
            row.operation.clone(),
            row.state.clone(),
            row.count.to_string(),
            row.sum.clone(),
        ]);
    }
    for column in [2, 3] {
        if let Some(column) = states.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("\n{}\n", states.trim_fmt());

    let mut books = Table::new();
    books.load_style(presets::NOTHING);
    let rows = [
        ("published", verdict.published, "distinct requests of the shop"),
        ("done", verdict.done, "registered, with a fiscal document"),
        (
            "failed",
            verdict.failed,
            "refused by the cash register: a person must correct them",
        ),
        (
            "rejected",
            verdict.rejected,
            "wrong requests, kept as dead letters with every byte",
        ),
        ("unknown", verdict.unknown, "a person must look"),
        ("lost", verdict.lost, "compared with the vendor's own books"),
        ("twice", verdict.twice, "compared with the vendor's own books"),
    ];
    for (name, count, what) in rows {
        books.add_row([name.to_owned(), count.to_string(), what.to_owned()]);
    }
    if let Some(column) = books.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{}\n", books.trim_fmt());
    let in_the_books: Vec<String> = verdict
        .in_the_books
        .iter()
        .map(|(vendor, count)| format!("{count} at {vendor}"))
        .collect();
    println!(" fiscal documents in the vendors' books: {}", in_the_books.join(", "));
    println!(
        " {} sends died with their worker, {} answers were recovered from the vendor under the same id",
        verdict.unfinished_attempts, verdict.adopted
    );
    println!(
        " time to register: p50 {:.1} s, p99 {:.1} s (the outage included); the run took {} s",
        seconds(verdict.p50_ms),
        seconds(verdict.p99_ms),
        verdict.seconds
    );
    if verdict.is_good() {
        println!(" lost 0, registered twice 0");
    } else {
        println!(" NOT GOOD: lost {}, registered twice {}", verdict.lost, verdict.twice);
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

pub(crate) fn addresses(story: &Story) {
    let config = story.fleet.config().display();
    println!("\nEverything keeps running:");
    println!("  database   {}", story.fleet.database.url);
    println!(
        "  prefix     {} (exchange {}.requests, routing key = store main, second or cloud)",
        story.fleet.prefix, story.fleet.prefix
    );
    println!("  broker     {}", kassa_tests::urls::amqp_url().unwrap_or_default());
    println!("  vendor     {}", story.vendor.atol_url);
    println!("  logs       {}", story.fleet.folder.display());
    let kassa = story.fleet.program().display();
    println!("  next       {kassa} --config {config} list");
    println!("             {kassa} --config {config} show 000006");
    let pids: Vec<String> = story.pids().iter().map(ToString::to_string).collect();
    println!("  stop       kill {}; cargo xtask services down", pids.join(" "));
}
