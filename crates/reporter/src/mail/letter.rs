//! A mail as it goes over the wire.

use std::time::SystemTime;

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use crate::mail::smtp::Mailer;

/// The type of a workbook.
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A file beside the text.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    /// Its name, in ASCII: other names are shown differently by every program.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// What a mail says.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Verdict and sums.
    pub(crate) subject: String,
    /// For programs that show no HTML.
    pub(crate) text: String,
    /// For all others.
    pub(crate) html: String,
    /// The register.
    pub(crate) attached: Option<Attached>,
    /// The list that the mail belongs to: people sort by it.
    pub(crate) list: String,
    /// What all mails of a series refer to, so that they are shown as one thread.
    pub(crate) thread: String,
}

impl Letter {
    /// The bytes of the mail to one recipient.
    ///
    /// # Errors
    /// When something in it cannot be said in a mail.
    pub(crate) fn bytes(self, mailer: &Mailer, recipient: &Mailbox, message_id: &str) -> anyhow::Result<Vec<u8>> {
        let domain = mailer.from.email.domain();
        let alternative = MultiPart::alternative()
            .singlepart(SinglePart::plain(self.text))
            .singlepart(SinglePart::html(self.html));
        let mut body = MultiPart::mixed().multipart(alternative);
        if let Some(attached) = self.attached {
            let kind = ContentType::parse(XLSX)?;
            body = body.singlepart(Attachment::new(attached.name).body(attached.bytes, kind));
        }
        let thread = format!("<{}@{domain}>", self.thread);
        let mut message = Message::builder()
            .from(mailer.from.clone())
            .to(recipient.clone())
            .subject(self.subject)
            .date(SystemTime::now())
            .message_id(Some(message_id.to_owned()))
            .in_reply_to(thread.clone())
            .references(thread)
            .raw_header(header("List-Id", format!("<{}.{domain}>", self.list)))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(header(
                "X-Mailer",
                concat!("kassa ", env!("CARGO_PKG_VERSION")).to_owned(),
            ));
        if let Some(reply_to) = &mailer.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        Ok(message.multipart(body)?.formatted())
    }
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
