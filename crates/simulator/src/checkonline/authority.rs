//! A certificate authority for tests: it signs the service's certificate and those of its clients, and writes what a
//! client needs into a folder.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why the folder cannot be filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableFolder {
    /// It cannot be written.
    #[error("cannot write {path}", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
}

/// The certificates that lie in the folder, each as `NAME.pem` with its key `NAME.key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Good, of the enterprise `north`.
    North,
    /// Good, of the enterprise `south`.
    South,
    /// Expired, of the enterprise `north`.
    Expired,
    /// Another authority's.
    Stranger,
}

impl Certificate {
    const ALL: [Certificate; 4] = [
        Certificate::North,
        Certificate::South,
        Certificate::Expired,
        Certificate::Stranger,
    ];

    const fn name(self) -> &'static str {
        match self {
            Certificate::North => "north",
            Certificate::South => "south",
            Certificate::Expired => "expired",
            Certificate::Stranger => "stranger",
        }
    }

    /// The enterprise that the certificate speaks for, as its subject names it.
    const fn group(self) -> &'static str {
        match self {
            Certificate::North | Certificate::Expired | Certificate::Stranger => "north",
            Certificate::South => "south",
        }
    }
}

/// Where the files for clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOnlineFiles {
    folder: PathBuf,
}

impl CheckOnlineFiles {
    /// The files of a folder that a simulator was started with.
    pub fn in_folder(folder: impl Into<PathBuf>) -> CheckOnlineFiles {
        CheckOnlineFiles { folder: folder.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The root that the service's own certificate is signed with.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate.
    pub fn certificate(&self, which: Certificate) -> PathBuf {
        self.folder.join(format!("{}.pem", which.name()))
    }

    /// Its key, not encrypted.
    pub fn key(&self, which: Certificate) -> PathBuf {
        self.folder.join(format!("{}.key", which.name()))
    }
}

/// What the service needs of it.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(super) root: CertificateDer<'static>,
    pub(super) server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    /// The enterprise of each certificate that was given out.
    pub(super) groups: HashMap<Vec<u8>, &'static str>,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Authority {
    /// Makes a new authority and writes its folder.
    pub(crate) fn create(files: &CheckOnlineFiles) -> Result<Authority, UnusableFolder> {
        let folder = files.folder();
        std::fs::create_dir_all(folder).map_err(|error| UnusableFolder::Write(folder.to_owned(), error))?;
        let root = issuer("Test CA of the simulated service")?;
        let stranger = issuer("Another test CA")?;
        write(files.ca(), &root.pem())?;
        let mut groups = HashMap::new();
        for which in Certificate::ALL {
            let signed_by = match which {
                Certificate::North | Certificate::South | Certificate::Expired => &root,
                Certificate::Stranger => &stranger,
            };
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, which.group());
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = match which {
                Certificate::North | Certificate::South | Certificate::Stranger => date_time_ymd(2090, 1, 1),
                Certificate::Expired => date_time_ymd(2021, 1, 1),
            };
            let certificate = params.signed_by(&key, signed_by)?;
            write(files.certificate(which), &certificate.pem())?;
            write(files.key(which), &key.serialize_pem())?;
            groups.insert(certificate.der().to_vec(), which.group());
        }
        Ok(Authority {
            server: server(&root)?,
            root: root.der().clone(),
            groups,
        })
    }
}

fn issuer(name: &str) -> Result<Issuer, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// For every name under which a simulator is reached in tests and in a compose file.
fn server(root: &Issuer) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let names = ["127.0.0.1", "::1", "localhost", "simulator"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, root)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok((certificate.der().clone(), key))
}

fn write(path: PathBuf, content: &str) -> Result<(), UnusableFolder> {
    std::fs::write(&path, content).map_err(|error| UnusableFolder::Write(path, error))
}
