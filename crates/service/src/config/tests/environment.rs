use secrecy::ExposeSecret;

use super::*;

#[test]
fn texts_from_the_environment_become_what_the_type_wants() {
    let loaded = given(&[
        ("KASSA_DATABASE__URL", "postgres://localhost/kassa"),
        ("KASSA_DATABASE__MAX_CONNECTIONS", "5"),
        ("KASSA_DATABASE__STATEMENT_LOG", "true"),
        ("KASSA_STORES__MAIN__INN", "7701234567"),
        ("KASSA_STORES__MAIN__CODES", "1, 2,30"),
        ("KASSA_STORES__MAIN__RETRY_INTERVALS", "1m,1h 30m"),
        ("KASSA_STORES__MAIN__RESUME_AFTER", "1d"),
        ("KASSA_STORES__MAIN__SNO", "usn_income"),
    ])
    .load();
    let Config { database, stores, .. } = &loaded.value;
    assert_eq!((database.max_connections.get(), database.statement_log), (5, true));
    let store = &stores["main"];
    assert_eq!(store.inn, "7701234567");
    assert_eq!(store.codes, [1, 2, 30]);
    assert_eq!(store.retry_intervals, [60, 5400].map(Duration::from_secs));
    assert_eq!(store.resume_after, Some(Duration::from_secs(86_400)));
    assert_eq!(store.sno, Some(Sno::UsnIncome));
    assert_eq!(
        loaded.source_of("stores.main.codes[2]"),
        Some("KASSA_STORES__MAIN__CODES")
    );
}

#[test]
fn one_number_is_a_list_of_one_and_an_empty_text_is_an_absent_value() {
    let loaded = given(&[
        ("KASSA_STORES__A__INN", "1"),
        ("KASSA_STORES__A__CODES", "7"),
        ("KASSA_STORES__A__RESUME_AFTER", ""),
        ("KASSA_STORES__B__INN", "2"),
        ("KASSA_STORES__B__CODES", ""),
        ("KASSA_STORES__C__INN", "3"),
        ("KASSA_STORES__C__CODES", "[4, 5]"),
    ])
    .load();
    let stores = &loaded.value.stores;
    assert_eq!(
        (stores["a"].codes.as_slice(), stores["a"].resume_after),
        ([7].as_slice(), None)
    );
    assert!(stores["b"].codes.is_empty());
    assert_eq!(stores["c"].codes, [4, 5]);
}

#[test]
fn texts_find_their_types_through_an_internally_tagged_enum_too() {
    let loaded = given(&[
        ("KASSA_ACCOUNTS__ONE__VENDOR", "paper"),
        ("KASSA_ACCOUNTS__ONE__LOGIN", "5"),
        ("KASSA_ACCOUNTS__ONE__SLOTS", "5"),
        ("KASSA_ACCOUNTS__ONE__PASSWORD_FILE", "$DIR/password"),
        ("KASSA_ACCOUNTS__TWO__VENDOR", "stone"),
        ("KASSA_ACCOUNTS__TWO__CERT_FILE", "/etc/kassa/cert.pem"),
        ("KASSA_ACCOUNTS__TWO__RATIO", "0.5"),
    ])
    .secret("password", "0123\r\n")
    .load();
    let Account::Paper { login, password, slots } = &loaded.value.accounts["one"] else {
        panic!("the vendor is paper")
    };
    assert_eq!(
        (login.as_str(), password.expose_secret(), *slots),
        ("5", "0123", Some(5))
    );
    let Account::Stone { cert_file, ratio } = &loaded.value.accounts["two"] else {
        panic!("the vendor is stone")
    };
    assert_eq!((cert_file.to_str(), *ratio), (Some("/etc/kassa/cert.pem"), 0.5));
}

