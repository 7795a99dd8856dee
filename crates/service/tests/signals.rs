//! Signals end a process, so they are tried on a child: this test binary, running only the first test below.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// Names the child of the other tests to itself.
const CHILD: &str = "KASSA_SIGNALS_CHILD";

/// Listens for ever as the child of the others; on its own there is nothing to try.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let stop = service::stop::signals().expect("signal handlers are allowed");
    tell("listening");
    stop.cancelled().await;
    tell("stopping");
    std::future::pending().await
}

/// Written past the test harness, which captures what is printed.
fn tell(word: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("\n{word}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent reads");
}

struct Listener {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listener {
    async fn start() -> Listener {
        let mut child = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this binary can be run");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut listener = Listener { child, lines };
        listener.hear("listening").await;
        listener
    }

    async fn hear(&mut self, word: &str) {
        let heard = timeout(LIMIT, async {
            while let Some(line) = self.lines.next_line().await.expect("the child writes text") {
                if line == word {
                    return;
                }
            }
            panic!("the child ended without saying {word}");
        });
        heard
            .await
            .unwrap_or_else(|_| panic!("the child did not say {word} within {LIMIT:?}"));
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the child runs").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid])
            .status()
            .await;
        assert!(sent.expect("sh runs").success());
    }

    async fn exit_code(mut self) -> Option<i32> {
        timeout(LIMIT, self.child.wait())
            .await
            .expect("the child ends")
            .expect("the child can be waited for")
            .code()
    }
}

#[tokio::test]
async fn the_first_signal_cancels_the_token_and_a_second_sigterm_ends_with_143() {
    let mut listener = Listener::start().await;
    listener.signal("TERM").await;
    listener.hear("stopping").await;
    listener.signal("TERM").await;
    assert_eq!(listener.exit_code().await, Some(143));
}

#[tokio::test]
async fn a_second_signal_that_is_sigint_ends_with_130() {
    let mut listener = Listener::start().await;
    listener.signal("TERM").await;
    listener.hear("stopping").await;
    listener.signal("INT").await;
    assert_eq!(listener.exit_code().await, Some(130));
}
