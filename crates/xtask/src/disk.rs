//! Room on the disk. When it runs out the databases of the tests fail first, and which tests those are tells nobody why.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use crate::command::output;

/// What the tests write at most at a time, in MiB: databases with their log, logs of processes, pages and mails.
const NEEDED: u64 = 3 * 1024;

/// Fails when the disk of this folder has too little room for the tests.
pub(crate) fn ensure_room() -> Result<()> {
    let told = output(Command::new("df").args(["-Pk", "."]), Duration::from_secs(10));
    // Where nobody tells, the tests will.
    match told.ok().as_deref().and_then(available) {
        Some(available) => enough(available),
        None => Ok(()),
    }
}

fn enough(available: u64) -> Result<()> {
    ensure!(
        available >= NEEDED,
        "{available} MiB are free on the disk of this folder, and the tests write up to {NEEDED}: make room, for example \
         with `rm -r target/debug/incremental`"
    );
    Ok(())
}

/// The fourth column of the second line of POSIX's `df`, in MiB.
fn available(table: &str) -> Option<u64> {
    let kibibytes: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kibibytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_before_the_tests_begin() {
        let table =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263174212 246000000 2621440 99% /\n";
        assert_eq!(available(table), Some(2560));
        let refused = enough(2560).expect_err("too little").to_string();
        assert!(refused.starts_with("2560 MiB are free"), "{refused}");
        assert!(enough(NEEDED).is_ok());
    }

    #[test]
    fn what_df_does_not_tell_is_not_guessed() {
        assert_eq!(available("df: no such file"), None);
    }
}