#[test]
fn texts_find_their_types_through_a_flattened_struct_too() {
    #[derive(Deserialize)]
    struct Outer {
        name: String,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        trials: u32,
        endless: bool,
        waits: Vec<u8>,
    }
    let pairs = [
        ("KASSA_NAME", "10"),
        ("KASSA_TRIALS", "10"),
        ("KASSA_ENDLESS", "false"),
        ("KASSA_WAITS", "1,2"),
    ];
    let sources = Sources::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let Outer { name, inner } = load::<Outer>(sources).unwrap().value;
    assert_eq!(
        (name.as_str(), inner.trials, inner.endless, inner.waits),
        ("10", 10, false, vec![1, 2])
    );
}

#[test]
fn a_file_is_read_strictly() {
    let faults = given(&[]).file("[database]\nmax_connections = \"5\"\n").faults();
    assert_eq!(
        faults,
        ["database.max_connections: expected a nonzero u16, found string \"5\" (kassa.toml:2:1)"]
    );
}

#[test]
fn the_content_of_a_named_file_is_the_value_without_line_breaks_at_its_end() {
    let given = given(&[("KASSA_DATABASE__URL_FILE", "$DIR/url")]).secret("url", "postgres://secret/kassa\n");
    let loaded = given.load();
    assert_eq!(loaded.value.database.url.as_str(), "postgres://secret/kassa");
    let source = loaded.source_of("database.url").unwrap();
    assert_eq!(
        source,
        format!("KASSA_DATABASE__URL_FILE, file {}", given.path("url").display())
    );
}

#[test]
fn a_value_set_directly_and_by_file_is_an_error_that_names_both() {
    let both = [
        ("KASSA_DATABASE__URL", "postgres://a/b"),
        ("KASSA_DATABASE__URL_FILE", "$DIR/url"),
    ];
    let faults = given(&both).secret("url", "postgres://secret/kassa").faults();
    assert_eq!(
        faults,
        ["database.url: is set by both KASSA_DATABASE__URL and KASSA_DATABASE__URL_FILE; keep one"]
    );
}

#[test]
fn a_secret_file_that_cannot_be_read_is_one_fault() {
    let faults = given(&[("KASSA_DATABASE__URL_FILE", "$DIR/absent")]).faults();
    let expected = "database.url: the file absent cannot be read: No such file or directory (os error 2) (KASSA_DATABASE__URL_FILE)";
    assert_eq!(faults, [expected]);
}

#[test]
fn a_dash_in_a_name_is_found_by_an_underscore() {
    let file = "[stores.my-shop]\ninn = \"1\"\n";
    let loaded = given(&[
        ("KASSA_STORES__MY_SHOP__SNO", "osn"),
        ("KASSA_STORES__NEW-SHOP__INN", "2"),
    ])
    .file(file)
    .load();
    assert_eq!(loaded.value.stores["my-shop"].sno, Some(Sno::Osn));
    assert_eq!(loaded.value.stores["new-shop"].inn, "2");
}

#[test]
fn variables_for_others_are_no_keys() {
    let mut given = given(&[
        ("KASSA_CONFIG", "/nowhere"),
        ("KASSA_BIN", "target/debug/kassa"),
        ("KASSA_PORT", "tcp://10.0.0.1:80"),
        ("KASSA_SERVICE_HOST", "10.0.0.1"),
        ("KASSA_HTTP_SERVICE_PORT_WEB", "80"),
        ("KASSA_HTTP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("KASSA_HTTP_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ]);
    given.sources = given.sources.clone().ignore(["KASSA_BIN"]);
    given.load();
}

#[test]
fn a_value_where_another_variable_needs_a_section_is_an_error() {
    let faults = given(&[("KASSA_DATABASE", "x"), ("KASSA_DATABASE__URL", "postgres://a/b")]).faults();
    assert_eq!(
        faults[0],
        "database: KASSA_DATABASE sets a value where KASSA_DATABASE__URL needs a section"
    );
}

#[test]
fn an_alias_for_a_section_that_the_type_lacks_is_no_fault() {
    let loaded = given(&[
        ("AMQP_URL", "amqp://localhost"),
        ("KASSA_DATABASE__URL", "postgres://a/b"),
    ])
    .load();
    assert_eq!(loaded.source_of("broker.url"), None);
}
