//! The program itself.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_program_prints_its_address_serves_and_ends_at_sigterm() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kassa-simulator"))
        .args(["--atol-delay", "0s", "--seed", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .expect("in time")
        .expect("readable")
        .expect("a line");
    let address: Value = serde_json::from_str(&line).expect("a line of JSON");

    // Its defaults are the published test account.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = address["atol"].as_str().expect("a URL");
    let url = format!("{base}/getToken?login=v4-online-atol-ru&pass=iGFFuihss");
    let answer: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    assert!(answer["token"].is_string(), "{answer}");
    let control = format!("{}/books", address["control"].as_str().expect("a URL"));
    assert_eq!(reqwest::get(control).await.expect("an answer").status().as_u16(), 200);

    let pid = program.id().expect("it still runs").to_string();
    let sent = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &pid])
        .status()
        .await
        .expect("a shell");
    assert!(sent.success());
    let ended = tokio::time::timeout(LIMIT, program.wait())
        .await
        .expect("in time")
        .expect("waited for");
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_taken_address_is_an_error_and_not_a_silent_end() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let program = Command::new(env!("CARGO_BIN_EXE_kassa-simulator"))
        .args(["--listen", &taken])
        .output();
    let output = tokio::time::timeout(LIMIT, program)
        .await
        .expect("in time")
        .expect("it ran");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&taken));
}
