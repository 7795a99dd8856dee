//! What the tests speak to that is not ours: a stock AMQP client, a mail server, a browser.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{command::run, services::install};

/// Something of a stranger's, as Debian packages it.
struct Stranger {
    package: &'static str,
    what_for: &'static str,
    is_there: fn() -> bool,
}

const STRANGERS: [Stranger; 3] = [
    Stranger {
        package: "python3-pika",
        what_for: "the tests publish with Python and pika",
        is_there: || python_has("pika"),
    },
    Stranger {
        package: "python3-aiosmtpd",
        what_for: "the tests send mail to aiosmtpd",
        is_there: || python_has("aiosmtpd"),
    },
    Stranger {
        package: "chromium",
        what_for: "the tests show mail in Chromium",
        is_there: || Path::new("/usr/bin/chromium").exists(),
    },
];

/// Makes sure that all of them are there, as Debian packages where we may install them.
pub(crate) fn up() -> Result<()> {
    let missing: Vec<&Stranger> = STRANGERS.iter().filter(|stranger| !(stranger.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|stranger| stranger.package).collect();
    if !install::is_possible() {
        let what_for: Vec<&str> = missing.iter().map(|stranger| stranger.what_for).collect();
        bail!(
            "{}: as root run `apt-get install {}`",
            what_for.join(", "),
            packages.join(" ")
        );
    }
    install::packages(&packages)?;
    for stranger in missing {
        if !(stranger.is_there)() {
            bail!(
                "{} is installed, and is still not found; {}",
                stranger.package,
                stranger.what_for
            );
        }
    }
    Ok(())
}

/// The first python3 of the path may be another one than the distribution's, and know none of its packages.
fn python_has(module: &str) -> bool {
    ["python3", "/usr/bin/python3"].into_iter().any(|python| {
        let mut import = Command::new(python);
        import
            .args(["-c", &format!("import {module}")])
            .stderr(std::process::Stdio::null());
        run(&mut import).is_ok_and(|status| status.success())
    })
}
