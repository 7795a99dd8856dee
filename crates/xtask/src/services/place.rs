//! The folder in which the private servers live, and the user they run as.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    command::{output, succeeds},
    workspace,
};

/// Nobody: the account of this number exists on every Debian.
const NOBODY: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(5);

/// As whom a server runs. Postgres refuses root, and the broker has no need of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// We are not root, so our own account will do.
    Own,
    /// Root in a user namespace that maps it to nobody: the files stay ours and nothing must be handed over.
    Mapped,
    /// Root gives up its account; what containers without user namespaces leave us.
    Nobody,
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
    /// Finds the user and the folder. `target/services` is the folder whenever it can be; a checkout below `/root`
    /// cannot be entered by nobody, so then it is a folder below `/var/tmp`.
    pub(crate) fn find() -> Result<Self> {
        let home = home();
        fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
        let home = home.canonicalize()?;
        let elsewhere = Path::new("/var/tmp").join(format!("kassa-{:08x}", short_hash(&home)));
        let users: &[User] = if is_root()? {
            &[User::Mapped, User::Nobody]
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

    /// The folder of one server, made and handed over when it is new.
    pub(crate) fn folder_of(&self, server: &str) -> Result<PathBuf> {
        let folder = self.folder.join(server);
        self.make(&folder)?;
        Ok(folder)
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

    fn hand_over(&self, path: &Path) -> Result<()> {
        match self.user {
            User::Own | User::Mapped => Ok(()),
            User::Nobody => chown(path, Some(NOBODY), Some(NOBODY))
                .with_context(|| format!("{} cannot be given to another account", path.display())),
        }
    }

    fn is_usable(&self) -> bool {
        // In `/var/tmp` a stranger could have been first.
        let strange = fs::symlink_metadata(&self.folder).is_ok_and(|found| !found.is_dir() || !is_ours(found.uid()));
        let probe = self.folder.join("probe");
        let folders = [&self.folder, &probe];
        if strange || !folders.into_iter().all(|folder| self.make(folder).is_ok()) {
            return false;
        }
        let mut touch = self.command("touch");
        let usable = succeeds(touch.arg(probe.join("file")), LIMIT);
        fs::remove_dir_all(&probe).ok();
        usable
    }
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

pub(crate) fn short_hash(path: &Path) -> u32 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let [.., a, b, c, d] = hasher.finish().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
