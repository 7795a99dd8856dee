//! The programs of strangers: the tests publish with a stock AMQP client of another language.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{command::run, services::install};

/// Makes sure that Python with pika is there, as a Debian package where we may install one.
pub(crate) fn up() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if !install::is_possible() {
        bail!("the tests publish with Python and pika: as root run `apt-get install python3-pika`");
    }
    install::packages(&["python3-pika"])?;
    if !is_there() {
        bail!("python3-pika is installed, and /usr/bin/python3 still cannot import pika");
    }
    Ok(())
}

/// The first python3 of the path may be another one than the distribution's, and know none of its packages.
fn is_there() -> bool {
    ["python3", "/usr/bin/python3"].into_iter().any(|python| {
        let mut import = Command::new(python);
        import.args(["-c", "import pika"]).stderr(std::process::Stdio::null());
        run(&mut import).is_ok_and(|status| status.success())
    })
}
