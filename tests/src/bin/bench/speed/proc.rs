//! What the system says of processes: their children, the CPU they have used, the memory they hold.

use std::collections::BTreeMap;
use std::fs;

/// Ticks of a second in `/proc/PID/stat`, the same on every Linux machine.
const TICKS: u64 = 100;

/// A process and all that descend from it. A child that was waited for counts with its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    root: u32,
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Tree {
    pub(crate) const fn of(root: u32) -> Self {
        Self { root }
    }

    /// CPU seconds of all of them so far.
    pub(crate) fn cpu_seconds(self) -> f64 {
        let stats = all();
        let ticks: u64 = members(&stats, self.root)
            .iter()
            .filter_map(|pid| stats.get(pid))
            .map(|stat| stat.ticks)
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "ticks of one run")]
        let seconds = ticks as f64 / TICKS as f64;
        seconds
    }

    /// The proportional set size of all of them, in bytes: shared pages are counted once.
    pub(crate) fn pss_bytes(self) -> u64 {
        let stats = all();
        members(&stats, self.root).into_iter().filter_map(pss).sum()
    }
}

fn pss(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn members(stats: &BTreeMap<u32, Stat>, root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        members.extend(
            stats
                .iter()
                .filter(|(_, stat)| stat.parent == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    members
}

fn all() -> BTreeMap<u32, Stat> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// The name in brackets may hold anything, so fields are counted from behind it.
fn stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        // utime, stime, and both of the children that were waited for.
        ticks: (11..=14).filter_map(number).sum(),
    })
}
