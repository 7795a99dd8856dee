use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use rcgen::{CertificateParams, DnType, KeyPair};
use receipt::{Refusal, RetryClass};
use secrecy::SecretString;

use super::*;
use crate::checkonline::credentials::{Credentials, LOOK_EVERY};
use crate::http::CallTimeouts;

/// A folder of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kassa-credentials-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("a file");
    }

    /// Writes what somebody wrote long ago: no renewal is under way.
    fn write_long_ago(&self, name: &str, content: &str) {
        self.write(name, content);
        let file = std::fs::File::options()
            .append(true)
            .open(self.path(name))
            .expect("a file");
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        file.set_modified(long_ago).expect("a time");
    }

    fn settings(&self) -> CheckOnlineSettings {
        CheckOnlineSettings {
            cert_file: self.path("client.pem"),
            key_file: self.path("client.key"),
            ..settings()
        }
    }

    async fn refusal(&self, settings: &CheckOnlineSettings) -> Refusal {
        let outcome = credentials(settings).http().await;
        outcome.expect_err("nothing to send with").refusal()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn credentials(settings: &CheckOnlineSettings) -> Credentials {
    Credentials::new(settings, CallTimeouts::default())
}

/// A self-signed pair, good between these years.
fn pair(from: i32, until: i32) -> (String, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "shop");
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key)
}

fn assert_names(refusal: &Refusal, code: &str, file: &Path) {
    assert_eq!(refusal.class, RetryClass::Halt { certain: true }, "{refusal:?}");
    assert_eq!(refusal.code, code, "{refusal:?}");
    let file = file.display().to_string();
    assert!(
        refusal.cause.ru.contains(&file) && refusal.cause.en.contains(&file),
        "{refusal:?}"
    );
    assert!(
        !refusal.cure.ru.is_empty() && !refusal.cure.en.is_empty(),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_pair_can_be_used_in_every_form_that_tools_write() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write("client.pem", &format!("subject=/CN=shop\n{cert}"));
    folder.write("client.key", &key.serialize_pem());
    credentials(&folder.settings()).http().await.expect("PKCS#8");

    let encrypted = pkcs8::PrivateKeyInfo::try_from(key.serialize_der().as_slice())
        .expect("a key")
        .encrypt_with_params(
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"salt of the test", &[7; 16]).expect("parameters"),
            "s3cret",
        )
        .expect("an encrypted key")
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::CRLF)
        .expect("PEM");
    folder.write("client.key", &encrypted);
    let with = |passphrase: &str| CheckOnlineSettings {
        key_passphrase: Some(SecretString::from(passphrase)),
        ..folder.settings()
    };
    credentials(&with("s3cret")).http().await.expect("an encrypted key");
    assert_names(
        &folder.refusal(&with("wrong")).await,
        "key_passphrase",
        &folder.path("client.key"),
    );
    assert_names(
        &folder.refusal(&folder.settings()).await,
        "key_passphrase",
        &folder.path("client.key"),
    );
}

#[tokio::test]
async fn whatever_is_wrong_with_the_files_is_told_with_the_file_and_the_cure() {
    let folder = Folder::new();
    let (cert_file, key_file) = (folder.path("client.pem"), folder.path("client.key"));
    let (cert, key) = pair(2020, 2090);
    assert_names(&folder.refusal(&folder.settings()).await, "file_missing", &cert_file);
    folder.write("client.pem", &cert);
    assert_names(&folder.refusal(&folder.settings()).await, "file_missing", &key_file);
    folder.write("client.key", "not PEM");
    assert_names(&folder.refusal(&folder.settings()).await, "key_unreadable", &key_file);
    folder.write(
        "client.key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    let old_form = folder.refusal(&folder.settings()).await;
    assert_names(&old_form, "key_unreadable", &key_file);
    assert!(old_form.cure.en.contains("openssl pkcs8"), "{}", old_form.cure.en);
    folder.write("client.key", &pair(2020, 2090).1.serialize_pem());
    assert_names(&folder.refusal(&folder.settings()).await, "key_mismatch", &cert_file);
    folder.write("client.key", &key.serialize_pem());
    folder.write(
        "client.pem",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    assert_names(
        &folder.refusal(&folder.settings()).await,
        "certificate_unreadable",
        &cert_file,
    );
    folder.write("client.pem", &cert);
    let with_ca = CheckOnlineSettings {
        ca_file: Some(folder.path("ca.pem")),
        ..folder.settings()
    };
    assert_names(&folder.refusal(&with_ca).await, "file_missing", &folder.path("ca.pem"));
    folder.write("ca.pem", "nothing");
    assert_names(&folder.refusal(&with_ca).await, "ca_unreadable", &folder.path("ca.pem"));
    folder.write("ca.pem", &cert);
    credentials(&with_ca).http().await.expect("all is well");
}

#[tokio::test]
async fn a_certificate_that_is_over_or_not_yet_good_is_not_shown() {
    let folder = Folder::new();
    for (from, until, code) in [
        (2020, 2021, "certificate_expired"),
        (2090, 2091, "certificate_not_yet_valid"),
    ] {
        let (cert, key) = pair(from, until);
        folder.write("client.pem", &cert);
        folder.write("client.key", &key.serialize_pem());
        let refusal = folder.refusal(&folder.settings()).await;
        assert_names(&refusal, code, &folder.path("client.pem"));
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let folder = Folder::new();
    let (old, old_key) = pair(2020, 2021);
    folder.write_long_ago("client.pem", &old);
    folder.write_long_ago("client.key", &old_key.serialize_pem());
    let credentials = credentials(&folder.settings());
    assert!(credentials.http().await.is_err(), "expired");
    let (fresh, fresh_key) = pair(2020, 2090);
    folder.write("client.pem", &fresh);
    folder.write("client.key", &fresh_key.serialize_pem());
    credentials.http().await.expect("the renewed pair");
}

#[tokio::test]
async fn a_renewal_that_is_half_done_does_not_stop_the_account() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write_long_ago("client.pem", &cert);
    folder.write_long_ago("client.key", &key.serialize_pem());
    let credentials = credentials(&folder.settings());
    credentials.http().await.expect("the first pair");
    let (fresh, fresh_key) = pair(2021, 2090);
    folder.write("client.pem", &fresh);
    tokio::time::sleep(LOOK_EVERY).await;
    credentials.http().await.expect("the first pair goes on");
    folder.write_long_ago("client.pem", &fresh);
    tokio::time::sleep(LOOK_EVERY).await;
    assert!(credentials.http().await.is_err(), "nobody is at work any more");
    folder.write("client.key", &fresh_key.serialize_pem());
    credentials.http().await.expect("the second pair");
}

#[tokio::test]
async fn the_files_are_read_once_as_long_as_they_stay() {
    let folder = Folder::new();
    let (cert, key) = pair(2020, 2090);
    folder.write("client.pem", &cert);
    folder.write("client.key", &key.serialize_pem());
    let credentials = credentials(&folder.settings());
    credentials.http().await.expect("a client");
    let file = std::fs::File::options()
        .write(true)
        .open(folder.path("client.pem"))
        .expect("a file");
    let changed = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .expect("a time");
    std::fs::write(folder.path("client.pem"), "x".repeat(cert.len())).expect("a file");
    file.set_modified(changed).expect("a time");
    tokio::time::sleep(LOOK_EVERY).await;
    credentials.http().await.expect("nothing was read");
}
