//! The peers: what a shop would write otherwise. Python in an environment of its own below `target`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use kassa_tests::process::Process;
use serde_json::json;
use tokio::process::Command;

use super::broker::WORK;
use super::contender::{Pool, Rows, Who};
use super::world::World;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
const REQUIREMENTS: &str = include_str!("../../../../peers/requirements.txt");

/// Where the environment is: beside the folder of our executable, in `target`.
fn environment() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("an executable in target/<profile>")?;
    Ok(target.join("peers"))
}

/// Makes the environment, if it is not there with these very versions.
pub(crate) async fn install() -> anyhow::Result<()> {
    let folder = environment()?;
    let installed = folder.join("requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(());
    }
    eprintln!("bench: installing the peers from PyPI into {}", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(Path::new(SCRIPTS).join("requirements.txt")))
    .await?;
    std::fs::write(installed, REQUIREMENTS)?;
    Ok(())
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await.with_context(|| name.clone())?;
    ensure!(
        output.status.success(),
        "{name} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Starts the processes of a peer.
pub(crate) fn start(world: &World, database_url: &str, rows: Rows, who: Who) -> anyhow::Result<Vec<Process>> {
    let (program, arguments, processes, pool, prefetch) = match who {
        Who::Celery(pool) => {
            let (pool, concurrency) = match pool {
                Pool::Prefork => ("prefork", "8"),
                Pool::Threads => ("threads", "32"),
                Pool::Gevent => ("gevent", "100"),
            };
            let arguments = [
                "--app",
                "celery_worker",
                "worker",
                "--pool",
                pool,
                "--concurrency",
                concurrency,
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel",
                "WARNING",
            ];
            ("celery", arguments.to_vec(), 1, pool, 0)
        }
        Who::Asyncio { processes } => {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/asyncio_worker.py");
            let prefetch = if processes == 1 { 200 } else { 100 };
            ("python", vec![script], processes, "", prefetch)
        }
        Who::OneByOne | Who::Batched | Who::Kassa | Who::KassaWithPoller | Who::KassaUntilWaiting => {
            bail!("{} is no peer", who.name())
        }
    };
    let config = json!({
        "amqp_url": world.amqp_url,
        "database_url": database_url,
        "queue": WORK,
        "vendor": world.vendor.addresses,
        "rows": rows,
        "pool": pool,
        "prefetch": prefetch,
    })
    .to_string();
    let environment_variables = [
        ("BENCH_CONFIG", config.as_str()),
        ("PYTHONPATH", SCRIPTS),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        // Celery refuses to run as root without it, which says nothing about its speed.
        ("C_FORCE_ROOT", "1"),
    ];
    let program = environment()?.join("bin").join(program);
    (0..processes)
        .map(|number| {
            let name = format!("peer-{number}");
            Process::start_with(&name, &program, &arguments, &world.folder, &environment_variables)
        })
        .collect()
}
