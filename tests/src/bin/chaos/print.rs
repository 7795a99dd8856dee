//! What a person sees in the end.

use comfy_table::{CellAlignment, Table, presets};
use kassa_tests::chaos::{Report, Results};

pub(crate) fn report(report: &Report) {
    println!("\n{}\n", faults(report).trim_fmt());
    println!("{}\n", states(report).trim_fmt());
    println!("{}\n", results(report).trim_fmt());
    for explained in &report.explained {
        println!(
            " {} is {}: {} ({}{})",
            explained.marker,
            explained.state,
            explained.fault.name(),
            explained.what,
            explained
                .attempt
                .map_or_else(String::new, |attempt| format!(", attempt {attempt}"))
        );
    }
    let durations = &report.durations;
    println!(
        " time to register: p50 {:.1} s, p99 {:.1} s, at most {:.1} s; settled {} s after the last fault; the run took {} s",
        seconds(durations.p50_ms),
        seconds(durations.p99_ms),
        seconds(durations.max_ms),
        durations.settle_s,
        durations.run_s
    );
    let results = &report.results;
    if report.good {
        println!(
            " {} faults: lost 0, registered twice 0, every failed and unknown one explained",
            report.injected
        );
    } else {
        println!(" NOT GOOD: lost {}, registered twice {}", results.lost, results.twice);
        for problem in &report.problems {
            println!("  - {problem}");
        }
        println!(
            " Again: cargo xtask chaos --receipts {} --seconds {} --seed {}",
            report.receipts, report.seconds, report.seed
        );
    }
    if let Some(folder) = &report.folder {
        println!(" Logs and evidence stay in {folder}.");
    }
}

fn faults(report: &Report) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["fault", "injected", "in flight: min", "median", "max"]);
    for struck in &report.faults {
        table.add_row([
            struck.kind.name().to_owned(),
            struck.injected.to_string(),
            struck.in_flight_min.to_string(),
            struck.in_flight_median.to_string(),
            struck.in_flight_max.to_string(),
        ]);
    }
    right(&mut table, &[1, 2, 3, 4]);
    table
}

fn states(report: &Report) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["operation", "state", "count", "sum, RUB"]);
    for row in &report.states {
        table.add_row([
            row.operation.clone(),
            row.state.clone(),
            row.count.to_string(),
            row.sum.clone(),
        ]);
    }
    right(&mut table, &[2, 3]);
    table
}

fn in_the_books(results: &Results) -> String {
    let vendors = results.in_the_books.iter();
    let counts: Vec<String> = vendors.map(|(vendor, count)| format!("{vendor} {count}")).collect();
    counts.join(", ")
}

fn results(report: &Report) -> Table {
    let results = &report.results;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let rows = [
        ("receipts", report.receipts.to_string(), "wanted by the shop"),
        (
            "published",
            results.published.to_string(),
            "messages, repetitions included",
        ),
        (
            "done",
            results.done.to_string(),
            "with the vendor's own fiscal document",
        ),
        ("  in the books", in_the_books(results), "of the vendors"),
        ("failed", results.failed.to_string(), "a person must act"),
        ("unknown", results.unknown.to_string(), "a person must look"),
        (
            "in flight",
            results.in_flight.to_string(),
            "not final although everything has healed",
        ),
        ("lost", results.lost.to_string(), "compared with the vendor's own books"),
        (
            "twice",
            results.twice.to_string(),
            "compared with the vendor's own books",
        ),
        (
            "contradicted",
            results.contradicted.to_string(),
            "called failed, and registered",
        ),
        (
            "wrong",
            results.wrong_documents.to_string(),
            "another fiscal document than the books have",
        ),
        (
            "unexplained",
            results.unexplained.to_string(),
            "failed or unknown without a fault",
        ),
        (
            "dead letters",
            results.dead_letters.to_string(),
            "valid requests among them",
        ),
        ("re-keyed", results.rekeyed.to_string(), "registrations under a new id"),
        (
            "emptied",
            results.broker_emptied.to_string(),
            "times a killed broker came back with nothing in it",
        ),
        (
            "replaced",
            results.queues_recreated.to_string(),
            "times the operator replaced queues without a leader",
        ),
        (
            "restarted",
            results.broker_restarted.to_string(),
            "times the operator restarted a broker that no repair mended",
        ),
        ("callbacks", results.callbacks.to_string(), "that reached their address"),
        ("events", results.events.to_string(), "in the table"),
        ("  unpublished", results.events_unpublished.to_string(), "in the end"),
        (
            "  missing",
            results.events_missing.to_string(),
            "published and not seen by the shop",
        ),
        (
            "  gone",
            results.events_lost_with_the_queue.to_string(),
            "with the shop's queue, when the broker lost everything",
        ),
        ("panics", results.panics.to_string(), "in the logs"),
        (
            "ended",
            results.ended_by_themselves.to_string(),
            "processes that nobody had killed",
        ),
    ];
    for (name, count, what) in rows {
        table.add_row([name.to_owned(), count, what.to_owned()]);
    }
    right(&mut table, &[1]);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
