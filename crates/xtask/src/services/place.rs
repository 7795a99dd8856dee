//! The folder in which the private servers live, and the user they run as.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    command::{output, succeeds},
    workspace,
};

/// Nobody: the account of this number exists on every Debian.
const NOBODY: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(30);

/// As whom a server runs. Postgres refuses root, and the broker has no need of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// We are not root, so our own account will do.
    Own,
    /// Root gives up its account.
    Nobody,
    /// Root in a user namespace where it is nobody: for folders that only root may enter.
    Mapped,
}

/// A folder that the servers' user can really write to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    user: User,
}

/// `target/services`, where the lock and the remembered facts are, unless the variable for trials names another.
pub(crate) fn home() -> PathBuf {
    workspace::variable("KASSA_SERVICES_DIR").map_or_else(|| workspace::root().join("target/services"), PathBuf::from)
}

impl Place {
    /// Finds the user and the folder. `target/services` is the folder whenever it can be. Nobody cannot enter a
    /// checkout below `/root`; then, if there are no user namespaces either, it is a folder below `/var/tmp`.
    pub(crate) fn find() -> Result<Self> {
        let home = home();
        fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
        let home = home.canonicalize()?;
        let elsewhere = Path::new("/var/tmp").join(format!("kassa-{:08x}", short_hash(&home)));
        let users: &[User] = if is_root()? {
            &[User::Nobody, User::Mapped]
        } else {
            &[User::Own]
        };
        for folder in [home, elsewhere] {
            for &user in users {
                let place = Self {
                    folder: folder.clone(),
                    user,
                };
                if place.is_usable() {
                    return Ok(place);
                }
            }
        }
        bail!("no folder can be written by an account other than root; run this as an ordinary user")
    }

    /// Makes a folder that the servers' user owns.
    pub(crate) fn make(&self, folder: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        self.hand_over(folder)
    }

    /// Writes a small file that the servers' user may read and nobody else.
    pub(crate) fn write(&self, file: &Path, text: &str) -> Result<()> {
        write_private(file, text)?;
        self.hand_over(file)
    }

    /// A command that runs as the servers' user.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let runner: &[&str] = match self.user {
            User::Own => return Command::new(program),
            User::Mapped => &["unshare", "--user", "--map-user=65534", "--map-group=65534"],
            User::Nobody => &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        };
        let mut command = Command::new(runner[0]);
        command.args(&runner[1..]).arg(program);
        command
    }

    /// With all that is in it: an earlier run may have had another user.
    fn hand_over(&self, path: &Path) -> Result<()> {
        let owner = match self.user {
            User::Own => return Ok(()),
            User::Nobody => NOBODY,
            User::Mapped => 0,
        };
        if fs::metadata(path)?.uid() != owner {
            let mut chown = Command::new("chown");
            chown.args(["-R", "-h", &format!("{owner}:{owner}")]).arg(path);
            output(&mut chown, LIMIT)?;
        }
        Ok(())
    }

    fn is_usable(&self) -> bool {
        // In `/var/tmp` a stranger could have been first.
        let strange = fs::symlink_metadata(&self.folder).is_ok_and(|found| !found.is_dir() || !is_ours(found.uid()));
        let probe = self
            .folder
            .join(format!("probe-{}-{:?}", process::id(), thread::current().id()));
        if strange || make_open(&self.folder).is_err() || self.make(&probe).is_err() {
            return false;
        }
        let mut touch = self.command("touch");
        let usable = succeeds(touch.arg(probe.join("file")), LIMIT);
        fs::remove_dir_all(&probe).ok();
        usable
    }
}

/// A folder that everybody may enter, since the folders in it are closed.
fn make_open(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn is_ours(owner: u32) -> bool {
    owner == NOBODY || fs::metadata("/proc/self").is_ok_and(|own| own.uid() == owner)
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    fs::remove_file(file).ok();
    let mut open = fs::OpenOptions::new();
    open.write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("{} cannot be written", file.display()))
}

pub(crate) fn is_root() -> Result<bool> {
    match fs::metadata("/proc/self") {
        Ok(own) => Ok(own.uid() == 0),
        Err(_) => Ok(output(Command::new("id").arg("-u"), LIMIT)?.trim() == "0"),
    }
}

/// A number for a path that stays the same in all versions of the compiler (FNV-1a).
pub(crate) fn short_hash(path: &Path) -> u32 {
    path.as_os_str().as_bytes().iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
