//! Who we are to the service: certificate and key, read from files when they are first needed and again whenever the
//! files have changed.
//!
//! Whatever is wrong with them is known before anything is sent, and told with the file and the cure. A renewal writes
//! two files, one after the other: while they do not fit together yet, the identity that was read before goes on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use pkcs8::der::pem::LineEnding;
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use receipt::{Refusal, RetryClass, Text};
use reqwest::{Certificate, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use x509_cert::der::Decode;

use super::config::CheckOnlineSettings;
use super::judge;
use crate::http::{self, CallTimeouts, Http, TRANSPORT};

/// For how long after a change files that cannot be used are taken for a renewal that is under way.
const RENEWING: Duration = Duration::from_secs(60);

/// How often the files are looked at. A look is three calls to the system on another thread, and there may be thousands
/// of receipts a second.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// No certificate, key or list of roots has so much.
const LONGEST_FILE: u64 = 1024 * 1024;

/// The identity of one account.
pub(super) struct Credentials {
    files: Files,
    timeouts: CallTimeouts,
    loaded: Mutex<Option<Loaded>>,
    /// Held by whoever looks at the files.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
    passphrase: Option<SecretString>,
}

#[derive(Clone)]
struct Loaded {
    stamps: Stamps,
    looked_at: Instant,
    http: Http,
    valid: Option<Validity>,
}

/// From and until when a certificate is good, in seconds of Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    from: u64,
    until: u64,
}

/// What tells that a file is another one: time of change, length, number.
type Stamp = Option<(SystemTime, u64, u64)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps([Stamp; 3]);

/// Why nothing can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    code: &'static str,
    cause: Text,
    cure: Text,
}

impl Unusable {
    fn new(code: &'static str, cause: Text, cure: Text) -> Box<Self> {
        Box::new(Self { code, cause, cure })
    }

    /// Certain, because no receipt has a part in it.
    pub(super) fn refusal(self) -> Refusal {
        let Self { code, cause, cure } = self;
        Refusal {
            class: RetryClass::Halt { certain: true },
            kind: TRANSPORT.to_owned(),
            code: code.to_owned(),
            message: String::new(),
            cause,
            cure,
        }
    }
}

impl Credentials {
    pub(super) fn new(settings: &CheckOnlineSettings, timeouts: CallTimeouts) -> Self {
        Self {
            files: Files {
                cert: settings.cert_file.clone(),
                key: settings.key_file.clone(),
                ca: settings.ca_file.clone(),
                passphrase: settings.key_passphrase.clone(),
            },
            timeouts,
            loaded: Mutex::new(None),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    /// The file that holds our certificate.
    pub(super) fn cert_file(&self) -> &Path {
        &self.files.cert
    }

    /// The file with roots of one's own, if there is one.
    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.files.ca.as_deref()
    }

    /// The client that shows our certificate.
    pub(super) async fn http(&self) -> Result<Http, Box<Unusable>> {
        if let Some(http) = self.looked_at_lately() {
            return Ok(http);
        }
        let _looking = self.looking.lock().await;
        if let Some(http) = self.looked_at_lately() {
            return Ok(http);
        }
        let loaded = self.look().await?;
        *self.loaded() = Some(loaded.clone());
        self.files.check(loaded.valid, Timestamp::now())?;
        Ok(loaded.http)
    }

    /// The client, if it is good and the files need not be looked at again yet.
    fn looked_at_lately(&self) -> Option<Http> {
        let loaded = self.loaded();
        let loaded = loaded
            .as_ref()
            .filter(|loaded| loaded.looked_at.elapsed() < LOOK_EVERY)?;
        let is_good = self.files.check(loaded.valid, Timestamp::now()).is_ok();
        is_good.then(|| loaded.http.clone())
    }

    async fn look(&self) -> Result<Loaded, Box<Unusable>> {
        // Before the reading: a change in between shows at the next look.
        let (looked_at, stamps) = (Instant::now(), self.files.stamps().await);
        let before = self.loaded().clone();
        match before {
            Some(loaded) if loaded.stamps == stamps => Ok(Loaded { looked_at, ..loaded }),
            before => match (self.files.load(stamps, &self.timeouts).await, before) {
                (Ok(fresh), _) => Ok(fresh),
                (Err(_), Some(before)) if stamps.is_renewing() => Ok(Loaded { looked_at, ..before }),
                (Err(unusable), Some(_) | None) => Err(unusable),
            },
        }
    }

    fn loaded(&self) -> MutexGuard<'_, Option<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamps {
    /// Whether somebody is at work on the files right now.
    fn is_renewing(self) -> bool {
        let newest = self.0.iter().flatten().map(|(changed, _, _)| *changed).max();
        newest.is_some_and(|newest| newest.elapsed().is_ok_and(|age| age < RENEWING))
    }
}

async fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl Files {
    async fn stamps(&self) -> Stamps {
        let ca = async {
            match &self.ca {
                Some(path) => stamp(path).await,
                None => None,
            }
        };
        Stamps([stamp(&self.cert).await, stamp(&self.key).await, ca.await])
    }

    async fn load(&self, stamps: Stamps, timeouts: &CallTimeouts) -> Result<Loaded, Box<Unusable>> {
        let cert = read("cert_file", &self.cert).await?;
        let key = read("key_file", &self.key).await?;
        let roots = match &self.ca {
            Some(path) => roots(path, &read("ca_file", path).await?)?,
            None => Vec::new(),
        };
        let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&cert)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        let Some(leaf) = chain.first() else {
            return Err(no_pem("certificate_unreadable", "cert_file", &self.cert));
        };
        let key = self.key(&key)?;
        self.belongs(&chain, &key)?;
        let mut pem = cert;
        pem.push(b'\n');
        pem.extend_from_slice(key.expose_secret().as_bytes());
        let unusable = |error: &dyn std::error::Error| {
            let (file, why) = (self.cert.display(), chain_of(error));
            Unusable::new(
                "certificate_unusable",
                Text::new(
                    format!("Сертификат {file} нельзя использовать: {why}."),
                    format!("The certificate {file} cannot be used: {why}."),
                ),
                judge::renew(),
            )
        };
        let identity = Identity::from_pem(&pem).map_err(|error| unusable(&error))?;
        let credentials = http::Credentials { identity, roots };
        let http = Http::build_with(timeouts, credentials).map_err(|error| unusable(&error))?;
        Ok(Loaded {
            stamps,
            looked_at: Instant::now(),
            http,
            valid: validity(leaf),
        })
    }

