//! A short chaos run with servers of its own: every kind of fault strikes at least once.

use kassa_tests::chaos::{self, Settings};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a failed run tells how it went and how to repeat it")]
async fn every_receipt_is_registered_once_whatever_strikes_the_fleet() -> anyhow::Result<()> {
    let settings = Settings {
        receipts: 200,
        seconds: 45,
        seed: 54,
        keep: false,
    };
    let report = Box::pin(chaos::run(&settings, &|line| eprintln!("{line}"))).await?;
    assert!(
        report.good,
        "{}\nlogs and evidence stay in {}\nagain: cargo xtask chaos --receipts {} --seconds {} --seed {}",
        report.problems.join("\n"),
        report.folder.unwrap_or_default(),
        settings.receipts,
        settings.seconds,
        settings.seed
    );
    assert!(report.faults.iter().all(|struck| struck.injected > 0));
    let vendors: Vec<&str> = report.results.in_the_books.keys().map(String::as_str).collect();
    assert_eq!(vendors, ["atol", "checkonline"]);
    Ok(())
}
