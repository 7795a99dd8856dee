//! The processes of the fleet: struck, missed, and started again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, MutexGuard};

use super::kind::Role;
use crate::fleet::Fleet;
use crate::process::Process;

const POSTS: [(Role, &str); 5] = [
    (Role::Sender, "sender-1"),
    (Role::Sender, "sender-2"),
    (Role::Poller, "poller-1"),
    (Role::Poller, "poller-2"),
    (Role::Http, "http-1"),
];
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Every process of the fleet, each at its post.
pub(super) struct Crew {
    fleet: Arc<Fleet>,
    posts: Vec<Post>,
}

struct Post {
    role: Role,
    name: &'static str,
    /// Held by whoever strikes it, until it runs again.
    holder: Mutex<Holder>,
}

struct Holder {
    process: Process,
    started: u32,
    /// The ends of processes that nobody had killed.
    ends: Vec<String>,
}

impl Crew {
    /// Starts everybody and waits until they are ready.
    pub(super) async fn start(fleet: Arc<Fleet>) -> anyhow::Result<Self> {
        let starting = POSTS.map(|(role, name)| {
            let fleet = Arc::clone(&fleet);
            async move {
                let process = match role {
                    Role::Sender | Role::Poller => fleet.start(&log_name(name, 1), &[word(role)]).await?,
                    Role::Http => fleet.start_http(&log_name(name, 1)).await?,
                };
                let holder = Mutex::new(Holder {
                    process,
                    started: 1,
                    ends: Vec::new(),
                });
                anyhow::Ok(Post { role, name, holder })
            }
        });
        let posts = try_join_all(starting).await?;
        Ok(Self { fleet, posts })
    }

    /// One of the role, for as long as it is held.
    pub(super) async fn victim(&self, role: Role, rng: &mut Rng) -> anyhow::Result<Victim<'_>> {
        let posts: Vec<&Post> = self.posts.iter().filter(|post| post.role == role).collect();
        let post = rng.choice(posts).context("nobody has this role")?;
        Ok(Victim {
            fleet: &self.fleet,
            post,
            holder: post.holder.lock().await,
        })
    }

    /// Notices who has ended without being killed, and fills the post.
    pub(super) async fn look_after(&self) -> anyhow::Result<()> {
        for post in &self.posts {
            let Ok(mut holder) = post.holder.try_lock() else {
                continue;
            };
            if !holder.process.runs()? {
                let log = holder.process.log();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                let end = format!("{} ended by itself: {}", holder.process.name, last.join(" / "));
                holder.ends.push(end);
                start_again(&self.fleet, post, &mut holder)?;
            }
        }
        Ok(())
    }

    /// What ended by itself so far.
    pub(super) async fn ends(&self) -> Vec<String> {
        let mut ends = Vec::new();
        for post in &self.posts {
            ends.extend(post.holder.lock().await.ends.iter().cloned());
        }
        ends
    }

    /// Asks everybody to stop. Returns who did not do so in good order.
    pub(super) async fn stop(&self) -> Vec<String> {
        let stopping = self.posts.iter().map(|post| async {
            let mut holder = post.holder.lock().await;
            match holder.process.stop(STOP_LIMIT).await {
                Ok(true) => None,
                Ok(false) => Some(format!("{} stopped with an error", holder.process.name)),
                Err(_) => Some(format!("{} did not stop within {STOP_LIMIT:?}", holder.process.name)),
            }
        });
        let bad = futures_util::future::join_all(stopping).await;
        bad.into_iter().flatten().collect()
    }
}

/// A process that is struck at the moment.
pub(super) struct Victim<'a> {
    fleet: &'a Fleet,
    post: &'a Post,
    holder: MutexGuard<'a, Holder>,
}

impl Victim<'_> {
    /// SIGKILL, and a new process after a pause.
    pub(super) async fn kill(mut self, pause: Duration) -> anyhow::Result<()> {
        self.holder.process.kill().await?;
        tokio::time::sleep(pause).await;
        start_again(self.fleet, self.post, &mut self.holder)
    }

    /// SIGSTOP, and SIGCONT after a pause.
    pub(super) async fn freeze(self, pause: Duration) -> anyhow::Result<()> {
        self.holder.process.signal("STOP").await?;
        tokio::time::sleep(pause).await;
        self.holder.process.signal("CONT").await
    }
}

fn start_again(fleet: &Fleet, post: &Post, holder: &mut Holder) -> anyhow::Result<()> {
    holder.started += 1;
    // Whatever else is broken at the moment, it has to cope with.
    let listen = fleet.public.to_string();
    let environment = [("KASSA_HTTP__LISTEN", listen.as_str())];
    let environment = if post.role == Role::Http { &environment[..] } else { &[] };
    let name = log_name(post.name, holder.started);
    holder.process = fleet.start_unready(&name, &[word(post.role)], environment)?;
    Ok(())
}

/// Every process keeps its own log.
fn log_name(name: &str, started: u32) -> String {
    format!("{name}.{started}")
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Sender => "sender",
        Role::Poller => "poller",
        Role::Http => "http",
    }
}
