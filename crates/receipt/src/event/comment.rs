//! The comments for an order's history.
//!
//! The module that kassa replaces wrote one for every parsed answer: what was sent, the document's number, the vendor's
//! words and a link; after a failure the error, document, order and transaction (our notes on it, section 5.7). Ours say
//! the same in sentences. The order's own number is left out: it is the order's history that they stand in.

use crate::class::{Refusal, Text};
use crate::content::Operation;
use crate::event::{EventType, Subject};
use crate::external_id::ExternalId;
use crate::fiscal::FiscalDocument;
use crate::id::AccountName;
use crate::state::StateName;

/// Adds a sentence in both languages.
pub(super) fn add(text: &mut Text, more: &Text) {
    for (text, more) in [(&mut text.ru, &more.ru), (&mut text.en, &more.en)] {
        if !more.is_empty() {
            text.push(' ');
            text.push_str(more);
        }
    }
}

/// What is registered, and of which document.
fn what(subject: &Subject) -> Text {
    let (ru, en) = match subject.operation {
        Operation::Sell => ("Чек прихода", "Sale receipt"),
        Operation::Refund => ("Чек возврата прихода", "Refund receipt"),
        Operation::ResellRefund => ("Отменяющий чек", "Cancelling receipt"),
        Operation::ResellSell => ("Новый чек прихода", "New sale receipt"),
    };
    let number = &subject.document;
    if subject.part.is_main() {
        Text::new(format!("{ru} {number}"), format!("{en} {number}"))
    } else {
        let part = &subject.part;
        Text::new(
            format!("{ru} {number} (часть {part})"),
            format!("{en} {number} (part {part})"),
        )
    }
}

/// The comment for arriving in a state.
pub(super) fn arrival(subject: &Subject, external_id: &ExternalId, state: StateName) -> Text {
    let (ru, en) = match state {
        StateName::Held => (
            "принят и ждёт отправки вручную.",
            "is accepted and waits to be sent by hand.",
        ),
        StateName::Queued => ("принят в очередь.", "is accepted."),
        StateName::Sending => ("отправляется.", "is being sent."),
        StateName::Waiting => (
            "передан, ждёт кассу.",
            "was taken by the vendor and waits for a cash register.",
        ),
        // Not "was not sent": the try may have reached the vendor, and then the same id is repeated.
        StateName::Retrying => (
            "пока не пробит, отправка повторится сама.",
            "is not registered yet; it will be sent again by itself.",
        ),
        StateName::Done => ("пробит.", "is registered."),
        StateName::Unknown => (
            "отправлен, но результат неизвестен: проверьте в личном кабинете, не отправляйте повторно.",
            "was sent but its result is not known: check at the vendor, do not send it again.",
        ),
        StateName::Failed => ("не пробит.", "is not registered."),
        StateName::Cancelled => ("закрыт вручную.", "was closed by a person."),
    };
    let (ru, en) = match (subject.operation, state) {
        (Operation::ResellSell, StateName::Held) => (
            "принят и ждёт, пока будет пробит отменяющий чек.",
            "is accepted and waits until the cancelling receipt is registered.",
        ),
        // The buyer's sale is cancelled at this moment, and nothing stands in its place.
        (Operation::ResellSell, StateName::Failed) => (
            "не пробит, а отменяющий чек уже пробит: у покупки нет действующего чека. Отправьте его снова: kassa resell.",
            "is not registered, and the cancelling receipt is: the purchase has no valid receipt. Send it again: kassa \
             resell.",
        ),
        (
            Operation::Sell | Operation::Refund | Operation::ResellRefund | Operation::ResellSell,
            StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Retrying
            | StateName::Done
            | StateName::Unknown
            | StateName::Failed
            | StateName::Cancelled,
        ) => (ru, en),
    };
    let what = what(subject);
    let mut text = Text::new(format!("{} {ru}", what.ru), format!("{} {en}", what.en));
    // Where a person has to look, the name to look for.
    if matches!(state, StateName::Unknown | StateName::Failed) {
        let name = Text::new(
            format!("Внешний номер {external_id}."),
            format!("External id {external_id}."),
        );
        add(&mut text, &name);
    }
    text
}

/// Cause, code and cure of a refusal.
pub(super) fn refusal(refusal: &Refusal) -> Text {
    let (kind, code) = (&refusal.kind, &refusal.code);
    let (code_ru, code_en) = if code.is_empty() {
        (String::new(), String::new())
    } else {
        (format!(" Код: {kind} {code}."), format!(" Code: {kind} {code}."))
    };
    Text::new(
        format!("{}{code_ru} {}", refusal.cause.ru, refusal.cure.ru),
        format!("{}{code_en} {}", refusal.cause.en, refusal.cure.en),
    )
}

/// The numbers of a fiscal document and the page that shows it.
pub(super) fn fiscal(fiscal: &FiscalDocument) -> Text {
    let (fn_number, fd, fpd) = (&fiscal.fn_number, fiscal.fd, &fiscal.fpd);
    let link = fiscal.ofd_url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
    Text::new(
        format!("ФН {fn_number}, ФД {fd}, ФПД {fpd}.{link}"),
        format!("FN {fn_number}, FD {fd}, FPD {fpd}.{link}"),
    )
}

/// The text of `account.paused` and `account.resumed`; `None` for an event that is about no account. `reason` says why,
/// in whole sentences.
#[must_use]
pub fn account_text(event: EventType, account: &AccountName, reason: &Text) -> Option<Text> {
    let mut text = match event {
        EventType::AccountPaused => Text::new(
            format!("Отправка через счёт {account} остановлена; чеки ждут и попыток не теряют."),
            format!("Sending by the account {account} has stopped; its receipts wait and lose no tries."),
        ),
        EventType::AccountResumed => Text::new(
            format!("Отправка через счёт {account} возобновлена; ожидавшие чеки уходят сами."),
            format!("Sending by the account {account} goes on; the receipts that waited are sent by themselves."),
        ),
        EventType::Accepted
        | EventType::Retrying
        | EventType::Waiting
        | EventType::Done
        | EventType::Failed
        | EventType::Unknown
        | EventType::Cancelled
        | EventType::Overdue
        | EventType::Double
        | EventType::Conflict
        | EventType::Rejected => return None,
    };
    add(&mut text, reason);
    Some(text)
}
