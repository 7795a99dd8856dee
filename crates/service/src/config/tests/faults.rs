use super::*;

#[test]
fn unknown_keys_are_named_in_full_with_their_place_and_a_suggestion() {
    let file =
        format!("{STORE}inm = \"7701234567\"\n[storse.two]\n[accounts.one]\nvendor = \"paper\"\nlogni = \"x\"\n");
    let variables = [
        ("KASSA_DATABASE_URL", "postgres://a/b"),
        ("KASSA_STORES__MAIN__INM", "1"),
        ("KASSA_DATABASE__URLL_FILE", "x"),
    ];
    let mut faults = given(&variables).file(&file).faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "accounts.one.logni: unknown key; did you mean `login`? (kassa.toml:7:1)",
            "database.urll_file: unknown key; did you mean KASSA_DATABASE__URL_FILE? (KASSA_DATABASE__URLL_FILE)",
            "database_url: unknown key; did you mean KASSA_DATABASE__URL? (KASSA_DATABASE_URL)",
            "stores.main.inm: unknown key; did you mean KASSA_STORES__MAIN__INN? (KASSA_STORES__MAIN__INM)",
            "storse: unknown key; did you mean `stores`? (kassa.toml:4:2)",
        ]
    );
}

#[test]
fn an_unknown_key_that_is_like_no_other_comes_with_the_known_ones() {
    let faults = given(&[]).file("[database]\npool = 3\n").faults();
    assert_eq!(
        faults,
        ["database.pool: unknown key; known here: url, max_connections, statement_log (kassa.toml:2:1)"]
    );
}

#[test]
fn faults_of_types_name_path_and_place_and_are_all_reported() {
    let file = "[stores.main]\ninn = 77\ncodes = [1, 70000]\nretry_intervals = [\"1m\", \"5\"]\nsno = \"osnn\"\n";
    let faults = given(&[
        ("KASSA_DATABASE__MAX_CONNECTIONS", "ten"),
        ("KASSA_DATABASE__URL", "postgres://a/b"),
    ])
    .file(file)
    .faults();
    assert_eq!(
        faults,
        [
            "database.max_connections: expected a nonzero u16, found string \"ten\" (KASSA_DATABASE__MAX_CONNECTIONS)",
            "stores.main.codes[1]: invalid value: integer `70000`, expected u16 (kassa.toml:3:13)",
            "stores.main.inn: expected a string, found integer `77` (kassa.toml:2:1)",
            "stores.main.retry_intervals[1]: invalid value: string \"5\", expected a duration (kassa.toml:4:26)",
            "stores.main.sno: `osnn` is none of osn, usn_income; did you mean `osn`? (kassa.toml:5:1)",
        ]
    );
}

#[test]
fn a_missing_value_names_its_path_and_its_variable() {
    let mut given = given(&[]).file("[stores.main]\n[stores.two]\n[accounts.one]\nvendor = \"paper\"\n");
    given.sources.environment.clear();
    let missing = |key: &str, variable: &str| format!("{key}: is missing; set it in the file or by {variable}");
    assert_eq!(
        given.faults(),
        [
            missing("accounts.one.login", "KASSA_ACCOUNTS__ONE__LOGIN"),
            missing("database.url", "KASSA_DATABASE__URL"),
            missing("stores.main.inn", "KASSA_STORES__MAIN__INN"),
            missing("stores.two.inn", "KASSA_STORES__TWO__INN"),
        ]
    );
}

#[test]
fn several_faults_are_a_list_and_one_is_a_sentence() {
    let several = load::<Config>(given(&[]).file("a = 1\nb = 2\n").sources.clone())
        .unwrap_err()
        .to_string();
    assert!(
        several.starts_with("the configuration has 2 faults:\n  - a: unknown key"),
        "{several}"
    );
    let one = load::<Config>(given(&[]).file("a = 1\n").sources.clone());
    assert!(one.unwrap_err().to_string().starts_with("the configuration is wrong: "));
}
