//! Calls that got no usable answer: in which way, whether the vendor may have seen them, and what that means.

use std::error::Error as StdError;
use std::io;

use receipt::{Refusal, RetryClass, Seen, Text};
use rustls::AlertDescription;

/// A call without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) how: How,
    /// The status, if the answer began.
    pub(crate) http_status: Option<u16>,
    /// What came of the body.
    pub(crate) partial: Vec<u8>,
}

/// In which way no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The request itself is impossible: a URL or header that is none.
    Impossible,
    /// The host name has no address.
    Dns,
    /// No connection: refused, unreachable, reset while connecting.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The server's certificate was not accepted.
    Certificate,
    /// The server ended the handshake because of our certificate, or because we have none.
    Identity,
    /// Written, and no whole answer in time.
    Timeout,
    /// The connection broke after writing began.
    Cut,
    /// The answer did not end within the client's limit.
    TooLong,
}

/// What a call does to the vendor's books, which decides whether it may leave a doubt behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It may register a receipt.
    Registers,
    /// It only asks: a token, a report.
    Asks,
}

impl Silence {
    pub(super) fn before_the_answer(error: &reqwest::Error) -> Self {
        let how = if error.is_builder() {
            How::Impossible
        } else if tls_error(error).is_some_and(refuses_us) {
            // In TLS 1.3 this comes after the request was written; a server reads none before it knows the client.
            How::Identity
        } else if error.is_connect() {
            while_connecting(error)
        } else if error.is_timeout() {
            How::Timeout
        } else {
            How::Cut
        };
        Self::without_answer(how)
    }

    /// Nothing came at all.
    pub(crate) fn without_answer(how: How) -> Self {
        Self {
            how,
            http_status: None,
            partial: Vec::new(),
        }
    }

    /// The refusal that this silence means for a call with that effect.
    pub(crate) fn refusal(&self, effect: Effect) -> Refusal {
        let [ru, en, cure_ru, cure_en] = self.how.texts(effect);
        Refusal {
            class: self.how.class(effect),
            kind: TRANSPORT.to_owned(),
            code: self.how.code().to_owned(),
            message: String::new(),
            cause: Text::new(ru, en),
            cure: Text::new(cure_ru, cure_en),
        }
    }
}

/// `Refusal::kind` when no usable answer came.
pub(crate) const TRANSPORT: &str = "transport";

