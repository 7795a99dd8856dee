use super::*;

#[test]
fn the_effective_configuration_is_shown_with_sources_and_without_secrets() {
    let file =
        "[accounts.one]\nvendor = \"paper\"\nlogin = \"shop\"\npassword = \"hunter2\"\n[stores.\"a b\"]\ninn = \"1\"\n";
    let given = given(&[
        (
            "KASSA_DATABASE__URL",
            "postgres://kassa:hunter2@db/kassa?sslmode=off&sslpassword=hunter2",
        ),
        ("KASSA_DATABASE__MAX_CONNECTIONS", "5"),
    ])
    .file(file);
    let shown = given
        .load()
        .render_redacted()
        .replace(given.folder.to_str().unwrap(), "");
    assert_eq!(
        shown,
        r#"[accounts.one]
login = "shop"  # /kassa.toml:3:1
password = "***"  # /kassa.toml:4:1
vendor = "paper"  # /kassa.toml:2:1

[database]
max_connections = 5  # KASSA_DATABASE__MAX_CONNECTIONS
url = "postgres://kassa:***@db/kassa?sslmode=off&sslpassword=***"  # KASSA_DATABASE__URL

[stores."a b"]
inn = "1"  # /kassa.toml:6:1
"#
    );
    assert!(toml::from_str::<toml::Table>(&shown).is_ok());
    assert!(!format!("{:?}", given.load()).contains("hunter2"));
}

#[test]
fn faults_do_not_show_secrets() {
    for (variable, value) in [
        ("KASSA_DATABASE__URL", "//kassa:hunter2@db"),
        ("KASSA_DATABASE__URL", "postgres://kassa:hunter2@db:port/kassa"),
        ("KASSA_DATABASE__URL", "postgres://kassa:hun/ter2@db/kassa"),
    ] {
        let faults = given(&[(variable, value)]).faults().concat();
        assert!(faults.contains("database.url") && !faults.contains("ter2"), "{faults}");
    }
    let file = "[accounts.one]\nvendor = \"paper\"\nlogin = \"shop\"\npassword = 31337\n";
    let faults = given(&[]).file(file).faults().concat();
    assert!(faults.contains("accounts.one") && !faults.contains("31337"), "{faults}");
}