    /// The private key as plain PEM.
    fn key(&self, file: &[u8]) -> Result<SecretString, Box<Unusable>> {
        let path = self.key.display();
        let text = std::str::from_utf8(file).unwrap_or_default();
        if text.contains("Proc-Type:") {
            return Err(Unusable::new(
                "key_unreadable",
                Text::new(
                    format!("Ключ {path} зашифрован по-старому (Proc-Type)."),
                    format!("The key {path} is encrypted in the old way (Proc-Type)."),
                ),
                Text::new(
                    format!(
                        "Переведите его в PKCS#8: openssl pkcs8 -topk8 -in {path} -out НОВЫЙ, и назовите новый файл в key_file."
                    ),
                    format!(
                        "Convert it to PKCS#8: openssl pkcs8 -topk8 -in {path} -out NEW, and name the new file in key_file."
                    ),
                ),
            ));
        }
        if let Some(encrypted) = section(text, "ENCRYPTED PRIVATE KEY") {
            return self.decrypted(encrypted);
        }
        let plain = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
            .iter()
            .find_map(|label| section(text, label));
        match plain {
            Some(pem) if PrivateKeyDer::from_pem_slice(pem.as_bytes()).is_ok() => Ok(SecretString::from(pem)),
            Some(_) | None => Err(no_pem("key_unreadable", "key_file", &self.key)),
        }
    }

    fn decrypted(&self, pem: &str) -> Result<SecretString, Box<Unusable>> {
        let path = self.key.display();
        let Some(passphrase) = &self.passphrase else {
            return Err(Unusable::new(
                "key_passphrase",
                Text::new(
                    format!("Ключ {path} зашифрован, а key_passphrase не задан."),
                    format!("The key {path} is encrypted and there is no key_passphrase."),
                ),
                Text::new(
                    "Задайте key_passphrase в настройках счёта.",
                    "Give key_passphrase in the account's settings.",
                ),
            ));
        };
        let Ok((_, document)) = SecretDocument::from_pem(pem) else {
            return Err(no_pem("key_unreadable", "key_file", &self.key));
        };
        let decrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .and_then(|encrypted| encrypted.decrypt(passphrase.expose_secret()))
            .ok()
            .and_then(|plain| plain.to_pem("PRIVATE KEY", LineEnding::LF).ok())
            // With a wrong passphrase the padding sometimes happens to be right, and what comes out is no key.
            .filter(|pem| PrivateKeyDer::from_pem_slice(pem.as_bytes()).is_ok_and(|key| is_key(&key)));
        decrypted.map(|pem| SecretString::from(pem.as_str())).ok_or_else(|| {
            Unusable::new(
                "key_passphrase",
                Text::new(
                    format!("Ключ {path} не открывается паролем key_passphrase."),
                    format!("The key {path} does not open with key_passphrase."),
                ),
                Text::new(
                    "Исправьте key_passphrase в настройках счёта; если пароль верен, переведите ключ: openssl pkcs8 -topk8 -v2 aes256.",
                    "Correct key_passphrase in the account's settings; if it is right, convert the key: openssl pkcs8 -topk8 -v2 aes256.",
                ),
            )
        })
    }

