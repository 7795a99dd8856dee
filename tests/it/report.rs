//! Reports: what people are told of a day is what the vendor's books say, in every form.

use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};
use kassa_tests::request::request;
use serde_json::Value;
use simulator::{Action, ErrorAnswer, Point, Rule};

use crate::world::{World, pace, within};

/// Kopecks of the decimal text of an amount.
fn kopecks(text: &str) -> i64 {
    text.replace(['.', ','], "")
        .parse()
        .expect("an amount with two decimals")
}

/// Registers sales and refunds of different sums, and one sale that is refused. Returns count and kopecks of the books.
async fn registered(world: &World) -> anyhow::Result<(usize, i64)> {
    let refused = Action::Error(ErrorAnswer::new("driver", 128));
    world.fault(Rule::new(Point::Processing, refused).for_marker("refused"))?;
    for (number, operation, price) in [
        ("417", "sell", "100.10"),
        ("000000418", "sell", "0.01"),
        ("419", "sell", "41999.99"),
        ("R-420", "refund", "250.00"),
    ] {
        let mut body = request("main", operation, number, number);
        body["lines"] = serde_json::json!([{ "name": number, "price": price, "quantity": "1", "vat": "vat22" }]);
        body["payments"][0]["sum"] = price.into();
        body["total"] = price.into();
        world.shop.publish("main", body.to_string().as_bytes()).await?;
    }
    world.publish("sell", "refused").await?;
    world.until_done(4).await?;
    world.until_state("refused", "failed").await?;
    let documents = world.books().documents.into_iter();
    let documents: Vec<_> = documents.filter(|document| document.registered == 1).collect();
    let sum = documents.iter().map(|document| document.total_kopecks).sum();
    Ok((documents.len(), sum))
}

#[tokio::test]
async fn a_report_of_today_says_what_the_vendors_books_say_in_every_form() -> anyhow::Result<()> {
    within("report", &pace(), async |world| {
        let _all = world.all().await?;
        let (count, sum) = registered(world).await?;
        assert_eq!(count, 4);
        // The day may end between two commands.
        let (from, to) = days_around_now();
        let report = async |form: &str| {
            let arguments = [
                "report", "--from", &from, "--to", &to, "--store", "main", "--output", form,
            ];
            world.fleet.try_command(&arguments).await
        };

        let told: Value = serde_json::from_slice(&report("json").await?.stdout)?;
        let figures = told[0]["figures"].as_array().expect("figures");
        let done: Vec<_> = figures.iter().filter(|figure| figure["state"] == "done").collect();
        let total = |figure: &&Value| kopecks(figure["total"].as_str().expect("a decimal string"));
        assert_eq!(done.iter().map(total).sum::<i64>(), sum, "{told}");
        assert_eq!(
            done.iter().filter_map(|figure| figure["count"].as_u64()).sum::<u64>(),
            4
        );
        assert_eq!(told[0]["period"]["time_zone"], "Europe/Moscow");
        assert_eq!(told[0]["verdict"]["all_well"], false);
        assert_eq!(told[0]["problems"][0]["document"], "refused");
        assert_eq!(told[0]["causes"][0]["code"], "128");
        assert!(!told.to_string().contains("buyer@example.org"), "{told}");

        let csv = String::from_utf8(report("csv").await?.stdout)?;
        let rows: Vec<Vec<&str>> = csv
            .lines()
            .skip(1)
            .map(|line| line.trim_end().split(';').collect())
            .collect();
        let done: Vec<_> = rows.iter().filter(|row| row[6] == "Пробит").collect();
        assert_eq!((rows.len(), done.len()), (5, 4), "{csv}");
        assert_eq!(done.iter().map(|row| kopecks(row[7])).sum::<i64>(), sum, "{csv}");

        let book = report("xlsx").await?.stdout;
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(book))?;
        let receipts = book.worksheet_range("Чеки")?;
        let done: Vec<&[Data]> = receipts
            .rows()
            .filter(|row| row[6].get_string() == Some("Пробит"))
            .collect();
        let sums = done.iter().filter_map(|row| row[7].get_float());
        assert_eq!(done.len(), 4);
        assert_eq!(sums.map(|sum| kopecks(&format!("{sum:.2}"))).sum::<i64>(), sum);
        let totals = book.worksheet_range("Итоги")?;
        let total = totals
            .rows()
            .find(|row| row[0].get_string() == Some("Всего"))
            .expect("a total");
        assert_eq!(total[2].as_i64(), Some(5));
        let all = total[3].as_f64().map(|sum| kopecks(&format!("{sum:.2}")));
        assert_eq!(all, Some(sum + 120_000), "with the refused one");

        let text = world
            .fleet
            .command(&["report", "today", "--output", "table", "--language", "en"])
            .await?;
        assert!(
            text.contains("Receipts: main") && text.contains("Receipts: second"),
            "{text}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_report_that_cannot_be_made_says_why() -> anyhow::Result<()> {
    within("reportusage", &pace(), async |world| {
        for (arguments, code, word) in [
            (&["report"][..], 2, "--from"),
            (
                &["report", "today", "--this-week"],
                2,
                "--this-week goes with the word week",
            ),
            (
                &["report", "--from", "2026-11-22", "--to", "2026-11-21"],
                2,
                "is before the first day",
            ),
            (
                &["report", "--from", "2999-11-22", "--to", "2999-11-23"],
                2,
                "has not begun yet",
            ),
            (&["report", "today", "--store", "nobody"], 3, "there is no store nobody"),
        ] {
            let output = world.fleet.try_command(arguments).await?;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
            assert!(told.contains(word), "{arguments:?}: {told}");
        }
        let empty = world.fleet.command(&["report", "yesterday"]).await?;
        assert_eq!(empty, "", "off a terminal, a line for each figure");
        let path = world.fleet.folder.join("report.xlsx");
        let file = path.to_str().expect("UTF-8");
        world.fleet.command(&["report", "week", "--file", file]).await?;
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(std::fs::read(&path)?))?;
        assert_eq!(book.worksheet_range("Чеки")?.height(), 1);
        Ok(())
    })
    .await
}

/// Yesterday and tomorrow in Moscow.
fn days_around_now() -> (String, String) {
    let today = jiff::Timestamp::now().in_tz("Europe/Moscow").expect("a zone").date();
    let (from, to) = (today.yesterday(), today.tomorrow());
    (from.expect("a day").to_string(), to.expect("a day").to_string())
}