impl How {
    /// Every way, for tables.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Impossible,
        Self::Dns,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Certificate,
        Self::Identity,
        Self::Timeout,
        Self::Cut,
        Self::TooLong,
    ];

    /// Whether the vendor may have seen the request.
    pub(crate) const fn seen(self) -> Seen {
        match self {
            Self::Impossible
            | Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Certificate
            | Self::Identity => Seen::No,
            Self::Timeout | Self::Cut | Self::TooLong => Seen::Maybe,
        }
    }

    /// A certificate that is not accepted stays so until a person acts, here or at the vendor; all else may pass.
    const fn class(self, effect: Effect) -> RetryClass {
        match (self, self.seen(), effect) {
            (Self::Certificate | Self::Identity, _, _) => RetryClass::Halt { certain: true },
            (_, Seen::Maybe | Seen::Running, Effect::Registers) => RetryClass::MAYBE_SEEN,
            (_, Seen::Maybe | Seen::Running, Effect::Asks) | (_, Seen::No, Effect::Registers | Effect::Asks) => {
                RetryClass::NOT_SEEN
            }
        }
    }

    /// The word in `Refusal::code`.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Impossible => "impossible",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Identity => "identity",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::TooLong => "too_long",
        }
    }

    const fn texts(self, effect: Effect) -> [&'static str; 4] {
        const WAIT_RU: &str = "Повторится само; если не проходит, проверьте сеть и адрес сервиса.";
        const WAIT_EN: &str = "It is repeated by itself; if it lasts, check the network and the service's address.";
        const DOUBT_RU: &str = "Повторится само под тем же номером: сервис узнает его и не пробьёт второй чек.";
        const DOUBT_EN: &str =
            "It is repeated by itself under the same id: the service recognises it and makes no second receipt.";
        let (again_ru, again_en) = match effect {
            Effect::Registers => (DOUBT_RU, DOUBT_EN),
            Effect::Asks => (WAIT_RU, WAIT_EN),
        };
        match self {
            Self::Impossible => [
                "Запрос невозможно составить.",
                "The request cannot be made.",
                "Проверьте адрес и учётные данные в настройках счёта.",
                "Check the address and the credentials in the account's settings.",
            ],
            Self::Dns => [
                "Имя сервиса не разрешается.",
                "The service's name has no address.",
                WAIT_RU,
                WAIT_EN,
            ],
            Self::Connect => [
                "Соединиться с сервисом не удалось.",
                "No connection to the service.",
                WAIT_RU,
                WAIT_EN,
            ],
            Self::ConnectTimeout => [
                "Соединиться с сервисом вовремя не удалось.",
                "No connection to the service in time.",
                WAIT_RU,
                WAIT_EN,
            ],
            Self::Tls => [
                "Защищённое соединение с сервисом не удалось.",
                "The secure connection to the service failed.",
                WAIT_RU,
                WAIT_EN,
            ],
            Self::Certificate => [
                "Сертификат сервиса не принят.",
                "The service's certificate was not accepted.",
                "Проверьте адрес сервиса, часы и корневые сертификаты машины; чеки ждут и уйдут сами.",
                "Check the service's address and this machine's clock and root certificates; the receipts wait and go out by themselves.",
            ],
            Self::Identity => [
                "Сервис не принял наш сертификат.",
                "The service did not accept our certificate.",
                "Проверьте сертификат в настройках счёта; чеки ждут и уйдут сами.",
                "Check the certificate in the account's settings; the receipts wait and go out by themselves.",
            ],
            Self::Timeout => [
                "Запрос отправлен, ответа вовремя нет.",
                "The request was sent and no answer came in time.",
                again_ru,
                again_en,
            ],
            Self::Cut => [
                "Запрос отправлен, соединение оборвалось.",
                "The request was sent and the connection broke.",
                again_ru,
                again_en,
            ],
            Self::TooLong => [
                "Запрос отправлен, ответ слишком длинный.",
                "The request was sent and the answer was too long.",
                again_ru,
                again_en,
            ],
        }
    }
}

/// What failed while connecting, where nothing of the request can have left.
fn while_connecting(error: &reqwest::Error) -> How {
    if error.is_dns() {
        return How::Dns;
    }
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => How::Certificate,
        Some(_) => How::Tls,
        None if error.is_timeout() => How::ConnectTimeout,
        None => How::Connect,
    }
}

/// Whether the server says that it does not talk to us.
fn refuses_us(error: &rustls::Error) -> bool {
    let rustls::Error::AlertReceived(alert) = error else {
        return false;
    };
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// The TLS error inside, if there is one. rustls travels inside `io::Error`, whose `source` skips what it wraps.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_before_the_request_was_written_are_certainly_unseen() {
        let table: Vec<_> = How::ALL
            .map(|how| (how.code(), how.seen(), how.class(Effect::Registers).name()))
            .into_iter()
            .collect();
        assert_eq!(
            table,
            [
                ("impossible", Seen::No, "retry"),
                ("dns", Seen::No, "retry"),
                ("connect", Seen::No, "retry"),
                ("connect_timeout", Seen::No, "retry"),
                ("tls", Seen::No, "retry"),
                ("certificate", Seen::No, "halt"),
                ("identity", Seen::No, "halt"),
                ("timeout", Seen::Maybe, "in_doubt"),
                ("cut", Seen::Maybe, "in_doubt"),
                ("too_long", Seen::Maybe, "in_doubt"),
            ]
        );
    }

    #[test]
    fn a_tls_error_is_found_inside_the_errors_that_carry_it() {
        let certificate = || rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate()));
        assert_eq!(tls_error(&nested), Some(&certificate()));
        assert_eq!(tls_error(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
