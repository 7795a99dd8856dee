use super::*;

#[test]
fn a_file_is_over_the_defaults_and_the_environment_over_the_file() {
    let file = "[database]\nurl = \"postgres://file/kassa\"\nmax_connections = 20\n";
    let loaded = given(&[("KASSA_DATABASE__URL", "postgres://env/kassa")])
        .file(file)
        .load();
    assert_eq!(loaded.value.database.url.host_str(), Some("env"));
    assert_eq!(loaded.value.database.max_connections.get(), 20);
    assert!(
        loaded
            .source_of("database.max_connections")
            .unwrap()
            .ends_with("kassa.toml:3:1")
    );
    assert_eq!(loaded.source_of("database.url"), Some("KASSA_DATABASE__URL"));

    let loaded = given(&[]).load();
    assert_eq!(loaded.value.database.max_connections.get(), 10);
    assert_eq!(loaded.source_of("database.max_connections"), Some("default"));
    assert_eq!(loaded.source_of("database.nothing"), None);
}

#[test]
fn later_defaults_are_over_earlier_ones() {
    let mut given = given(&[]);
    given.sources = given.sources.clone().defaults("database.max_connections = 3");
    assert_eq!(given.load().value.database.max_connections.get(), 3);
}

#[test]
fn an_alias_is_over_the_file_and_below_our_own_variable() {
    let file = "[database]\nurl = \"postgres://file/kassa\"\n";
    let alias = ("DATABASE_URL", "postgres://alias/kassa");
    let loaded = given(&[alias]).file(file).load();
    assert_eq!(loaded.value.database.url.host_str(), Some("alias"));
    assert_eq!(loaded.source_of("database.url"), Some("DATABASE_URL"));

    let loaded = given(&[alias, ("KASSA_DATABASE__URL", "postgres://ours/kassa")]).load();
    assert_eq!(loaded.value.database.url.host_str(), Some("ours"));

    let loaded = given(&[alias, ("KASSA_DATABASE__URL_FILE", "$DIR/url")])
        .secret("url", "postgres://secret/kassa\n")
        .load();
    assert_eq!(loaded.value.database.url.host_str(), Some("secret"));
}

#[test]
fn a_file_that_was_named_must_exist() {
    let mut given = given(&[]);
    given.sources = given.sources.clone().file(given.path("absent.toml"));
    assert_eq!(
        given.faults(),
        ["the file absent.toml cannot be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn all_syntax_errors_are_reported_with_their_place_and_without_the_text() {
    let faults = given(&[])
        .file("[database]\npassword = 'hunter2\nurl = = 3\nmax_connections = 99999999999999999999\n")
        .faults();
    assert!(faults.len() >= 3, "{faults:?}");
    for place in ["kassa.toml:2:20", "kassa.toml:3:7", "kassa.toml:4:1"] {
        assert!(faults.iter().any(|fault| fault.contains(place)), "{faults:?}");
    }
    assert!(!faults.concat().contains("hunter2"));
}
