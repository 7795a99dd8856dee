//! What a person sees.

use comfy_table::{CellAlignment, Table, presets};

use super::contender::Rows;
use super::latency::{Latency, Percentiles};
use super::ratios::Aim;
use super::report::Report;

pub(crate) fn report(report: &Report) {
    println!("{}\n", report.machine.words());
    for vendor in &report.vendors {
        println!(
            "vendor: {} takes {:.0} calls a second at {:.2} CPU-s per 10,000",
            vendor.vendor, vendor.per_second, vendor.cpu
        );
    }
    contest(report);
    rest(report);
    ratios(report);
}

fn contest(report: &Report) {
    if report.medians.is_empty() {
        return;
    }
    let mut table = table(&[
        "contender",
        "rows",
        "receipts/s: least",
        "median",
        "most",
        "CPU-s/10,000",
        "worker",
        "postgres",
        "rabbitmq",
        "vendor",
        "commits",
        "WAL bytes",
    ]);
    for median in &report.medians {
        table.add_row([
            median.who.to_owned(),
            match median.rows {
                Rows::Two => "simple".to_owned(),
                Rows::Kassa => "kassa's".to_owned(),
            },
            format!("{:.0}", median.per_second.least),
            format!("{:.0}", median.per_second.median),
            format!("{:.0}", median.per_second.most),
            format!("{:.2}", median.cpu.median),
            format!("{:.2}", median.cpu_worker),
            format!("{:.2}", median.cpu_postgres),
            format!("{:.2}", median.cpu_rabbitmq),
            format!("{:.2}", median.cpu_vendor),
            format!("{:.3}", median.commits_per_receipt),
            format!("{:.0}", median.wal_bytes_per_receipt),
        ]);
    }
    aligned(table, 2..12);
}

fn rest(report: &Report) {
    if let Some(finished) = &report.finished {
        println!(
            "beside {} finished receipts: {:.0}/s, alone {:.0}/s (ratio {:.2})",
            finished.rows, finished.beside.median, finished.alone.median, finished.ratio
        );
    }
    report.latency.iter().for_each(latency);
    for little in &report.little {
        println!(
            "vendor at {} ms, {} slots: {:.0}/s of {:.0}/s",
            little.latency_ms, little.slots, little.per_second, little.limit
        );
    }
    for role in &report.roles {
        println!(
            "role {}: {:.1} MB and {:.2} % CPU idle, {:.1} MB after work",
            role.role, role.idle_megabytes, role.idle_cpu_percent, role.megabytes_after_work
        );
    }
    if let Some(backlog) = &report.backlog {
        let tenths: Vec<String> = backlog
            .tenths_per_second
            .iter()
            .map(|rate| format!("{rate:.0}"))
            .collect();
        println!(
            "backlog of {}: {:.0} s, {:.0}/s; tenths {}",
            backlog.receipts,
            backlog.seconds,
            backlog.per_second,
            tenths.join(" ")
        );
    }
    println!();
}

fn ratios(report: &Report) {
    let mut table = table(&["", "value", "aim", ""]);
    for ratio in &report.ratios {
        let aim = match ratio.aim {
            Aim::AtLeast(least) => format!("at least {least}"),
            Aim::AtMost(most) => format!("at most {most}"),
        };
        let met = if ratio.met { "met" } else { "MISSED" };
        table.add_row([ratio.what.clone(), format!("{:.2}", ratio.value), aim, met.to_owned()]);
    }
    aligned(table, 1..2);
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table
}

fn aligned(mut table: Table, right: std::ops::Range<usize>) {
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{}\n", table.trim_fmt());
}

fn latency(latency: &Latency) {
    let words = |it: &Percentiles| {
        format!(
            "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms of {}",
            it.p50_ms, it.p90_ms, it.p99_ms, it.most_ms, it.counted
        )
    };
    for (who, runs) in [("kassa", &latency.kassa), ("the batched floor", &latency.floor)] {
        println!("publishing to vendor at {:.0}/s with {who}:", latency.rate);
        for run in runs {
            println!("  {}", words(&run.all));
            match &run.undisturbed {
                Some(undisturbed) if undisturbed.counted == 0 => {
                    println!("    the machine was held up from outside all the time");
                }
                Some(undisturbed) => println!(
                    "    while the machine was not held up from outside: {}",
                    words(undisturbed)
                ),
                None => println!("    how often the machine was held up from outside can be seen by root only"),
            }
        }
    }
}
