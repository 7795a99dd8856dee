//! The folder of one server, the user it runs as, and the processes that belong to it.
//!
//! Numbers of processes are used again, so nothing is believed but `/proc`: a server is started with a variable in its
//! environment that names its folder, and only what carries it is ever signalled.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use uuid::Uuid;

const MARK: &str = "KASSA_OWN_SERVER";
/// The account that every Debian has and that owns nothing.
const NOBODY: u32 = 65534;
/// Killed processes are gone at once, unless the machine is very busy.
const END_LIMIT: Duration = Duration::from_secs(10);

/// One server's folder. Dropping it kills what runs there and removes it.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    pub(super) password: String,
    drops_root: bool,
    child: Option<Child>,
    /// Held as long as somebody owns the folder, and released by the system however the owner ends.
    _owner: File,
}

impl Home {
    pub(super) fn make(server: &str) -> anyhow::Result<Self> {
        let drops_root = fs::metadata("/proc/self")?.uid() == 0;
        let mut failure = None;
        for base in [target()?.join("own"), PathBuf::from("/var/tmp/kassa-own")] {
            match Self::make_in(&base, server, drops_root) {
                Ok(home) => return Ok(home),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("no folder")?)
    }

    fn make_in(base: &Path, server: &str, drops_root: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(base).with_context(|| base.display().to_string())?;
        fs::set_permissions(base, Permissions::from_mode(0o755))?;
        end_abandoned(base);
        let name = format!("{server}-{}", &Uuid::new_v4().simple().to_string()[..12]);
        // An owner is locked before anybody can take it for an abandoned one.
        let unnamed = base.join(format!("{name}.new"));
        let owner = File::create(&unnamed)?;
        owner.lock()?;
        fs::rename(&unnamed, base.join(format!("{name}.owner")))?;
        let folder = base.join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        let home = Self {
            folder,
            password: Uuid::new_v4().simple().to_string(),
            drops_root,
            child: None,
            _owner: owner,
        };
        home.hand_over(&home.folder)?;
        // Nobody cannot enter a checkout below `/root`.
        home.run(home.command("touch").arg(home.path("probe")))?;
        Ok(home)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Writes a file that only the server's user may read.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        self.hand_over(&path)
    }

    pub(super) fn make_folder(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        self.hand_over(&path)
    }

    fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        if self.drops_root {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(())
    }

    /// A program as the server's user, with nothing of our environment that could bend it.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = if self.drops_root {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.folder)
            .env(MARK, &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// Runs a program to its end.
    pub(super) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let output = command
            .output()
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        ensure!(
            output.status.success(),
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts the server; what it says is appended to the log.
    pub(super) fn start(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(child.with_context(|| format!("{} cannot be started", command.get_program().display()))?);
        Ok(())
    }

    /// Whether what was started last still runs.
    pub(super) fn runs(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process that was started last, if it still runs. `setpriv` becomes the program that it starts.
    pub(super) fn main(&mut self) -> Option<u32> {
        self.runs().then(|| self.child.as_ref().map(Child::id)).flatten()
    }

    /// SIGKILL to everything that runs in the folder, and waits for its end.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        kill_all(&self.folder)?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.kill().is_ok() {
            remove(&self.folder);
        }
    }
}

/// Sends a signal.
pub(super) fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    // Through the shell's kill: this package forbids unsafe code.
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status()?;
    ensure!(sent.success(), "process {pid} did not get the signal {name}");
    Ok(())
}

/// A free port below the range from which the system takes those of outgoing connections: it must still be free when
/// the server comes back.
pub(super) fn free_port() -> anyhow::Result<u16> {
    const FIRST: u16 = 20_000;
    const SPAN: u16 = 12_000;
    (0..100)
        .map(|_| {
            let [high, low, ..] = *Uuid::new_v4().as_bytes();
            FIRST + u16::from_be_bytes([high, low]) % SPAN
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port between 20000 and 32000")
}

/// `target`, wherever it was moved to: our executable stands in it.
fn target() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let is_target = |folder: &&Path| folder.join(".rustc_info.json").is_file();
    let target = own.ancestors().find(is_target);
    // An executable that was copied out of `target` has its folder all the same.
    Ok(target.or(own.parent()).context("a folder")?.to_path_buf())
}

/// Ends the servers whose owner has gone without ending them, and removes their folders.
fn end_abandoned(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "owner")
            && File::open(&path).is_ok_and(|owner| owner.try_lock().is_ok())
        {
            let folder = path.with_extension("");
            if kill_all(&folder).is_ok() {
                remove(&folder);
            }
        }
    }
}

fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let _ = fs::remove_file(folder.with_extension("owner"));
}

fn kill_all(folder: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    // In the middle of an `exec` a process has no environment to be known by, so one look is not enough.
    let mut empty_looks = 0;
    while empty_looks < 3 {
        let left = processes(folder);
        empty_looks = if left.is_empty() { empty_looks + 1 } else { 0 };
        for pid in &left {
            // It may have ended by itself since.
            let _ = signal(*pid, "KILL");
        }
        if began.elapsed() > END_LIMIT {
            bail!("processes of {} do not end: {left:?}", folder.display());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn processes(folder: &Path) -> Vec<u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| belongs_to(*pid, folder))
        .collect()
}

fn belongs_to(pid: u32, folder: &Path) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
    if environment.split(|byte| *byte == 0).any(|entry| entry == mark) {
        return true;
    }
    // Postgres writes its titles over the environment of its children, but all of them stay in the data folder. The
    // shell of a person may stand there as well, hence the name.
    let place = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "postgres" && place.starts_with(folder)
}
