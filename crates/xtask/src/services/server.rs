//! What bringing up a private server means, whichever it is: reuse a healthy one, replace a sick one.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    place::{Place, short_hash},
    process::{self, Pid},
};
use crate::{
    command::wait_until,
    progress::{human, say, timed},
};

/// A server that answers late is perhaps still starting, or the machine is busy; somebody's tests may be using it.
const PATIENCE: Duration = Duration::from_secs(15);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// For a server that is sick already, or in the middle of its start, when it listens to no signal.
const CLEAR_LIMIT: Duration = Duration::from_secs(4);
/// The kernel takes a moment to close the sockets of a process that was killed.
const PORT_LIMIT: Duration = Duration::from_secs(2);

/// The two servers differ in this much.
pub(crate) trait Server: Sized + Sync {
    /// Also the name of its folder, and of its service in `docker-compose.yml`.
    const NAME: &'static str;
    /// The variable of the environment that names another server to use.
    const VARIABLE: &'static str;
    /// The Debian package with its programs.
    const PACKAGE: &'static str;
    const CONTAINER_URL: &'static str;
    /// How many neighbouring ports it needs.
    const PORTS: u16;
    /// The program whose process is the server, and the signal that ends it in good order.
    const MAIN: &'static str;
    const GENTLE: &'static str;

    /// Looks for its programs.
    fn find(password: &str) -> Option<Self>;
    /// Where its clients find it.
    fn url(&self, port: u16) -> String;
    /// Whether it answers in its own protocol, right now.
    fn answers(&self, port: u16) -> bool;
    /// Starts it and waits until it serves. What stands in the folder may be the ruin of an earlier try.
    fn start(&self, place: &Place, folder: &Path, port: u16) -> Result<()>;
}

/// The part of a server's folder that a new start cannot replace.
pub(crate) const DATA: &str = "data";

/// What `status` tells.
pub(crate) struct Seen {
    pub(crate) state: &'static str,
    pub(crate) url: Option<String>,
    pub(crate) pid: Option<Pid>,
}

/// Brings the server up and returns its URL.
pub(crate) fn up<S: Server>(server: &S, place: &Place) -> Result<String> {
    let folder = place.folder.join(S::NAME);
    if let Some(port) = remembered_port(&folder)
        && is_healthy(server, &folder, port)
    {
        return Ok(server.url(port));
    }
    clear_away::<S>(&folder)?;
    place.make(&folder)?;
    let port = free_port::<S>(place, &folder)?;
    let Err(error) = start(server, place, &folder, port) else {
        return Ok(server.url(port));
    };
    let another_port = free_port::<S>(place, &folder)?;
    if another_port == port {
        let (data, aside) = (folder.join(DATA), folder.join("unusable"));
        if !data.exists() {
            return Err(error);
        }
        say(S::NAME, format_args!("{error:#}"));
        say(
            S::NAME,
            "trying once more with empty data; the old data is kept beside it under the name `unusable`",
        );
        fs::remove_dir_all(&aside).ok();
        fs::rename(&data, &aside).with_context(|| format!("{} cannot be moved", data.display()))?;
    }
    start(server, place, &folder, another_port)?;
    Ok(server.url(another_port))
}

/// Leaves nothing running when it fails.
fn start<S: Server>(server: &S, place: &Place, folder: &Path, port: u16) -> Result<()> {
    let started = timed(S::NAME, &format!("started at port {port}"), || {
        server.start(place, folder, port)
    });
    if started.is_err() {
        clear_away::<S>(folder)?;
    }
    started
}

/// Stops the server; false when it did not run.
pub(crate) fn down<S: Server>(place: &Place) -> Result<bool> {
    let folder = place.folder.join(S::NAME);
    if process::of(&folder).is_empty() {
        return Ok(false);
    }
    timed(S::NAME, "stopped", || {
        process::stop(&folder, S::MAIN, S::GENTLE, STOP_LIMIT)
    })?;
    Ok(true)
}

/// Looks without touching.
pub(crate) fn look<S: Server>(server: &S, place: &Place) -> Seen {
    let folder = place.folder.join(S::NAME);
    let Some((port, pid)) = remembered_port(&folder).zip(main_process::<S>(&folder)) else {
        return Seen {
            state: "stopped",
            url: None,
            pid: None,
        };
    };
    let state = if server.answers(port) {
        "running"
    } else {
        "not answering"
    };
    Seen {
        state,
        url: Some(server.url(port)),
        pid: Some(pid),
    }
}

fn is_healthy<S: Server>(server: &S, folder: &Path, port: u16) -> bool {
    if main_process::<S>(folder).is_none() {
        return false;
    }
    if server.answers(port) {
        return true;
    }
    say(
        S::NAME,
        format_args!("runs but does not answer; waiting up to {}", human(PATIENCE)),
    );
    let mut answers = false;
    wait_until(PATIENCE, || {
        answers = server.answers(port);
        answers || main_process::<S>(folder).is_none()
    });
    answers
}

fn main_process<S: Server>(folder: &Path) -> Option<Pid> {
    process::main_of(folder, S::MAIN).into_iter().next()
}

fn clear_away<S: Server>(folder: &Path) -> Result<()> {
    if process::of(folder).is_empty() {
        return Ok(());
    }
    timed(S::NAME, "what was left of an earlier run is stopped", || {
        process::stop(folder, S::MAIN, S::GENTLE, CLEAR_LIMIT)
    })
}

fn remembered_port(folder: &Path) -> Option<u16> {
    fs::read_to_string(folder.join("port")).ok()?.trim().parse().ok()
}

/// The remembered port, or a new one when there is none or a stranger has taken it. Nothing of ours runs at this point.
fn free_port<S: Server>(place: &Place, folder: &Path) -> Result<u16> {
    // Below the range from which Linux takes the ports of outgoing connections, and spread by the folder's name, so
    // that two checkouts seldom meet.
    const FIRST: u16 = 20_000;
    const SPAN: u16 = 12_000;
    if let Some(port) = remembered_port(folder) {
        if wait_until(PORT_LIMIT, || is_free::<S>(port)) {
            return Ok(port);
        }
        say(
            S::NAME,
            format_args!("port {port} is taken by another program; choosing a new one"),
        );
    }
    let offset = u16::try_from(short_hash(folder) % u32::from(SPAN))?;
    let port = (0..SPAN)
        .step_by(usize::from(S::PORTS))
        .map(|step| FIRST + (offset + step) % SPAN)
        .find(|port| is_free::<S>(*port))
        .context("no free port between 20000 and 32000")?;
    place.write(&folder.join("port"), &port.to_string())?;
    Ok(port)
}

fn is_free<S: Server>(port: u16) -> bool {
    (port..port + S::PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}
