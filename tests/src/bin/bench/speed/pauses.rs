//! When the machine itself stands still.
//!
//! A virtual machine shares its cores with strangers, and nothing inside it says when it had to wait for them: a moment in
//! which each core runs for half of the time looks like a slow program. So on each core a process that all others give
//! way to does the same small piece of work again and again. A piece that took much longer than usual was held up from
//! outside.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::vendor::micros_now;

/// Between two pieces of work, which take about a thirtieth of it.
const BETWEEN: Duration = Duration::from_millis(10);
/// Longer by this than usual: held up.
const HELD_UP: Duration = Duration::from_millis(1);
/// Pieces from which is learnt what is usual.
const LEARNING: usize = 50;
/// What is published so long before or after a pause is disturbed by it. The span is the same for every receipt, so that
/// slow ones are not left out more often than others.
const AROUND: Duration = Duration::from_millis(150);

/// The watch over all cores.
pub(crate) struct Watch {
    processes: Vec<Child>,
    files: Vec<PathBuf>,
}

/// The moments of pauses, in microseconds since 1970, sorted.
pub(crate) struct Pauses {
    moments: Vec<u64>,
}

/// What one of the processes does, until it is killed.
pub(crate) fn watch_this_core() -> anyhow::Result<()> {
    let mut usual = Duration::MAX;
    let mut stdout = std::io::stdout().lock();
    let parent = parent_id();
    for piece in 0.. {
        // Whoever was killed cannot end this process, to which all others give way.
        if parent_id() != parent {
            break;
        }
        let before = Instant::now();
        sleep(BETWEEN);
        let began = Instant::now();
        // Nothing on this machine comes before this process, so it is also woken in time.
        let overslept = began.duration_since(before) > BETWEEN + HELD_UP;
        let mut number = 1_u32;
        for _ in 0..200_000 {
            number = black_box(number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        }
        let took = began.elapsed();
        usual = usual.min(took);
        if piece == LEARNING {
            // The first line says that there is a watch at all.
            writeln!(stdout, "0")?;
        } else if piece > LEARNING && (overslept || took > usual + HELD_UP) {
            writeln!(stdout, "{}", micros_now())?;
        }
        stdout.flush()?;
    }
    Ok(())
}

impl Watch {
    /// Starts it, with the priority of a real-time process.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let (mut processes, mut files) = (Vec::new(), Vec::new());
        for core in 0..std::thread::available_parallelism()?.get() {
            let file = folder.join(format!("pauses-{core}"));
            let spawned = Command::new("chrt")
                .args(["--fifo", "50", "taskset", "--cpu-list", &core.to_string()])
                .arg(&program)
                .arg("watch-this-core")
                .stdin(Stdio::null())
                .stdout(File::create(&file)?)
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            // Without the program, as without the right to use it, nothing is known.
            processes.extend(spawned);
            files.push(file);
        }
        Ok(Self { processes, files })
    }

    /// Ends it. `None`: this user may not watch, or may not have these programs.
    pub(crate) async fn end(mut self) -> anyhow::Result<Option<Pauses>> {
        for process in &mut self.processes {
            process.kill().await?;
        }
        let mut moments = Vec::new();
        for file in &self.files {
            let lines = fs::read_to_string(file)?;
            if lines.is_empty() {
                return Ok(None);
            }
            moments.extend(
                lines
                    .lines()
                    .filter_map(|line| line.parse::<u64>().ok())
                    .filter(|&at| at > 0),
            );
        }
        moments.sort_unstable();
        Ok(Some(Pauses { moments }))
    }
}

impl Pauses {
    /// Whether the machine stood still around this moment.
    pub(crate) fn disturbed(&self, at_micros: u64) -> bool {
        let around = u64::try_from(AROUND.as_micros()).unwrap_or(u64::MAX);
        let from = at_micros.saturating_sub(around);
        let next = self.moments.partition_point(|&moment| moment < from);
        self.moments
            .get(next)
            .is_some_and(|&moment| moment <= at_micros.saturating_add(around))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_near_a_pause_is_disturbed_and_nothing_else() {
        let pauses = Pauses {
            moments: vec![1_000_000, 5_000_000],
        };
        assert!(pauses.disturbed(900_000), "it meets the pause on its way");
        assert!(pauses.disturbed(1_100_000), "what piled up is still there");
        assert!(!pauses.disturbed(800_000));
        assert!(!pauses.disturbed(1_200_000));
        assert!(!pauses.disturbed(6_000_000));
    }
}
