//! A mail says what the vendor's books say, to a parser and to a browser that are not ours.

use std::path::{Path, PathBuf};

use kassa_tests::browser::{self, Scheme, Seen};
use kassa_tests::mail_server::Arrived;
use kassa_tests::request::BUYER;
use serde_json::json;
use simulator::{Action, ErrorAnswer, Point, Rule};

use super::office::{Office, silence, until_scheduled};
use crate::world::{World, pace, within};

const REPORT: &str = r#"recipients = ["Главный бухгалтер <boss@shop.example>"]
daily = "{daily}"
weekly = "never"
receipt_link = "https://receipts.shop.example/receipts/{id}"
list_link = "https://receipts.shop.example/receipts?store={store}&from={from}&until={until}"
"#;

/// Count and sum of what the vendor has registered for an operation, as the mail writes them.
fn booked(world: &World, operation: &str) -> (String, String) {
    let books = world.books();
    let registered = books
        .documents
        .iter()
        .filter(|document| document.operation == operation && document.registered > 0);
    let totals: Vec<i64> = registered.map(|document| document.total_kopecks).collect();
    let roubles = totals.iter().sum::<i64>() / 100;
    let thousands = roubles / 1000;
    (
        totals.len().to_string(),
        format!("{thousands}\u{202f}{:03},00\u{202f}₽", roubles % 1000),
    )
}

/// Publishes a day with sales, refunds and refusals, and moves it to yesterday.
async fn a_day(world: &World, office: &Office) -> anyhow::Result<()> {
    let mut rules = Vec::new();
    for number in ["refused-1", "refused-2"] {
        let refused = Action::Error(ErrorAnswer::new("driver", 128));
        rules.push(Rule::new(Point::Processing, refused).for_marker(number));
    }
    world.faults(rules)?;
    for number in ["1", "2", "3", "4", "5"] {
        world.publish("sell", number).await?;
    }
    for number in ["R1", "R2"] {
        world.publish("refund", number).await?;
    }
    for number in ["refused-1", "refused-2"] {
        world.publish("sell", number).await?;
        world.until_state(number, "failed").await?;
    }
    world.until_done(7).await?;
    office.move_to_yesterday(world).await
}

/// Pictures of a mail, kept for people in `target/tmp`.
pub(super) async fn looks(name: &str, html: &str) -> anyhow::Result<[Seen; 4]> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mail");
    std::fs::create_dir_all(&folder)?;
    let show = async |scheme, width, end: &str| {
        let picture = folder.join(format!("{name}-{end}.png"));
        // One profile for one browser at a time.
        browser::show(html, scheme, width, 1500, Path::new(&picture)).await
    };
    Ok([
        show(Scheme::Light, 760, "light").await?,
        show(Scheme::Dark, 760, "dark").await?,
        show(Scheme::Light, 390, "phone-light").await?,
        show(Scheme::Dark, 390, "phone-dark").await?,
    ])
}

/// It can be read, fits, and fetches nothing, whatever the scheme and the window.
pub(super) fn assert_readable(seen: &[Seen; 4]) {
    let [light, dark, phone, dark_phone] = seen;
    assert!(!light.dark && dark.dark && !phone.dark && dark_phone.dark);
    assert_ne!(light.ground, dark.ground, "dark is another page");
    for seen in seen {
        assert!(seen.content <= seen.window, "{} in {}", seen.content, seen.window);
        assert!(
            seen.contrast >= 450,
            "{:?} has a contrast of {}/100 (dark: {})",
            seen.faintest,
            seen.contrast,
            seen.dark
        );
        assert!(seen.fetched.is_empty(), "{:?}", seen.fetched);
    }
}

fn assert_well_formed(mail: &Arrived) {
    assert_eq!(mail.defects, Vec::<String>::new());
    assert!(mail.longest_line <= 998, "{}", mail.longest_line);
    assert_eq!(mail.to, ["boss@shop.example"]);
    assert_eq!(mail.from, "kassa@shop.example");
    assert_eq!(mail.header("to"), "Главный бухгалтер <boss@shop.example>");
    assert_eq!(mail.header("list-id"), "<reports.main.shop.example>");
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert_eq!(mail.header("references"), "<reports.main.daily@shop.example>");
    assert!(mail.header("message-id").starts_with("<report.main.daily."));
}

#[tokio::test]
async fn a_mail_arrives_over_an_encrypted_connection_and_its_figures_are_those_of_the_books() -> anyhow::Result<()> {
    within("mail", &pace(), async |world| {
        let office = Office::open_secured(world, REPORT).await?;
        let all = world.all().await?;
        until_scheduled(world).await?;
        a_day(world, &office).await?;
        silence(world, "1 hour").await?;
        let mail = office.only_mail().await?;
        assert!(mail.encrypted && mail.authenticated);
        assert_well_formed(&mail);
        let workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        let expected = json!([
            "multipart/mixed",
            [["multipart/alternative", ["text/plain", "text/html"]], workbook]
        ]);
        assert_eq!(mail.shape, expected);
        let attached = &mail.attachments[0];
        assert_eq!(attached.name, format!("kassa-main-{}.xlsx", office.day(1)?));
        assert!(attached.base64.starts_with("UEsD"), "a workbook is an archive");
        let subject = mail.header("subject");
        assert!(
            subject.starts_with("✖ Чеки ") && subject.ends_with(": 2 не пробиты · main"),
            "{subject}"
        );

        let html = mail.html.as_deref().unwrap_or_default();
        assert!(html.len() < 90_000, "{} bytes", html.len());
        let seen = looks("report", html).await?;
        assert_readable(&seen);
        let text = mail.text.as_deref().unwrap_or_default();
        for operation in ["sell", "sell_refund"] {
            let (count, sum) = booked(world, operation);
            assert!(
                seen[0].text.contains(&count) && seen[0].text.contains(&sum),
                "{count} {sum}\n{}",
                seen[0].text
            );
            assert!(text.contains(&sum), "{sum} in\n{text}");
        }
        let row = world.the_row("refused-1").await?;
        assert!(
            seen[0].text.contains("refused-1") && seen[0].text.contains("driver 128"),
            "{}",
            seen[0].text
        );
        assert!(html.contains(&row.id.to_string()), "each problem is linked");
        assert!(!format!("{mail:?}").contains(BUYER), "no buyer's data");
        office.until_ended(world, 1, "sent").await?;
        let metrics = kassa_tests::fleet::ask(&all, "metrics").await?.unwrap_or_default();
        let line = "kassa_reports_sent_total{period=\"daily\",outcome=\"sent\"} 1";
        assert!(metrics.contains(line), "{metrics}");
        Ok(())
    })
    .await
}