    /// Whether the key is the certificate's.
    fn belongs(&self, chain: &[CertificateDer<'_>], key: &SecretString) -> Result<(), Box<Unusable>> {
        let (cert_file, key_file) = (self.cert.display(), self.key.display());
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
            .ok()
            .and_then(|key| rustls::crypto::ring::sign::any_supported_type(&key).ok());
        let Some(key) = key else {
            return Err(no_pem("key_unreadable", "key_file", &self.key));
        };
        let chain = chain.iter().map(|cert| cert.clone().into_owned()).collect();
        let matched = rustls::sign::CertifiedKey::new(chain, key).keys_match();
        if matches!(
            matched,
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch))
        ) {
            return Err(Unusable::new(
                "key_mismatch",
                Text::new(
                    format!("Ключ {key_file} — не от сертификата {cert_file}."),
                    format!("The key {key_file} does not belong to the certificate {cert_file}."),
                ),
                Text::new(
                    "Назовите в cert_file и key_file пару из одного скачивания в личном кабинете.",
                    "Name a pair of one download from the cabinet in cert_file and key_file.",
                ),
            ));
        }
        Ok(())
    }

    fn check(&self, valid: Option<Validity>, now: Timestamp) -> Result<(), Box<Unusable>> {
        let Some(Validity { from, until }) = valid else {
            return Ok(());
        };
        let file = self.cert.display();
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        let day = |second: u64| {
            let second = i64::try_from(second).unwrap_or(i64::MAX);
            Timestamp::from_second(second).map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
        };
        if now > until {
            let day = day(until);
            return Err(Unusable::new(
                "certificate_expired",
                Text::new(
                    format!("Сертификат {file} истёк {day}."),
                    format!("The certificate {file} expired on {day}."),
                ),
                judge::renew(),
            ));
        }
        if now < from {
            let day = day(from);
            return Err(Unusable::new(
                "certificate_not_yet_valid",
                Text::new(
                    format!("Сертификат {file} действует только с {day}."),
                    format!("The certificate {file} is valid only from {day} on."),
                ),
                Text::new(
                    "Проверьте часы этой машины или положите на место файла действующий сертификат.",
                    "Check this machine's clock, or put a valid certificate in the file's place.",
                ),
            ));
        }
        Ok(())
    }
}

/// Reads one of the files.
async fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Box<Unusable>> {
    let read = async {
        let length = tokio::fs::metadata(path).await?.len();
        if length > LONGEST_FILE {
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
        }
        tokio::fs::read(path).await
    };
    read.await.map_err(|error| {
        let (path, code) = (path.display(), if error.kind() == std::io::ErrorKind::NotFound { "file_missing" } else { "file_unreadable" });
        Unusable::new(
            code,
            Text::new(
                format!("Файл {path} ({key}) не читается: {error}."),
                format!("The file {path} ({key}) cannot be read: {error}."),
            ),
            Text::new(
                "Положите файл на место, откройте его на чтение пользователю kassa или исправьте путь в настройках счёта; чеки ждут и уйдут сами.",
                "Put the file in its place, let kassa's user read it, or correct the path in the account's settings; the receipts wait and go out by themselves.",
            ),
        )
    })
}

fn no_pem(code: &'static str, key: &'static str, path: &Path) -> Box<Unusable> {
    let path = path.display();
    let what = match key {
        "key_file" => ["закрытого ключа", "private key"],
        _ => ["сертификата", "certificate"],
    };
    Unusable::new(
        code,
        Text::new(
            format!("В файле {path} ({key}) нет {} в виде PEM.", what[0]),
            format!("The file {path} ({key}) has no {} in PEM form.", what[1]),
        ),
        Text::new(
            format!("Назовите в {key} файл, который скачан в личном кабинете «Чек Онлайн» (начинается с -----BEGIN)."),
            format!(
                "Name in {key} the file that was downloaded from CheckOnline's cabinet (it begins with -----BEGIN)."
            ),
        ),
    )
}

fn roots(path: &Path, file: &[u8]) -> Result<Vec<Certificate>, Box<Unusable>> {
    Certificate::from_pem_bundle(file)
        .ok()
        .filter(|roots| !roots.is_empty())
        .ok_or_else(|| no_pem("ca_unreadable", "ca_file", path))
}

/// The text of a PEM section with its first and last line.
fn section<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (first, last) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let start = text.find(&first)?;
    let length = text[start..].find(&last)? + last.len();
    Some(&text[start..start + length])
}

fn is_key(key: &PrivateKeyDer<'_>) -> bool {
    rustls::crypto::ring::sign::any_supported_type(key).is_ok()
}

/// `None` for a certificate whose dates cannot be read; the service then judges it.
fn validity(leaf: &CertificateDer<'_>) -> Option<Validity> {
    let certificate = x509_cert::Certificate::from_der(leaf).ok()?;
    let validity = certificate.tbs_certificate.validity;
    Some(Validity {
        from: validity.not_before.to_unix_duration().as_secs(),
        until: validity.not_after.to_unix_duration().as_secs(),
    })
}

/// An error with what it wraps, for people.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
